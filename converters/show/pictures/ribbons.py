"""A band with curved edges from a block to a block, as the path of a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.show.pictures.arrays import Box
from converters.show.pictures.elements import number

Point = tuple[float, float]

_SHARE, _WIDEST = 0.72, 34.0
"""Of the edge of a block what a ribbon takes, and its width at most."""


_REACH, _LEAST = 0.55, 44.0
"""How far the curves of a ribbon keep their first direction: a share of the way, and of so much at least."""


class End(NamedTuple):
    """A block where ribbons end: its boxes, the frame around each, and whether columns divide its array."""

    boxes: Sequence[Box]
    frames: Sequence[Box]
    columns: bool


class _Side(NamedTuple):
    """An edge of a box: its two ends, and the direction that leads away from it."""

    first: Point
    last: Point
    away: Point


def paths(start: End, end: End) -> Iterator[str]:
    """A band for every run of a block, those of a block in several runs to equal parts of the other's edge."""
    for one, other, part, parts in _pairs(start, end):
        leaving = _side(one, start.columns, other[0], rightward=True)
        coming = _side(other, end.columns, one[0], rightward=False)
        yield _path(leaving, _share(coming, part, parts))


_Framed = tuple[Box, Box]


def _pairs(start: End, end: End) -> list[tuple[_Framed, _Framed, int, int]]:
    """Runs side by side where both have as many; else all runs of the one to the one block of the other."""
    ones, others = ([*zip(each.boxes, each.frames, strict=True)] for each in (start, end))
    if len(ones) == len(others):
        return [(one, other, 0, 1) for one, other in zip(ones, others, strict=True)]
    if len(others) == 1:
        return [(one, others[0], part, len(ones)) for part, one in enumerate(ones)]
    return [(ones[k % len(ones)], other, 0, 1) for k, other in enumerate(others)]


def _side(framed: _Framed, columns: bool, other: Box, *, rightward: bool) -> _Side:
    """Where columns divide an array its blocks are left by the top or the bottom, else by the side."""
    (left, top, right, bottom), frame = framed
    upper, lower = top <= frame[1], bottom >= frame[3]
    above = other[1] + other[3] < top + bottom - 8
    if columns and upper and (above or not lower):
        return _cut((left, top), (right, top), (0, -1))
    if columns and lower:
        return _cut((left, bottom), (right, bottom), (0, 1))
    edge, away = (right, 1) if rightward else (left, -1)
    return _cut((edge, top), (edge, bottom), (away, 0))


def _cut(first: Point, last: Point, away: Point) -> _Side:
    """The middle of an edge, so that ribbons beside each other stay apart."""
    length = abs(last[0] - first[0]) + abs(last[1] - first[1])
    kept = min(_SHARE, _WIDEST / length) if length else 1.0
    return _Side(_between(first, last, (1 - kept) / 2), _between(first, last, (1 + kept) / 2), away)


def _between(first: Point, last: Point, share: float) -> Point:
    return first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share


def _share(side: _Side, part: int, parts: int) -> _Side:
    """The part of this number of an edge that several ribbons share."""
    first, last = (_between(side.first, side.last, k / parts) for k in (part, part + 1))
    return _Side(first, last, side.away)


def _path(start: _Side, end: _Side) -> str:
    """A band with curved edges; which end goes to which is chosen so that it is not twisted."""
    first, last = start.first, start.last
    if _cross(first, end.first, last, end.last):
        first, last = last, first
    there = _curve(first, start.away, end.first, end.away)
    back = _curve(end.last, end.away, last, start.away)
    return f"M{_point(first)} {there} L{_point(end.last)} {back} Z"


def _curve(start: Point, away: Point, end: Point, back: Point) -> str:
    """A curve that leaves and arrives straight: as far along each direction as there is way to go in it."""
    by = start[0] - end[0], start[1] - end[1]
    one, other = (_REACH * max(_LEAST, abs(by[0] * along[0] + by[1] * along[1])) for along in (away, back))
    first = start[0] + away[0] * one, start[1] + away[1] * one
    second = end[0] + back[0] * other, end[1] + back[1] * other
    return f"C{_point(first)} {_point(second)} {_point(end)}"


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the lines a–b and c–d meet."""

    def turn(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


def _point(point: Point) -> str:
    return f"{number(point[0])},{number(point[1])}"
