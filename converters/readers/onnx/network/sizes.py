"""Shapes of all values, with numbers in the place of open sizes: two of each, so that nothing fits by chance.

What a file computes from sizes, and what a reshape makes of them, is computed twice, with other numbers in the place
of the batch, the time and every other open size. A size that is the same both times is fixed; one that is both times
the size of an axis is that of the axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.readers.onnx.file.messages import as_onnx
from converters.readers.onnx.graph.folding import FAILURES, FOLDABLE, run

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

Pair = tuple[int, int]
Sizes = tuple[Pair, ...]
Array = np.ndarray[Any, Any]
Numbers = tuple[Array, Array]

_STAND_INS = (101, 151), (103, 157), (107, 163), (109, 167), (113, 173), (127, 179), (131, 181), (137, 191)
_MOST_DATA, _MOST_MADE = 256, 1 << 14


class StandIns:
    """A pair of numbers for every open size; those of one name have the same."""

    def __init__(self) -> None:
        self._named: dict[str, Pair] = {}
        self._count = 0

    def of(self, name: str = "") -> Pair:
        """The pair of a name; a new one without."""
        if name and name in self._named:
            return self._named[name]
        first, second = _STAND_INS[self._count % len(_STAND_INS)]
        grown = self._count // len(_STAND_INS)
        pair = (first + 210 * grown, second + 330 * grown)
        self._count += 1
        if name:
            self._named[name] = pair
        return pair


def fixed(size: Pair) -> int | None:
    """A size that is known; None for an open one."""
    return size[0] if size[0] == size[1] else None


def product(sizes: Sequence[Pair]) -> Pair:
    first = second = 1
    for one, other in sizes:
        first, second = first * one, second * other
    return first, second


def paired(shapes: Sequence[Sequence[int] | None]) -> Sizes | None:
    """The shapes of both times as one; None where they are not known."""
    one, other = shapes
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(zip(one, other, strict=True))


class Typed:
    """What is known of a value when the shapes of others are inferred from it."""

    def __init__(self, kind: int, sizes: Sizes | None, data: Numbers | None = None) -> None:
        self.kind, self.sizes, self.data = kind, sizes, data


def inferred(node: Node, inputs: Mapping[str, Typed]) -> dict[str, tuple[int, Sizes | None]]:
    """The kind and the sizes of what a node makes, by ONNX's shape inference; nothing where that cannot tell."""
    found = [_inferred(node, inputs, time) for time in (0, 1)]
    return {
        name: (kind, paired([shape, found[1][name][1]])) for name, (kind, shape) in found[0].items() if name in found[1]
    }


def _inferred(node: Node, inputs: Mapping[str, Typed], time: int) -> dict[str, tuple[int, list[int] | None]]:
    from onnx import checker, defs, helper, numpy_helper, shape_inference

    types, data = {}, {}
    try:
        for name, one in inputs.items():
            shape = None if one.sizes is None else [pair[time] for pair in one.sizes]
            types[name] = helper.make_tensor_type_proto(one.kind, shape)
            if one.data is not None and one.data[time].size <= _MOST_DATA:
                data[name] = numpy_helper.from_array(np.ascontiguousarray(one.data[time]), name)
        schema = defs.get_schema(node.op, node.scope.opset, node.domain)
        opsets = [helper.make_opsetid("", node.scope.opset)]
        found = shape_inference.infer_node_outputs(schema, as_onnx(node.proto), types, data, opset_imports=opsets)
    except (*FAILURES, checker.ValidationError, defs.SchemaError, shape_inference.InferenceError):
        return {}
    return {name: (proto.tensor_type.elem_type, _shape(proto)) for name, proto in found.items()}


def _shape(proto: Any) -> list[int] | None:
    tensor = proto.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return [int(dim.dim_value) for dim in tensor.shape.dim]


def measured(sizes: Sizes) -> Numbers:
    """A shape as the numbers that a Shape node gives."""
    one, other = (np.asarray([pair[time] for pair in sizes], np.int64) for time in (0, 1))
    return one, other


def computed(node: Node, inputs: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """What a node makes of numbers; nothing where it cannot be computed, or would be large."""
    if node.domain or node.op not in FOLDABLE or not all(_is_small(node, inputs, time) for time in (0, 1)):
        return {}
    try:
        one, other = (run(node, {name: both[time] for name, both in inputs.items()}) for time in (0, 1))
    except FAILURES:
        return {}
    return {name: (one[name], other[name]) for name in one}


def _is_small(node: Node, inputs: Mapping[str, Numbers], time: int) -> bool:
    return all(amount <= _MOST_MADE for amount in _amounts(node, inputs, time))


def _amounts(node: Node, inputs: Mapping[str, Numbers], time: int) -> Iterator[float]:
    """The numbers that a node reads, and those that it would make where its inputs tell that."""
    yield from (both[time].size for both in inputs.values())
    place = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}.get(node.op)
    told = inputs.get(node.input(place)) if place is not None else None
    if told is not None:
        yield float(np.prod(np.abs(told[time].astype(float)))) * (inputs[node.input(0)][time].size if place else 1)
    if node.op == "Range":
        yield max((float(np.abs(both[time]).max(initial=0)) for both in inputs.values()), default=0.0)
