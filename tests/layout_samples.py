"""Arrays for any layout: every size a different prime, every number random, so that no swap and no transpose hides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from layouts import Layout, axes, catalogue, cells
from layouts.axes import Array, Size
from layouts.layout import Entry

BOTH = ("forward", "backward")
PRIMES = (5, 3, 7, 11, 13, 17, 19, 23)
NOT_IN_SHAPES = ("head", "multiplier")
"""Sizes that some layouts keep only as a product: the options of a layer tell them."""
OF_WINDOWS = ("height", "width")
"""Such sizes of locally connected layers, whose output has a size on every axis too."""

OPTIONS = {"forget_bias": 0.75}
"""An offset that no framework has as its default."""


def numbered(layouts: Iterable[Layout]) -> list[Any]:
    """Parameters for pytest, one a layout, with its name and number as the id."""
    return [pytest.param(layout, id=f"{layout.name} {k}".replace(" ", "-")) for k, layout in enumerate(layouts)]


def every_layout(*wanted: cells.Cell) -> list[Layout]:
    """The layouts of these cells, or of all."""
    return [layout for layout in catalogue.every_layout() if not wanted or layout.cell in wanted]


def sizes_of(layout: Layout, without: Sequence[str] = ()) -> dict[str, int]:
    """A prime for every word of the layout's cell; words that mean one size share it."""
    words = dict.fromkeys(word for slot in layout.cell.slots.values() for word in slot.dims)
    sizes = dict(zip(words, PRIMES, strict=False))
    projected = "projection" in layout.slots and "projection" not in without
    return sizes | ({} if projected else {name: sizes[target] for name, target in layout.cell.ties.items()})


def given(sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes that a caller must state."""
    names = (*NOT_IN_SHAPES, *(OF_WINDOWS if "column" in sizes else ()))
    return {name: sizes[name] for name in names if name in sizes}


def slots_of(entry: Entry) -> set[str]:
    """The slots that one array holds."""
    return {target.template.format(side=side) for target in entry.pattern.targets for side in ("input", "recurrent")}


def shapes_of(
    layout: Layout, directions: Sequence[str] = BOTH[:1], layers: int = 1, without: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
    """The shape of every array, but of those that hold a slot in `without`."""
    sizes, labels = sizes_of(layout, without), layout.labels(directions, layers)
    shapes = {}
    for entry in layout.entries(directions, layers):
        if slots_of(entry) & set(without):
            continue
        higher = {"input": len(directions) * sizes["state"]} if entry.labels.get("layer", 0) else {}
        solved = {name: Size(value, "", ()) for name, value in (sizes | higher).items()}
        plain = axes.shape_of(entry.pattern, solved, labels, entry.name)
        shapes[entry.name] = entry.custom.shape(plain) if entry.custom else plain
    return shapes


def normal(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Array]:
    """Random numbers of the standard normal distribution, in float64."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def words(shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Array]:
    """Random bits under this dtype: infinities and NaNs of every payload among them."""
    rng, size = np.random.default_rng(1), np.dtype(dtype).itemsize
    return {
        name: np.frombuffer(rng.bytes(int(np.prod(shape)) * size), dtype).reshape(shape).copy()
        for name, shape in shapes.items()
    }


def sequence(batch: int = 2, time: int = 7, width: int = PRIMES[1]) -> Array:
    """A random input (batch, time, input) as wide as the samples."""
    return np.random.default_rng(2).standard_normal((batch, time, width))


def expect_close(found: Array, expected: Array, tolerance: float = 1e-12) -> None:
    """Raise unless no element differs by more than the tolerance."""
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance)


def expect_same_bits(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Raise unless names, shapes, dtypes and bits agree."""
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype), name
        assert found[name].tobytes() == array.tobytes(), name


def recurrent() -> Iterator[cells.Cell]:
    """Every recurrent cell."""
    return (cell for cell in (cells.LSTM, cells.GRU, cells.GRU_RESET_BEFORE, cells.RNN))
