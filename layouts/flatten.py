"""The same layouts where an input axis is a flattened map: channels last in one framework, channels first in another.

A Dense (or recurrent) layer behind a Flatten reads (height, width, channel) in Keras and (channel, height, width) in
PyTorch. Cutting that one axis into its factors makes the row permutation a move like any other.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from layouts.cells import Cell
from layouts.layout import Layout

MAPS = {2: ("width", "channel"), 3: ("height", "width", "channel"), 4: ("depth", "height", "width", "channel")}
"""The axes of a map by their number, channels last."""

_INPUTS = ("in", "input")


@cache
def _flattened_cell(cell: Cell, rank: int) -> Cell:
    first = " ".join((MAPS[rank][-1], *MAPS[rank][:-1]))
    slots = {name: slot._replace(axes=_replaced(slot.axes, first)) for name, slot in cell.slots.items()}
    return replace(cell, slots=slots)


def channels_last(layout: Layout, rank: int) -> Layout:
    """`layout` where the input axis is a map of `rank` axes, flattened with the channels last."""
    return _flattened(layout, rank, " ".join(MAPS[rank]))


def channels_first(layout: Layout, rank: int) -> Layout:
    """`layout` where the input axis is a map of `rank` axes, flattened with the channels first."""
    return _flattened(layout, rank, " ".join((MAPS[rank][-1], *MAPS[rank][:-1])))


def _flattened(layout: Layout, rank: int, words: str) -> Layout:
    arrays = {
        name: _replaced(text, words, "({})") if isinstance(text, str) else text for name, text in layout.arrays.items()
    }
    return replace(layout, cell=_flattened_cell(layout.cell, rank), arrays=arrays)


def _replaced(text: str, words: str, alone: str = "{}") -> str:
    """The axes of `text` with the input axis replaced; a pattern keeps what stands right of its arrow."""
    left, arrow, right = text.partition("->")
    replaced = re.sub(rf"(?<![\w(])(?:{'|'.join(_INPUTS)})(?![\w)])", alone.format(words), left)
    return replaced + arrow + right
