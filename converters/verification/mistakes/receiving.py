"""What goes wrong in how a module is given what is right: direction, mask, initial states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from converters.model.layers import Part
from converters.verification.arrival import arrived
from converters.verification.comparison import Difference, compare, worst
from converters.verification.maps import over_steps
from converters.verification.modules import Given
from layouts.errors import printable
from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Receipt:
    """One call: the part, what its module got, what it has to get, and the tolerance.

    states: the initial states that it has to get, (layers × directions, batch, size) each; turned: from the end.
    """

    name: str
    part: Part
    given: Given
    expected: Array
    mask: Array | None
    turned: bool
    states: tuple[Array, ...]
    tolerance: float

    def arrives(self, *, mask: Array | None, turned: bool) -> Difference:
        """How far what came is from what would have come with another mask, or in another direction."""
        return arrived(self.part, self.given, self.expected, mask, turned, self.tolerance).difference

    def starts(self, states: Sequence[Array]) -> Difference:
        """How far the initial states are from others."""
        found = self.given.states or tuple(np.zeros_like(state) for state in self.states)
        return worst([compare(a, b, self.tolerance, False) for a, b in zip(found, states, strict=True)])


Row = tuple[str, str, Callable[[], Difference]]


def receiving(r: Receipt) -> Iterator[Row]:
    """Every known mistake: what, the fix, and how far it is from what came."""
    name = printable(r.name)
    if not over_steps(r.part.cell):
        return
    ways, right = ("from the end", "from the start"), ("x.flip(1) before it", "no x.flip(1) before it")
    yield (
        f"{name} runs {ways[r.turned]} of the sequence, and in the source {ways[not r.turned]}",
        right[not r.turned],
        lambda: r.arrives(mask=r.mask, turned=not r.turned),
    )
    if r.mask is not None:
        yield from _masks(r, name, r.mask)
    if r.states:
        yield from _states(r, name)


def _masks(r: Receipt, name: str, mask: Array) -> Iterator[Row]:
    yield (
        f"the mask of {name} is ignored: it reads masked steps like the others",
        "pack the steps of the mask before it: pack_padded_sequence, or take them out where they have gaps",
        lambda: r.arrives(mask=None, turned=r.turned),
    )
    ends = np.arange(mask.shape[1]) < mask.sum(axis=1)[:, None]
    yield (
        f"{name} reads as many first steps as the mask has, though it has gaps or starts later",
        "take the steps of the mask, and not the first ones",
        lambda: r.arrives(mask=ends, turned=r.turned),
    )


def _states(r: Receipt, name: str) -> Iterator[Row]:
    if len(r.states) > 1:
        yield (
            f"h and c of the initial states of {name} are exchanged",
            "nn.LSTM takes (h_0, c_0)",
            lambda: r.starts(r.states[::-1]),
        )
    yield (
        f"the initial states of {name} are not handed on: it starts from zeros",
        "pass them: module(x, (h_0, c_0)), of an LSTM, or module(x, h_0)",
        lambda: r.starts([np.zeros_like(state) for state in r.states]),
    )
