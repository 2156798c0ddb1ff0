"""Convolutions, pooling, padding and resizing. Values keep their axes; ONNX has the channels behind the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Node
from converters.model.layers import Part
from converters.targets.onnx.emission import Emission, refused

AUTO = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}


def channels_first(e: Emission, x: str, rank: int, last: bool, function: Callable[[str], str]) -> str:
    """A function of (batch, channels, …) on a value of so many axes that may have its channels last."""
    if not last or rank < 3:
        return function(x)
    inner = function(e.permuted(x, (0, rank - 1, *range(1, rank - 1))))
    return e.permuted(inner, (0, *range(2, rank), 1))


def kernel_of(part: Part) -> list[int]:
    """The sizes of a kernel, in the order of the axes."""
    sizes = part.solved()
    return [sizes[word] for word in ("depth", "height", "width") if word in sizes]


def per_axis(values: Sequence[int], count: int, usual: int = 1) -> list[int]:
    """One number an axis; the usual one where none is told."""
    return list(values) if len(values) == count else [*(values or (usual,))][:1] * count


def _padded(rule: str, pads: Sequence[int], reach: Sequence[int]) -> dict[str, Any]:
    """The attributes of a padding rule; `reach` is the kernel with its dilation in it."""
    if rule in AUTO:
        return {"auto_pad": AUTO[rule]}
    if rule == "causal":
        return {"pads": [each - 1 for each in reach] + [0] * len(reach)}
    return {"pads": list(pads)} if rule == "explicit" and pads else {}


def convolved(e: Emission, part: Part, x: str, weight: str, bias: str, kernel: Sequence[int], groups: int) -> str:
    """A convolution of (batch, in, …); `kernel` as its weight has it."""
    options, count = part.convolution, len(kernel)
    dilation, strides = per_axis(options.dilation, count), per_axis(options.strides, count)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    told = max(dilation) > 1 and max(strides) == 1 and options.padding in AUTO
    return e.op(
        "Conv",
        *([x, weight, bias] if bias else [x, weight]),
        strides=strides,
        dilations=dilation,
        group=groups,
        kernel_shape=list(kernel),
        **(_counted(options.padding, reach) if told else _padded(options.padding, options.pads, reach)),
    )


def _counted(rule: str, reach: Sequence[int]) -> dict[str, Any]:
    """The rule in numbers, which hold for any length at a stride of 1: onnxruntime has no word for it where dilated."""
    less, more = [(each - 1) // 2 for each in reach], [each // 2 for each in reach]
    return {"pads": less + more if rule == "same" else more + less}


def transposed(e: Emission, node: Node, part: Part, x: str, weight: str, bias: str, kernel: Sequence[int]) -> str:
    """A transposed convolution of (batch, in, …), cut or filled up as its padding rule asks for."""
    options, count = part.convolution, len(kernel)
    strides, dilation = per_axis(options.strides, count), per_axis(options.dilation, count)
    attributes: dict[str, Any] = {
        "strides": strides,
        "dilations": dilation,
        "group": options.groups,
        "kernel_shape": list(kernel),
    }
    if options.output_shape or (options.output_padding and (options.channels_last or options.padding in AUTO)):
        raise refused(node, "a transposed convolution whose size is told apart from its padding is not written")
    if options.padding in AUTO or (options.channels_last and options.padding == "valid"):
        whole = _cut(e, options.padding, e.op("ConvTranspose", x, weight, **attributes), kernel, strides, dilation)
        return e.op("Add", whole, e.shaped(bias, 1, -1, *[1] * count)) if bias else whole
    attributes |= {"pads": list(options.pads)} if options.padding == "explicit" and options.pads else {}
    attributes |= {"output_padding": per_axis(options.output_padding, count, 0)} if options.output_padding else {}
    return e.op("ConvTranspose", *([x, weight, bias] if bias else [x, weight]), **attributes)


def _cut(
    e: Emission, rule: str, whole: str, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> str:
    """By Keras's rules: of the whole result what stands in the middle, or all of it and zeros behind it."""
    for axis, (k, s, d) in enumerate(zip(kernel, strides, dilation, strict=True), 2):
        more = (k - 1) * d + 1 - s
        if rule == "valid":
            whole = _behind(e, whole, axis, len(kernel), max(k - s, 0) - more)
            continue
        whole = _behind(e, whole, axis, len(kernel), max(-more, 0))
        less = more // 2 if rule == "same" else more - more // 2
        whole = e.sliced(whole, axis, less, less - more or np.iinfo(np.int64).max) if more > 0 else whole
    return whole


