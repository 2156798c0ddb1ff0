"""Which layouts fit the arrays of a layer, where nobody says what layer it is.

By the names first, which tell directions and depth too; then by what has to be there, and by the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from layouts.catalogue import Shapes, layers, names, nothing_fits, of, ranks, usual, weights_of
from layouts.errors import ShapeError
from layouts.layout import DIRECTIONS, SIDES, Layout
from layouts.names import Role
from layouts.repack import needed, solve_layers

_DEEPEST = 1000
"""The most layers on an axis."""


class Fit(NamedTuple):
    """A layout that fits a layer's arrays, and how many directions and layers they hold.

    `untold` are sizes that the shapes do not tell, such as the heads of a fused attention.
    """

    layout: Layout
    directions: tuple[str, ...]
    layers: int
    untold: tuple[str, ...] = ()


def fits(
    framework: str,
    shapes: Shapes,
    conditions: Mapping[str, Any],
    *,
    class_name: str | None = None,
    sizes: Mapping[str, int] | None = None,
) -> list[Fit]:
    """Every layout that fits the names and shapes of a layer's arrays, of one class or of any; never none.

    A condition that is neither known nor usual fits either way. `class_name` is a class of the framework, or the name
    of a layout, whose conditions then hold. Raises as `choose` does.
    """
    named = names(framework).of_all(shapes)
    candidates = tuple(named) if class_name is None else layouts_of(framework, class_name)
    by_class = class_name is None or class_name in layers(framework)
    known = {**_usual(framework, candidates), **conditions} if by_class else conditions
    found: list[Fit] = []
    misfits: list[ShapeError] = []
    for layout in candidates:
        if layout not in named or any(known.get(key, value) != value for key, value in layout.when.items()):
            continue
        for directions, depth in _extents(layout, named[layout], shapes):
            try:
                found += _fit(layout, directions, depth, shapes, sizes or {}, named=class_name is not None)
            except ShapeError as error:
                misfits.append(error)
    if not found:
        one_layout = len({error.layout for error in misfits}) == 1
        raise nothing_fits(framework, class_name, candidates, shapes, misfits[-1:] if one_layout else [])
    return found


def _usual(framework: str, candidates: Iterable[Layout]) -> dict[str, Any]:
    """The usual conditions, but for those that a class excludes: a ConvTranspose is transposed, usual or not."""
    candidates = tuple(candidates)
    return {
        key: value
        for key, value in usual(framework).items()
        if any(layout.when.get(key, value) == value for layout in candidates)
    }


def layouts_of(framework: str, class_name: str) -> tuple[Layout, ...]:
    """The layouts of a class, or the ones whose own name this is."""
    table = layers(framework)
    return table.get(class_name) or tuple(layout for layout in of(framework) if layout.class_name == class_name)


def _extents(layout: Layout, roles: Sequence[Role], shapes: Shapes) -> Iterator[tuple[tuple[str, ...], int]]:
    """Directions and depth as the names tell them; directions on an axis are tried, one and both."""
    depth = _depth(layout, roles, shapes)
    told = {role.direction for role in roles} - {None}
    if not told and layout.holds("direction"):
        yield DIRECTIONS[:1], depth
    yield (DIRECTIONS if told != {DIRECTIONS[0]} and layout.holds("direction") else DIRECTIONS[:1]), depth


def _depth(layout: Layout, roles: Sequence[Role], shapes: Shapes) -> int:
    """How many layers the names tell, or the length of an axis of layers."""
    axis = layout.layer_axis
    if axis is None:
        return max((role.layer or 0 for role in roles), default=0) + 1
    lengths = (shape[axis] for shape in weights_of(layout, shapes).values() if len(shape) > axis)
    return min(max(lengths, default=1) or 1, _DEEPEST)


def _fit(
    layout: Layout, directions: tuple[str, ...], depth: int, shapes: Shapes, sizes: Mapping[str, int], *, named: bool
) -> Iterator[Fit]:
    """The layout, where every array is there that has to be, and the sizes agree; else nothing, or `ShapeError`.

    A depthwise convolution of one channel is a convolution like any other: it is one by name only.
    """
    own, expected = weights_of(layout, shapes), ranks(layout, directions, depth)
    if layout.cell.told and not named:
        return
    if any(expected.get(name) != len(shape) for name, shape in own.items()):
        return
    if not own or {*layout.always, *needed(layout, directions, depth)} - {*own}:
        return
    try:
        solved = solve_layers(layout, own, directions, depth, sizes)
    except ShapeError as error:
        error.layout = layout.name
        raise
    first = {word: size.value for word, size in solved[0].items()}
    if not _is_product(layout, first) or (layout.cell.products and first.get("in") == 1 and not named):
        return
    words = {word for slot in _slots(layout, own) for word in layout.cell.slots[slot].dims}
    yield Fit(layout, directions, depth, tuple(sorted(words - {*first})))


def _is_product(layout: Layout, sizes: Mapping[str, int]) -> bool:
    """Whether the sizes that are products of others are so, as far as all of them are known."""
    for word, others in layout.cell.products.items():
        factors = [sizes[other] for other in others.split() if other in sizes]
        if word in sizes and len(factors) == len(others.split()) and math.prod(factors) != sizes[word]:
            return False
    return True


def _slots(layout: Layout, names_: Iterable[str]) -> set[str]:
    """The slots that these arrays hold, by those of the first layer."""
    table = _slots_by_name(layout)
    return {slot for name in names_ for slot in table.get(name, ())}


@cache
def _slots_by_name(layout: Layout) -> dict[str, set[str]]:
    return {
        entry.name: {t.template.format(side=side) for t in entry.pattern.targets for side in SIDES}
        for entry in layout.entries(DIRECTIONS)
    }
