"""Moves of axes put together: every value as an arrangement of the axes of one that a node of the neutral graph makes.

Exporters stand transpositions, squeezes and reshapes around layers, and many of them undo one another. Each is followed
by name, and only what is left of them becomes operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from converters.model import operations as op
from converters.readers.onnx.network.sizes import Pair, Sizes, fixed, product
from layouts.records import dataclass, replace

_ONE = (1, 1)


@dataclass(frozen=True)
class Atom:
    """An axis of a value, or a part of it that may stand alone."""

    axis: int
    size: Pair


@dataclass(frozen=True)
class View:
    """A value as an arrangement of another: for each of its axes the atoms on it, none for an axis of one."""

    base: str
    atoms: tuple[Atom, ...]
    """Those of the base, in order."""
    axes: tuple[tuple[int, ...], ...]

    @property
    def sizes(self) -> Sizes:
        return tuple(product([self.atoms[k].size for k in group]) for group in self.axes)

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def whole(self) -> tuple[tuple[int, ...], ...]:
        """The axes of the base itself."""
        count = 1 + max((atom.axis for atom in self.atoms), default=-1)
        return tuple(tuple(k for k, atom in enumerate(self.atoms) if atom.axis == axis) for axis in range(count))

    @property
    def is_base(self) -> bool:
        return self.axes == self.whole

    def permuted(self, order: Sequence[int]) -> View:
        return replace(self, axes=tuple(self.axes[axis] for axis in order))

    def with_axes(self, places: Sequence[int]) -> View:
        """With axes of one at these places of the result."""
        axes = list(self.axes)
        for place in sorted(places):
            axes.insert(place, ())
        return replace(self, axes=tuple(axes))

    def without(self, places: Sequence[int]) -> View | None:
        """Without these axes; None where one of them is not certainly of one."""
        if any(self.sizes[place] != _ONE for place in places):
            return None
        return replace(self, axes=tuple(group for k, group in enumerate(self.axes) if k not in places))

    def grouped(self, sizes: Sizes) -> View | None:
        """The same atoms in the same order, on axes of these sizes; None where an atom would have to be cut."""
        left = [k for group in self.axes for k in group if self.atoms[k].size != _ONE]
        axes = []
        for wanted in sizes:
            group: list[int] = []
            while left and product([self.atoms[k].size for k in group]) != wanted:
                group.append(left.pop(0))
            if product([self.atoms[k].size for k in group]) != wanted:
                return None
            axes.append(tuple(group))
        return None if left else replace(self, axes=tuple(axes))


def plain(base: str, sizes: Sizes) -> View:
    """A value as it is."""
    atoms = tuple(Atom(axis, size) for axis, size in enumerate(sizes))
    return View(base, atoms, tuple((k,) for k in range(len(atoms))))


Step = tuple[op.Operation, Sizes]
"""An operation, and the sizes of what it makes."""


def steps(view: View) -> Iterator[Step]:
    """The operations that make a view of its base. Raises `ValueError` for sizes that nothing tells."""
    there = {k for group in view.axes for k in group}
    units = [tuple(k for k in group if k in there) for group in view.whole]
    sizes = {k: atom.size for k, atom in enumerate(view.atoms)}
    for place in reversed(range(len(units))):
        if not units[place] and len(units) > 1:
            del units[place]
            yield op.DropAxis(place), _of(units, sizes)
    if any(unit and not _stays(unit, view) for unit in units):
        apart: list[tuple[int, ...]] = [(k,) for unit in units for k in unit]
        yield regrouped(units, apart, sizes), _of(apart, sizes)
        units = apart
    wanted = [unit for group in view.axes for unit in units if unit and unit[0] in group]
    wanted.sort(key=lambda unit: [k for group in view.axes for k in group].index(unit[0]))
    if wanted != units:
        yield op.Permute(tuple(units.index(unit) for unit in wanted)), _of(wanted, sizes)
    grouped = [group for group in view.axes if group]
    if grouped != wanted:
        yield regrouped(wanted, grouped, sizes), _of(grouped, sizes)
    for place, group in enumerate(view.axes):
        if not group:
            grouped.insert(place, ())
            yield op.AddAxis(place), _of(grouped, sizes)


def _of(groups: Sequence[tuple[int, ...]], sizes: Mapping[int, Pair]) -> Sizes:
    return tuple(product([sizes[k] for k in group]) for group in groups)


def _stays(unit: tuple[int, ...], view: View) -> bool:
    """Whether the atoms of an axis stand side by side in a view as well."""
    flat = [(k, place) for place, group in enumerate(view.axes) for k in group]
    order = [k for k, _ in flat]
    start = order.index(unit[0])
    return tuple(order[start : start + len(unit)]) == unit and len({flat[start + n][1] for n in range(len(unit))}) == 1


def regrouped(
    before: Sequence[tuple[int, ...]], after: Sequence[tuple[int, ...]], sizes: Mapping[int, Pair]
) -> op.Operation:
    """The reshape that leaves the order of the atoms alone."""
    return reshape(_of(before, sizes), _of(after, sizes))


def reshape(before: Sizes, after: Sizes) -> op.Operation:
    """The operation that makes one shape of another. Raises `ValueError` where open sizes are mixed."""
    told: list[int | op.Axis] = []
    for number, size in enumerate(after):
        known = fixed(size)
        same = [k for k, own in enumerate(before) if own == size]
        here = number if number in same else same[0] if same else None
        told.append(known if known is not None else op.Axis(here) if here is not None else -1)
    if told.count(-1) > 1:
        raise ValueError("a reshape of more than one open size")
    kept = before[:1] == after[:1] and len(before) > 0 and fixed(before[0]) is None
    if kept and len(after) == 2 and after[1] == product(before[1:]):
        return op.Flatten()
    rest = told[1:]
    inner = [k for k, entry in enumerate(rest) if isinstance(entry, op.Axis)]
    if kept and len(inner) + rest.count(-1) <= 1:
        return op.Reshape(tuple(-1 if isinstance(entry, op.Axis) else entry for entry in rest))
    if -1 not in told and sum(isinstance(entry, op.Axis) for entry in told) == 1:
        told = [-1 if isinstance(entry, op.Axis) else entry for entry in told]
    return op.Regroup(tuple(told))
