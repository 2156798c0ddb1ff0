"""Functions that a model defines for itself, as PyTorch's first dynamo exporters wrote them: put in place of calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from converters.readers.onnx.file.messages import as_onnx
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MOST_NODES = 200_000
Name = tuple[str, str]


def without_functions(model: ModelProto) -> ModelProto:
    """The same model with every call replaced by what the function does; the model itself where it defines none.

    Raises `UnsafeCheckpoint` for functions that call themselves, or that make more than 200,000 nodes.
    """
    if not model.functions:
        return model
    sizes: dict[Name, int] = {}
    bodies = {(function.domain, function.name): list(_walk(function.node)) for function in model.functions}
    for name in bodies:
        _measure(name, bodies, sizes)
    if sum(1 + sizes.get(_name(node), 0) for node in _walk(model.graph.node)) > _MOST_NODES:
        raise UnsafeCheckpoint(f"its functions make more than {_MOST_NODES} nodes: too large")
    from onnx import inliner

    try:
        return inliner.inline_local_functions(as_onnx(model))
    except (RuntimeError, ValueError) as error:
        raise UnreadableCheckpoint(f"its functions cannot be put in place: {printable(error)}") from None


def _name(node: NodeProto) -> Name:
    return node.domain, node.op_type


def _walk(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _walk(attribute.g.node)


def _measure(name: Name, bodies: dict[Name, list[NodeProto]], sizes: dict[Name, int]) -> None:
    """How many nodes a function makes, through all that it calls; each function is looked at once."""
    waiting, open_calls = [name], set()
    while waiting:
        current = waiting[-1]
        called = {_name(node) for node in bodies[current]} & bodies.keys()
        missing = called - sizes.keys()
        if missing and current not in open_calls:
            open_calls.add(current)
            waiting += missing
        elif missing:
            raise UnsafeCheckpoint(f"the function {printable(current[1])} calls itself")
        else:
            sizes[current] = min(_MOST_NODES + 1, sum(1 + sizes.get(_name(node), 0) for node in bodies[current]))
            waiting.pop()
