"""Why an If, a Loop or a Scan stands in the way: which input chooses, and what a caller may state of it."""

from __future__ import annotations

from collections.abc import Iterator

from converters.readers.onnx.graph.scope import Node
from layouts.errors import printable

_MEASURING = ("Shape", "Size")


def why_open(node: Node) -> str:
    """What an If chooses by, and the statement that settles it; '' for any other node."""
    if node.op != "If" or node.domain:
        return ""
    scope, found, waiting, seen = node.scope, dict[str, None](), [(node.input(0), False)], set[tuple[str, bool]]()
    while waiting:
        name, measured = waiting.pop()
        if (name, measured) in seen or not name or scope.is_constant(name):
            continue
        seen.add((name, measured))
        maker = scope.producer(name)
        if maker is not None:
            waiting += [(one, measured or maker.op in _MEASURING) for one in maker.inputs]
        elif scope.is_input(name):
            found |= dict.fromkeys(_statements(node, name, measured))
    if not found:
        return "it chooses by a condition that was not followed"
    listed = ", ".join(f"'{printable(key)}': '…'" for key in found)
    return f"it chooses between two graphs by sizes or numbers of inputs: state those that count, assume={{{listed}}}"


def _statements(node: Node, name: str, measured: bool) -> Iterator[str]:
    """What can be stated of an input: the number that it is, or its open sizes, by their names where they have some."""
    told = node.scope.type_of(name)
    dims = list(told.shape.dim) if told is not None else []
    if not measured:
        if all(dim.dim_value == 1 for dim in dims):
            yield name
        return
    open_dims = [dim for dim in dims if not dim.HasField("dim_value")]
    if open_dims and all(dim.dim_param for dim in open_dims):
        yield from (dim.dim_param for dim in open_dims)
    elif open_dims:
        yield f"{name}.shape"
