"""The notation: what each axis of a stored array holds, and the views that follow from it.

A pattern reads ``axes -> slots``: left the axes of the array in order, right the slot that its elements belong to.

    input (gate unit) -> input_weight              the second axis is made of one block of units a gate
    (unit gate) input -> input_weight              the same, interleaved: one row a gate within every unit
    (input + state) (gate unit) -> input_weight + recurrent_weight      two matrices stacked on the first axis
    (gate:rz unit) -> input_bias                   some gates only, in this order
    input unit -> input_weight[n]                  one gate only
    (side gate unit) -> {side}_bias                the label `side` picks the slot
    ~height ~width in out -> weight                stored backwards along two axes
    1 1 channel -> weight                          axes of one

`gate`, `direction`, `side`, `role` and `layer` are labels: their values are enumerated by the layout. Every other word
is a size, solved from the shapes of all arrays of a layer together. This is the only index arithmetic of the project.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from layouts.errors import LayoutError, ShapeError
from layouts.records import dataclass

Array = np.ndarray[Any, Any]

LABELS = ("gate", "direction", "side", "role", "layer")
"""Words whose values are names, not positions."""

_AXIS = re.compile(r"\(([^()]*)\)|([^\s()]+)")
_FACTOR = re.compile(r"([a-z_]+)(?::([a-z]+))?")
_SLOT = re.compile(r"([a-z_{}]+)(?:\[([a-z]+)\])?")


class Factor(NamedTuple):
    """One word of an axis: a size, or a label with the values it takes here (None: those of the layout)."""

    name: str
    values: tuple[str, ...] | None = None

    @property
    def is_label(self) -> bool:
        return self.name in LABELS


class Axis(NamedTuple):
    """One axis: a sum of terms, each a product of factors from slow to fast. ``1`` is one term without factors."""

    terms: tuple[tuple[Factor, ...], ...]
    reverse: bool
    text: str


class SlotName(NamedTuple):
    """The slot on the right of the arrow; `gates` when the pattern names the ones it holds."""

    template: str
    gates: tuple[str, ...] | None


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern; `targets` has one slot for each term of the stacked axis, or one in all."""

    text: str
    axes: tuple[Axis, ...]
    targets: tuple[SlotName, ...]

    @property
    def stacked(self) -> int | None:
        """The number of the axis on which several slots are stacked, or None."""
        return next((k for k, axis in enumerate(self.axes) if len(axis.terms) > 1), None)

    def terms(self, number: int) -> tuple[tuple[Factor, ...], ...]:
        """The factors of every axis within the part of the array that belongs to target `number`."""
        return tuple(axis.terms[number if len(axis.terms) > 1 else 0] for axis in self.axes)


class Size(NamedTuple):
    """A solved size and the array that settled it (empty when it was given)."""

    value: int
    array: str
    shape: tuple[int, ...]


class View(NamedTuple):
    """One view of an array: the slot it belongs to, its labels, and the memory with its axes named."""

    slot: str
    labels: dict[str, Any]
    axes: tuple[str, ...]
    view: Array


@cache
def parse(text: str) -> Pattern:
    """Read a pattern; a mistake raises `LayoutError`, so a wrong layout fails when it is imported."""
    left, arrow, right = text.partition("->")
    if not arrow or not right.strip():
        raise LayoutError(f"pattern {text!r}: expected 'axes -> slots'")
    axes = tuple(_parse_axis(word) for word in _words(left, text))
    targets = tuple(_parse_target(word.strip(), text) for word in right.split("+"))
    terms = [len(axis.terms) for axis in axes if len(axis.terms) > 1]
    if terms[1:] or (terms or [1])[0] != len(targets):
        raise LayoutError(f"pattern {text!r}: one axis may be stacked with '+', and it needs one slot for each part")
    named = [factor.name for axis in axes for term in axis.terms for factor in term]
    if len(named) != len(set(named)):
        raise LayoutError(f"pattern {text!r}: a word stands twice on the left")
    return Pattern(" ".join(text.split()), axes, targets)


def _words(left: str, text: str) -> list[str]:
    words = [match.group(0) for match in _AXIS.finditer(left)]
    if "".join(words).replace(" ", "") != "".join(left.split()):
        raise LayoutError(f"pattern {text!r}: unbalanced brackets")
    return words


