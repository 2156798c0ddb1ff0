"""Finds layouts: by framework, by class name, by cell. Every framework is one module of this package, found by itself.

Third parties add theirs through the entry-point group `layouts.frameworks`: a name and a module with `LAYERS`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from types import ModuleType
from typing import Any

import layouts
from layouts.cells import Cell
from layouts.errors import LayoutError, NotRepresentable, UnknownLayer
from layouts.layout import Layout

ENTRY_POINTS = "layouts.frameworks"

Layers = Mapping[str, tuple[Layout, ...]]


@lru_cache(maxsize=None)
def frameworks() -> tuple[str, ...]:
    """The names of every framework that has layouts, built in or registered."""
    modules = (name for _, name, _ in pkgutil.iter_modules(layouts.__path__))
    own = [name for name in modules if _is_framework(importlib.import_module(f"layouts.{name}"), name)]
    return (*own, *sorted(point.name for point in metadata.entry_points(group=ENTRY_POINTS)))


def _is_framework(module: ModuleType, name: str) -> bool:
    layers = getattr(module, "LAYERS", {})
    return any(layout.framework == name for candidates in layers.values() for layout in candidates)


@lru_cache(maxsize=None)
def layers(framework: str) -> Layers:
    """Class name in the framework -> the layouts its arrays may have. Raises `LayoutError` for an unknown framework."""
    try:
        module = importlib.import_module(f"layouts.{framework}")
    except ModuleNotFoundError:
        found = [p for p in metadata.entry_points(group=ENTRY_POINTS) if p.name == framework]
        if not found:
            raise LayoutError(f"no layouts for {framework!r}; known: {', '.join(frameworks())}") from None
        module = found[0].load()
    table: Layers = module.LAYERS
    return table


def every_layout() -> Iterator[Layout]:
    """Every layout of every framework, each once."""
    for framework in frameworks():
        yield from dict.fromkeys(layout for found in layers(framework).values() for layout in found)


@lru_cache(maxsize=None)
def target(framework: str, cell: Cell) -> Layout:
    """The layout in which a framework keeps this cell; `NotRepresentable` where it has none that computes it."""
    for candidates in layers(framework).values():
        for layout in candidates:
            if layout.cell is cell:
                return layout
    raise NotRepresentable(f"{framework} has no module that computes {cell.name.replace('_', ' ')}", layout=framework)


def choose(
    framework: str, class_name: str, options: Mapping[str, Any], ranks: Mapping[str, int]
) -> Layout:
    """The one layout of a class that fits its options, the names of its arrays and their ranks.

    Raises `UnknownLayer` when the class has no layout, or none that fits.
    """
    candidates = layers(framework).get(class_name, ())
    fitting = [layout for layout in candidates if _fits(layout, options, ranks)]
    if not fitting:
        arrays = ", ".join(f"{name} of rank {rank}" for name, rank in ranks.items())
        what = "no layout describes the class" if not candidates else f"no layout of it fits the arrays {arrays}"
        raise UnknownLayer(f"{framework} {class_name}: {what}")
    return fitting[0]


def _fits(layout: Layout, options: Mapping[str, Any], ranks: Mapping[str, int]) -> bool:
    if any(options.get(option) != value for option, value in layout.when.items()):
        return False
    expected = {entry.name: len(entry.pattern.axes) for entry in layout.entries()}
    passed_over = (*layout.ignored, *layout.constants)
    return all(expected.get(name) == rank for name, rank in ranks.items() if name not in passed_over)
