"""Where the boxes of a graph stand: in ranks along the flow, ordered and placed so that lines cross and bend little.

A box is one rank below the lowest that it reads. A line that passes ranks takes a narrow place in each of them. Lines
of one box share their places. Beyond `MOST` places the longest lines are not drawn, and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from layouts.records import dataclass

MOST = 6000
_SWEEPS = 6
_THIN = 18.0
"""The width of a line that passes a rank."""


class Line(NamedTuple):
    """From one box to another, by their numbers; `mask` where no data flows but which steps there are."""

    start: int
    end: int
    mask: bool = False


class Point(NamedTuple):
    """A place in a rank: a box by its number, or the line of a box on its way."""

    box: int
    passing: int = -1


@dataclass(frozen=True)
class Placed:
    """The middle of every place by its point, the rank of every box, and the ways of the lines that are drawn."""

    middles: Mapping[Point, float]
    ranks: Sequence[int]
    ways: Mapping[Line, Sequence[Point]]
    left_out: Sequence[Line]


def place(widths: Sequence[float], lines: Sequence[Line], apart: float) -> Placed:
    """Place boxes of these widths; `lines` lead from lower numbers to higher ones."""
    ranks = _ranks(len(widths), lines)
    drawn, left_out = _drawn(lines, ranks)
    ways = {line: _way(line, ranks) for line in drawn}
    rows: list[dict[Point, None]] = [{} for _ in range(max(ranks, default=-1) + 1)]
    for box, rank in enumerate(ranks):
        rows[rank][Point(box)] = None
    for line, way in ways.items():
        for step, point in enumerate(way[1:-1], start=1):
            rows[ranks[line.start] + step].setdefault(point)
    above, below = _neighbours(ways.values())
    order = _ordered([list(row) for row in rows], above, below)
    sizes = {point: widths[point.box] if point.passing < 0 else _THIN for row in order for point in row}
    return Placed(_middles(order, sizes, above, below, apart), ranks, ways, left_out)


def _ranks(count: int, lines: Iterable[Line]) -> list[int]:
    ranks = [0] * count
    for line in sorted(lines, key=lambda line: line.end):
        ranks[line.end] = max(ranks[line.end], ranks[line.start] + 1)
    return ranks


def _drawn(lines: Sequence[Line], ranks: Sequence[int]) -> tuple[list[Line], list[Line]]:
    """The lines that are drawn, short ones first, as long as there are places; and the others."""
    drawn: list[Line] = []
    left_out: list[Line] = []
    places = 0
    for line in sorted(dict.fromkeys(lines), key=lambda line: ranks[line.end] - ranks[line.start]):
        places += ranks[line.end] - ranks[line.start] - 1
        (drawn if places <= MOST else left_out).append(line)
    return drawn, left_out


def _way(line: Line, ranks: Sequence[int]) -> list[Point]:
    between = range(ranks[line.start] + 1, ranks[line.end])
    return [Point(line.start), *(Point(line.start, rank) for rank in between), Point(line.end)]


_Beside = dict[Point, list[Point]]


def _neighbours(ways: Iterable[Sequence[Point]]) -> tuple[_Beside, _Beside]:
    above: dict[Point, dict[Point, None]] = {}
    below: dict[Point, dict[Point, None]] = {}
    for way in ways:
        for upper, lower in pairwise(way):
            above.setdefault(lower, {})[upper] = None
            below.setdefault(upper, {})[lower] = None
    return {point: [*each] for point, each in above.items()}, {point: [*each] for point, each in below.items()}


def _ordered(rows: list[list[Point]], above: _Beside, below: _Beside) -> list[list[Point]]:
    """Every rank in the order of the middles of what its places are joined with, above and below in turn."""
    for sweep in range(_SWEEPS):
        beside = above if sweep % 2 == 0 else below
        places: dict[Point, float] = {}
        for row in rows if sweep % 2 == 0 else reversed(rows):
            own = {point: (k + 0.5) / len(row) for k, point in enumerate(row)}
            keys = {point: _mean((places[each] for each in beside.get(point, ())), own[point]) for point in row}
            row.sort(key=keys.__getitem__)
            places |= {point: (k + 0.5) / len(row) for k, point in enumerate(row)}
    return rows


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = [*values]
    return sum(found) / len(found) if found else otherwise


def _middles(
    rows: Sequence[Sequence[Point]], sizes: Mapping[Point, float], above: _Beside, below: _Beside, apart: float
) -> dict[Point, float]:
    """Middles near those of the neighbours, in their order and never closer than `apart`."""
    middles: dict[Point, float] = {}
    for sweep in range(_SWEEPS):
        beside = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            near = {point: (middles[each] for each in beside.get(point, ()) if each in middles) for point in row}
            wanted = [_mean(near[point], middles.get(point, 0.0)) for point in row]
            distances = [(sizes[a] + sizes[b]) / 2 + apart for a, b in pairwise(row)]
            middles |= zip(row, _nearest(wanted, distances), strict=True)
    return middles


def _nearest(wanted: Sequence[float], distances: Sequence[float]) -> list[float]:
    """Rising places, so far apart at least, whose squared differences from the wanted ones are least.

    Without the distances it is a regression to a rising sequence: neighbours that fall are pooled at their mean.
    """
    offsets = [0.0]
    for distance in distances:
        offsets.append(offsets[-1] + distance)
    pools: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets, strict=True):
        mean, count = value - offset, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]