def _parse_axis(word: str) -> Axis:
    body = word.lstrip("~").strip("()")
    terms = ((),) if body == "1" else tuple(_parse_term(term, word) for term in body.split("+"))
    return Axis(terms, word.startswith("~"), word)


def _parse_term(term: str, word: str) -> tuple[Factor, ...]:
    matches = [_FACTOR.fullmatch(name) for name in term.split()]
    if not matches or None in matches:
        raise LayoutError(f"axis {word!r}: expected words such as 'input' or '(gate unit)'")
    return tuple(Factor(m[1], tuple(m[2]) if m[2] else None) for m in matches if m)


def _parse_target(word: str, text: str) -> SlotName:
    match = _SLOT.fullmatch(word)
    if not match:
        raise LayoutError(f"pattern {text!r}: {word!r} is no slot")
    if match[2] and len(match[2]) > 1:
        on_axis = f"(gate:{match[2]} unit)"
        raise LayoutError(f"pattern {text!r}: {word!r} names several gates; write them on the axis, as {on_axis}")
    return SlotName(match[1], tuple(match[2]) if match[2] else None)


def _length(factor: Factor, sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]]) -> int | None:
    if factor.values is not None:
        return len(factor.values)
    if factor.is_label and factor.name in labels:
        return len(labels[factor.name])
    return sizes[factor.name].value if factor.name in sizes else None


def solve(
    patterns: Mapping[str, Pattern],
    shapes: Mapping[str, tuple[int, ...]],
    labels: Mapping[str, Sequence[Any]],
    ties: Mapping[str, str],
    known: Mapping[str, int],
) -> dict[str, Size]:
    """Solve every size from all shapes of a layer together; raise `ShapeError` naming array and axis.

    `ties` makes two words one (the state of an LSTM without projection is as wide as its units).
    """
    sizes = {name: Size(value, "", ()) for name, value in known.items()}
    rows = sorted(_equations(patterns, shapes, ties), key=lambda row: sum(map(len, row.axis.terms)))
    while True:
        found = len(sizes)
        open_rows = [row for row in rows if not _settle(row, sizes, labels)]
        if not open_rows or len(sizes) == found:
            break
        rows = open_rows
    for name, target in ties.items():
        if target in sizes:
            sizes[name] = sizes[target]
    return sizes


class _Row(NamedTuple):
    array: str
    pattern: Pattern
    shape: tuple[int, ...]
    number: int
    axis: Axis
    size: int


def _equations(
    patterns: Mapping[str, Pattern], shapes: Mapping[str, tuple[int, ...]], ties: Mapping[str, str]
) -> Iterator[_Row]:
    for array, shape in shapes.items():
        pattern = patterns[array]
        if len(shape) != len(pattern.axes):
            raise ShapeError(
                f"{array}: shape {shape} has {len(shape)} axes; '{pattern.text}' describes {len(pattern.axes)}",
                array=array,
            )
        for number, (axis, size) in enumerate(zip(pattern.axes, shape, strict=True)):
            terms = tuple(tuple(f._replace(name=ties.get(f.name, f.name)) for f in term) for term in axis.terms)
            yield _Row(array, pattern, shape, number, axis._replace(terms=terms), size)


def _settle(row: _Row, sizes: dict[str, Size], labels: Mapping[str, Sequence[Any]]) -> bool:
    """Check one axis, or solve its only unknown; False while it has several."""
    total, unknown, scale = 0, None, 1
    for term in row.axis.terms:
        lengths = [(factor, _length(factor, sizes, labels)) for factor in term]
        missing = [factor.name for factor, length in lengths if length is None]
        known = math.prod(length for _, length in lengths if length is not None)
        if not missing:
            total += known
        elif unknown or len(missing) > 1:
            return False
        else:
            unknown, scale = missing[0], known
    if unknown is None:
        if total != row.size:
            raise ShapeError(_misfit(row, sizes, labels, total), array=row.array)
        return True
    value, rest = divmod(row.size - total, scale) if scale else (0, row.size - total)
    if rest or value < 0:
        raise ShapeError(_misfit(row, sizes, labels, None), array=row.array)
    sizes[unknown] = Size(value, row.array, row.shape)
    return True


