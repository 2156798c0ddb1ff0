"""How a value of the source arrives at a module: channels in front, steps merged into the batch, time first, reversed.

Each arrangement is a move of axes and its inverse. A module is given its input in one of those that suit its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from converters.model.layers import Part
from converters.verification.maps import options_of, over_maps, over_steps
from layouts.flatten import MAPS
from layouts.records import dataclass

Array = np.ndarray[Any, Any]
Move = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """One way, in words: from the source to the module, and back; and what the module gives, from the source to it."""

    said: str
    there: Move
    back: Move
    gives: Move

    def then(self, other: Arrangement) -> Arrangement:
        """This one, and another behind it."""
        said = ", ".join(filter(None, (self.said, other.said)))
        return Arrangement(
            said,
            lambda x: other.there(self.there(x)),
            lambda x: self.back(other.back(x)),
            lambda y: other.gives(self.gives(y)),
        )


def both_ways(said: str, there: Move, back: Move) -> Arrangement:
    """One that does the same to what the module gives."""
    return Arrangement(said, there, back, there)


PLAIN = both_ways("", lambda x: x, lambda y: y)
REVERSED = both_ways("time reversed", lambda x: x[:, ::-1], lambda y: y[:, ::-1])
TIME_FIRST = both_ways("time first", lambda x: x.swapaxes(0, 1), lambda y: y.swapaxes(0, 1))


def moved(source: int, target: int, said: str) -> Arrangement:
    """One axis moved to another place."""
    return both_ways(said, lambda x: np.moveaxis(x, source, target), lambda y: np.moveaxis(y, target, source))


CHANNELS_FIRST = moved(-1, 1, "channels first")


def merged(shape: Sequence[int]) -> Arrangement:
    """Batch and steps as one axis."""
    return both_ways(
        "steps in the batch",
        lambda x: x.reshape(-1, *x.shape[2:]),
        lambda y: y.reshape(*shape[:2], *y.shape[1:]),
    )


def flattened(sizes: Sequence[int]) -> Arrangement:
    """The last axis is a map of these sizes (…, channel), whose channels a flattening in PyTorch has in front."""
    sizes, count = tuple(sizes), len(sizes)

    def there(x: Array) -> Array:
        return np.moveaxis(x.reshape(*x.shape[:-1], *sizes), -1, -count).reshape(x.shape)

    def back(x: Array) -> Array:
        return np.moveaxis(x.reshape(*x.shape[:-1], sizes[-1], *sizes[:-1]), -count, -1).reshape(x.shape)

    return Arrangement("a map flattened with its channels first", there, back, lambda y: y)


def arrangements(part: Part, shape: Sequence[int], reversed_: bool = False) -> list[Arrangement]:
    """The ways in which a value of this shape may arrive at the module of a part, the usual one first."""
    bases = list(_bases(part, len(shape)))
    if over_steps(part.cell):
        return [base.then(REVERSED) for base in bases] if reversed_ else bases
    found = list(bases)
    if len(shape) > 2:
        inner = [merged(shape).then(base) for base in _bases(part, len(shape) - 1)]
        found += [*inner, *(base.then(TIME_FIRST) for base in bases)]
    return found


def _bases(part: Part, rank: int) -> Iterator[Arrangement]:
    cell, axes = part.cell.name, part.normalization.axes
    last = part.convolution.channels_last
    if part.flattened and len(part.flattened) in MAPS:
        yield flattened(part.flattened)
    if over_maps(part.cell):
        yield moved(-1, 2, "channels before space") if options_of(part).channels_last else PLAIN
    elif cell.startswith(("conv", "depthwise", "separable", "locally")):
        yield CHANNELS_FIRST if last else PLAIN
        yield PLAIN if last else moved(1, -1, "channels last")
    elif cell in ("batch_norm", "group_norm") or (cell == "prelu" and rank > 2):
        axis = (axes[0] if axes else -1 if cell != "batch_norm" else 1) % max(rank, 1)
        yield moved(axis, 1, f"axis {axis} as channels") if axis != 1 and rank > 1 else PLAIN
        yield PLAIN
    elif cell.startswith("layer_norm") and axes:
        yield _last(tuple(axis % rank for axis in axes), rank)
    else:
        yield PLAIN


def _last(axes: tuple[int, ...], rank: int) -> Arrangement:
    ends = tuple(range(rank - len(axes), rank))
    if axes == ends:
        return PLAIN
    return both_ways("normalised axes last", lambda x: np.moveaxis(x, axes, ends), lambda y: np.moveaxis(y, ends, axes))
