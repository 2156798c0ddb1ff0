"""Layers with weights in NumPy float64, from their neutral pieces, channels where the source has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.layers import Layer, Part
from converters.model.operations import Activation
from converters.verification import windows
from converters.verification.functions import activate, softmax
from converters.verification.maps import convolutional, over_maps
from converters.verification.recurrent import recurrent
from layouts.cells import Piece
from layouts.errors import NotRepresentable

Array = np.ndarray[Any, Any]


class Weights:
    """The pieces of a layer that is not recurrent, as float64."""

    def __init__(self, pieces: Mapping[Piece, Array]) -> None:
        self._pieces: dict[tuple[str, str], Array] = {
            (piece.slot, piece.role): np.asarray(view, np.float64) for piece, view in pieces.items()
        }

    @classmethod
    def of(cls, part: Part) -> Weights:
        """Those that are stored, in the order of the source: a flattened map stays as it is."""
        return cls(replace(part, flattened=()).unpack())

    def __call__(self, slot: str, otherwise: float = 0.0, role: str = "") -> Array:
        return self._pieces.get((slot, role), np.asarray(otherwise))

    def maybe(self, slot: str) -> Array | None:
        """The piece of a slot, or None."""
        return self._pieces.get((slot, ""))


def apply(layer: Layer, inputs: Sequence[Array], mask: Array | None, causal: bool = False) -> list[Array]:
    """What a layer gives for the values that it reads. Raises `NotRepresentable` for a cell that is not known here."""
    if layer.unknown is not None:
        raise layer.unknown
    if layer.recurrent:
        return recurrent(layer, inputs, mask)
    part = layer.parts[0]
    if over_maps(part.cell):
        return convolutional(layer, inputs, mask)
    found = bare(part, Weights.of(part), inputs, mask, causal)
    activation = layer.call.activation or "linear"
    return [found if activation == "linear" else activate(found, Activation(activation))]


def bare(part: Part, weights: Weights, inputs: Sequence[Array], mask: Array | None, causal: bool = False) -> Array:
    """What a layer that is not recurrent computes, without the activation that is fused into it."""
    if part.cell.name.startswith("attention"):
        return _attention(part, weights, inputs, mask, causal)
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


def _prelu(part: Part, w: Weights, inputs: Sequence[Array], _: Array | None) -> Array:
    x, slope = inputs[0], w("weight")
    (stored,) = part.shapes.values()
    own = slope.reshape(stored) if slope.size == math.prod(stored) else slope
    return np.asarray(np.where(x > 0.0, x, own * x))


def _attention(part: Part, w: Weights, inputs: Sequence[Array], mask: Array | None, causal: bool) -> Array:
    """Inputs (query, value) or (query, value, key), as Keras calls it; `causal`: no step sees a later one."""
    query, value, key = (
        inputs[0],
        inputs[min(1, len(inputs) - 1)],
        inputs[2 if len(inputs) > 2 else min(1, len(inputs) - 1)],
    )
    q, k, v = (
        np.einsum("bti,hki->bthk", x, _role(w, role)) + _role_bias(w, role)
        for x, role in ((query, "query"), (key, "key"), (value, "value"))
    )
    scores = np.einsum("bqhk,bshk->bhqs", q, k) / math.sqrt(q.shape[-1])
    scores = masked_scores(scores, None if mask is None else mask[:, None, None, :], causal)
    mixed = np.einsum("bhqs,bshv->bqhv", softmax(scores), v)
    return np.asarray(np.einsum("bqhv,ohv->bqo", mixed, w("output_weight")) + w("output_bias"))


def masked_scores(scores: Array, mask: Array | None, causal: bool) -> Array:
    """Scores (…, query, key) of which those left out weigh nothing; where all are, they weigh the same."""
    seen = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask, scores.shape)
    seen = seen & (np.tri(*scores.shape[-2:]) > 0) if causal else seen
    none = ~seen.any(axis=-1, keepdims=True)
    return np.where(none, 0.0, np.where(seen, scores, -math.inf))


def _role(w: Weights, role: str) -> Array:
    own = w.maybe(f"{role}_weight")
    return w("input_weight", role=role) if own is None else own


def _role_bias(w: Weights, role: str) -> Array:
    own = w.maybe(f"{role}_bias")
    return w("input_bias", role=role) if own is None else own


Cell = Callable[[Part, Weights, Sequence[Array], Array | None], Array]
_CELLS: Mapping[str, Cell] = {
    "linear": _linear,
    "embedding": _embedding,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _transposed),
    **dict.fromkeys(("depthwise_conv1d", "depthwise_conv2d"), _depthwise),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _separable),
    "batch_norm": _batch_norm,
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _layer_norm),
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    **dict.fromkeys(("prelu", "prelu_by_element", "prelu_by_element_2d"), _prelu),
}
