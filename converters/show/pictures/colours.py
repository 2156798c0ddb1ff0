"""One colour a gate, apart for every kind of colour vision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
RED, SKY, YELLOW, GREY = "#d55e00", "#56b4e9", "#f0e442", "#8a8f98"
"""Okabe and Ito's eight, with a grey for blocks of no gate in the place of black."""

_WORDS = {
    "input": BLUE,
    "forget": ORANGE,
    "candidate": GREEN,
    "output": PINK,
    "reset": RED,
    "update": SKY,
    "query": BLUE,
    "key": ORANGE,
    "value": GREEN,
}
_OTHERS = (BLUE, ORANGE, GREEN, PINK, RED, SKY, YELLOW)


def colours(letters: Sequence[str], spoken: Mapping[str, str]) -> dict[str, str]:
    """A colour for every gate of a cell: that of its word where it has one, so that a forget gate is always orange."""
    known = {letter: _WORDS[spoken[letter]] for letter in letters if spoken.get(letter) in _WORDS}
    left = (colour for colour in _OTHERS if colour not in known.values())
    return {letter: known.get(letter) or next(left, GREY) for letter in letters}


def ink(colour: str) -> str:
    """Black or white, whichever is read better on this colour."""
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return "#000" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18 else "#fff"
