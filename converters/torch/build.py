"""`build`: a source as a running nn.Module, out of the very text that `port` writes."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.model.graph import Graph, Node
from converters.model.names import module_name
from converters.planning.execution import execute
from converters.planning.modules import Module
from converters.planning.pairing import Choices
from converters.planning.plan import Plan, make_plan
from converters.planning.report import announce
from converters.readers import read
from converters.targets import PYTORCH
from converters.targets.pytorch.constructors import constructor
from converters.targets.pytorch.source import BESIDE, Source, write
from converters.writers.pytorch import StateDict
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer, printable
from layouts.records import dataclass, replace

Factory = Callable[[], nn.Module]
_CELLS = "from converters import nn as cells"
_NUMBERS = count(1)


@dataclass(frozen=True, eq=False)
class Draft:
    """What is needed to build or to write a source: its plan without what somebody else makes, and its text."""

    plan: Plan
    graph: Graph
    source: Source
    factories: Mapping[str, Factory]
    """For each class that the text leaves open, what makes it."""


def build(
    source: Any,
    *,
    custom_layers: Mapping[str, Factory] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    any_length: bool = False,
) -> nn.Module:
    """A running module with the outputs of the source, in eval mode, its weights loaded.

    Inputs are positional, in the source's order; outputs are a tensor, or a tuple in the source's order. The keys of
    its state_dict are those of `convert(source, dropins=True)`. `inspect.getsource(type(module))` shows its text.

    custom_layers: for layers that hold code or are of somebody's own class, by class name or by path, what makes a
    module: ``{"Rotate": Rotate}``. It is called with the layer's inputs; stored weights go to its parameters of the
    same name and shape.
    framework, assume, weights: see `read`.
    any_length: True makes every recurrent layer one of `converters.nn`, which compilers read as a loop: torch.export
        with a time axis of any length, and torch.compile of the whole graph. Those of torch.nn have neither; they are
        as fast as these without a compiler.

    Raises `NotRepresentable` with the names of all layers that cannot be built.
    """
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    return realize(draft(checkpoint, custom_layers or {}, any_length))


def draft(checkpoint: Checkpoint, factories: Mapping[str, Factory], any_length: bool = False) -> Draft:
    """The text of a source, with drop-ins where torch.nn is not exact; refused with all that cannot be built."""
    graph = checkpoint.graph
    if graph is None:
        known = "; ".join((checkpoint.container, *checkpoint.remarks, *checkpoint.drawn.problems))
        raise NotRepresentable(
            f"how its layers are wired is not told by this file, or not read from it ({known}): convert gives the "
            "weights, and load_into puts them into a module of yours",
            path=checkpoint.path,
        )
    open_layers = {node.name for node in graph.nodes if node.name in factories or node.class_name in factories}
    _check_known(graph, factories)
    plan = make_plan(checkpoint, PYTORCH, choices=Choices(dropins=True, calls=True)).of_network()
    modules = tuple(m for m in plan.modules if not {layer.path for layer in m.layers} & open_layers)
    plan = replace(plan, modules=modules)
    source = write(
        graph, modules, title=_title(checkpoint), dtype=_dtype(plan), custom=tuple(factories), any_length=any_length
    )
    found = {name: factories.get(node.name) or factories[node.class_name] for name, node in source.custom.items()}
    return Draft(replace(plan, modules=tuple(_as_written(modules, source))), graph, source, found)


def _as_written(modules: Iterable[Module], source: Source) -> Iterator[Module]:
    """The modules of a plan with the constructor calls that the text has: a layer under a mask may be a drop-in."""
    for module in modules:
        call = constructor(module.layers[0], module.parts, exact=False) if module.name in source.replaced else ""
        yield replace(module, constructor=call or module.constructor)


def _check_known(graph: Graph, factories: Mapping[str, Factory]) -> None:
    """Raise for a custom layer that the source does not have, so that a slip of the pen is not silence."""
    known = {word for node in graph.nodes for word in (node.name, node.class_name)}
    for name in factories:
        if name not in known:
            raise UnknownLayer(f"custom_layers: no layer and no class {printable(name)!r} in the source")


def _title(checkpoint: Checkpoint) -> str:
    version = f" {checkpoint.version}" if checkpoint.version else ""
    name = checkpoint.path.replace("\\", "/").rpartition("/")[2]
    return f"{name} ({checkpoint.framework}{version}) as a PyTorch module."


def _dtype(plan: Plan) -> str:
    """The dtype of the weights, where they have one; float32 where they are mixed."""
    found = {tensor.dtype.name for tensor in plan.tensors if tensor.dtype.kind not in "iub"}
    return found.pop() if len(found) == 1 else "float32"


def realize(found: Draft) -> nn.Module:
    """The module that a text makes, with its weights."""
    namespace = _run(found.source.text.replace(BESIDE, _CELLS, 1))
    namespace.update(found.factories)
    module: nn.Module = namespace["Model"]()
    _load(module, found)
    return module.eval()


def _run(text: str) -> dict[str, Any]:
    """Execute a text of ours as a module of its own, whose lines tracebacks, inspect and torch.jit.script find."""
    name = f"gateport_model_{next(_NUMBERS)}"
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    exec(compile(text, file, "exec"), module.__dict__)
    return module.__dict__


def _load(module: nn.Module, found: Draft) -> None:
    """Load the plan's weights, strictly, and those of modules that somebody else made by their names."""
    found.plan.check()
    sink = StateDict()
    remarks = [remark for done in execute(found.plan, sink) for remark in done.remarks]
    tensors = sink.tensors()
    for node in found.source.custom.values():
        own, left = _of_custom(module, node)
        tensors |= own
        remarks += [f"{printable(node.name)}: {left} stay as its module has them, for none is called so"] * bool(left)
    announce((*found.plan.warnings, *remarks))
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    open_ones = tuple(f"{module_name(node.name)}." for node in found.source.custom.values())
    missing = [key for key in missing if not (open_ones and key.startswith(open_ones))]
    if missing or unexpected:
        raise ConversionError(f"the text and the plan disagree about {', '.join([*missing, *unexpected])}")


def _of_custom(module: nn.Module, node: Node) -> tuple[dict[str, torch.Tensor], str]:
    """The stored arrays that a custom module has by the same last name and shape; and the names of the others."""
    stored = list(node.layer.stored()) if node.layer else []
    prefix, known = f"{module_name(node.name)}.", module.state_dict()
    found = {f"{prefix}{array.name.removesuffix(':0').rpartition('/')[2]}": array for array in stored}
    fitting = {
        key: torch.tensor(array.read())
        for key, array in found.items()
        if key in known and tuple(known[key].shape) == array.shape and len(found) == len(stored)
    }
    left = [printable(array.name) for key, array in found.items() if key not in fitting]
    return fitting, ", ".join(left)
