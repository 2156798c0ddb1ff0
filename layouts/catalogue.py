"""Finds layouts: by framework, by class name, by cell. Every framework is one module of this package, found by itself.

Third parties add theirs through the entry-point group `layouts.frameworks`: a name and a module with `LAYERS`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import layouts.frameworks
from layouts.cells import Cell
from layouts.errors import LayoutError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.layout import Layout
from layouts.repack import solve

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "layouts.frameworks"

Layers = Mapping[str, tuple[Layout, ...]]


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
def layers(framework: str) -> Layers:
    """Class name in the framework -> the layouts its arrays may have. Raises `LayoutError` for an unknown framework."""
    try:
        module = importlib.import_module(f"layouts.frameworks.{framework}")
    except ModuleNotFoundError:
        found = [point for point in _registered() if point.name == framework]
        if not found:
            raise LayoutError(f"no layouts for {framework!r}; known: {', '.join(frameworks())}") from None
        module = found[0].load()
    table: Layers = module.LAYERS
    return table


def every_layout() -> Iterator[Layout]:
    """Every layout of every framework, each once."""
    for framework in frameworks():
        yield from dict.fromkeys(layout for found in layers(framework).values() for layout in found)


@cache
def target(framework: str, cell: Cell) -> Layout:
    """The layout in which a framework keeps this cell; `NotRepresentable` where it has none that computes it."""
    for candidates in layers(framework).values():
        for layout in candidates:
            if layout.cell is cell:
                return layout
    raise NotRepresentable(f"{framework} has no module that computes {cell.name.replace('_', ' ')}", layout=framework)


def choose(
    framework: str, class_name: str, options: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Layout:
    """The layout of a class that fits its options, and the names and shapes of its arrays.

    Raises `UnknownLayer` when the class has no layout, or none with these arrays, and the `ShapeError` of the first
    layout when names and ranks fit and sizes do not.
    """
    candidates = layers(framework).get(class_name, ())
    fitting = [layout for layout in candidates if _fits(layout, options, shapes)]
    misfits: list[ShapeError] = []
    for layout in fitting:
        try:
            solve(layout, {name: shape for name, shape in shapes.items() if name not in layout.passed_over})
        except ShapeError as error:
            misfits.append(error)
        else:
            return layout
    if misfits:
        raise misfits[0]
    arrays = ", ".join(f"{printable(name)} {shape}" for name, shape in shapes.items())
    what = f"no layout of it fits the arrays {arrays}" if candidates else "no layout describes this class"
    raise UnknownLayer(f"{framework} {printable(class_name)}: {what}")


def _fits(layout: Layout, options: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    if any(options.get(option) != value for option, value in layout.when.items()):
        return False
    expected = {entry.name: len(entry.pattern.axes) for entry in layout.entries()}
    return all(expected.get(name) == len(shape) for name, shape in shapes.items() if name not in layout.passed_over)
