"""What a mistake is: a change of what a module computes, in words, and the line that mends it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from converters.verification.modules import Given, Own, run_own
from layouts.cells import Piece
from layouts.records import dataclass, replace

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Mistake:
    """A module as a mistake would have made it. what: the mistake, as a sentence; fix: what to do, in one line.

    given: the inputs as the mistake takes them; None where they stay. fitted: the module as the inputs make it.
    """

    what: str
    fix: str
    own: Own
    given: Callable[[Given], Given] | None = None
    fitted: Callable[[Own, Given], Own] | None = None

    def run(self, given: Given) -> list[Array]:
        """What a module with this mistake gives."""
        own = self.fitted(self.own, given) if self.fitted else self.own
        return run_own(own, self.given(given) if self.given else given)


def changed(own: Own, change: Callable[[Piece, Array], Array], slots: Collection[str] = (), gates: str = "") -> Own:
    """The module with the pieces of some slots and gates (all, where none are named) changed one by one."""

    def new(piece: Piece, array: Array) -> Array:
        meant = (not slots or piece.slot in slots) and (not gates or piece.gate in gates)
        return change(piece, np.asarray(array, np.float64)) if meant else array

    return replace(own, pieces={piece: new(piece, array) for piece, array in own.pieces.items()})


def with_pieces(own: Own, pieces: Mapping[Piece, Array]) -> Own:
    """The module with more or other pieces."""
    return replace(own, pieces={**own.pieces, **pieces})


def without(own: Own, *slots: str) -> Own:
    """The module without what is stored in some slots."""
    return replace(own, pieces={piece: array for piece, array in own.pieces.items() if piece.slot not in slots})


def has(own: Own, *slots: str) -> bool:
    """Whether all of these slots are stored."""
    return set(slots) <= {piece.slot for piece in own.pieces}
