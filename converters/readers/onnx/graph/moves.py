"""Transpositions and reshapes of arrays that are at hand, computed here: to load ONNX's evaluator takes longer.

They follow the operators' own specification; whatever is not as usual is left to the evaluator and its errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from converters.model.arrays import Array


class Moving(Protocol):
    """A node, as far as it moves an array."""

    @property
    def op(self) -> str: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def attributes(self) -> Mapping[str, Any]: ...


_RESHAPES_BY_INPUT = 5
"""The opset from which the sizes of a Reshape are an input."""


def moved(node: Moving, inputs: Mapping[str, Array], opset: int) -> Array | None:
    """What a Transpose or a Reshape makes; None for any other node, and for one that is not as usual."""
    if len(node.outputs) != 1 or not node.inputs or node.inputs[0] not in inputs:
        return None
    array = inputs[node.inputs[0]]
    if node.op == "Transpose":
        order = list(node.attributes.get("perm", range(array.ndim)[::-1]))
        return array.transpose(order) if sorted(order) == [*range(array.ndim)] else None
    if node.op != "Reshape" or opset < _RESHAPES_BY_INPUT or len(node.inputs) != 2 or node.attributes.get("allowzero"):
        return None
    sizes = inputs[node.inputs[1]]
    shape = _shape(array, sizes.tolist()) if sizes.ndim == 1 and sizes.dtype == np.int64 else None
    return None if shape is None else array.reshape(shape)


def _shape(array: Array, sizes: Sequence[int]) -> list[int] | None:
    """The sizes of a Reshape: 0 is that of the array itself, one -1 is what is left."""
    if any(size == 0 and axis >= array.ndim for axis, size in enumerate(sizes)):
        return None
    shape = [size or array.shape[axis] for axis, size in enumerate(sizes)]
    known = math.prod(size for size in shape if size != -1)
    if min(shape, default=0) < -1 or shape.count(-1) > 1 or known <= 0 or array.size % known:
        return None
    return shape if -1 in shape or known == array.size else None
