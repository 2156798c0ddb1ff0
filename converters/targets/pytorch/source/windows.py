"""Convolutions and pooling: where the channels are, and the padding that no constructor says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.model.graph import Node
from converters.model.operations import GlobalPool, Pool, UpSample
from converters.targets.pytorch import padding
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.words import numbers
from converters.targets.pytorch.source.writing import Writing
from layouts.options import Convolution


def maps(x: Held, channels_last: bool, rank: int) -> Held:
    """A feature map with its channels where PyTorch has them."""
    x = x.joined()
    x = x if x.shape is not None else replace(x, shape=(None,) * rank)
    return x.channels_at(1) if channels_last else x.as_source()


def made(w: Writing, node: Node, x: Held, text: str) -> Held:
    """A map as a layer makes it of x; its shape as the source has it."""
    return replace(x, text=text, shape=w.shape(node.outputs[0]) or ((None,) * x.rank if x.rank else None))


class Window(NamedTuple):
    """One spatial axis: its size where known, the reach of the window, its stride."""

    size: int | None
    reach: int
    stride: int

    def same(self) -> tuple[int, int] | None:
        """Zeros before and after for 'same', the odd one after; None where the size is not known and matters."""
        if self.stride > 1 and self.size is None:
            return None
        steps = 0 if self.stride == 1 or self.size is None else -(-self.size // self.stride) - 1
        total = self.reach - 1 if self.stride == 1 else steps * self.stride + self.reach - (self.size or 0)
        return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2


def windows(x: Held, reach: Sequence[int], strides: Sequence[int]) -> list[Window]:
    sizes = (x.sizes or ())[2:] or (None,) * len(reach)
    return [Window(*each) for each in zip(sizes, reach, strides, strict=True)]


def _flat(pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Amounts as functional.pad takes them: the last axis first."""
    return tuple(n for pair in reversed(pairs) for n in pair)


def padded(w: Writing, text: str, pairs: Sequence[tuple[int, int]], value: str = "") -> str:
    flat = _flat(pairs)
    behind = f", value={value}" if value else ""
    return f"functional.pad({text}, {flat}{behind})" if any(flat) else text


def padded_same(w: Writing, x: Held, found: Sequence[Window], lower: bool = False, value: str = "") -> str:
    """x with the zeros of 'same' around it, by amounts where the sizes are known and by a helper where not."""
    pairs = [window.same() for window in found]
    known = [pair for pair in pairs if pair is not None]
    if len(known) == len(pairs):
        return padded(w, x.text, [pair[::-1] if lower else pair for pair in known], value)
    reach, strides = (tuple(getattr(window, name) for window in found) for name in ("reach", "stride"))
    behind = f", value={value}" if value else ""
    return f"{w.help('pad_same_lower' if lower else 'pad_same')}({x.text}, {list(reach)}, {list(strides)}{behind})"


def convolution(
    w: Writing,
    node: Node,
    x: Held,
    modules: Sequence[str],
    options: Convolution,
    kernel: tuple[int, ...],
    transposed: bool,
) -> Held:
    """A convolution, or one that follows another, channels first."""
    x = maps(x, options.channels_last, len(kernel) + 2)
    strides = padding.per_axis(options.strides, len(kernel))
    dilation = padding.per_axis(options.dilation, len(kernel))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    if transposed:
        return made(w, node, x, _transposed(x, modules[0], options, reach, strides))
    text = _padded(w, x, options, kernel, windows(x, reach, strides))
    for module in modules:
        text = f"{module}({text})"
    return made(w, node, x, text)


def _padded(w: Writing, x: Held, options: Convolution, kernel: Sequence[int], found: Sequence[Window]) -> str:
    """The input of a convolution with what its constructor does not pad."""
    if options.padding == "causal":
        return padded(w, x.text, [(window.reach - 1, 0) for window in found])
    if padding.argument(options, kernel, transposed=False) is not None:
        return x.text
    if options.padding in ("same", "same_lower"):
        return padded_same(w, x, found, options.padding == "same_lower")
    half = len(options.pads) // 2
    pads = options.pads if options.padding == "explicit" else ()
    return padded(w, x.text, list(zip(pads[:half], pads[half:], strict=True)))


def _transposed(x: Held, module: str, options: Convolution, reach: Sequence[int], strides: Sequence[int]) -> str:
    """What a transposed convolution gives, cropped or lengthened to the size that the source makes of n.

    That is n × stride + more; PyTorch makes (n - 1) × stride + reach + output_padding.
    """
    added = padding.per_axis(options.output_padding, len(reach), 0)
    if options.padding == "explicit":
        return _explicit(x, module, options)
    crops, sizes = [], []
    for axis, (width, stride, more) in enumerate(zip(reach, strides, added, strict=True)):
        full = width - stride + more
        wanted = _more(options, width, stride, more)
        start = max(width - stride - wanted, 0) // 2
        crops.append((start, full - wanted - start))
        longer = max(full, wanted)
        size = f"{stride} * {x.text}.size({axis + 2})" if stride > 1 else f"{x.text}.size({axis + 2})"
        sizes.append(f"{size} + {longer}" if longer > 0 else f"{size} - {-longer}" if longer else size)
    short = any(end < 0 for _, end in crops)
    text = f"{module}({x.text}, output_size=[{', '.join(sizes)}])" if short else f"{module}({x.text})"
    return _cropped(text, [(start, max(end, 0)) for start, end in crops])


