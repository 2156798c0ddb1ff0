"""The padding of convolutions: what PyTorch's constructor can say, and what is left to the forward code.

Keras says `padding` ("valid", "same", "causal"). ONNX says `pads`, all beginnings and then all ends, or `auto_pad`, as
in its schema of Conv and ConvTranspose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]

_SAME = ("SAME_UPPER", "SAME_LOWER")
_EFFECTIVE = "(kernel - 1) * dilation + 1"
_IN_ALL = "max((ceil(n / stride) - 1) * stride + {kernel} - n, 0) in all"


def per_axis(value: Any, count: int) -> tuple[int, ...]:
    """One number an axis, from one for all or a list."""
    values = value if isinstance(value, list | tuple) else [value] * count
    return tuple(n if isinstance(n, int) else 1 for n in values)


def argument(facts: Facts, kernel: Sequence[int], *, transposed: bool) -> Any:
    """The argument `padding` of the module: 'same', a number for each axis, or None where none is right."""
    begins, ends = _pads(facts)
    if begins == ends and any(begins):
        return begins if len(begins) > 1 else begins[0]
    strided = set(per_axis(facts.get("strides", 1), 1)) != {1}
    return "same" if not transposed and not strided and _is_same(facts, kernel) else None


def _is_same(facts: Facts, kernel: Sequence[int]) -> bool:
    """Whether this is the 'same' of PyTorch, which puts an odd zero at the end."""
    dilation = per_axis(facts.get("dilation_rate", 1), len(kernel))
    even = all((size - 1) * step % 2 == 0 for size, step in zip(kernel, dilation, strict=True))
    upper = facts.get("padding") == "same" or facts.get("auto_pad") == "SAME_UPPER"
    return upper or (facts.get("auto_pad") == "SAME_LOWER" and even)


def _pads(facts: Facts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The numbers at the beginning and the end of every axis, where it is them that count."""
    counts = facts.get("auto_pad", "NOTSET") == "NOTSET" and not facts.get("output_shape")
    pads = facts.get("pads") or () if counts else ()
    half = len(pads) // 2
    return tuple(pads[:half]), tuple(pads[half:])


def notes(facts: Facts, kernel: Sequence[int], *, transposed: bool) -> Iterator[str]:
    """What stands before or after the module, one sentence each."""
    strided = set(per_axis(facts.get("strides", 1), 1)) != {1}
    if facts.get("padding") == "causal":
        yield "causal padding: F.pad(x, ((kernel_size - 1) * dilation, 0)) before the convolution"
    if facts.get("padding") == "same" and transposed:
        yield "padding 'same': crop (kernel - stride) // 2 at the start, to n * stride in all"
    elif facts.get("padding") == "same" and strided:
        yield f"padding 'same' with a stride: F.pad with {_IN_ALL.format(kernel='kernel')}, the odd one at the end"
    if transposed and (facts.get("output_shape") or facts.get("auto_pad") in _SAME):
        yield _crop(facts)
    elif facts.get("auto_pad") in _SAME:
        yield from _same_notes(facts, kernel, strided)
    begins, ends = _pads(facts)
    if begins != ends:
        sign = -1 if transposed else 1
        ordered = tuple(sign * n for pair in reversed(list(zip(begins, ends, strict=True))) for n in pair)
        what = f"y = F.pad(y, {ordered}), which crops, after" if transposed else f"x = F.pad(x, {ordered}) before"
        yield f"pads differ at the two ends: {what} the convolution"


def _same_notes(facts: Facts, kernel: Sequence[int], strided: bool) -> Iterator[str]:
    name, odd = facts["auto_pad"], f"the odd one at the {'end' if facts['auto_pad'] == 'SAME_UPPER' else 'start'}"
    if strided:
        yield f"auto_pad {name} with a stride: F.pad with {_IN_ALL.format(kernel=_EFFECTIVE)}, {odd}"
    elif not _is_same(facts, kernel):
        yield f"auto_pad {name}: F.pad with (kernel - 1) * dilation in all, {odd}"


def _crop(facts: Facts) -> str:
    """What a ConvTranspose cuts off, where its size is told and its pads follow from it."""
    shape, name = facts.get("output_shape"), facts.get("auto_pad", "NOTSET")
    said, wanted = (f"output_shape {tuple(shape)}", "that") if shape else (f"auto_pad {name}", "n * stride")
    half = "more // 2" if name == "SAME_UPPER" else "more - more // 2"
    return f"{said}: what y has more than {wanted} is cropped, {half} at the start and the rest at the end"
