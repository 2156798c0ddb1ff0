"""Which recurrent layer feeds which: between the nodes stand transpositions and reshapes, which are run to be sure.

PyTorch's exporters write one node a layer. That the outputs of one arrive at the next as in a stack of nn.LSTM is not
guessed from the names of the nodes between: they are computed on numbered elements, and every number has to arrive at
its place.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.graph.folding import FAILURES, FOLDABLE, run
from converters.readers.onnx.graph.scope import Node

_MOST = 60
"""Nodes between two layers: exporters need about ten."""

_MOVES = ("Cast", "Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Transpose", "Unsqueeze")
_SMALL = 64
"""Only these are run on the numbers; on arrays of sizes, which are small, whatever may be folded."""


def feeder(node: Node) -> Node | None:
    """The recurrent node whose outputs, both directions side by side, are exactly what `node` reads, or None."""
    between, sources = _between(node)
    if len(sources) != 1:
        return None
    (name,) = sources
    source = node.scope.producer(name)
    if source is None or source.scope is not node.scope or name != source.output(0):
        return None
    layout = source.attributes.get("layout", 0)
    if layout != node.attributes.get("layout", 0):
        return None
    recurrent = source.scope.constant(source.input(2))
    if recurrent is None or len(recurrent.shape) != 3:
        return None
    ways, units = recurrent.shape[0], recurrent.shape[2]
    arrives = any(_arrives(node, name, between, *trial, ways, units) for trial in _sizes(node, between))
    return source if arrives else None


def _between(node: Node) -> tuple[list[Node], set[str]]:
    """The nodes between the input of a recurrent node and what they start from, in order; and where they start."""
    found: dict[Node, None] = {}
    sources: set[str] = set()
    waiting = [node.input(0)]
    while waiting and len(found) <= _MOST:
        name = waiting.pop()
        if node.scope.is_constant(name):
            continue
        made_by = node.scope.producer(name)
        if made_by is None or made_by.domain or made_by.op not in FOLDABLE:
            sources.add(name)
        elif made_by not in found:
            found[made_by] = None
            waiting += [one for one in made_by.inputs if one]
    if len(found) > _MOST:
        return [], set()
    place = node.scope.places
    return sorted((one for one in found if one in place), key=lambda one: place[one]), sources


def _sizes(node: Node, between: list[Node]) -> Iterator[tuple[int, int]]:
    """Numbers of steps and sequences to try: any, and those that a reshape has fixed."""
    yield 3, 2
    for one in between:
        fixed = node.scope.constant(one.input(1)) if one.op == "Reshape" else None
        if fixed is not None and fixed.shape in ((3,), (4,)):
            first, second = (int(size) for size in fixed.read()[:2])
            if 0 < first <= 1024 and 0 < second <= 1024:
                yield first, second


def _arrives(node: Node, name: str, between: list[Node], steps: int, batch: int, ways: int, units: int) -> bool:
    """Whether the numbered outputs (time, directions, batch, units) come out as (time, batch, directions × units)."""
    if steps * batch * ways * units > 1 << 22:
        return False
    numbers = np.arange(steps * ways * batch * units, dtype=np.float32).reshape(steps, ways, batch, units)
    expected = numbers.transpose(0, 2, 1, 3).reshape(steps, batch, ways * units)
    if node.attributes.get("layout", 0):
        numbers, expected = numbers.transpose(2, 0, 1, 3), expected.transpose(1, 0, 2)
    found = _run(node, between, {name: np.ascontiguousarray(numbers)})
    return found is not None and found.shape == expected.shape and bool(np.array_equal(found, expected))


def _run(node: Node, between: list[Node], values: dict[str, Array]) -> Array | None:
    """What the nodes between make of the given value; None where they cannot be computed from it alone."""
    for one in between:
        read = {name: _value(node, name, values) for name in one.inputs if name}
        inputs = {name: value for name, value in read.items() if value is not None}
        small = all(value.size <= _SMALL for value in inputs.values())
        if len(inputs) < len(read) or not (small or one.op in _MOVES):
            return None
        try:
            values |= run(one, inputs)
        except FAILURES:
            return None
    return values.get(node.input(0))


def _value(node: Node, name: str, values: dict[str, Array]) -> Array | None:
    constant = None if name in values else node.scope.constant(name)
    return constant.read() if constant is not None and constant.size <= _SMALL else values.get(name)
