"""Where each piece of a layer stands inside its array, as numbers: what `layouts.axes` gives as views, for drawing.

A view needs the array; a region needs its shape alone. Along every axis a piece has a first index and steps, one for
each size on the axis: ``(unit gate)`` of 4 gates puts gate 1 at 1, and the next unit 4 further. That both say the same
is a test: elements moved from region to region are those that `layouts.repack` moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from layouts import axes
from layouts.axes import Factor, Pattern, Size
from layouts.cells import Piece
from layouts.layout import Entry, Layout
from layouts.records import dataclass
from layouts.repack import layer_by_layer, matching, solve


class Step(NamedTuple):
    """One size on an axis: its word, its length, and how far apart along the axis; negative where stored backwards."""

    word: str
    length: int
    stride: int


class Span(NamedTuple):
    """The part of one axis that a piece takes: a first index, and steps from slow to fast. No steps: one index."""

    start: int
    steps: tuple[Step, ...] = ()

    def runs(self, most: int) -> list[tuple[int, int]]:
        """Start and length of the contiguous runs, in rising order; of more than `most` the first ones and the last."""
        length, outer = 1, list(self.steps)
        while outer and abs(outer[-1].stride) == length:
            length *= outer.pop().length
        lowest = self.start + sum(step.stride * (step.length - 1) for step in self.steps if step.stride < 0)
        count = math.prod(step.length for step in outer)
        chosen = range(count) if count <= most else [*range(most - 1), count - 1]
        return [(lowest + _distance(number, outer), length) for number in chosen]


def _distance(number: int, steps: Sequence[Step]) -> int:
    """How far from the first run the one of this number stands."""
    distance = 0
    for step in reversed(steps):
        number, index = divmod(number, step.length)
        distance += index * abs(step.stride)
    return distance


@dataclass(frozen=True)
class Region:
    """A piece's place: the array, its shape, and a span of each of its axes.

    axes: the axes in the words of the layout's pattern. reshaped: the block keeps another order inside (see
    `layouts.custom`), so that its elements are told as a set alone.
    """

    array: str
    shape: tuple[int, ...]
    spans: tuple[Span, ...]
    axes: tuple[str, ...] = ()
    reshaped: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The sizes on the axes, in the order in which they are stored."""
        return tuple(step.word for span in self.spans for step in span.steps)

    @property
    def sizes(self) -> dict[str, int]:
        return {step.word: step.length for span in self.spans for step in span.steps}

    @property
    def reversed(self) -> tuple[str, ...]:
        """The sizes that are stored backwards."""
        return tuple(step.word for span in self.spans for step in span.steps if step.stride < 0)


def of_entry(
    entry: Entry, layout: Layout, sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[Piece, Region]]:
    """Every piece of one array and its region, block by block as they are stored.

    Of an array that is no view of its pattern, where its blocks stand (`Custom.stored`).
    """
    pattern = axes.parse(entry.custom.stored) if entry.custom else entry.pattern
    shape = axes.shape_of(pattern, sizes, labels, entry.name)
    words = tuple(axis.text for axis in pattern.axes)
    starts = [0] * len(pattern.axes)
    for number, target in enumerate(pattern.targets):
        terms = pattern.terms(number)
        for found, spans in _spans(pattern, terms, starts, sizes, labels):
            found |= {"gate": target.gates[0]} if target.gates else {}
            told = entry.labels | found
            piece = layout.piece(target.template.format(**told), told)
            yield piece, Region(entry.name, shape, spans, words, entry.custom is not None)
        if pattern.stacked is not None:
            starts[pattern.stacked] += axes.length_of(terms[pattern.stacked], sizes, labels)


def _spans(
    pattern: Pattern,
    terms: Sequence[tuple[Factor, ...]],
    starts: Sequence[int],
    sizes: Mapping[str, Size],
    labels: Mapping[str, Sequence[Any]],
) -> Iterator[tuple[dict[str, Any], tuple[Span, ...]]]:
    """The spans of every combination of the labels that stand on axes."""
    on_axes = [factor for term in terms for factor in term if factor.is_label]
    values = [factor.values or tuple(labels[factor.name]) for factor in on_axes]
    for index in product(*(range(len(each)) for each in values)):
        chosen = {factor.name: k for factor, k in zip(on_axes, index, strict=True)}
        spans = tuple(
            _span(term, start, axis.reverse, chosen, sizes, labels)
            for term, start, axis in zip(terms, starts, pattern.axes, strict=True)
        )
        yield {factor.name: each[k] for factor, each, k in zip(on_axes, values, index, strict=True)}, spans


def _span(
    term: tuple[Factor, ...],
    start: int,
    reverse: bool,
    chosen: Mapping[str, int],
    sizes: Mapping[str, Size],
    labels: Mapping[str, Sequence[Any]],
) -> Span:
    stride, steps, first = 1, [], 0
    for factor in reversed(term):
        length = axes.length_of((factor,), sizes, labels)
        if factor.name in chosen:
            first += chosen[factor.name] * stride
        else:
            steps.append(Step(factor.name, length, stride))
        stride *= length
    if not reverse:
        return Span(start + first, tuple(reversed(steps)))
    return Span(start + stride - 1 - first, tuple(step._replace(stride=-step.stride) for step in reversed(steps)))


def of_layout(
    layout: Layout,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> dict[Piece, Region]:
    """The region of every stored piece of a layer, from the shapes of its arrays; arguments as of `repack.describe`."""
    labels = layout.labels(directions, layers)
    found: dict[Piece, Region] = {}
    for own in layer_by_layer(matching(layout, shapes, directions, layers), layers):
        solved = solve(layout, {name: shapes[name] for name in own}, directions, layers, sizes)
        for entry in own.values():
            found.update(of_entry(entry, layout, solved, labels))
    return found


def schematic(layout: Layout, length: int = 5) -> dict[Piece, Region]:
    """The regions of a layer whose sizes are all the same: where its blocks stand, without a file."""
    words = {word for slot in layout.cell.slots.values() for word in slot.dims}
    sizes, labels = {word: Size(length, "", ()) for word in words}, layout.labels()
    return {piece: own for entry in layout.entries() for piece, own in of_entry(entry, layout, sizes, labels)}
