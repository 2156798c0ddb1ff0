"""What reached a module against what reaches its layer in the source: in which arrangement, and how far from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converters.model.layers import Part
from converters.verification import windows
from converters.verification.arrangement import PLAIN, REVERSED, Arrangement, arrangements, both_ways
from converters.verification.comparison import Difference, compare
from converters.verification.maps import over_maps
from converters.verification.modules import Given
from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Arrival:
    """How far the input is from the expected one, and how the module's values stand to those of the source."""

    difference: Difference
    way: Arrangement


def arrived(
    part: Part, given: Given, expected: Array, mask: Array | None, reversed_: bool, tolerance: float
) -> Arrival:
    """The best of the arrangements that suit the part; where none has the shape, the usual one."""
    found = given.inputs[0]
    if given.lengths is not None:
        return _in_front(part, given, expected, mask, reversed_, tolerance)
    ways = [*arrangements(part, expected.shape, reversed_), *_more(part, found, expected)]
    fitting = [
        Arrival(compare(found, way.there(expected), tolerance), way) for way in ways if _fits(way, expected, found)
    ]
    if mask is not None and part.cell.recurrent and _fits(ways[0], expected, found):
        fitting.append(_in_front(part, given, expected, mask, reversed_, tolerance))
    if fitting:
        return min(fitting, key=lambda each: each.difference.largest)
    return Arrival(compare(found, _usual(ways, expected), tolerance), _by_rank(part, found))


def _fits(way: Arrangement, expected: Array, found: Array) -> bool:
    try:
        return bool(way.there(expected).shape == found.shape)
    except (ValueError, IndexError):
        return False


def _usual(ways: Sequence[Arrangement], expected: Array) -> Array:
    try:
        return ways[0].there(expected)
    except (ValueError, IndexError):
        return expected


def _by_rank(part: Part, found: Array) -> Arrangement:
    """The arrangement that a value of this rank would have, where it is not the expected value at all."""
    ways = arrangements(part, found.shape)
    for way in ways:
        try:
            way.back(found)
        except (ValueError, IndexError):
            continue
        return way
    return PLAIN


def _more(part: Part, found: Array, expected: Array) -> Iterator[Arrangement]:
    """Zeros put around a convolution's input; steps that the source has in the batch, and the module beside it."""
    convolved = part.cell.name.startswith(("conv", "depthwise", "separable")) and not over_maps(part.cell)
    if convolved and "transpose" not in part.cell.name:
        for base in arrangements(part, expected.shape)[:1]:
            yield base.then(_padded(part, base.there(expected).shape[2:]))
    if found.ndim == expected.ndim + 1 and found.shape[0] * found.shape[1] == len(expected):
        sizes = found.shape[:2]
        apart = both_ways(
            "steps beside the batch",
            lambda x: x.reshape(*sizes, *x.shape[1:]),
            lambda y: y.reshape(-1, *y.shape[2:]),
        )
        yield apart
        yield from (apart.then(way) for way in arrangements(part, found.shape))


def _padded(part: Part, sizes: Sequence[int]) -> Arrangement:
    options, count = part.convolution, len(sizes)
    kernel = [part.solved()[word] for word in ("depth", "height", "width") if word in part.solved()]
    strides, dilation = (windows.per_axis(getattr(options, name), count) for name in ("strides", "dilation"))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = windows.padding(options.padding, options.pads, sizes, reach, strides)
    inner = (slice(None), slice(None), *(slice(a, a + n) for (a, _), n in zip(pairs, sizes, strict=True)))
    return Arrangement(
        "padded",
        lambda x: np.pad(x, [(0, 0), (0, 0), *pairs]),
        lambda x: x[inner],
        lambda y: y,
    )


def _in_front(
    part: Part, given: Given, expected: Array, mask: Array | None, reversed_: bool, tolerance: float
) -> Arrival:
    """Sequences with the steps of the mask in front, packed or told their lengths, or whole.

    Of a row without any step, and behind those that count, there may be whatever there is.
    """
    way = arrangements(part, expected.shape)[0]
    x = way.there(expected)
    valid = np.ones(x.shape[:2], bool) if mask is None else mask
    x, valid = (REVERSED.there(x), REVERSED.there(valid)) if reversed_ else (x, valid)
    wanted, found = np.zeros_like(x), given.inputs[0]
    lengths = np.maximum(valid.sum(axis=1), 1)
    if given.lengths is not None and not np.array_equal(lengths, given.lengths):
        return Arrival(compare(np.asarray(given.lengths), lengths, 0.0, sequences=False), way)
    got = np.zeros_like(x)
    for row, keep in enumerate(valid):
        if keep.any():
            wanted[row, : keep.sum()], got[row, : keep.sum()] = x[row, keep], found[row, : keep.sum()]
    return Arrival(compare(got, wanted, tolerance), way)