def _more(options: Convolution, reach: int, stride: int, added: int) -> int:
    """What the source's output is longer than n × stride."""
    told = bool(options.output_padding)
    if options.padding == "same":
        return reach - 2 * (reach // 2) + added - stride if told else 0
    return reach + added - stride if told else max(reach - stride, 0)


def _cropped(text: str, crops: Sequence[tuple[int, int]]) -> str:
    slices = [f"{start or ''}:{-end if end else ''}" for start, end in crops]
    return f"{text}[:, :, {', '.join(slices)}]" if any(map(any, crops)) else text


def _explicit(x: Held, module: str, options: Convolution) -> str:
    half = len(options.pads) // 2
    begins, ends = options.pads[:half], options.pads[half:]
    text = f"{module}({x.text})"
    return text if begins == ends else _cropped(text, list(zip(begins, ends, strict=True)))


_MINUS = 'float("-inf")'


def pool(w: Writing, node: Node, op: Pool, values: list[Held]) -> Held:
    rank = len(op.size)
    x = maps(values[0], op.channels_last, rank + 2)
    found = windows(x, op.size, op.strides)
    strides = "" if op.strides == op.size else f", {numbers(op.strides)}"
    function, size = f"functional.{'max' if op.how == 'max' else 'avg'}_pool{rank}d", numbers(op.size)
    pads = _pool_pads(op, found)
    if pads is not None and all(
        before == after <= size // 2 for (before, after), size in zip(pads, op.size, strict=True)
    ):
        return made(w, node, x, f"{function}({x.text}, {size}{strides}{_symmetric(op, pads)})")
    if op.how == "max":
        text = padded(w, x.text, pads, _MINUS) if pads is not None else padded_same(w, x, found, value=_MINUS)
        return made(w, node, x, f"{function}({text}, {size}{strides})")
    text = padded(w, x.text, pads) if pads is not None else padded_same(w, x, found)
    ones = text.replace(f"({x.text},", f"(torch.ones_like({x.text}),", 1)
    w.put(f"seen = {function}({ones}, {size}{strides})")  # the part of each window that lies within the map
    return made(w, node, x, f"{function}({text}, {size}{strides}) / seen")


def _pool_pads(op: Pool, found: Sequence[Window]) -> list[tuple[int, int]] | None:
    """What stands around each axis; None where that depends on sizes that are not known."""
    if op.padding == "explicit":
        half = len(op.pads) // 2
        return list(zip(op.pads[:half], op.pads[half:], strict=True))
    if op.padding == "valid":
        return [(0, 0)] * len(found)
    pairs = [window.same() for window in found]
    known = [pair for pair in pairs if pair is not None]
    return [pair[::-1] if op.padding == "same_lower" else pair for pair in known] if len(known) == len(pairs) else None


def _symmetric(op: Pool, pads: Sequence[tuple[int, int]]) -> str:
    if not any(map(any, pads)):
        return ""
    counted = "" if op.how == "max" else ", count_include_pad=False"
    behind = f", padding={numbers([before for before, _ in pads])}{counted}"
    return behind


def global_pool(w: Writing, node: Node, op: GlobalPool, values: list[Held]) -> Held:
    x, shape = values[0].joined(), w.shape(node.outputs[0])
    if node.mask:
        return _masked_average(w, node, op, x)
    rank = x.rank or 3
    x = x if x.shape is not None else replace(x, shape=(None,) * rank)
    channel = rank - 1 if op.channels_last else 1
    axes = [place for place, axis in enumerate(x.order()) if axis not in (0, channel)]
    how, keep = ("amax" if op.how == "max" else "mean"), ", keepdim=True" if op.keep_axes else ""
    text = f"{x.text}.{how}({numbers(axes)}{keep})"
    return replace(x, text=text, shape=shape) if op.keep_axes else Held(text, shape)


def _masked_average(w: Writing, node: Node, op: GlobalPool, x: Held) -> Held:
    if op.how != "average" or x.rank != 3 or not op.channels_last:
        w.refuse(node, "a masked pooling of this kind is not known here")
        return x
    x, mask = x.as_source(), w.held[node.mask].text
    keep = ", keepdim=True" if op.keep_axes else ""
    count = f"{mask}.sum(1, keepdim=True)" + (".unsqueeze(-1)" if op.keep_axes else "")
    text = f"({x.text} * {mask}.unsqueeze(-1)).sum(1{keep}) / {count}"
    return Held(text, w.shape(node.outputs[0]))


def up_sample(w: Writing, node: Node, op: UpSample, values: list[Held]) -> Held:
    if op.interpolation not in ("nearest", "bilinear"):
        w.refuse(node, f"its interpolation {op.interpolation!r} is computed otherwise in PyTorch")
    x = maps(values[0], op.channels_last, len(op.factors) + 2)
    factors = tuple(map(float, op.factors))
    mode = ', mode="bilinear", align_corners=False' if op.interpolation == "bilinear" else ""
    factor = factors[0] if len(set(factors)) == 1 else factors
    return made(w, node, x, f"functional.interpolate({x.text}, scale_factor={factor}{mode})")


LOWER: Mapping[type, Callable[..., Held]] = {Pool: pool, GlobalPool: global_pool, UpSample: up_sample}
