"""What one module of a target computes of the inputs that it got, in NumPy float64: the reference for it alone.

A module is called otherwise than its layer: it gives every step of both directions side by side, all final states, no
fused activation, and it has channels where its framework has them. Values here are as a source has them, or, of a
recurrent module, (batch, time, features).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.layers import Part
from converters.verification import maps
from converters.verification.layers import bare
from converters.verification.weights import Weights
from layouts import reference
from layouts.cells import Cell, Piece
from layouts.options import ConvolutionalRecurrence, Options, Recurrence
from layouts.records import dataclass, replace

Array = np.ndarray[Any, Any]
Pieces = Mapping[Piece, Array]


@dataclass(frozen=True, eq=False)
class Given:
    """What a module got: its inputs; of a recurrent one the initial states (layers × directions, batch, size) and the
    lengths of the sequences, where it got any. Of attention the inputs are (query, value, key), and the mask tells
    which keys are seen: (batch, key), or with axes for the heads and the queries before the last; of a layer over maps
    which steps are read."""

    inputs: tuple[Array, ...]
    states: tuple[Array, ...] = ()
    lengths: Array | None = None
    mask: Array | None = None


@dataclass(frozen=True, eq=False)
class Own:
    """What a module computes: its cells and their weights as neutral pieces, which a hypothesis may change."""

    part: Part
    cell: Cell
    options: Options
    pieces: Pieces

    @property
    def levels(self) -> int:
        return 1 + max((piece.layer for piece in self.pieces), default=0)

    @property
    def ways(self) -> list[str]:
        found = {piece.direction for piece in self.pieces}
        return [way for way in ("forward", "backward") if way in found]


def own_of(parts: Sequence[Part]) -> Own:
    """The module that is made of these cells of a layer."""
    pieces: dict[Piece, Array] = {}
    for part in parts:
        pieces |= replace(part, flattened=()).unpack()
    return Own(parts[0], parts[0].cell, parts[0].options, pieces)


def run_own(own: Own, given: Given) -> list[Array]:
    """The outputs: of a recurrent module all steps, then the final states (layers × directions, batch, size)."""
    if own.cell.recurrent:
        return _recurrent(own, given)
    if isinstance(own.options, ConvolutionalRecurrence):
        x, (way,) = given.inputs[0], own.ways
        y, states = maps.forward(own.pieces, own.options, x, direction=way, mask=given.mask, initial=given.states)
        return [y, *states]
    part = replace(own.part, options=own.options)
    return [bare(part, Weights(own.pieces), given.inputs, given.mask)]


def _recurrent(own: Own, given: Given) -> list[Array]:
    x, options = np.asarray(given.inputs[0], np.float64), own.options
    settings = options if isinstance(options, Recurrence) else Recurrence()
    valid = None if given.lengths is None else np.arange(x.shape[1]) < np.asarray(given.lengths)[:, None]
    finals: list[tuple[Array, ...]] = []
    for level in range(own.levels):
        outputs = []
        for number, way in enumerate(own.ways, level * len(own.ways)):
            start = tuple(state[number] for state in given.states) or None
            y, final = reference.forward(
                own.cell, own.pieces, x, options=settings, layer=level, direction=way, mask=valid, initial=start
            )
            outputs.append(y if valid is None else np.where(valid[..., None], y, 0.0))
            finals.append(final)
        x = np.concatenate(outputs, axis=-1)
    return [x, *(np.stack(states) for states in zip(*finals, strict=True))]
