"""Layers with weights in NumPy float64, from their neutral pieces, channels where the source has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from converters.model.layers import Layer, Part
from converters.model.operations import Activation, Apply
from converters.verification import windows
from converters.verification.attention import heads, scored
from converters.verification.functions import activate
from converters.verification.maps import convolutional, over_maps
from converters.verification.recurrent import recurrent
from converters.verification.weights import Weights
from layouts.errors import NotRepresentable
from layouts.options import Product

Array = np.ndarray[Any, Any]


_PLAINLY = Apply()


def apply(layer: Layer, inputs: Sequence[Array], mask: Array | None, how: Apply = _PLAINLY) -> list[Array]:
    """What a layer gives for the values that it reads. Raises `NotRepresentable` for a cell that is not known here."""
    if layer.unknown is not None:
        raise layer.unknown
    if layer.recurrent:
        return recurrent(layer, inputs, mask)
    part = layer.parts[0]
    if over_maps(part.cell):
        return convolutional(layer, inputs, mask)
    if part.cell.name.startswith("attention"):
        return heads(Weights.of(part), inputs, mask, how)
    found = bare(part, Weights.of(part), inputs, mask)
    activation = layer.call.activation or "linear"
    return [found if activation == "linear" else activate(found, Activation(activation))]


def bare(part: Part, weights: Weights, inputs: Sequence[Array], mask: Array | None, how: Apply = _PLAINLY) -> Array:
    """What a layer that is not recurrent computes, without the activation that is fused into it."""
    if part.cell.name.startswith("attention"):
        return heads(weights, inputs, mask, how)[0]
    function = _CELLS.get(part.cell.name)
    if function is None:
        raise NotRepresentable(f"{part.cell.name.replace('_', ' ')} is not evaluated here")
    return function(part, weights, inputs, mask)


def _linear(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    return np.asarray(inputs[0] @ w("weight").T + w("bias"))


def _embedding(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    return np.asarray(w("weight")[np.asarray(inputs[0]).astype(np.int64)])


def _first(part: Part, x: Array) -> Array:
    return np.moveaxis(x, -1, 1) if part.convolution.channels_last else x


def _back(part: Part, y: Array) -> Array:
    return np.moveaxis(y, 1, -1) if part.convolution.channels_last else y


def _biased(y: Array, bias: Array | None) -> Array:
    return y if bias is None else y + bias.reshape(1, -1, *[1] * (y.ndim - 2))


def _convolution(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, weight = _first(part, inputs[0]), w("weight")
    y = windows.convolve(x, weight, part.convolution, x.shape[1] // weight.shape[1])
    return _back(part, _biased(y, w.maybe("bias")))


def _locally_connected(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    """A kernel (out, in, …) of its own for every place of the output, which the bias (out, …) is as wide as."""
    x, weight, options = _first(part, inputs[0]), w("weight"), part.convolution
    count = x.ndim - 2
    strides, kernel = windows.per_axis(options.strides, count), weight.shape[count + 2 :]
    pairs = windows.padding(options.padding, options.pads, x.shape[2:], kernel, strides)
    seen = windows.windows(np.pad(x, [(0, 0), (0, 0), *pairs]), kernel, strides, [1] * count)
    places, inner = "rc"[:count], "yx"[:count]
    y = np.einsum(f"bi{places}{inner},{places}oi{inner}->bo{places}", seen, weight, optimize=True)
    return _back(part, y + w("bias"))


def _transposed(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    groups = part.convolution.groups
    y = windows.convolve_transposed(
        _first(part, inputs[0]), w("weight"), _whole(w.maybe("bias")), part.convolution, groups
    )
    return _back(part, y)


def _whole(bias: Array | None) -> Array | None:
    return None if bias is None else bias.reshape(-1)


def _depthwise(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    return _back(part, _biased(_by_channel(part, w("weight"), inputs[0]), w.maybe("bias")))


def _by_channel(part: Part, weight: Array, x: Array) -> Array:
    """Every channel by itself: weight (in, multiplier, …)."""
    first = _first(part, x)
    own = weight.reshape(-1, 1, *weight.shape[2:])
    return windows.convolve(first, own, part.convolution, first.shape[1])


def _separable(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    deep = _by_channel(part, w("depthwise_weight"), inputs[0])
    pointwise = w("pointwise_weight")
    y = np.moveaxis(np.tensordot(deep, pointwise.reshape(len(pointwise), -1), axes=((1,), (1,))), -1, 1)
    return _back(part, _biased(y, w.maybe("bias")))


def _on_axis(values: Array, axis: int, rank: int) -> Array:
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape) if values.ndim else values


def _batch_norm(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, settings = inputs[0], part.normalization
    axis = settings.axes[0] if settings.axes else 1
    weight, bias, mean, var = (
        _on_axis(w(slot, usual), axis, x.ndim)
        for slot, usual in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0))
    )
    return np.asarray((x - mean) / np.sqrt(var + (settings.epsilon or 0.0)) * weight + bias)


def _layer_norm(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, settings = inputs[0], part.normalization
    weight, bias = w("weight", 1.0), w("bias")
    rank = max(weight.ndim, bias.ndim, 1)
    axes = tuple(settings.axes) or tuple(range(-rank, 0))
    places = [axis % x.ndim for axis in axes]
    shape = [size if axis in places else 1 for axis, size in enumerate(x.shape)]
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    norm = 1.0 / np.sqrt(var + (settings.epsilon or 0.0))
    centred = x if settings.rms_scaling else x - mean
    weight, bias = (values.reshape(shape) if values.ndim else values for values in (weight, bias))
    return np.asarray(centred * norm * weight + bias)


def _rms_norm(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, settings = inputs[0], part.normalization
    square = np.square(x).mean(axis=-1, keepdims=True)
    epsilon = np.finfo(np.float32).eps if settings.epsilon is None else settings.epsilon
    return np.asarray(x / np.sqrt(square + epsilon) * w("weight", 1.0))


def _group_norm(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, settings = inputs[0], part.normalization
    axis = (settings.axes[0] if settings.axes else 1) % x.ndim
    first = np.moveaxis(x, axis, 1)
    channels = first.shape[1]
    groups = channels if settings.groups == -1 else settings.groups or 32
    cut = first.reshape(len(x), groups, channels // groups, *first.shape[2:])
    axes = tuple(range(2, cut.ndim))
    mean, var = cut.mean(axis=axes, keepdims=True), cut.var(axis=axes, keepdims=True)
    normed = np.moveaxis(((cut - mean) / np.sqrt(var + (settings.epsilon or 0.0))).reshape(first.shape), 1, axis)
    return np.asarray(normed * _on_axis(w("weight", 1.0), axis, x.ndim) + _on_axis(w("bias"), axis, x.ndim))


def _normalization(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, settings = inputs[0], part.normalization
    axis = settings.axes[0] if settings.axes else -1
    mean, variance = (_on_axis(w(slot), axis, x.ndim) for slot in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return np.asarray(x * deviation + mean if settings.invert else (x - mean) / deviation)


def _einsum(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    options = part.options
    assert isinstance(options, Product)
    return np.asarray(np.einsum(options.equation, inputs[0], w("weight")) + w("bias"))


def _scored(score: str, part: Part, w: Weights, inputs: Sequence[Array], mask: Array | None) -> Array:
    return scored(score, w, inputs, mask, False)[0]


def _prelu(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, slope = inputs[0], w("weight")
    (stored,) = part.shapes.values()
    own = slope.reshape(stored) if slope.size == math.prod(stored) else slope
    return np.asarray(np.where(x > 0.0, x, own * x))


Cell = Callable[[Part, Weights, Sequence[Array], Array | None], Array]
_CELLS: Mapping[str, Cell] = {
    "linear": _linear,
    "embedding": _embedding,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _transposed),
    **dict.fromkeys(("depthwise_conv1d", "depthwise_conv2d"), _depthwise),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _separable),
    **dict.fromkeys(("locally_connected1d", "locally_connected2d"), _locally_connected),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _layer_norm),
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    **dict.fromkeys(("normalization", "normalization_of_all"), _normalization),
    **dict.fromkeys(("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"), _einsum),
    **{f"{score}_attention": partial(_scored, score) for score in ("dot", "additive", "concat")},
    **dict.fromkeys(("prelu", "prelu_by_element", "prelu_by_element_2d"), _prelu),
}
