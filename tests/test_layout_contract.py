"""What every layout has to keep, whoever wrote it: found in the catalogue, so a new framework is tested by existing."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layout_samples import (
    BOTH,
    NOT_IN_SHAPES,
    OPTIONS,
    every_layout,
    expect_close,
    expect_same_bits,
    given,
    normal,
    numbered,
    shapes_of,
    sizes_of,
    words,
)

import layouts
from layouts import Layout, axes, catalogue, cells, pack, unpack
from layouts.axes import Axis, Pattern
from layouts.cells import Cell
from layouts.errors import CoverageError, ShapeError
from layouts.layout import Custom
from layouts.repack import describe

EVERY = every_layout()
SOURCES = sorted(Path(layouts.__path__[0]).rglob("*.py"))
DATA = [path for path in SOURCES if "\nLAYERS = " in path.read_text(encoding="utf-8")]
CODE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.If, ast.IfExp, ast.For, ast.While)


def bare(layout: Layout) -> Layout:
    """The layout without its conventions: only moves."""
    return replace(layout, added={}, negated="")


def extent(layout: Layout) -> tuple[tuple[str, ...], int]:
    """Two directions and two layers where names or an axis tell them apart."""
    names = "".join(layout.arrays)
    axes = {word for entry in layout.entries() for axis in entry.pattern.axes for word in axis.text.split()}
    return BOTH if "{direction}" in names or "direction" in axes else BOTH[:1], 2 if "{layer}" in names else 1


def stated(layout: Layout) -> dict[str, int]:
    return given(sizes_of(layout))


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_views_cover_each_element_exactly_once(layout: Layout) -> None:
    directions, layers = extent(layout)
    arrays, start = {}, 0
    for name, shape in shapes_of(layout, directions, layers).items():
        size = int(np.prod(shape))
        arrays[name] = np.arange(start, start + size).reshape(shape)
        start += size
    pieces = unpack(bare(layout), arrays, directions=directions, layers=layers, sizes=stated(layout))
    found = np.concatenate([piece.ravel() for piece in pieces.values()])
    assert np.array_equal(np.sort(found), np.arange(start))


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_views_share_the_memory_of_their_array(layout: Layout) -> None:
    directions, layers = extent(layout)
    shapes = shapes_of(layout, directions, layers)
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    for view in unpack(bare(layout), arrays, directions=directions, layers=layers, sizes=stated(layout)).values():
        view[...] = 1.0
    customs = {entry.name for entry in layout.entries(directions, layers) if entry.custom}
    assert {name for name, array in arrays.items() if not array.all()} <= customs


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint16"])
@pytest.mark.parametrize("layout", numbered(EVERY))
def test_a_round_trip_keeps_every_bit(layout: Layout, dtype: str) -> None:
    directions, layers = extent(layout)
    arrays = words(shapes_of(layout, directions, layers), dtype)
    pieces = unpack(bare(layout), arrays, directions=directions, layers=layers, sizes=stated(layout))
    expect_same_bits(pack(bare(layout), pieces, sizes=stated(layout)), arrays)


CONVENTIONS = [layout for layout in EVERY if layout.added or layout.negated]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layout", numbered(CONVENTIONS))
def test_a_round_trip_through_conventions_is_exact_to_rounding(layout: Layout, dtype: str) -> None:
    arrays = {name: array.astype(dtype) for name, array in normal(shapes_of(layout)).items()}
    again = pack(layout, unpack(layout, arrays, options=OPTIONS), options=OPTIONS)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        expect_close(again[name], array, 4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("layout", numbered(CONVENTIONS))
def test_conventions_refuse_words_they_cannot_compute_with(layout: Layout) -> None:
    with pytest.raises(ShapeError, match="uint16"):
        unpack(layout, words(shapes_of(layout), "uint16"), options=OPTIONS)


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_the_description_agrees_with_the_views(layout: Layout) -> None:
    directions, layers = extent(layout)
    shapes = shapes_of(layout, directions, layers)
    extra: dict[str, Any] = {"directions": directions, "layers": layers, "sizes": stated(layout)}
    pieces = unpack(bare(layout), normal(shapes), **extra)
    assert describe(layout, shapes, **extra) == {piece: view.shape for piece, view in pieces.items()}


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_the_names_of_arrays_are_unique(layout: Layout) -> None:
    names = [entry.name for entry in layout.entries(*extent(layout))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_an_unknown_array_is_refused(layout: Layout) -> None:
    with pytest.raises(CoverageError, match="stray: no such array"):
        unpack(layout, normal(shapes_of(layout) | {"stray": (2,)}), options=OPTIONS, sizes=stated(layout))


def lone_sizes(axis: Axis, layout: Layout) -> list[str]:
    """The sizes that alone make up a part of this axis, under the one name that tied words share."""
    ties = {} if "projection" in layout.slots else layout.cell.ties
    lone = [term[0].name for term in axis.terms if len(term) == 1 and not term[0].is_label]
    return [ties.get(name, name) for name in lone if name not in NOT_IN_SHAPES]


def is_free(layout: Layout, pattern: Pattern, axis: int) -> bool:
    """Whether any length fits this axis: one of its parts is a size that no other axis settles.

    An axis where such a size is stacked on another settles neither.
    """
    ties = {} if "projection" in layout.slots else layout.cell.ties
    every = [each for entry in layout.entries() for each in entry.pattern.axes]
    named = [{ties.get(f.name, f.name) for term in each.terms for f in term} for each in every]
    slack = [any(sum(size in names for names in named) == 1 for size in lone_sizes(each, layout)) for each in every]
    settling = [names for names, is_slack in zip(named, slack, strict=True) if not is_slack]
    found = [sum(size in names for names in settling) for size in lone_sizes(pattern.axes[axis], layout)]
    return any(count <= 1 for count in found)


WRONG = [
    pytest.param(layout, entry.name, axis, id=f"{layout.name} {k} {entry.name} {axis}".replace(" ", "-"))
    for k, layout in enumerate(EVERY)
    for entry in layout.entries()
    for axis in range(len(entry.pattern.axes))
    if not entry.custom and not is_free(layout, entry.pattern, axis)
]


@pytest.mark.parametrize(("layout", "name", "axis"), WRONG)
def test_a_wrong_length_is_refused_and_names_the_axis(layout: Layout, name: str, axis: int) -> None:
    shapes = shapes_of(layout)
    shape = tuple(length + (k == axis) for k, length in enumerate(shapes[name]))
    with pytest.raises(ShapeError, match=r"axis \d+ \(.*should be") as caught:
        unpack(layout, normal(shapes | {name: shape}), options=OPTIONS, sizes=stated(layout))
    assert caught.value.array in shapes
    assert name in str(caught.value)


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_a_wrong_number_of_axes_is_refused(layout: Layout) -> None:
    shapes = shapes_of(layout)
    name, shape = next(iter(shapes.items()))
    with pytest.raises(ShapeError, match=f"has {len(shape) + 1} axes; .* describes {len(shape)}") as caught:
        unpack(layout, normal(shapes | {name: (*shape, 1)}), options=OPTIONS, sizes=stated(layout))
    assert caught.value.array == name


def test_a_cell_is_called_as_it_is_written() -> None:
    named = {name: value.name for name, value in vars(cells).items() if isinstance(value, Cell)}
    assert len(named) > 30
    assert [name for name, called in named.items() if name != called.upper()] == []


CUSTOMS = [
    pytest.param(entry.custom, max(len(layout.gates), 1), id=f"{layout.name} {entry.name}".replace(" ", "-"))
    for layout in EVERY
    for entry in layout.entries()
    if entry.custom
]


@pytest.mark.parametrize(("custom", "gates"), CUSTOMS)
def test_a_custom_reordering_is_a_permutation_and_its_inverse(custom: Custom, gates: int) -> None:
    shape = (3, gates * 5, 7)[: len(axes.parse(custom.pattern).axes)]
    stored = np.arange(np.prod(shape)).reshape(shape)
    plain = custom.unpack(stored, gates)
    assert plain.shape == custom.shape(stored.shape)
    assert custom.shape(plain.shape) == stored.shape
    assert np.array_equal(np.sort(plain.ravel()), np.arange(stored.size))
    assert np.array_equal(custom.pack(plain, gates), stored)


@pytest.mark.parametrize("path", DATA, ids=[path.stem for path in DATA])
def test_a_layout_file_is_data_with_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [f"line {node.lineno}" for node in ast.walk(tree) if isinstance(node, CODE)] == []
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_a_framework_tells_its_differences_by_number(framework: str) -> None:
    tree = ast.parse((Path(layouts.__path__[0]) / "frameworks" / f"{framework}.py").read_text(encoding="utf-8"))
    lines = (ast.get_docstring(tree) or "").splitlines()
    numbers = [int(line.split(".")[0]) for line in lines if line[:1].isdigit()]
    assert numbers == list(range(1, len(numbers) + 1)) != []


@pytest.mark.parametrize("framework", catalogue.frameworks())
def test_a_framework_holds_only_its_own_layouts(framework: str) -> None:
    found = {layout.framework for candidates in catalogue.layers(framework).values() for layout in candidates}
    assert found == {framework}


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_a_layout_is_called_by_a_class_of_its_framework(layout: Layout) -> None:
    """What tells it from others of that class stands behind in brackets; a class of three ranks may go without."""
    found = re.fullmatch(r"([\w.]+)(?: \([^()]+\))?", layout.class_name)
    names = catalogue.layers(layout.framework)
    assert found is not None and found[1] in {*names, *(re.sub(r"\dd$", "", name) for name in names)}
