"""What moves an array or counts, computed here and told beforehand: ONNX's evaluator and inference take longer to load.

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


_RESHAPES_BY_INPUT, _SLICES_BY_INPUT, _AXES_BY_INPUT = 5, 10, 13
"""The opsets from which the numbers of a Reshape, of a Slice, of a Squeeze and an Unsqueeze are inputs."""
_COUNTS_BACK = 11
"""The opset from which an axis may be counted from the end."""
_MOST_AXES, _FEW = 32, 64
_COUNTS = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}


def moved(node: Moving, inputs: Mapping[str, Array], opset: int) -> Array | None:
    """What the one output of a node is, where it moves or counts; None for any other node, and one not as usual.

    Raises `ValueError` for an array that cannot take a shape.
    """
    if node.op in _COUNTS:
        return _counted(node, inputs)
    if node.op == "Concat":
        parts, axis = _joined(node, inputs, opset)
        return np.concatenate(parts, axis) if parts else None
    return _view(node, inputs, opset)


def outline(node: Moving, inputs: Mapping[str, Array], opset: int) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """The shape and the dtype of what `moved` gives; of arrays that are moved, and do not tell how, nothing is read."""
    if node.op == "Concat":
        parts, axis = _joined(node, inputs, opset)
        if not parts:
            return None
        size = sum(part.shape[axis] for part in parts)
        return (*parts[0].shape[:axis], size, *parts[0].shape[axis + 1 :]), parts[0].dtype
    made = moved(node, inputs, opset)
    return None if made is None else (made.shape, made.dtype)


def _counted(node: Moving, inputs: Mapping[str, Array]) -> Array | None:
    """What two whole numbers make, or few of them, as sizes and places are computed."""
    parts = [inputs[name] for name in node.inputs if name in inputs]
    few = all(part.dtype == np.int64 and part.ndim <= 1 and part.size <= _FEW for part in parts)
    if not few or len(parts) != 2 or len(node.inputs) != 2 or len(node.outputs) != 1:
        return None
    return np.asarray(_COUNTS[node.op](*parts))


def _view(node: Moving, inputs: Mapping[str, Array], opset: int) -> Array | None:
    """The output of a node that has one array, and numbers which say what becomes of it."""
    if len(node.outputs) != 1 or not node.inputs or node.inputs[0] not in inputs:
        return None
    array = inputs[node.inputs[0]]
    if node.op == "Identity":
        return array
    if node.op == "Transpose":
        order = list(node.attributes.get("perm", range(array.ndim)[::-1]))
        return array.transpose(order) if sorted(order) == [*range(array.ndim)] else None
    if node.op == "Slice":
        index = _sliced(node, array.ndim, inputs, opset)
        return None if index is None else array[index]
    if node.op not in ("Reshape", "Squeeze", "Unsqueeze"):
        return None
    shape = _SHAPES[node.op](node, array.shape, inputs, opset)
    return None if shape is None or len(shape) > _MOST_AXES else array.reshape(shape)


def _joined(node: Moving, inputs: Mapping[str, Array], opset: int) -> tuple[list[Array], int]:
    """The arrays that a Concat puts side by side, and on which axis; none where they do not fit."""
    parts = [inputs[name] for name in node.inputs if name in inputs]
    if not parts or len(parts) < len(node.inputs) or len(node.outputs) != 1 or "axis" not in node.attributes:
        return [], 0
    axes = _axes([node.attributes["axis"]], parts[0].ndim, opset)
    if axes is None:
        return [], 0
    (axis,) = axes
    alike = {(part.dtype, part.ndim, part.shape[:axis], part.shape[axis + 1 :]) for part in parts}
    return (parts, axis) if len(alike) == 1 else ([], 0)


def _axes(stated: Sequence[int], count: int, opset: int) -> list[int] | None:
    """Axes by their numbers from the front, each once."""
    if any(axis < 0 for axis in stated) and opset < _COUNTS_BACK:
        return None
    found = [axis + count if axis < 0 else axis for axis in stated]
    return found if len({*found}) == len(found) and all(0 <= axis < count for axis in found) else None


def _numbers(node: Moving, place: int, inputs: Mapping[str, Array]) -> list[int] | None:
    """The whole numbers of an input; None where it is absent, or is something else."""
    name = node.inputs[place] if place < len(node.inputs) else ""
    array = inputs.get(name)
    if (
        array is None
        or array.ndim != 1
        or not (array.dtype == np.int64 or (node.op == "Slice" and array.dtype == np.int32))
    ):
        return None
    found: list[int] = array.tolist()
    return found


def _stated(node: Moving, name: str, place: int, since: int, inputs: Mapping[str, Array], opset: int) -> Any:
    """Numbers that are an input since some opset, and were an attribute before."""
    return _numbers(node, place, inputs) if opset >= since else node.attributes.get(name)


def _is_left_out(node: Moving, place: int) -> bool:
    return place >= len(node.inputs) or not node.inputs[place]


def _reshaped(node: Moving, old: tuple[int, ...], inputs: Mapping[str, Array], opset: int) -> list[int] | None:
    """The sizes of a Reshape: 0 is that of the array itself, one -1 is what is left."""
    sizes = _numbers(node, 1, inputs) if len(node.inputs) == 2 and opset >= _RESHAPES_BY_INPUT else None
    if sizes is None or node.attributes.get("allowzero"):
        return None
    if any(size == 0 and axis >= len(old) for axis, size in enumerate(sizes)):
        return None
    shape = [size or old[axis] for axis, size in enumerate(sizes)]
    known, there = math.prod(size for size in shape if size != -1), math.prod(old)
    if min(shape, default=0) < -1 or shape.count(-1) > 1 or known <= 0:
        return None
    if there % known or (known != there and -1 not in shape):
        raise ValueError(f"{old} cannot be reshaped to {tuple(sizes)}")
    return shape


def _squeezed(node: Moving, old: tuple[int, ...], inputs: Mapping[str, Array], opset: int) -> list[int] | None:
    """The sizes without axes of one: those that are named, or all."""
    if _is_left_out(node, 1) and "axes" not in node.attributes:
        return [size for size in old if size != 1]
    stated = _stated(node, "axes", 1, _AXES_BY_INPUT, inputs, opset)
    axes = _axes(stated, len(old), opset) if stated else None
    if axes is None or any(old[axis] != 1 for axis in axes):
        return None
    return [size for axis, size in enumerate(old) if axis not in axes]


def _unsqueezed(node: Moving, old: tuple[int, ...], inputs: Mapping[str, Array], opset: int) -> list[int] | None:
    """The sizes with axes of one, at their places among all."""
    stated = _stated(node, "axes", 1, _AXES_BY_INPUT, inputs, opset)
    axes = _axes(stated, len(old) + len(stated), opset) if stated else None
    if axes is None or axes != sorted(axes):
        return None
    sizes = iter(old)
    return [1 if axis in axes else next(sizes) for axis in range(len(old) + len(axes))]


_SHAPES = {"Reshape": _reshaped, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed}


def _sliced(node: Moving, count: int, inputs: Mapping[str, Array], opset: int) -> tuple[slice, ...] | None:
    """The index of a Slice, whose numbers mean what they mean in Python."""
    starts, ends = (_stated(node, name, k, _SLICES_BY_INPUT, inputs, opset) for k, name in ((1, "starts"), (2, "ends")))
    if starts is None or ends is None:
        return None
    by_input = opset >= _SLICES_BY_INPUT
    all_axes = _is_left_out(node, 3) if by_input else "axes" not in node.attributes
    stated = range(len(starts)) if all_axes else _stated(node, "axes", 3, _SLICES_BY_INPUT, inputs, opset)
    steps = [1] * len(starts) if _is_left_out(node, 4) else _numbers(node, 4, inputs)
    axes = None if stated is None else _axes(stated, count, max(opset, _SLICES_BY_INPUT))
    if axes is None or steps is None or 0 in steps or not len(starts) == len(ends) == len(axes) == len(steps):
        return None
    index = [slice(None)] * count
    for axis, *numbers in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(*numbers)
    return tuple(index)
