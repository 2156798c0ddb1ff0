"""Indices of an embedding that count from the end where they are negative: exporters write that as arithmetic."""

from __future__ import annotations

import numpy as np

from converters.readers.onnx.file.tensors import dtype_of
from converters.readers.onnx.graph.folding import FAILURES, run
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.network.drawing import Drawing

_OPERATORS = {"Add", "Cast", "Identity", "Less", "Mul", "Not", "Sub", "Where"}
_MOST, _WHOLE = 16, 7


def unwrapped(d: Drawing, name: str, count: int) -> str:
    """The value that indices are computed of, where they are the same from 0 on; the name itself otherwise."""
    nodes, sources = _upstream(d, name)
    if len(sources) != 1 or not nodes:
        return name
    (source,) = sources
    expected = np.arange(min(count, 4096)).astype(dtype_of(d.kinds.get(source, _WHOLE)))
    values = {source: expected}
    try:
        for node in nodes:
            inputs = {one: values[one] if one in values else d.constant(one) for one in node.inputs if one}
            if any(value is None for value in inputs.values()):
                return name
            values |= run(node, {one: value for one, value in inputs.items() if value is not None})
    except FAILURES:
        return name
    return source if np.array_equal(values[name], expected) else name


def _upstream(d: Drawing, name: str) -> tuple[list[Node], set[str]]:
    """The nodes that compute elements of elements, in order, and the values that they start from."""
    found: dict[Node, None] = {}
    sources: set[str] = set()
    waiting = [name]
    while waiting and len(found) <= _MOST:
        current = waiting.pop()
        if d.scope.is_constant(current):
            continue
        node = d.scope.producer(current)
        if node is None or node.domain or node.op not in _OPERATORS or node.scope is not d.scope:
            sources.add(current)
        elif node not in found:
            found[node] = None
            waiting += filter(None, node.inputs)
    if len(found) > _MOST:
        return [], set()
    return sorted(found, key=lambda node: d.scope.places[node]), sources
