"""Convolutions and pooling in NumPy float64, over any number of axes, channels first: (batch, channels, …)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from layouts.options import Convolution

Array = np.ndarray[Any, Any]
Pairs = list[tuple[int, int]]


def per_axis(values: Sequence[int], count: int, usual: int = 1) -> list[int]:
    """One number an axis; the usual one where none is told."""
    return list(values) if len(values) == count else [*(values or (usual,))][:1] * count


def padding(
    rule: str, pads: Sequence[int], sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Pairs:
    """Elements before and after each axis; `kernel` with its dilation in it."""
    if rule == "explicit":
        half = len(pads) // 2
        return list(zip(pads[:half], pads[half:], strict=True)) or [(0, 0)] * len(sizes)
    if rule == "causal":
        return [(reach - 1, 0) for reach in kernel]
    if rule not in ("same", "same_lower"):
        return [(0, 0)] * len(sizes)
    found = []
    for size, reach, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if rule == "same" else (more, less))
    return found


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Array:
    """Every window: (batch, channels, *places, *kernel), a view."""
    axes = tuple(range(2, x.ndim))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    found = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    places = tuple(slice(None, None, s) for s in strides)
    inside = tuple(slice(None, None, d) for d in dilation)
    return found[(slice(None), slice(None), *places, *inside)]


def convolve(x: Array, weight: Array, options: Convolution, groups: int = 1) -> Array:
    """x (batch, in, …) with weight (out, in / groups, …): (batch, out, …), without a bias."""
    kernel, count = weight.shape[2:], x.ndim - 2
    strides, dilation = per_axis(options.strides, count), per_axis(options.dilation, count)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = padding(options.padding, options.pads, x.shape[2:], reach, strides)
    x = np.pad(x, [(0, 0), (0, 0), *pairs])
    seen = windows(x, kernel, strides, dilation)
    inputs, outputs = x.shape[1] // groups, weight.shape[0] // groups
    summed = tuple(range(2 + count, 2 + 2 * count))
    parts = []
    for group in range(groups):
        one = seen[:, group * inputs : (group + 1) * inputs]
        own = weight[group * outputs : (group + 1) * outputs]
        parts.append(np.tensordot(one, own, axes=((1, *summed), (1, *range(2, 2 + count)))))
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 1)


def convolve_transposed(x: Array, weight: Array, bias: Array | None, options: Convolution, groups: int = 1) -> Array:
    """x (batch, in, …) with weight (in, out / groups, …): every element spreads its kernel; then cropped or padded.

    Beyond the reach of the last kernel stands the bias alone.
    """
    count, kernel = x.ndim - 2, weight.shape[2:]
    strides, dilation = per_axis(options.strides, count), per_axis(options.dilation, count)
    sizes = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], strides, kernel, dilation, strict=True)]
    inputs, outputs = x.shape[1] // groups, weight.shape[1]
    whole = np.zeros((len(x), outputs * groups, *sizes))
    for place in np.ndindex(*kernel):
        where = tuple(
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, dilation, x.shape[2:], strides, strict=True)
        )
        for group in range(groups):
            own = weight[(slice(group * inputs, (group + 1) * inputs), slice(None), *place)]
            part = np.tensordot(x[:, group * inputs : (group + 1) * inputs], own, axes=((1,), (0,)))
            into = (slice(None), slice(group * outputs, (group + 1) * outputs), *where)
            whole[into] += np.moveaxis(part, -1, 1)
    whole = _fitted(whole, x.shape[2:], kernel, strides, options)
    return whole if bias is None else whole + bias.reshape(1, -1, *[1] * count)


def _fitted(
    whole: Array, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], options: Convolution
) -> Array:
    """The full result cut or filled up to the length that the padding rule asks for."""
    added = per_axis(options.output_padding, len(sizes), 0)
    half = len(options.pads) // 2
    for axis, (n, k, s) in enumerate(zip(sizes, kernel, strides, strict=True)):
        start, length = 0, whole.shape[axis + 2]
        told = (n - 1) * s + k + added[axis] if options.output_padding else None
        if options.output_shape or options.padding in ("same", "same_lower"):
            usual = n * s if told is None else told - 2 * (k // 2)
            length = options.output_shape[axis] if options.output_shape else usual
            more = max(whole.shape[axis + 2] - length, 0)
            start = more // 2 if options.padding == "same" else more - more // 2
        elif options.padding == "explicit" and options.pads:
            start = options.pads[axis]
            length += added[axis] - options.pads[axis] - options.pads[half + axis]
        elif options.channels_last and told is None:
            length = n * s + max(k - s, 0)
        else:
            length += added[axis]
        fill = [(0, 0)] * whole.ndim
        fill[axis + 2] = (0, max(start + length - whole.shape[axis + 2], 0))
        whole = np.pad(whole, fill).take(range(start, start + length), axis=axis + 2)
    return whole


def pool(x: Array, how: str, size: Sequence[int], strides: Sequence[int], rule: str, pads: Sequence[int]) -> Array:
    """The largest element or the mean of every window; what is padded counts for nothing."""
    pairs = padding(rule, pads, x.shape[2:], size, strides)
    edge = [(0, 0), (0, 0), *pairs]
    ones = [1] * len(size)
    if how == "max":
        seen = windows(np.pad(x, edge, constant_values=-math.inf), size, strides, ones)
        return np.asarray(seen.max(axis=tuple(range(x.ndim, seen.ndim))))
    inner = tuple(range(x.ndim, 2 * x.ndim - 2))
    total = windows(np.pad(x, edge), size, strides, ones).sum(axis=inner)
    counted = windows(np.pad(np.ones_like(x), edge), size, strides, ones).sum(axis=inner)
    return np.asarray(total / counted)
