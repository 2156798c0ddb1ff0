"""The letters of a cell with their colours and words: for the key of a page, for blocks, for rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from converters.show.pictures.colours import colours, ink
from converters.show.pictures.elements import Element, element, svg
from layouts.cells import Cell
from layouts.layout import Layout


class Gate(NamedTuple):
    """A letter with its colour and word."""

    letter: str
    colour: str
    word: str


def gates(cell: Cell) -> list[Gate]:
    """The gates of a cell, or the roles of attention."""
    roles = {role[0]: role for role in cell.values.get("role", ())}
    spoken = {**cell.spoken, **roles}
    letters = [*cell.gates, *roles]
    found = colours(letters, spoken)
    return [Gate(letter, found[letter], spoken.get(letter, letter)) for letter in letters]


def key(cells: Iterable[Cell]) -> Element:
    """The letters of these cells, each once, as a line of text."""
    parts: list[Element | str] = []
    for gate in dict.fromkeys(gate for cell in dict.fromkeys(cells) for gate in gates(cell)):
        style = f"background:{gate.colour};color:{ink(gate.colour)}"
        parts += [element("span", gate.letter, class_="key", style=style), gate.word]
    return element("p", *parts, class_="keys")


_WIDE, _HIGH = 30.0, 20.0


def strip(layout: Layout) -> Element:
    """The gates of a layout in their order, as one row of blocks."""
    found = {gate.letter: gate for gate in gates(layout.cell)}
    parts = [part for place, letter in enumerate(layout.gates) for part in _cell(found[letter], _WIDE * place)]
    return svg(max(_WIDE, _WIDE * len(layout.gates)), _HIGH, parts, " ".join(layout.gates) or "no gates")


def _cell(gate: Gate, x: float) -> tuple[Element, Element]:
    tip, style = element("title", gate.word), f"fill:{ink(gate.colour)}"
    block = element("rect", tip, x=x, y=0.0, width=_WIDE - 2, height=_HIGH, fill=gate.colour, class_="block")
    return block, element("text", gate.letter, x=x + _WIDE / 2 - 1, y=_HIGH / 2, class_="letter", style=style)
