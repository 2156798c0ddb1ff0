"""Arrays on the left, arrays on the right, and a ribbon from every block to where its elements go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from converters.show.pictures import ribbons
from converters.show.pictures.arrays import Box, Drawn, moved
from converters.show.pictures.colours import ink
from converters.show.pictures.elements import Element, element, short, svg, text_width

_LEFT, _BETWEEN, _APART, _LINE, _EDGE = 58.0, 150.0, 26.0, 15.0, 8.0
_DROP = 10.0
"""How far below the columns of the source the rows of the target begin."""
_LONGEST = 340.0


class Look(NamedTuple):
    """How a block is shown: its letter, a second word beneath, its colour; hollow where nothing is moved."""

    letter: str
    colour: str
    title: str = ""
    beneath: str = ""
    hollow: bool = False


class Shown(NamedTuple):
    """An array with its name and lines of words above it."""

    title: str
    lines: tuple[str, ...]
    drawn: Drawn

    @property
    def head(self) -> float:
        """The height of the words."""
        return _LINE * (1 + len(self.lines)) + (16.0 if any(note.y < 0 for note in self.drawn.notes) else 4.0)

    @property
    def width(self) -> float:
        return max(self.drawn.width, *(min(text_width(line), _LONGEST) for line in (self.title, *self.lines)))


class Link(NamedTuple):
    """From the block of one key to that of another; the badge says what is done on the way."""

    source: int
    target: int
    badge: str = ""


class _Placed(NamedTuple):
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

    def end(self, key: int) -> ribbons.End:
        drawn = self.shown.drawn
        frames = [moved(_frame_of(box, drawn), self.x, self.top) for box in drawn.boxes[key]]
        return ribbons.End(self.boxes(key), frames, _by_columns(drawn))


def picture(
    left: Sequence[Shown], right: Sequence[Shown], looks: Mapping[int, Look], links: Sequence[Link], title: str = ""
) -> Element:
    """The drawing; blocks are known by their keys, which differ in all arrays."""
    between = _LEFT + max((shown.width for shown in left), default=0) + _BETWEEN
    placed: list[_Placed] = []
    bottom = 0.0
    for lefts, rights in _bands(left, right, links):
        down, up = _offsets(lefts, rights)
        first = [*_stacked(lefts, _LEFT, bottom + down)]
        second = [*_stacked(rights, between if left else _LEFT, bottom + up)]
        placed += [*first, *second]
        bottom = max(each.y + each.shown.head + each.shown.drawn.height for each in (*first, *second)) + _APART
    width = max((each.x + each.shown.width for each in placed), default=0) + _LEFT / 2
    drawn = [*_ribbons(placed, looks, links), *(part for each in placed for part in _array(each, looks))]
    return svg(width, bottom, [*drawn, *_badges(placed, links)], title)


def _bands(
    left: Sequence[Shown], right: Sequence[Shown], links: Sequence[Link]
) -> Iterator[tuple[list[Shown], list[Shown]]]:
    """Arrays that links join stand side by side."""
    home = {key: number for number, shown in enumerate((*left, *right)) for key in shown.drawn.boxes}
    band = {number: number for number in range(len(left) + len(right))}
    for link in links:
        one, other = band[home[link.source]], band[home[link.target]]
        band = {number: min(one, other) if each in (one, other) else each for number, each in band.items()}
    for wanted in sorted({*band.values()}):
        own = [number for number, each in band.items() if each == wanted]
        every = (*left, *right)
        yield [every[k] for k in own if k < len(left)], [every[k] for k in own if k >= len(left)]


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


def _stacked(side: Sequence[Shown], x: float, y: float) -> Iterator[_Placed]:
    for shown in side:
        yield _Placed(shown, x, y)
        y += shown.head + shown.drawn.height + _APART


def _array(placed: _Placed, looks: Mapping[int, Look]) -> Iterator[Element]:
    shown, x = placed.shown, placed.x
    for number_of_line, line in enumerate((shown.title, *shown.lines)):
        kind = "soft over" if number_of_line else "name over"
        y = placed.y + _LINE * (number_of_line + 1) - 4
        yield element("text", short(line, _LONGEST), element("title", line), x=x, y=y, class_=kind)
    top = placed.top
    for note in shown.drawn.notes:
        yield element("text", note.words, x=x + note.x, y=top + note.y, class_=f"{note.kind} over")
    for key in shown.drawn.boxes:
        for box in placed.boxes(key):
            yield from _block(key, box, looks[key])
    for box in _gaps(shown.drawn):
        yield element("text", "⋮", x=x + (box[0] + box[2]) / 2, y=top + (box[1] + box[3]) / 2, class_="letter")


def _gaps(drawn: Drawn) -> Iterator[Box]:
    """Between rows of one block that do not stand together, where others are left out."""
    repeated = [box for boxes in drawn.boxes.values() if len(boxes) > 2 for box in boxes]
    tops, bottoms = sorted({box[1] for box in repeated}), sorted({box[3] for box in repeated})
    for bottom in bottoms:
        following = [top for top in tops if top >= bottom]
        if following and following[0] > bottom:
            yield repeated[0][0], bottom, repeated[0][2], following[0]


def _block(key: int, box: Box, look: Look) -> Iterator[Element]:
    left, top, right, bottom = box
    size = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    kind = "block hollow" if look.hollow else "block"
    style = f"{'stroke' if look.hollow else 'fill'}:{look.colour}"
    yield element("rect", element("title", look.title), **size, class_=kind, style=style, data_block=str(key))
    x, y = (left + right) / 2, (top + bottom) / 2
    colour = {} if look.hollow else {"style": f"fill:{ink(look.colour)}"}
    small = {"font_size": "10"} if bottom - top < 18 else {}
    roomy = bool(look.beneath) and bottom - top > 30 and right - left > 4 + 6 * len(look.beneath)
    if look.letter:
        yield element("text", look.letter, x=x, y=y - 6 * roomy, class_="letter", **colour, **small)
    if roomy:
        y += 8 if look.letter else 0
        yield element("text", look.beneath, x=x, y=y, class_="mark", font_size="10", **colour)


def _ribbons(placed: Sequence[_Placed], looks: Mapping[int, Look], links: Sequence[Link]) -> Iterator[Element]:
    home = {key: each for each in placed for key in each.shown.drawn.boxes}
    for link in links:
        look = looks[link.source]
        for path in ribbons.paths(home[link.source].end(link.source), home[link.target].end(link.target)):
            yield element("path", element("title", look.title), d=path, fill=look.colour, class_="ribbon")


def _badges(placed: Sequence[_Placed], links: Sequence[Link]) -> Iterator[Element]:
    """What is done to a block, at its end on the right."""
    home = {key: each for each in placed for key in each.shown.drawn.boxes}
    for key, badge in {link.target: link.badge for link in links if link.badge}.items():
        box = home[key].boxes(key)[0]
        y, width = (box[1] + box[3]) / 2, 10 + 6.5 * len(badge)
        x = box[0] - _EDGE - width / 2
        yield element("rect", x=x - width / 2, y=y - 8, width=width, height=16.0, rx=8.0, class_="badge")
        yield element("text", badge, x=x, y=y, class_="mark")
