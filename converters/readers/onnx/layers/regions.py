"""What can be computed from one value and constants alone, run within bounds on random numbers."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.graph.folding import FAILURES, run
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import is_weight
from layouts.records import dataclass, field

MEANS = ("GlobalAveragePool", "ReduceMean")
WRAPPED = ("Cast", "Identity", "Reshape")
_ELEMENTWISE = ("Add", "Div", "Mul", "Pow", "Sub")
# fmt: off
_ARITHMETIC = frozenset((
    *MEANS, *WRAPPED, *_ELEMENTWISE, "BatchNormalization", "Concat", "Expand", "Gather", "Neg", "Reciprocal",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "Shape", "Slice", "Sqrt", "Squeeze", "Transpose", "Unsqueeze",
))
# fmt: on
_MOST_NODES = 60
MOST_NUMBERS = 1 << 20


@dataclass
class Region:
    """The nodes that can be computed from one value, and the constants that they read."""

    scope: Scope
    reads: str
    nodes: list[Node] = field(default_factory=list)
    vectors: dict[str, LazyArray] = field(default_factory=dict)
    numbers: dict[str, Array] = field(default_factory=dict)

    @property
    def features(self) -> tuple[int, ...]:
        """The sizes of the axes that vectors of the region have, without axes of one in front."""
        shapes = [array.shape for array in self.vectors.values()]
        longest = max(shapes, key=math.prod, default=())
        ones = next((place for place, size in enumerate(longest) if size > 1), len(longest))
        return longest[ones:]


def region_of(scope: Scope, reads: str, covered: Container[Node]) -> Region:
    """The region of a value. `covered`: nodes of other layers."""
    region, known = Region(scope, reads), {reads}
    waiting = [*scope.readers(reads)]
    found = set[Node]()
    while waiting and len(found) < _MOST_NODES:
        node = waiting.pop(0)
        if node in found or node in covered or node.scope is not scope or node.domain or node.op not in _ARITHMETIC:
            continue
        if all(name in known or scope.is_constant(name) for name in node.inputs if name):
            found.add(node)
            known.update(filter(None, node.outputs))
            waiting += [reader for name in node.outputs if name for reader in scope.readers(name)]
    region.nodes = sorted(found, key=lambda node: scope.places[node])
    for name in dict.fromkeys(name for node in region.nodes for name in node.inputs if name and name not in known):
        _sort(region, name, scope.constant(name))
    return region


def _sort(region: Region, name: str, array: LazyArray | None) -> None:
    if array is not None and array.is_floating and array.size > 1 and is_weight(array):
        region.vectors[name] = array
    elif array is not None and array.size <= MOST_NUMBERS:
        numbers = array.read()
        region.numbers[name] = numbers.astype(np.float64) if array.is_floating else numbers


def run_region(region: Region, values: dict[str, Array]) -> dict[str, Array]:
    """Every value that can be computed within bounds."""
    for node in region.nodes:
        inputs = {name: values[name] for name in node.inputs if name in values}
        if len(inputs) < len({*filter(None, node.inputs)}) or not _fits(node, inputs):
            continue
        try:
            made = run(node, inputs)
        except FAILURES:
            continue
        values |= {name: one.astype(np.float64) if one.dtype.kind == "f" else one for name, one in made.items()}
    return values


def _fits(node: Node, inputs: Mapping[str, Array]) -> bool:
    """Whether a node makes no more numbers than a norm does."""
    shapes = [array.shape for array in inputs.values()]
    if node.op == "Expand":
        sizes = inputs[node.input(1)].reshape(-1)[:16].tolist()
        return bool(abs(math.prod(sizes)) * max(1, inputs[node.input(0)].size) <= MOST_NUMBERS)
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    largest = math.prod(max(sizes) for sizes in zip(*padded, strict=True))
    return node.op not in _ELEMENTWISE or largest <= MOST_NUMBERS
