"""Arrays on the left, arrays on the right, and a ribbon from every block to where its elements go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from converters.show.pictures import ribbons
from converters.show.pictures.arrays import Box, Drawn
from converters.show.pictures.colours import ink
from converters.show.pictures.elements import Element, element, short, svg
from converters.show.pictures.placing import LEFT, LINE, LONGEST, Link, Placed, Shown, arranged

_EDGE = 8.0


class Look(NamedTuple):
    """How a block is shown: its letter, a second word beneath, its colour; hollow where nothing is moved."""

    letter: str
    colour: str
    title: str = ""
    beneath: str = ""
    hollow: bool = False


def picture(
    left: Sequence[Shown], right: Sequence[Shown], looks: Mapping[int, Look], links: Sequence[Link], title: str = ""
) -> Element:
    """The drawing; blocks are known by their keys, which differ in all arrays."""
    placed, bottom = arranged(left, right, links)
    width = max((each.x + each.shown.width for each in placed), default=0) + LEFT / 2
    drawn = [*_ribbons(placed, looks, links), *(part for each in placed for part in _array(each, looks))]
    return svg(width, bottom, [*drawn, *_badges(placed, links)], title)


def _array(placed: Placed, looks: Mapping[int, Look]) -> Iterator[Element]:
    shown, x = placed.shown, placed.x
    for number_of_line, line in enumerate((shown.title, *shown.lines)):
        kind = "soft over" if number_of_line else "name over"
        y = placed.y + LINE * (number_of_line + 1) - 4
        yield element("text", short(line, LONGEST), element("title", line), x=x, y=y, class_=kind)
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


def _ribbons(placed: Sequence[Placed], looks: Mapping[int, Look], links: Sequence[Link]) -> Iterator[Element]:
    home = {key: each for each in placed for key in each.shown.drawn.boxes}
    for link in links:
        look = looks[link.source]
        for path in ribbons.paths(home[link.source].end(link.source), home[link.target].end(link.target)):
            yield element("path", element("title", look.title), d=path, fill=look.colour, class_="ribbon")


def _badges(placed: Sequence[Placed], links: Sequence[Link]) -> Iterator[Element]:
    """What is done to a block, at its end on the right."""
    home = {key: each for each in placed for key in each.shown.drawn.boxes}
    for key, badge in {link.target: link.badge for link in links if link.badge}.items():
        box = home[key].boxes(key)[0]
        y, width = (box[1] + box[3]) / 2, 10 + 6.5 * len(badge)
        x = box[0] - _EDGE - width / 2
        yield element("rect", x=x - width / 2, y=y - 8, width=width, height=16.0, rx=8.0, class_="badge")
        yield element("text", badge, x=x, y=y, class_="mark")