def _behind(e: Emission, x: str, axis: int, count: int, amount: int) -> str:
    """Zeros behind one axis, or that much less of it."""
    if amount < 0:
        return e.sliced(x, axis, 0, amount)
    ends = [0] * (2 + count)
    ends[axis] = amount
    return e.op("Pad", x, e.ints(*[0] * (2 + count), *ends)) if amount else x


_LETTERS = {1: ("cx", "c", "x"), 2: ("rycx", "rc", "yx")}
"""Of maps of so many axes: their windows and the places within, the windows alone, and the places within alone."""


def locally_connected(e: Emission, part: Part, x: str, weight: str, bias: str) -> str:
    """A kernel of its own for every place of (batch, in, …): all windows side by side, and what each of them sees."""
    kernel, sizes, options = kernel_of(part), part.solved(), part.convolution
    count, half = len(kernel), len(options.pads) // 2
    if any(options.pads):
        none = [0, 0]
        x = e.op("Pad", x, e.ints(*none, *options.pads[:half], *none, *options.pads[half:]))
    counts = [sizes[word] for word in ("row", "column") if word in sizes]
    for number, (windows, width, stride) in enumerate(
        zip(counts, kernel, per_axis(options.strides, count), strict=True)
    ):
        places = np.arange(windows)[:, None] * stride + np.arange(width)
        x = e.op("Gather", x, e.constant(places), axis=2 + 2 * number)
    seen, spots, within = _LETTERS[count]
    found = e.op("Einsum", x, weight, equation=f"bi{seen},{spots}oi{within}->bo{spots}")
    return e.op("Add", found, bias) if bias else found


def pooled(e: Emission, node: Node, x: str) -> str:
    """The largest element or the mean of windows; what is padded counts for nothing."""
    settings: Any = node.operation
    rank = e.rank(node.inputs[0])
    kind = "MaxPool" if settings.how == "max" else "AveragePool"
    attributes = _padded(settings.padding, settings.pads, settings.size)
    return channels_first(
        e,
        x,
        rank,
        settings.channels_last,
        lambda inner: e.op(kind, inner, kernel_shape=list(settings.size), strides=list(settings.strides), **attributes),
    )


def global_pooled(e: Emission, node: Node, x: str, mask: str) -> str:
    """The largest element or the mean over all places; over those of the mask where there is one."""
    settings: Any = node.operation
    rank = e.rank(node.inputs[0])
    axes = list(range(1, rank - 1)) if settings.channels_last else list(range(2, rank))
    keep = int(settings.keep_axes)
    if settings.how == "max":
        return e.op("ReduceMax", x, axes=axes, keepdims=keep)
    if not mask:
        return e.op("ReduceMean", x, axes=axes, keepdims=keep)
    if rank != 3:
        raise refused(node, "a masked mean over more than the time is not written")
    share = e.op("Unsqueeze", e.real(mask), e.ints(2))
    total = e.op("ReduceSum", e.op("Mul", x, share), e.ints(*axes), keepdims=keep)
    return e.op("Div", total, e.op("ReduceSum", share, e.ints(*axes), keepdims=keep))


def _around(rank: int, last: bool, amounts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Before and after every axis of a value."""
    inner = [*amounts, (0, 0)] if last else [(0, 0), *amounts]
    return [(0, 0), *inner][:rank]


def padded(e: Emission, node: Node, x: str) -> str:
    settings: Any = node.operation
    pairs = _around(e.rank(node.inputs[0]), settings.channels_last, settings.amounts)
    pads = e.ints(*(before for before, _ in pairs), *(after for _, after in pairs))
    if settings.how != "constant":
        return e.op("Pad", x, pads, mode=settings.how)
    return e.op("Pad", x, pads, e.number(settings.value))


def cropped(e: Emission, node: Node, x: str) -> str:
    settings: Any = node.operation
    for axis, (before, after) in enumerate(_around(e.rank(node.inputs[0]), settings.channels_last, settings.amounts)):
        x = e.sliced(x, axis, before, -after or np.iinfo(np.int64).max) if before or after else x
    return x


def enlarged(e: Emission, node: Node, x: str) -> str:
    """Elements repeated, or interpolated between their middles."""
    settings: op.UpSample = node.operation  # type: ignore[assignment]
    rank = e.rank(node.inputs[0])
    mode = {"nearest": "nearest", "bilinear": "linear"}.get(settings.interpolation)
    if mode is None:
        raise refused(node, f"resizing by {settings.interpolation} is not written")
    scales = e.constant(np.array([1.0, 1.0, *settings.factors], np.float32))
    attributes: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel" if mode == "linear" else "asymmetric"}
    attributes |= {"nearest_mode": "floor"} if mode == "nearest" else {}
    return channels_first(
        e, x, rank, settings.channels_last, lambda inner: e.op("Resize", inner, "", scales, mode=mode, **attributes)
    )
