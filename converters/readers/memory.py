"""A mapping of arrays in a framework's own layout: one layer's arrays, or those of several layers by path.

`{"kernel": …, "recurrent_kernel": …, "bias": …}` is one layer; `{"encoder/kernel": …}` or `{"encoder": {"kernel": …}}`
are arrays of the layer 'encoder'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray, in_memory
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from layouts import catalogue
from layouts.errors import ConversionError, CoverageError, ShapeError, UnknownLayer, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.repack import describe

Arrays = dict[str, LazyArray]

_MOST_LAYERS = 16


def read_mapping(source: Mapping[str, Any], framework: str | None, assume: Mapping[str, str]) -> Checkpoint:
    """The layers of a mapping. Raises `ConversionError` without a framework, `UnknownLayer` for what fits no layout."""
    if framework is None:
        raise ConversionError(
            "a mapping of arrays needs framework=, which tells what they mean: "
            f"one of {', '.join(catalogue.frameworks())}"
        )
    grouped: dict[str, Arrays] = {}
    known = {entry.name for layout in _layouts(framework) for entry in _entries(layout)}
    for name, array in _flat(source):
        path, short = _split(name, known)
        grouped.setdefault(path, {})[short] = in_memory(name, array)
    layers = tuple(_layer(path, arrays, framework, assume) for path, arrays in grouped.items())
    return Checkpoint("arrays in memory", framework, "", "mapping of arrays", layers)


def _layouts(framework: str) -> tuple[Layout, ...]:
    return tuple(dict.fromkeys(layout for found in catalogue.layers(framework).values() for layout in found))


def _entries(layout: Layout) -> Iterator[Any]:
    yield from layout.entries(DIRECTIONS, _MOST_LAYERS)


def _flat(source: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    for name, value in source.items():
        if not isinstance(name, str):
            raise ConversionError(f"the keys of a mapping of arrays are names; found {printable(repr(name))}")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            array = np.asarray(value)
            if array.dtype.kind not in "f" and not array.dtype.name.startswith("bfloat"):
                raise ShapeError(
                    f"{printable(prefix + name)} holds {array.dtype}; weights are floating point", array=name
                )
            yield prefix + name, array


def _split(name: str, known: set[str]) -> tuple[str, str]:
    """The layer's path and the array's own name: the longest tail that some layout knows."""
    starts = [0] + [k + 1 for k, letter in enumerate(name) if letter in "/."]
    for start in starts:
        if name[start:].removesuffix(":0") in known:
            return name[: max(start - 1, 0)], name[start:].removesuffix(":0")
    return name.rpartition("/")[0], name.rpartition("/")[2]


def _layer(path: str, arrays: Arrays, framework: str, assume: Mapping[str, str]) -> Layer:
    shapes = {name: array.shape for name, array in arrays.items()}
    stated = {key.rpartition(".")[2]: value for key, value in assume.items() if key.rpartition(".")[0] in ("", path)}
    fits = list(_fitting(framework, shapes, stated))
    cells = {layout.cell for layout, _, _ in fits}
    if len(cells) != 1:
        listed = ", ".join(f"{printable(name)} {shape}" for name, shape in shapes.items())
        what = (
            f"fit several layers ({', '.join(sorted({layout.class_name for layout, _, _ in fits}))}): state reset_after"
            if fits
            else "fit no layer"
        )
        raise UnknownLayer(f"{printable(path) or 'the arrays'}: {listed} {what} of {framework}", layer=path)
    layout, directions, depth = fits[0]
    told = _told(layout)
    options: dict[str, Any] = {name: value for name, value in stated.items() if name in told}
    assumed = {name: getattr(layout.options, name) for name in told if name not in stated}
    constants = {name: float(stated[name]) for name in layout.asked if name in stated}
    ways = directions if len(directions) > 1 else ()
    part = Part(layout, arrays, replace(layout.options, **options), constants, directions=ways, layers=depth)
    return Layer(path, layout.class_name, (part,), assumed=assumed)


def _told(layout: Layout) -> tuple[str, ...]:
    """The activations a cell of this layout may have; those of PyTorch are fixed."""
    open_ = {*layout.cell.chooses} - {*layout.implies, *layout.computes}
    return tuple(name for name in ("activation", "recurrent_activation") if name in open_)


def _fitting(
    framework: str, shapes: Mapping[str, tuple[int, ...]], stated: Mapping[str, str]
) -> Iterator[tuple[Layout, tuple[str, ...], int]]:
    """Every layout whose arrays these are, with the directions and the number of layers that fit."""
    for layout in _layouts(framework):
        conditions = {key: value for key, value in layout.when.items() if isinstance(value, bool | int)}
        if any(stated.get(option, str(value)).lower() != str(value).lower() for option, value in conditions.items()):
            continue
        for directions in (DIRECTIONS[:1], DIRECTIONS):
            for depth in range(1, _MOST_LAYERS + 1):
                try:
                    describe(layout, shapes, directions=directions, layers=depth)
                except (CoverageError, ShapeError):
                    continue
                yield layout, directions, depth
