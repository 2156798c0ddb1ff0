"""A graph as a drawing: boxes in ranks from top to bottom, lines between them, frames around what belongs together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.show.pictures.elements import Element, element, number, short, svg
from converters.show.pictures.ranks import Line, Placed, Point, place

WIDTH, _APART, _DEEP, _LINE, _MARGIN, _PAD = 244.0, 26.0, 44.0, 15.0, 24.0, 9.0
_MOST = 9
"""Lines of a box; the whole is in its tip."""
_LOOKS = 1_000_000
"""How often a box is looked at for frames: beyond that the frames that are left are not drawn."""


class Card(NamedTuple):
    """A box: its name, its class, lines below; `kind` bad, plain (no weights) or end; where it leads to in the page.

    groups: what it belongs to, from the outermost inwards.
    """

    name: str
    class_name: str = ""
    lines: tuple[str, ...] = ()
    kind: str = ""
    link: str = ""
    groups: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        return 2 * _PAD + _LINE * (1 + bool(self.class_name) + min(len(self.lines), _MOST))


class _Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Area) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def flowchart(cards: Sequence[Card], lines: Sequence[Line], title: str = "") -> tuple[Element, int]:
    """The drawing, and how many lines it leaves out because they are too many and too long."""
    placed = place([WIDTH] * len(cards), lines, _APART)
    tops = _tops(cards, placed)
    left = min((middle for middle in placed.middles.values()), default=0.0) - WIDTH / 2 - _MARGIN
    areas = [_area(card, k, placed, tops, left) for k, card in enumerate(cards)]
    width = max((placed.middles[point] for point in placed.middles), default=0.0) - left + WIDTH / 2 + _MARGIN
    height = max((area.bottom for area in areas), default=0.0) + _MARGIN
    parts = [
        *_frames(cards, areas),
        *(_line(line, way, placed, areas, tops, left) for line, way in placed.ways.items()),
        *(_card(card, area) for card, area in zip(cards, areas, strict=True)),
    ]
    return svg(width, height, parts, title), len(placed.left_out)


def _tops(cards: Sequence[Card], placed: Placed) -> list[tuple[float, float]]:
    """Top and bottom of every rank."""
    heights = [0.0] * (max(placed.ranks, default=-1) + 1)
    for card, rank in zip(cards, placed.ranks, strict=True):
        heights[rank] = max(heights[rank], card.height)
    top, found = _MARGIN, []
    for height in heights:
        found.append((top, top + height))
        top += height + _DEEP
    return found


def _area(card: Card, k: int, placed: Placed, tops: Sequence[tuple[float, float]], left: float) -> _Area:
    middle, top = placed.middles[Point(k)] - left, tops[placed.ranks[k]][0]
    return _Area(middle - WIDTH / 2, top, middle + WIDTH / 2, top + card.height)


def _frames(cards: Sequence[Card], areas: Sequence[_Area]) -> Iterator[Element]:
    """A frame around the boxes of a group, where no other box would stand in it; of groups of the same boxes one."""
    groups = dict.fromkeys(card.groups[: k + 1] for card in cards for k in range(len(card.groups)))
    members: dict[tuple[bool, ...], tuple[str, ...]] = {}
    for group in [*groups][: _LOOKS // max(len(cards), 1)]:
        members[tuple(card.groups[: len(group)] == group for card in cards)] = group
    for inside, group in members.items():
        own = [area for area, within in zip(areas, inside, strict=True) if within]
        around = _around(own, 18.0 - 4 * min(len(group), 4))
        if len(own) > 1 and not any(around.meets(a) for a, within in zip(areas, inside, strict=True) if not within):
            words = short("/".join(group), around.right - around.left - 16, 11)
            yield element("rect", **_corners(around), rx=8.0, class_="group")
            yield element("text", words, x=around.left + 8, y=around.top + 12, class_="soft")


def _around(areas: Sequence[_Area], by: float) -> _Area:
    """What holds these areas, with a rim, and room for a line above."""
    left, top = min(area.left for area in areas) - by, min(area.top for area in areas) - by - 8
    return _Area(left, top, max(area.right for area in areas) + by, max(area.bottom for area in areas) + by)


def _corners(area: _Area) -> dict[str, float]:
    return {"x": area.left, "y": area.top, "width": area.right - area.left, "height": area.bottom - area.top}


def _line(
    line: Line,
    way: Sequence[Point],
    placed: Placed,
    areas: Sequence[_Area],
    tops: Sequence[tuple[float, float]],
    left: float,
) -> Element:
    """A curve that is straight through the ranks it passes, with a tip where it arrives."""
    x, y = placed.middles[way[0]] - left, areas[line.start].bottom
    path = f"M{number(x)},{number(y)}"
    for point in way[1:]:
        rank = placed.ranks[line.end] if point.passing < 0 else point.passing
        next_x, (top, bottom) = placed.middles[point] - left, tops[rank]
        before = tops[rank - 1][1]
        path += f" L{number(x)},{number(before)}" if before > y else ""
        middle = number((before + top) / 2)
        end = top if point.passing >= 0 else top - 5
        path += f" C{number(x)},{middle} {number(next_x)},{middle} {number(next_x)},{number(end)}"
        x, y = next_x, top if point.passing < 0 else bottom
        path += f" L{number(x)},{number(y)}" if point.passing >= 0 else ""
    kind = " mask" if line.mask else ""
    top = areas[line.end].top
    tip = f"M{number(x - 4)},{number(top - 7)} L{number(x + 4)},{number(top - 7)} L{number(x)},{number(top)} Z"
    return element("g", element("path", d=path, class_=f"edge{kind}"), element("path", d=tip, class_=f"tip{kind}"))


def _card(card: Card, area: _Area) -> Element:
    texts = [(card.name, "name"), *([(card.class_name, "")] if card.class_name else [])]
    shown = (
        card.lines if len(card.lines) <= _MOST else (*card.lines[: _MOST - 1], f"… {len(card.lines) - _MOST + 1} more")
    )
    texts += [(line, "soft") for line in shown]
    parts = [element("rect", **_corners(area), rx=6.0, class_=f"node {card.kind}".strip())]
    for k, (text, kind) in enumerate(texts):
        y = area.top + _PAD + _LINE * k + 11
        parts.append(
            element(
                "text",
                short(text, WIDTH - 20, 11 if kind == "soft" else 12),
                x=area.left + 10,
                y=y,
                class_=kind or None,
            )
        )
    tip = element("title", "\n".join(filter(None, (card.name, card.class_name, *card.lines))))
    inside = element("g", tip, *parts, class_="card")
    return element("a", inside, href=card.link) if card.link else inside
