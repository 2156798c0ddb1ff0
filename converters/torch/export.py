"""`export_arrays`: a PyTorch module's weights as the arrays of another framework, by the one pipeline."""

from __future__ import annotations

from typing import Any

from torch import nn

from converters.model.arrays import Array
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.planning.execution import execute
from converters.planning.pairing import Choices
from converters.planning.plan import make_plan
from converters.planning.report import announce
from converters.targets import find
from converters.torch.gate_views import place
from converters.torch.module_layout import layout_of, part_of, refuse_opaque, unknown_tensors
from converters.writers.arrays import Arrays as ArraySink
from layouts import catalogue
from layouts.cells import Piece
from layouts.errors import CoverageError, UnknownLayer
from layouts.layout import DIRECTIONS, Layout

Arrays = dict[str, Array]


def export_arrays(
    module: nn.Module, framework: str = "keras", *, class_name: str | None = None, **constants: float
) -> Arrays | dict[str, Arrays]:
    """One module's weights as another framework keeps them, by name, in the order in which it lists them.

    For Keras, ``layer.set_weights(list(export_arrays(linear).values()))``. A recurrent module of one layer and one
    direction gives the arrays of one layer; any other gives ``{"l0": arrays, "l0_reverse": arrays, …}``: a Keras
    Bidirectional takes the forward arrays and then the backward ones.

    class_name: the framework's class, where a layer can be kept in several ways: "CuDNNLSTM", "OptimizedLSTMCell",
        "Conv2D" for a depthwise convolution.
    constants: what the framework adds when it runs: ``forget_bias=1.0`` for the LSTM cells of TensorFlow 1.

    The arrays are copies, of the parameters' dtype (bfloat16 by ml_dtypes). Activations, epsilon and strides are no
    weights: build the other layer with the module's own.

    Warns (`ConversionWarning`) of every number that will not come back bit for bit: two biases that became one, or a
    constant taken off. Raises `NotRepresentable` where the framework has no place for a weight, or its class computes
    something else; `UnknownLayer` for a module that no layout describes or a class that the framework does not have.
    """
    name, target = type(module).__name__, find(framework)
    layer = Layer(name, name, (_readable(module, target.frameworks, class_name),))
    checkpoint = Checkpoint(name, "pytorch", "", "a module in memory", (layer,))
    target.check_constants(constants)
    choices = Choices(class_name=class_name, constants=constants)
    plan = make_plan(checkpoint, target, layer=name, choices=choices)
    plan.check()
    sink = ArraySink()
    remarks: list[str] = []
    for done in execute(plan, sink):
        remarks += done.remarks
    announce(tuple(dict.fromkeys(remarks)))
    packed = {}
    for planned in plan.modules:
        where = planned.parts[0].only or (DIRECTIONS[0], 0)
        arrays = {tensor.name: sink.arrays[tensor.key] for tensor in planned.tensors}
        packed[place(Piece("", direction=where[0], layer=where[1]))] = _by_owner(arrays)
    return packed if len(packed) > 1 else next(iter(packed.values()), {})


def _readable(module: nn.Module, frameworks: tuple[str, ...], class_name: str | None) -> Any:
    """The module's arrays in the first of its layouts that the framework has a place for."""
    refuse_opaque(module)
    own = layout_of(module)
    if own is None:
        raise UnknownLayer(f"{type(module).__name__} has no layout: export its parts, one by one")
    sources = _sources(own, class_name)
    slots = {piece.slot for piece in part_of(module, own).pieces()}
    chosen = catalogue.target(frameworks, [layout.cell for layout in sources], slots, class_name)
    part = part_of(module, next(layout for layout in sources if layout.cell is chosen.cell))
    extra = unknown_tensors(module, part)
    if extra:
        raise CoverageError(f"{type(module).__name__}: {', '.join(extra)} has no place in {chosen.name}")
    return part


def _sources(own: Layout, class_name: str | None) -> list[Layout]:
    """The layouts by which the module may be read: a depthwise convolution, if asked for, as one with groups."""
    if class_name is None:
        return [own]
    others = catalogue.layers("pytorch").get(own.class_name, ())
    return [own, *(one for one in others if one is not own and set(one.arrays) == set(own.arrays) and not one.when)]


def _by_owner(arrays: Arrays) -> Arrays:
    """The arrays of each part of a layer together: query/kernel, query/bias, key/kernel, …"""
    owners = list(dict.fromkeys(name.rpartition("/")[0] for name in arrays))
    return {name: arrays[name] for name in sorted(arrays, key=lambda name: owners.index(name.rpartition("/")[0]))}
