"""Finds layouts: by framework, by class name, by cell. Every framework is one module of `layouts.frameworks`.

Third parties add theirs through the entry-point group `layouts.frameworks`: a name and a module with `LAYERS`.

`choose` is the one way from a source's arrays to their layout where the class is known (`layouts.fitting.fits` where it
may not be), and `target` the one way from a cell to the layout in which a framework keeps it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import layouts.frameworks
from layouts.arrangements import Arrangement
from layouts.cells import Cell
from layouts.errors import LayoutError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.names import Names
from layouts.refusals import Refusal
from layouts.repack import solve_layers
from layouts.trees import Tree

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "layouts.frameworks"
_MOST_NAMED = 6
"""Classes that a message names."""

Layers = Mapping[str, tuple[Layout, ...]]
Shapes = Mapping[str, tuple[int, ...]]


@cache
def frameworks() -> tuple[str, ...]:
    """The names of every framework that has layouts, built in or registered."""
    modules = (name for _, name, _ in pkgutil.iter_modules(layouts.frameworks.__path__))
    own = [name for name in modules if _is_framework(importlib.import_module(f"layouts.frameworks.{name}"), name)]
    return (*own, *sorted(point.name for point in _registered()))


def _registered() -> Iterator[EntryPoint]:
    """What third parties add; the import is slow and seldom needed."""
    from importlib import metadata

    yield from metadata.entry_points(group=ENTRY_POINTS)


def _is_framework(module: ModuleType, name: str) -> bool:
    layers = getattr(module, "LAYERS", {})
    return any(layout.framework == name for candidates in layers.values() for layout in candidates)


@cache
def _module(framework: str) -> ModuleType:
    try:
        return importlib.import_module(f"layouts.frameworks.{framework}")
    except ModuleNotFoundError:
        found = [point for point in _registered() if point.name == framework]
        if not found:
            known = ", ".join(frameworks())
            raise LayoutError(f"no layouts for {printable(framework)!r}; known: {known}") from None
        module: ModuleType = found[0].load()
        return module


@cache
def layers(framework: str) -> Layers:
    """Class name in the framework -> the layouts its arrays may have. Raises `LayoutError` for an unknown framework."""
    table: Layers = _module(framework).LAYERS
    return table


def usual(framework: str) -> Mapping[str, Any]:
    """Conditions of layouts that hold unless somebody states otherwise (`USUAL` of the framework's module)."""
    return getattr(_module(framework), "USUAL", {})


def tree(framework: str) -> Tree | None:
    """How a framework arranges all that it saves (`TREE` of its module)."""
    return getattr(_module(framework), "TREE", None)


def separators(framework: str) -> str:
    """What may stand between the path of a layer and an array's own name (`SEPARATORS` of the framework's module)."""
    found: str = getattr(_module(framework), "SEPARATORS", "/.")
    return found


def settings(framework: str) -> Mapping[str, str]:
    """What a framework calls a setting that may stand among arrays -> the option it is (`SETTINGS` of its module)."""
    return getattr(_module(framework), "SETTINGS", {})


def arrangements(framework: str) -> tuple[Arrangement, ...]:
    """How a framework's wrappers name the cells of one stack, innermost first (`ARRANGEMENTS` of its module)."""
    return getattr(_module(framework), "ARRANGEMENTS", ())


@cache
def names(framework: str) -> Names:
    """The arrays of a framework's layouts by name."""
    return Names(of(framework), (name for one in refusals(framework) for name in (*one.arrays, *one.optional)))


Order = tuple[tuple[str, str], ...]
"""The arrays of a class in the order of its framework's own list, each with its axes; '?' where one may lack it."""


def orders(framework: str) -> Mapping[str, Order]:
    """Class name -> its arrays in order, for frameworks that store them without names (`ORDERS` of the module)."""
    return getattr(_module(framework), "ORDERS", {})


def remarks(framework: str) -> tuple[str, ...]:
    """What has to be known of a framework's layouts: that nothing of them was run, where `UNVERIFIED` says so."""
    text: str = getattr(_module(framework), "UNVERIFIED", "")
    return (text,) if text else ()


def refusals(framework: str) -> tuple[Refusal, ...]:
    """The layers of a framework that nothing here computes (`REFUSED` of its module)."""
    return getattr(_module(framework), "REFUSED", ())


def every_layout() -> Iterator[Layout]:
    """Every layout of every framework, each once."""
    for framework in frameworks():
        yield from of(framework)


def of(framework: str) -> tuple[Layout, ...]:
    """Every layout of one framework, each once."""
    return tuple(dict.fromkeys(layout for found in layers(framework).values() for layout in found))


def choose(
    framework: str,
    class_name: str,
    conditions: Mapping[str, Any],
    shapes: Shapes,
    *,
    directions: Sequence[str] = DIRECTIONS[:1],
    depth: int = 1,
) -> Layout:
    """The layout of a class that fits what is known of the layer, and the names and shapes of its arrays.

    Raises `UnknownLayer` when the class has no layout, or none with these arrays, and the `ShapeError` of the first
    layout when names and ranks fit and sizes do not.
    """
    candidates = layers(framework).get(class_name, ())
    fitting = [layout for layout in candidates if described(layout, conditions, shapes, directions, depth)]
    misfits: list[ShapeError] = []
    for layout in fitting:
        try:
            solve_layers(layout, weights_of(layout, shapes), directions, depth)
        except ShapeError as error:
            misfits.append(error)
        else:
            return layout
    raise nothing_fits(framework, class_name, candidates, shapes, misfits[:1])


def nothing_fits(
    framework: str,
    class_name: str | None,
    candidates: Sequence[Layout],
    shapes: Shapes,
    misfits: Sequence[ShapeError],
) -> ShapeError | UnknownLayer:
    """The one error where no layout fits: the axis that does not where one layout is meant, else the arrays.

    `candidates` are the layouts of the class, or where none is known those that have arrays of these names.
    """
    if misfits:
        return misfits[0]
    arrays = ", ".join(f"{printable(name)} {shape}" for name, shape in shapes.items())
    if class_name is None:
        near = [*dict.fromkeys(layout.class_name.partition(" (")[0] for layout in candidates)]
        named = ", ".join(near[:_MOST_NAMED]) + ", …" * (len(near) > _MOST_NAMED)
        why = f": the names are those of {named}; the shapes are not, or an array is missing" if near else ""
        return UnknownLayer(f"{framework}: no layout fits the arrays {arrays}{why}")
    what = f"no layout of it fits the arrays {arrays}" if candidates else "no layout describes this class"
    return UnknownLayer(f"{framework} {printable(class_name)}: {what}")


def described(
    layout: Layout,
    conditions: Mapping[str, Any],
    shapes: Shapes,
    directions: Sequence[str] = DIRECTIONS[:1],
    depth: int = 1,
) -> bool:
    """Whether the conditions of a layout hold, and every array is one of its own, with as many axes."""
    if any(conditions.get(key) != value for key, value in layout.when.items()):
        return False
    expected = ranks(layout, tuple(directions), depth)
    return all(expected.get(name) == len(shape) for name, shape in weights_of(layout, shapes).items())


@cache
def ranks(layout: Layout, directions: tuple[str, ...] = DIRECTIONS[:1], depth: int = 1) -> Mapping[str, int]:
    """How many axes each array of a layout has."""
    return {entry.name: len(entry.pattern.axes) for entry in layout.entries(directions, depth)}


def weights_of(layout: Layout, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Of a layer's arrays those that carry weights in this layout."""
    return {name: shape for name, shape in shapes.items() if name not in layout.passed_over}


def target(
    frameworks: Sequence[str], cells: Sequence[Cell], slots: Collection[str] = (), class_name: str | None = None
) -> Layout:
    """The layout in which the first of these frameworks keeps one of these cells, with a place for all slots.

    A second bias needs no place of its own. `class_name`: the framework's class, where a cell can be kept in several.
    Raises `UnknownLayer` for a class that the frameworks do not have, `NotRepresentable` where nothing fits.
    """
    tables = [layers(framework) for framework in frameworks]
    if class_name is not None and not any(class_name in table for table in tables):
        known = ", ".join(name for table in tables for name in table)
        raise UnknownLayer(f"{frameworks[0]} has no layout for {printable(class_name)}; there are: {known}")
    named = [
        layout for table in tables for name, found in table.items() if class_name in (None, name) for layout in found
    ]
    fitting = [layout for cell in cells for layout in named if layout.cell is cell]
    for layout in fitting:
        if set(slots) <= layout.slots | {"recurrent_bias"}:
            return layout
    lacking = sorted(set(slots) - fitting[0].slots - {"recurrent_bias"}) if fitting else []
    what = " with ".join([cells[0].name.replace("_", " "), *lacking])
    raise NotRepresentable(f"{frameworks[0]} has no {class_name or 'layer'} that computes {what}", layout=frameworks[0])
