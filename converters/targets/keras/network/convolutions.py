"""Convolutions as layers of Keras 3: channels last, explicit padding as layers around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.model.graph import Node
from converters.targets.keras.network.sketch import Config, Held
from converters.targets.keras.network.work import Planned, Work
from layouts.options import Convolution

_CLASSES = {
    **{f"conv{n}d": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": f"Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"depthwise_conv{n}d": f"DepthwiseConv{n}D" for n in (1, 2)},
    **{f"separable_conv{n}d": f"SeparableConv{n}D" for n in (1, 2)},
}
CELLS = frozenset(_CLASSES)
_KERNELS = ("kernel", "depthwise_kernel")


def call(w: Work, node: Node, module: Planned, held: Held, given: Config) -> Held:
    """The layer, between transpositions where the source has its channels first, with what is padded or cropped."""
    part = module.parts[0]
    options, cell = part.convolution, part.cell.name
    shapes = {tensor.name: tensor.shape for tensor in module.tensors}
    kernel = next(shapes[name] for name in _KERNELS if name in shapes)
    size = kernel[:-2]
    count, transposed = len(size), "transpose" in cell
    config = {"kernel_size": list(size), "use_bias": "bias" in shapes, "data_format": "channels_last", **given}
    config |= _outputs(cell, kernel, shapes) | _strides(options, count)
    found = held if options.channels_last else w.channels(node, held, count, last=True)
    before, after = _around(w, node, options, size, transposed)
    if any(map(any, before)):
        found = _layer(w, node, found, f"ZeroPadding{count}D", "padding", before)
    config |= _padding(w, node, options, cell, count)
    found = replace(found, mask="")
    found = w.weighted(node, _CLASSES[cell], config, {"": [tensor.key for tensor in module.tensors]}, found)
    if any(map(any, after)):
        found = _layer(w, node, found, f"Cropping{count}D", "cropping", after)
    return found if options.channels_last else w.channels(node, found, count, last=False)


def _outputs(cell: str, kernel: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> Config:
    if cell.startswith("depthwise"):
        return {"depth_multiplier": kernel[-1]}
    if cell.startswith("separable"):
        return {"depth_multiplier": kernel[-1], "filters": shapes["pointwise_kernel"][-1]}
    return {"filters": kernel[-2] if "transpose" in cell else kernel[-1]}


def _each(values: Sequence[int], count: int, usual: int = 1) -> list[int]:
    return list(values) if len(values) == count else [*(values or (usual,))][:1] * count


def _strides(options: Convolution, count: int) -> Config:
    return {"strides": _each(options.strides, count), "dilation_rate": _each(options.dilation, count)}


def _padding(w: Work, node: Node, options: Convolution, cell: str, count: int) -> Config:
    """The rule of padding, and what Keras tells beside it: groups, and longer outputs of a transposed convolution."""
    if options.padding not in ("valid", "same", "causal", "explicit"):
        w.sketch.refuse(node, f"padding {options.padding} has no form in Keras 3")
    if options.output_shape:
        w.sketch.refuse(node, "an output of a stated shape has no form in Keras 3")
    config: Config = {"padding": options.padding if options.padding in ("same", "causal") else "valid"}
    plain = cell in ("conv1d", "conv2d", "conv3d")
    if plain:
        config["groups"] = options.groups
    longer = options.output_padding and options.padding in ("valid", "same")
    return config | ({"output_padding": _each(options.output_padding, count, 0)} if longer else {})


Pairs = list[tuple[int, int]]


def _around(w: Work, node: Node, options: Convolution, size: Sequence[int], transposed: bool) -> tuple[Pairs, Pairs]:
    """What stands before the layer as zeros, and what is cut off behind it, on both sides of every axis.

    A transposed convolution of Keras that is not padded is no shorter than its strides; others are as long as the last
    kernel reaches.
    """
    count, none = len(size), [(0, 0)] * len(size)
    half = len(options.pads) // 2
    pads = list(zip(options.pads[:half], options.pads[half:], strict=True)) or none
    explicit = options.padding == "explicit"
    if not transposed:
        return (pads, none) if explicit else (none, none)
    if not explicit and (options.channels_last or options.padding != "valid" or options.output_padding):
        return none, none
    added = _each(options.output_padding, count, 0) if explicit else [0] * count
    strides = _each(options.strides, count)
    pads = pads if explicit else none
    after = [
        (begin, end - more + max(stride - width, 0))
        for (begin, end), more, stride, width in zip(pads, added, strides, size, strict=True)
    ]
    if any(end < 0 for _, end in after):
        w.sketch.refuse(node, "its output is longer than its kernels reach, which has no form in Keras 3")
    return none, after


def _layer(w: Work, node: Node, held: Held, class_name: str, word: str, pairs: Pairs) -> Held:
    told = list(pairs[0]) if len(pairs) == 1 else [list(pair) for pair in pairs]
    wide = replace(node, name=f"{node.name}_{word}", mask="")
    return w.layer(wide, held, class_name, {word: told})
