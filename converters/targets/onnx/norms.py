"""Norms as nodes: of stored statistics, and of those of the value itself over axes, or over groups of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converters.model.graph import Node
from converters.model.layers import Part
from converters.targets.onnx.emission import Emission

Arrays = Mapping[str, str]


def along(e: Emission, values: str, axis: int, rank: int) -> str:
    """Numbers of the channels, to stand beside a value."""
    return values if axis == rank - 1 else e.shaped(values, *(-1 if k == axis else 1 for k in range(rank)))


def centred(e: Emission, x: str, axes: Sequence[int], epsilon: float) -> str:
    """x without its mean, divided by its deviation over some axes."""
    centre = _centre(e, x, axes)
    return e.op("Div", centre, _root(e, centre, axes, epsilon))


def _centre(e: Emission, x: str, axes: Sequence[int]) -> str:
    return e.op("Sub", x, e.op("ReduceMean", x, axes=list(axes), keepdims=1))


def _root(e: Emission, x: str, axes: Sequence[int], epsilon: float) -> str:
    """√(mean of squares + epsilon) over some axes."""
    square = e.op("ReduceMean", e.op("Mul", x, x), axes=list(axes), keepdims=1)
    return e.op("Sqrt", e.op("Add", square, e.number(epsilon)))


def in_groups(e: Emission, x: str, axis: int, rank: int, groups: int, epsilon: float) -> str:
    """x normed over the channels of each group, which are on one axis, and all places."""
    order = [0, axis, *(k for k in range(1, rank) if k != axis)]
    first = e.permuted(x, order)
    normed = centred(e, e.shaped(first, 0, groups, -1), [2], epsilon)
    whole = e.op("Reshape", normed, e.op("Shape", first))
    return e.permuted(whole, [order.index(k) for k in range(rank)])


def _axis(part: Part, rank: int) -> int:
    """The axis of the channels of a batch or group norm."""
    axes = part.normalization.axes
    return (axes[0] if axes else 1) % rank


def _affine(e: Emission, x: str, factor: str | None, bias: str | None) -> str:
    x = e.op("Mul", x, factor) if factor else x
    return e.op("Add", x, bias) if bias else x


def _batch_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """(x - mean) / sqrt(var + epsilon) × weight + bias, on any axis."""
    rank = e.rank(node.inputs[0])
    axis = _axis(part, rank)
    spread = e.op("Sqrt", e.op("Add", w["input_var"], e.number(part.normalization.epsilon or 0.0)))
    factor = e.op("Div", w["scale"], spread) if "scale" in w else e.op("Reciprocal", spread)
    shifted = e.op("Sub", inputs[0], along(e, w["input_mean"], axis, rank))
    return _affine(e, shifted, along(e, factor, axis, rank), along(e, w["B"], axis, rank) if "B" in w else None)


def _layer_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    settings, rank = part.normalization, e.rank(node.inputs[0])
    own = len(next(iter(part.pieces().values())))
    axes = sorted(axis % rank for axis in settings.axes) or list(range(rank - own, rank))
    centre = _centre(e, inputs[0], axes)
    root = _root(e, centre, axes, settings.epsilon or 0.0)
    found = e.op("Div", inputs[0] if settings.rms_scaling else centre, root)  # by the deviation either way
    sizes = [e.size(inputs[0], axis) if axis in axes else 1 for axis in range(rank)]
    last = axes == list(range(rank - own, rank))
    beside = {name: w[name] if last else e.shaped(w[name], *sizes) for name in ("Scale", "B") if name in w}
    return _affine(e, found, beside.get("Scale"), beside.get("B"))


def _rms_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    epsilon = part.normalization.epsilon
    usual = float(np.finfo(np.float32).eps)
    root = _root(e, inputs[0], [e.rank(node.inputs[0]) - 1], usual if epsilon is None else epsilon)
    return _affine(e, e.op("Div", inputs[0], root), w.get("scale"), None)


def _group_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """Normed over the channels of each group and all places."""
    settings, rank = part.normalization, e.rank(node.inputs[0])
    axis = _axis(part, rank)
    groups = part.solved()["channel"] if settings.groups == -1 else settings.groups or 32
    found = in_groups(e, inputs[0], axis, rank, groups, settings.epsilon or 0.0)
    bias = next((w[name] for name in ("B", "bias") if name in w), None)
    factor = along(e, w["scale"], axis, rank) if "scale" in w else None
    return _affine(e, found, factor, along(e, bias, axis, rank) if bias else None)


_LEAST_DEVIATION = 1e-7
"""What Keras's Normalization divides by at least."""


def _normalization(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """(x - mean) / √variance of stored statistics, or its inverse."""
    settings, rank = part.normalization, e.rank(node.inputs[0])
    deviation = e.op("Max", e.op("Sqrt", w["variance"]), e.number(_LEAST_DEVIATION))
    mean = w["mean"]
    if part.cell.name == "normalization":
        axis = (settings.axes[0] if settings.axes else -1) % rank
        mean, deviation = (along(e, each, axis, rank) for each in (mean, deviation))
    if settings.invert:
        return e.op("Add", e.op("Mul", inputs[0], deviation), mean)
    return e.op("Div", e.op("Sub", inputs[0], mean), deviation)


CELLS: Mapping[str, Callable[[Emission, Node, Part, Arrays, Sequence[str]], str]] = {
    "batch_norm": _batch_norm,
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _layer_norm),
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    **dict.fromkeys(("normalization", "normalization_of_all"), _normalization),
}
"""By the name of a cell."""
