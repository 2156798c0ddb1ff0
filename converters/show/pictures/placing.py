"""Where arrays stand in a drawing: those that links join side by side, one band under another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.show.pictures.arrays import Box, Drawn, moved
from converters.show.pictures.elements import text_width
from converters.show.pictures.ribbons import End

LEFT, LINE, LONGEST = 58.0, 15.0, 340.0
"""The margin on the left, the height of a line of words, and the width of the longest."""
_BETWEEN, _APART = 150.0, 26.0
_DROP = 10.0
"""How far below the columns of the source the rows of the target begin."""


class Shown(NamedTuple):
    """An array with its name and lines of words above it."""

    title: str
    lines: tuple[str, ...]
    drawn: Drawn

    @property
    def head(self) -> float:
        """The height of the words."""
        return LINE * (1 + len(self.lines)) + (16.0 if any(note.y < 0 for note in self.drawn.notes) else 4.0)

    @property
    def width(self) -> float:
        return max(self.drawn.width, *(min(text_width(line), LONGEST) for line in (self.title, *self.lines)))


class Link(NamedTuple):
    """From the block of one key to that of another; the badge says what is done on the way."""

    source: int
    target: int
    badge: str = ""


class Placed(NamedTuple):
    """An array at its place in the drawing."""

    shown: Shown
    x: float
    y: float

    @property
    def top(self) -> float:
        """Where its blocks begin, under its words."""
        return self.y + self.shown.head

    def boxes(self, key: int) -> list[Box]:
        return [moved(box, self.x, self.top) for box in self.shown.drawn.boxes[key]]

    def end(self, key: int) -> End:
        drawn = self.shown.drawn
        frames = [moved(_frame_of(box, drawn), self.x, self.top) for box in drawn.boxes[key]]
        return End(self.boxes(key), frames, _by_columns(drawn))


def arranged(left: Sequence[Shown], right: Sequence[Shown], links: Sequence[Link]) -> tuple[list[Placed], float]:
    """Every array at its place, and where the last one ends."""
    between = LEFT + max((shown.width for shown in left), default=0) + _BETWEEN if left else LEFT
    placed: list[Placed] = []
    bottom = 0.0
    for lefts, rights in _bands(left, right, links):
        down, up = _offsets(lefts, rights)
        band = [*_stacked(lefts, LEFT, bottom + down), *_stacked(rights, between, bottom + up)]
        placed += band
        bottom = max(each.top + each.shown.drawn.height for each in band) + _APART
    return placed, bottom


def _bands(
    left: Sequence[Shown], right: Sequence[Shown], links: Sequence[Link]
) -> Iterator[tuple[list[Shown], list[Shown]]]:
    """Arrays that links join stand side by side."""
    every = (*left, *right)
    home = {key: number for number, shown in enumerate(every) for key in shown.drawn.boxes}
    first = [*range(len(every))]

    def band(number: int) -> int:
        while first[number] != number:
            first[number] = number = first[first[number]]
        return number

    for link in links:
        one, other = sorted((band(home[link.source]), band(home[link.target])))
        first[other] = one
    bands: dict[int, tuple[list[Shown], list[Shown]]] = {}
    for number, shown in enumerate(every):
        bands.setdefault(band(number), ([], []))[number >= len(left)].append(shown)
    yield from bands.values()


def _offsets(left: Sequence[Shown], right: Sequence[Shown]) -> tuple[float, float]:
    """How far down each side starts: where columns become rows the rows begin below them; else both are centred."""
    heights = [sum(each.head + each.drawn.height + _APART for each in side) for side in (left, right)]
    if left and right and _turns(left[0].drawn, right[0].drawn) and len(left) == 1:
        return 0.0, max(0.0, left[0].head + left[0].drawn.height + _DROP - right[0].head)
    if left and right and _turns(right[0].drawn, left[0].drawn) and len(right) == 1:
        return max(0.0, right[0].head + right[0].drawn.height + _DROP - left[0].head), 0.0
    lack = abs(heights[0] - heights[1]) / 2 if left and right else 0.0
    return (lack, 0.0) if heights[0] < heights[1] else (0.0, lack)


def _turns(one: Drawn, other: Drawn) -> bool:
    """Whether one row of columns becomes rows."""
    return (
        _by_columns(one) and not _by_columns(other) and len({box[1] for own in one.boxes.values() for box in own}) == 1
    )


def _by_columns(drawn: Drawn) -> bool:
    """Whether some block does not reach from the left edge to the right one."""
    return any(_crossing(box, drawn) for boxes in drawn.boxes.values() for box in boxes)


def _crossing(box: Box, drawn: Drawn) -> bool:
    frame = _frame_of(box, drawn)
    return box[0] > frame[0] or box[2] < frame[2]


def _frame_of(box: Box, drawn: Drawn) -> Box:
    return next(f for f in drawn.frames if f[0] <= box[0] and f[1] <= box[1] and box[2] <= f[2] and box[3] <= f[3])


def _stacked(side: Sequence[Shown], x: float, y: float) -> Iterator[Placed]:
    for shown in side:
        yield Placed(shown, x, y)
        y += shown.head + shown.drawn.height + _APART
