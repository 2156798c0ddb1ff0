"""Which region of a source fills which region of a target, and by which arithmetic: `repack` told instead of done.

It reads no data. Elements that are moved as it says are those that `repack` gives; a test does so for every layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from layouts.axes import Size
from layouts.cells import Piece
from layouts.layout import DIRECTIONS, Layout
from layouts.records import dataclass, replace
from layouts.regions import Region, of_entry
from layouts.repack import FED, targets


class Stored(NamedTuple):
    """A piece of the source: its layout and where it stands; `key` tells arrays of one name apart."""

    layout: Layout
    region: Region
    key: Any = None


class Added(NamedTuple):
    """What is added to a bias: a number, or the name of a constant that somebody states; sign -1 takes it away."""

    value: float | str
    sign: int


@dataclass(frozen=True)
class Move:
    """One block of a target array and what fills it.

    sources: none where a constant stands for a missing array; several are added. sign: -1 where the sense is the
    opposite one. added: constants of the source's layout, and those of the target's taken away, after the sign.
    fill: what is written where there is neither source nor constant. factor: what all of it is written times.
    """

    piece: Piece
    target: Region
    sources: tuple[Stored, ...] = ()
    sign: int = 1
    added: tuple[Added, ...] = ()
    fill: float | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Moves:
    """All blocks of a target; and pieces of the source that have no place in it, each with what becomes of it."""

    moves: tuple[Move, ...]
    homeless: tuple[tuple[Piece, Stored], ...]
    """A second bias must be zero where the target has one and the equation does not add the two; others are refused."""


def moves(
    stored: Mapping[Piece, Stored],
    target: Layout,
    sizes: Mapping[str, int] | None = None,
    factors: Mapping[str, float] | None = None,
) -> Moves:
    """Every block of the target's arrays and what fills it; `sizes` and `factors` as in `repack.pack`.

    A recurrent bias without a home joins the input bias where the equation adds the two. Raises `CoverageError` as
    `repack.targets` does.
    """
    homes = _homes(stored, target)
    joined = {
        piece._replace(slot="input_bias"): own
        for piece, own in stored.items()
        if piece.slot == "recurrent_bias" and piece not in homes and target.cell.sums(piece.gate)
    }
    dummies = _dummies(stored, target)
    dummies |= {piece: _dummy(own.region, target, piece) for piece, own in joined.items() if piece not in dummies}
    found = tuple(
        replace(_move(piece, region, stored, joined, target), factor=(factors or {}).get(piece.gate, 1.0))
        for array in targets(target, dummies, sizes)
        for piece, region in of_entry(array.entry, target, array.sizes, array.labels)
    )
    lost = tuple(
        (piece, own)
        for piece, own in stored.items()
        if piece not in homes and piece._replace(slot="input_bias") not in joined
    )
    return Moves(found, lost)


def _homes(stored: Mapping[Piece, Stored], target: Layout) -> set[Piece]:
    """The pieces for which the target has a place of their own."""
    directions = tuple(way for way in DIRECTIONS if any(piece.direction == way for piece in stored))
    layers = max(piece.layer for piece in stored) + 1
    labels = target.labels(directions, layers)
    ones = {word: Size(1, "", ()) for slot in target.cell.slots.values() for word in slot.dims}
    return {piece for entry in target.entries(directions, layers) for piece, _ in of_entry(entry, target, ones, labels)}


def _dummies(stored: Mapping[Piece, Stored], target: Layout) -> dict[Piece, Any]:
    """The pieces that the source has or makes, as arrays without memory."""
    found = {piece: _dummy(own.region, target, piece) for piece, own in stored.items()}
    for piece, own in stored.items():
        bias = piece._replace(slot="input_bias")
        if piece.slot in FED and piece.gate in own.layout.added:
            found.setdefault(bias, _dummy(own.region, target, bias))
    return found


def _dummy(region: Region, target: Layout, piece: Piece) -> np.ndarray[Any, Any]:
    return np.broadcast_to(np.float32(0), [region.sizes[word] for word in target.cell.slots[piece.slot].dims])


def _move(
    piece: Piece, region: Region, stored: Mapping[Piece, Stored], joined: Mapping[Piece, Stored], target: Layout
) -> Move:
    sources = tuple(pieces[piece] for pieces in (stored, joined) if piece in pieces)
    layout = (*sources, *_beside(piece, stored))[:1]
    sign = _sign(layout[0].layout, piece) * _sign(target, piece) if layout else 1
    added = (*_added(layout[0].layout, piece, _sign(target, piece)), *_added(target, piece, -1)) if layout else ()
    fill = None if sources or added else target.cell.slots[piece.slot].fill
    return Move(piece, region, sources, sign, added, fill)


def _beside(piece: Piece, stored: Mapping[Piece, Stored]) -> Iterator[Stored]:
    """The weight beside a bias: its layout tells what is added to a bias that is not stored."""
    if piece.slot == "input_bias":
        weights = (piece._replace(slot=slot) for slot in FED)
        yield from (stored[weight] for weight in weights if weight in stored)


def _sign(layout: Layout, piece: Piece) -> int:
    return -1 if piece.gate and piece.gate in layout.negated else 1


def _added(layout: Layout, piece: Piece, sign: int) -> Sequence[Added]:
    added = layout.added.get(piece.gate) if piece.slot == "input_bias" and piece.gate else None
    return () if added is None else (Added(added, sign),)