def _misfit(row: _Row, sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]], total: int | None) -> str:
    factors = [factor for term in row.axis.terms for factor in term]
    because = [
        f"{sizes[f.name].array} {sizes[f.name].shape} makes {f.name} {sizes[f.name].value}"
        for f in factors
        if f.name in sizes and sizes[f.name].array
    ]
    terms = [[(f, _length(f, sizes, labels)) for f in term] for term in row.axis.terms]
    sums = " + ".join(" × ".join(str(n) if n is not None else f.name for f, n in term) or "1" for term in terms)
    wanted = f"{sums} = {total}" if total is not None and sums != str(total) else sums
    message = f"{row.array}: shape {row.shape} does not fit '{row.pattern.text}'.\n  "
    reason = f"{' and '.join(because)}, so " if because else ""
    message += f"{reason}axis {row.number} ({row.axis.text}) should be {wanted}, and it is {row.size}."
    return message + _likely_cause(row, factors, sizes)


_GATE_COUNTS = {1: "a simple RNN (1 block)", 3: "a GRU (3 gates)", 4: "an LSTM (4 gates)"}


def _likely_cause(row: _Row, factors: Iterable[Factor], sizes: Mapping[str, Size]) -> str:
    """For an axis of gates: the cell whose number of gates would fit."""
    names = [factor.name for factor in factors]
    unit = sizes.get("unit")
    if "gate" not in names or unit is None or not unit.value or row.size % unit.value:
        return ""
    cell = _GATE_COUNTS.get(row.size // unit.value)
    return f" {row.size} would be {cell}." if cell else ""


def shape_of(
    pattern: Pattern, sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]], array: str
) -> tuple[int, ...]:
    """The shape an array of this pattern has, once every size is known."""
    shape = []
    for axis in pattern.axes:
        lengths = [[(factor, _length(factor, sizes, labels)) for factor in term] for term in axis.terms]
        unknown = [factor.name for term in lengths for factor, length in term if length is None]
        if unknown:
            raise ShapeError(f"{array}: the shapes do not tell {unknown[0]!r} of '{pattern.text}'", array=array)
        shape.append(sum(math.prod(length for _, length in term if length is not None) for term in lengths))
    return tuple(shape)


def views(
    array: Array, pattern: Pattern, sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]]
) -> Iterator[View]:
    """Every named view of one array: together they cover each element exactly once, and share its memory."""
    stacked = pattern.stacked
    start = 0
    for number, target in enumerate(pattern.targets):
        piece, terms = array, pattern.terms(number)
        if stacked is not None:
            length = length_of(terms[stacked], sizes, labels)
            piece = array[(slice(None),) * stacked + (slice(start, start + length),)]
            start += length
        yield from _split(piece[_backwards(pattern)], terms, target, sizes, labels)


def length_of(term: Sequence[Factor], sizes: Mapping[str, Size], labels: Mapping[str, Sequence[Any]]) -> int:
    """How many indices the factors of one term make, once every size is known."""
    return math.prod(_length(factor, sizes, labels) or 0 for factor in term)


def _backwards(pattern: Pattern) -> tuple[Any, ...]:
    """The index that turns reversed axes round; with an ellipsis, so that an array of no axes gives a view too."""
    return (*(slice(None, None, -1) if axis.reverse else slice(None) for axis in pattern.axes), ...)


def _split(
    array: Array,
    terms: Sequence[tuple[Factor, ...]],
    target: SlotName,
    sizes: Mapping[str, Size],
    labels: Mapping[str, Sequence[Any]],
) -> Iterator[View]:
    """Cut product axes into their factors and take one view for each combination of label values."""
    factors = [factor for term in terms for factor in term]
    array = array.reshape([_length(factor, sizes, labels) or 0 for factor in factors])
    values = [factor.values or tuple(labels[factor.name]) if factor.is_label else None for factor in factors]
    choices: list[Iterable[int | slice]] = [range(len(v)) if v is not None else (slice(None),) for v in values]
    named = tuple(factor.name for factor in factors if not factor.is_label)
    for index in product(*choices):
        chosen = zip(factors, values, index, strict=True)
        found = {factor.name: v[i] for factor, v, i in chosen if v is not None and isinstance(i, int)}
        if target.gates:
            found["gate"] = target.gates[0]
        yield View(target.template.format(**found), found, named, array[(*index, ...)])
