"""Layers with weights that are not recurrent, each as the nodes that compute it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converters.model.graph import Node
from converters.model.layers import Part
from converters.model.operations import Activation
from converters.targets.onnx import windows
from converters.targets.onnx.emission import Emission, refused
from converters.targets.onnx.functions import activated


def applied(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> list[str]:
    """What a layer gives, its fused activation applied."""
    held = e.held(node)[0]
    part = held.parts[0] if held.parts else None
    write = _CELLS.get(part.cell.name) if part else None
    if part is None or write is None or node.layer is None:
        raise refused(node, f"ONNX has no node for {part.cell.name.replace('_', ' ') if part else 'it'}")
    found = write(e, node, part, held.arrays, inputs)
    return [activated(e, found, Activation(node.layer.call.activation or "linear"))]


Arrays = Mapping[str, str]


def _linear(e: Emission, _: Node, __: Part, w: Arrays, inputs: Sequence[str]) -> str:
    return _added(e, e.op("MatMul", inputs[0], w["B"]), w.get("bias"))


def _added(e: Emission, x: str, bias: str | None) -> str:
    return e.op("Add", x, bias) if bias else x


def _embedding(e: Emission, _: Node, __: Part, w: Arrays, inputs: Sequence[str]) -> str:
    return e.op("Gather", w["data"], e.cast(inputs[0], np.int64), axis=0)


def _kernel(part: Part) -> list[int]:
    sizes = part.solved()
    return [sizes[word] for word in ("depth", "height", "width") if word in sizes]


def _convolution(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    options, rank = part.convolution, e.rank(node.inputs[0])
    bias = w.get("B", "")

    def write(x: str) -> str:
        return windows.convolved(e, part, x, w["W"], bias, _kernel(part), _groups(e, node, part))

    return windows.channels_first(e, inputs[0], rank, options.channels_last, write)


def _groups(e: Emission, node: Node, part: Part) -> int:
    """The groups of a convolution: as they are told, which channels and weight must agree with."""
    return part.solved()["in"] if part.cell.products else part.convolution.groups


def _transposed(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    options, rank = part.convolution, e.rank(node.inputs[0])

    def write(x: str) -> str:
        return windows.transposed(e, node, part, x, w["W"], w.get("B", ""), _kernel(part))

    return windows.channels_first(e, inputs[0], rank, options.channels_last, write)


def _separable(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """Every channel by itself, then all of them at each place."""
    rank, kernel = e.rank(node.inputs[0]), _kernel(part)

    def write(x: str) -> str:
        deep = windows.convolved(e, part, x, w["depthwise W"], "", kernel, part.solved()["in"])
        return e.op("Conv", deep, w["pointwise W"], *([w["B"]] if "B" in w else []), kernel_shape=[1] * len(kernel))

    return windows.channels_first(e, inputs[0], rank, part.convolution.channels_last, write)


def _axis(part: Part, rank: int) -> int:
    """The axis of the channels of a batch or group norm."""
    axes = part.normalization.axes
    return (axes[0] if axes else 1) % rank


def _along(e: Emission, values: str, axis: int, rank: int) -> str:
    """Numbers of the channels, to stand beside a value."""
    return values if axis == rank - 1 else e.shaped(values, *(-1 if k == axis else 1 for k in range(rank)))


def _batch_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """(x - mean) / sqrt(var + epsilon) × weight + bias, on any axis."""
    rank = e.rank(node.inputs[0])
    axis = _axis(part, rank)
    spread = e.op("Sqrt", e.op("Add", w["input_var"], e.number(part.normalization.epsilon or 0.0)))
    factor = e.op("Div", w["scale"], spread) if "scale" in w else e.op("Reciprocal", spread)
    shifted = e.op("Sub", inputs[0], _along(e, w["input_mean"], axis, rank))
    found = e.op("Mul", shifted, _along(e, factor, axis, rank))
    return _added(e, found, _along(e, w["B"], axis, rank) if "B" in w else None)


def _centred(e: Emission, x: str, axes: Sequence[int], epsilon: float, rms: bool = False) -> str:
    """x without its mean, divided by its deviation over some axes; with `rms` x by its root mean square."""
    centre = e.op("Sub", x, e.op("ReduceMean", x, axes=list(axes), keepdims=1))
    around = x if rms else centre
    square = e.op("ReduceMean", e.op("Mul", around, around), axes=list(axes), keepdims=1)
    return e.op("Div", x if rms else centre, e.op("Sqrt", e.op("Add", square, e.number(epsilon))))


def _layer_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    settings, rank = part.normalization, e.rank(node.inputs[0])
    own = len(next(iter(part.pieces().values())))
    axes = sorted(axis % rank for axis in settings.axes) or list(range(rank - own, rank))
    if settings.rms_scaling:
        raise refused(node, "a layer norm by the root mean square is not written")
    found = _centred(e, inputs[0], axes, settings.epsilon or 0.0)
    sizes = [e.size(inputs[0], axis) if axis in axes else 1 for axis in range(rank)]

    def beside(name: str) -> str:
        return w[name] if axes == list(range(rank - own, rank)) else e.shaped(w[name], *sizes)

    found = e.op("Mul", found, beside("Scale")) if "Scale" in w else found
    return _added(e, found, beside("B") if "B" in w else None)


def _rms_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    epsilon = part.normalization.epsilon
    usual = float(np.finfo(np.float32).eps)
    found = _centred(e, inputs[0], [e.rank(node.inputs[0]) - 1], usual if epsilon is None else epsilon, rms=True)
    return e.op("Mul", found, w["scale"]) if "scale" in w else found


def _group_norm(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """Normed over the channels of each group and all places."""
    settings, rank = part.normalization, e.rank(node.inputs[0])
    axis, channels = _axis(part, rank), part.solved()["channel"]
    groups = channels if settings.groups == -1 else settings.groups or 32
    order = [0, axis, *(k for k in range(1, rank) if k != axis)]
    first = e.permuted(inputs[0], order)
    normed = _centred(e, e.shaped(first, 0, groups, -1), [2], settings.epsilon or 0.0)
    whole = e.op("Reshape", normed, e.op("Shape", first))
    found = e.permuted(whole, [order.index(k) for k in range(rank)])
    found = e.op("Mul", found, _along(e, w["scale"], axis, rank)) if "scale" in w else found
    bias = next((w[name] for name in ("B", "bias") if name in w), None)
    return _added(e, found, _along(e, bias, axis, rank) if bias else None)


def _attention(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """Heads of softmax(query × keyᵀ / √width) × value; inputs (query, value) or (query, value, key)."""
    query, value = inputs[0], inputs[min(1, len(inputs) - 1)]
    key, sizes = inputs[2] if len(inputs) > 2 else value, part.solved()
    parts = {"query": query, "key": key, "value": value}
    heads = {role: _heads(e, x, w, role, sizes["head"]) for role, x in parts.items()}
    scores = e.op("MatMul", heads["query"], e.permuted(heads["key"], (0, 1, 3, 2)))
    scores = e.op("Mul", scores, e.number(1.0 / math.sqrt(sizes["key"])))
    mask = e.of(node.mask) if node.mask else ""
    if mask:
        scores = _masked(e, scores, e.op("Unsqueeze", mask, e.ints(1, 2)))
    if getattr(node.operation, "causal", False):
        raise refused(node, "causal attention is not written")
    mixed = e.permuted(e.op("MatMul", e.op("Softmax", scores, axis=-1), heads["value"]), (0, 2, 1, 3))
    joined = e.shaped(mixed, 0, 0, -1)
    return _added(e, e.op("MatMul", joined, w["output B"]), w.get("output bias"))


def _heads(e: Emission, x: str, w: Arrays, role: str, heads: int) -> str:
    """(batch, heads, steps, width)."""
    found = _added(e, e.op("MatMul", x, w[f"{role} B"]), w.get(f"{role} bias"))
    return e.permuted(e.shaped(found, 0, 0, heads, -1), (0, 2, 1, 3))


def _masked(e: Emission, scores: str, seen: str) -> str:
    """Scores of which those left out weigh nothing; where all are left out, they weigh the same."""
    least = e.number(float(np.finfo(e.kind).min))
    return e.op("Where", seen, scores, least)


def _prelu(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    (stored,) = part.shapes.values()
    rank = e.rank(node.inputs[0])
    if part.cell.name != "prelu":
        raise refused(node, "a slope for every element is not written")
    slope = (
        w["slope"] if len(stored) == 1 and math.prod(stored) == 1 else _along(e, w["slope"], _channel(part, rank), rank)
    )
    return e.op("PRelu", inputs[0], slope)


def _channel(part: Part, rank: int) -> int:
    """The axis that a slope for each channel stands for: the last in Keras, behind the batch elsewhere."""
    return rank - 1 if part.layout.framework == "keras" else 1


Write = Callable[[Emission, Node, Part, Arrays, Sequence[str]], str]
_CELLS: Mapping[str, Write] = {
    "linear": _linear,
    "embedding": _embedding,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "depthwise_conv1d", "depthwise_conv2d"), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _transposed),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _separable),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _layer_norm),
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "prelu": _prelu,
    **dict.fromkeys(("attention", "attention_of_widths", "attention_of_value_width"), _attention),
}
"""By the name of a cell."""
