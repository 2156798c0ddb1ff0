"""The whole model: its configuration, and the folder of every layer with the arrays that go there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Graph, Node, Value, why
from converters.model.layers import Layer
from converters.targets.keras.network import attention, cells, layers, masks, recurrent
from converters.targets.keras.network.operations import LOWER
from converters.targets.keras.network.order import in_order
from converters.targets.keras.network.sketch import Config, Entry, Held, Sketch, Tensor, serialized
from converters.targets.keras.network.work import MASKS, Planned, Work
from layouts.errors import NotRepresentable
from layouts.records import dataclass, replace


@dataclass(frozen=True)
class Network:
    """A model of Keras 3: its configuration; its layers in the order in which Keras lists them; what to know of it."""

    config: Config
    entries: tuple[Entry, ...]
    remarks: tuple[str, ...]


def write(graph: Graph, modules: Sequence[Planned], *, name: str = "model") -> Network:
    """A functional model out of a graph and the modules of its plan.

    Raises `NotRepresentable` with everything that has no form in Keras 3.
    """
    w = Work(graph, Sketch(_usual(modules)), _by_layer(modules), masks.made)
    for value in graph.inputs:
        _input(w, value)
    for node in graph.nodes:
        _lower(w, node)
    outputs = [w.held[value].tensor for value in graph.outputs if value in w.held]
    if any(w.held[value].numbers for value in graph.outputs if value in w.held):
        w.sketch.problems.append(NotRepresentable("an output of the model is made of numbers of the program alone"))
    _check(w)
    inputs = [w.held[value.name].tensor for value in graph.inputs]
    entries = in_order(w.sketch.entries, outputs, [tensor.layer for tensor in inputs])
    config = {
        "name": name,
        "trainable": True,
        "layers": [entry.serialized() for entry in entries],
        "input_layers": _listed(inputs),
        "output_layers": _listed(outputs),
    }
    model = {**serialized("Functional", config, "keras.src.models.functional"), "registered_name": "Functional"}
    return Network(model, tuple(entries), tuple(dict.fromkeys(w.sketch.remarks)))


def _usual(modules: Sequence[Planned]) -> str:
    """The dtype of most weights, which layers without any compute in."""
    found = Counter(_dtype(module) for module in modules if module.tensors)
    return found.most_common(1)[0][0] if found else "float32"


def _dtype(module: Any) -> str:
    return str(module.tensors[0].dtype)


def _by_layer(modules: Sequence[Planned]) -> dict[int, list[Planned]]:
    found: dict[int, list[Planned]] = {}
    for module in modules:
        for layer in module.layers:
            found.setdefault(id(layer), []).append(module)
    return found


def _listed(tensors: Sequence[Tensor]) -> list[Any]:
    """One value as Keras names it, or a list of them."""
    found = [[tensor.layer, tensor.call, tensor.number] for tensor in tensors]
    return found[0] if len(found) == 1 else found


def _input(w: Work, value: Value) -> None:
    shape = value.shape or _read_by(w, value)
    if shape is None:
        text = f"input {value.name}: the source does not tell its shape, which a model of Keras 3 has to state"
        w.sketch.problems.append(NotRepresentable(text))
        shape = (None,)
    integral = not value.dtype.startswith(("float", "bfloat"))
    dtype = value.dtype if integral or w.sketch.dtype == "float32" else w.sketch.dtype
    entry = w.sketch.add(value.name, "keras.layers", "InputLayer", {"batch_shape": list(shape), "dtype": dtype})
    w.held[value.name] = Held(w.sketch.call(entry, (), {}), shape)


def _read_by(w: Work, value: Value) -> tuple[int | None, ...] | None:
    """The shape of an input of which only its reader tells: a recurrent layer reads batch, time and features."""
    for node in w.graph.nodes:
        if node.inputs[:1] == (value.name,) and node.layer and node.layer.recurrent and not node.layer.unknown:
            return (None, None, node.layer.parts[0].solved()["input"])
    return None


def _lower(w: Work, node: Node) -> None:
    if isinstance(node.operation, MASKS) or node.class_name == "mask":
        return
    inputs = [w.held[name] for name in node.inputs if name in w.held]
    told = why(node)
    plain = [held for held in inputs if held.numbers]
    if plain and (len(plain) == len(inputs) or not isinstance(node.operation, op.Combine | op.MatrixProduct)):
        told = "it reads numbers of the program, which no layer of Keras 3 takes"
    if told:
        w.sketch.refuse(node, told)
    elif isinstance(node.operation, op.Apply) and node.layer is not None:
        _apply(w, node, node.layer, inputs)
    elif isinstance(node.operation, op.DotAttention):
        _hold(w, node, *attention.scored(w, node, node.operation, inputs))
    elif type(node.operation) in LOWER:
        _hold(w, node, LOWER[type(node.operation)](w, node, node.operation, inputs))
    else:
        w.sketch.refuse(node, f"{type(node.operation).__name__} has no form in Keras 3 here")
    for number, name in enumerate(node.outputs):  # so that the rest is looked at too where something was refused
        w.held.setdefault(name, replace(inputs[0], shape=w.shape(name)) if inputs else Held(Tensor("", 0, number)))


def _apply(w: Work, node: Node, layer: Layer, inputs: list[Held]) -> None:
    modules = w.modules.get(id(layer), ())
    if not modules or not modules[0].parts:
        w.sketch.refuse(node, "the plan has no arrays of Keras for it")
        return
    before, cell = w.sketch.dtype, modules[0].parts[0].cell.name
    w.sketch.dtype = _dtype(modules[0]) if modules[0].tensors else before
    if cell in cells.CELLS:
        recurrent.call(w, node, modules, inputs)
    elif cell.startswith("attention"):
        _hold(w, node, *attention.heads(w, node, modules[0], inputs))
    else:
        _hold(w, node, layers.call(w, node, modules[0], inputs))
    w.sketch.dtype = before


def _hold(w: Work, node: Node, *found: Held) -> None:
    for name, held in zip(node.outputs, found, strict=False):
        w.held[name] = replace(held, shape=w.shape(name))


def _check(w: Work) -> None:
    if w.sketch.problems:
        lines = dict.fromkeys(str(problem) for problem in w.sketch.problems)
        raise NotRepresentable("\n".join(lines), layer=w.sketch.problems[0].layer)
