"""An array as a drawing: which axes are drawn, where every block stands on them, and how large.

Sizes are schematic: a block grows with the logarithm of its length, so that blocks of 3 and of 3,000 are both seen. Of
blocks that return again and again (interleaved gates) the first two are drawn and the last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from layouts.regions import Region, Span

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_SHOWN = 3
_VECTOR = (38.0, 20.0)
"""Width of an array of one axis, and height of its blocks."""
_GAP = 12.0
_STACKED = 22.0
"""Between matrices that are stacked on one axis."""
_PANEL = 18.0


class Note(NamedTuple):
    """Words beside the blocks: where, which words, and whether they end there."""

    x: float
    y: float
    words: str
    kind: str = "soft"


class Drawn(NamedTuple):
    """The blocks of one array within its own frame: a list of boxes for every key."""

    width: float
    height: float
    boxes: dict[int, list[Box]]
    frames: list[Box]
    notes: list[Note]


class _Run(NamedTuple):
    start: float
    end: float


def draw(regions: Sequence[Region], order: Sequence[str], named: Callable[[int], str]) -> Drawn:
    """Boxes for the regions of one array, by their number.

    order: the sizes of the neutral weight; those that come first are drawn where a choice is. named: what to call the
    panel in which a region stands, where an axis of labels makes several.
    """
    split = [len({region.spans[axis] for region in regions}) > 1 for axis in range(len(regions[0].spans))]
    panels = [axis for axis, each in enumerate(split) if each and not any(r.spans[axis].steps for r in regions)]
    plane = _plane(regions[0], split, panels, order)
    panels += [axis for axis, each in enumerate(split) if each and axis not in (*panels, *plane)]
    groups: dict[tuple[Span, ...], list[int]] = {}
    for number, region in enumerate(regions):
        groups.setdefault(tuple(region.spans[axis] for axis in panels), []).append(number)
    return _joined([_panel(regions, group, plane, named if panels else None) for group in groups.values()])


def _plane(region: Region, split: Sequence[bool], panels: Sequence[int], order: Sequence[str]) -> list[int]:
    """The two axes that are drawn (one of a vector): those that blocks divide, then those of the matrix."""
    places = {word: place for place, word in enumerate(order)}

    def importance(axis: int) -> tuple[bool, int]:
        return not split[axis], min((places.get(s.word, 99) for s in region.spans[axis].steps), default=99)

    able = [axis for axis in range(len(split)) if axis not in panels and region.spans[axis].steps]
    return sorted(sorted(able, key=importance)[:2])


def _panel(
    regions: Sequence[Region], group: Sequence[int], plane: Sequence[int], named: Callable[[int], str] | None
) -> Drawn:
    own = [regions[number] for number in group]
    vector = len(plane) < 2
    rows = _axis([region.spans[plane[0]] for region in own], _VECTOR[1] if vector else None) if plane else {}
    columns = {} if vector else _axis([region.spans[plane[1]] for region in own], None)
    boxes = {
        number: [
            (column.start, row.start, column.end, row.end)
            for row in _of(rows, regions[number], plane[:1], _VECTOR[1])
            for column in _of(columns, regions[number], plane[1:], _VECTOR[0])
        ]
        for number in group
    }
    frame = _around([box for each in boxes.values() for box in each])
    notes = [Note(-6, (run.start + run.end) / 2, words, "soft end") for words, run in _words(rows)]
    notes += [Note((run.start + run.end) / 2, -5, words, "soft middle") for words, run in _words(columns)]
    notes += [Note(0, -5 if not _words(columns) else -18, named(group[0]))] if named else []
    return Drawn(frame[2], frame[3], boxes, [frame], notes)


_Axis = dict[Span, list[_Run]]


def _axis(spans: Sequence[Span], fixed: float | None) -> _Axis:
    """Where the runs of every span are drawn along one axis."""
    runs = sorted({(*run, span) for span in spans for run in span.runs(_SHOWN)}, key=lambda run: run[:2])
    found: _Axis = {}
    words = {span: span.steps[-1:] and span.steps[-1].word for span in spans}
    place, before = 0.0, runs[0]
    for start, length, span in runs:
        gap = start > before[0] + before[1] and (start, length, span) != before
        place += _GAP if gap else _STACKED if words[span] != words[before[2]] and not fixed else 0.0
        extent = fixed or _extent(length, len(span.runs(_SHOWN)) > 1)
        found.setdefault(span, []).append(_Run(place, place + extent))
        place, before = place + extent, (start, length, span)
    return found


def _extent(length: int, repeated: bool) -> float:
    if repeated:
        return 15.0 if length < 2 else 22.0
    return min(88.0, max(24.0, round(14 + 9 * math.log2(length + 1))))


def _of(axis: _Axis, region: Region, number: Sequence[int], otherwise: float) -> list[_Run]:
    return axis[region.spans[number[0]]] if number else [_Run(0.0, otherwise)]


def _words(axis: _Axis) -> list[tuple[str, _Run]]:
    """The word of each part of a stacked axis; none where all parts are of one kind."""
    words = {span: span.steps[-1].word for span in axis if span.steps}
    if len({*words.values()}) < 2:
        return []
    return [
        (word, _Run(min(r.start for r in axis[span]), max(r.end for r in axis[span]))) for span, word in words.items()
    ]


def _around(boxes: Sequence[Box]) -> Box:
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _joined(panels: Sequence[Drawn]) -> Drawn:
    """Panels one under another."""
    top, frames, notes = 0.0, [], []
    boxes: dict[int, list[Box]] = {}
    for panel in panels:
        top += _PANEL if any(note.y < 0 for note in panel.notes) else 0.0
        boxes |= {key: [moved(box, 0, top) for box in own] for key, own in panel.boxes.items()}
        frames += [moved(frame, 0, top) for frame in panel.frames]
        notes += [note._replace(y=note.y + top) for note in panel.notes]
        top += panel.height + (10.0 if panel is not panels[-1] else 0.0)
    return Drawn(max(panel.width for panel in panels), top, boxes, frames, notes)


def moved(box: Box, right: float, down: float) -> Box:
    """A box that much further right and down."""
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down
