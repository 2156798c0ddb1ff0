"""The padding of convolutions: what PyTorch's constructor can say, and what is left to the forward code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from layouts.options import Convolution

_EFFECTIVE = "(kernel - 1) * dilation + 1"
_SAME = ("same", "same_lower")


def per_axis(values: tuple[int, ...], count: int, usual: int = 1) -> tuple[int, ...]:
    """One number an axis; the usual one where none is told, and a single one for all."""
    return tuple(values) if len(values) == count else (values or (usual,))[:1] * count


def argument(options: Convolution, kernel: Sequence[int], *, transposed: bool) -> str | int | tuple[int, ...] | None:
    """The argument `padding` of the module: 'same', a number for each axis, or None where none is right."""
    begins, ends = _pads(options)
    if begins == ends and any(begins):
        return begins if len(begins) > 1 else begins[0]
    return "same" if not transposed and not _strided(options) and _is_same(options, kernel) else None


def _strided(options: Convolution) -> bool:
    return not set(options.strides) <= {1}


def _is_same(options: Convolution, kernel: Sequence[int]) -> bool:
    """Whether this is the 'same' of PyTorch, which puts an odd zero at the end."""
    dilation = per_axis(options.dilation, len(kernel))
    even = all((size - 1) * step % 2 == 0 for size, step in zip(kernel, dilation, strict=True))
    return options.padding == "same" or (options.padding == "same_lower" and even)


def _pads(options: Convolution) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The numbers at the beginning and the end of every axis, where it is them that count."""
    pads = options.pads if options.padding == "explicit" and not options.output_shape else ()
    half = len(pads) // 2
    return pads[:half], pads[half:]


def notes(options: Convolution, kernel: Sequence[int], *, transposed: bool) -> Iterator[str]:
    """What stands before or after the module, one sentence each."""
    if options.padding == "causal":
        yield "causal padding: F.pad(x, ((kernel_size - 1) * dilation, 0)) before the convolution"
    if transposed and (options.output_shape or options.padding in _SAME):
        yield _crop(options)
    elif options.padding in _SAME:
        yield from _same_notes(options, kernel)
    begins, ends = _pads(options)
    if begins != ends:
        sign = -1 if transposed else 1
        ordered = tuple(sign * n for pair in reversed(list(zip(begins, ends, strict=True))) for n in pair)
        what = f"y = F.pad(y, {ordered}), which crops, after" if transposed else f"x = F.pad(x, {ordered}) before"
        yield f"pads differ at the two ends: {what} the convolution"


def _same_notes(options: Convolution, kernel: Sequence[int]) -> Iterator[str]:
    odd = f"the odd one at the {'end' if options.padding == 'same' else 'start'}"
    if _strided(options):
        yield (
            f"padding {options.padding!r} with a stride: F.pad with "
            f"max((ceil(n / stride) - 1) * stride + {_EFFECTIVE} - n, 0) in all, {odd}"
        )
    elif not _is_same(options, kernel):
        yield f"padding {options.padding!r}: F.pad with (kernel - 1) * dilation in all, {odd}"


def _crop(options: Convolution) -> str:
    """What a transposed convolution cuts off, where its size is told and its pads follow from it."""
    shape = options.output_shape
    said, wanted = (f"output_shape {shape}", "that") if shape else (f"padding {options.padding!r}", "n * stride")
    half = "more // 2" if options.padding == "same" else "more - more // 2"
    return f"{said}: what y has more than {wanted} is cropped, {half} at the start and the rest at the end"
