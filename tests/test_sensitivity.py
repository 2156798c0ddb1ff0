"""A damaged layout gives other outputs: what the equivalence tests rely on.

All sizes are equal here, so that no shape gives the damage away: only the outputs can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from layouts import Layout, axes, catalogue, cells, unpack
from layouts.axes import Array, Size
from layouts.frameworks import keras
from layouts.reference import forward

SIZE = 5
NOTICED = 1e-3


def recurrent_layouts() -> Iterator[Layout]:
    for framework in ("pytorch", "keras", "onnx"):
        found = (layout for candidates in catalogue.layers(framework).values() for layout in candidates)
        yield from dict.fromkeys(layout for layout in found if layout.cell.recurrent)


LAYOUTS = list(recurrent_layouts())


def arrays_of(layout: Layout) -> dict[str, Array]:
    rng, sizes = np.random.default_rng(0), {name: Size(SIZE, "", ()) for name in ("input", "unit", "state")}
    plain = {e.name: axes.shape_of(e.pattern, sizes, layout.labels(), e.name) for e in layout.entries()}
    shapes = {e.name: e.custom.shape(plain[e.name]) if e.custom else plain[e.name] for e in layout.entries()}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def outputs(layout: Layout, arrays: Mapping[str, Array]) -> Array:
    x = np.random.default_rng(1).standard_normal((2, 7, SIZE))
    return forward(layout.cell, unpack(layout, arrays), x)[0]


def difference(layout: Layout, damaged: Layout) -> float:
    arrays = arrays_of(layout)
    return float(np.abs(outputs(layout, arrays) - outputs(damaged, arrays)).max())


def expect_noticed(layout: Layout, damaged: Layout) -> None:
    """Raise unless outputs differ by so much that no comparison would pass."""
    assert difference(layout, damaged) > NOTICED


def exchanged(text: str, first: str, second: str) -> str:
    """The text with two words exchanged."""
    return text.replace(first, "\0").replace(second, first).replace("\0", second)


def with_swapped_gates(layout: Layout, first: str, second: str) -> Layout:
    """Two gates exchanged: on the axis, and in names where gates live there."""
    spelled = {gate: layout.spelling.get("gate", {}).get(gate, gate) for gate in layout.gates}
    swapped = {gate: spelled[exchanged(gate, first, second)] for gate in layout.gates}
    return replace(layout, gates=exchanged(layout.gates, first, second), spelling={**layout.spelling, "gate": swapped})


def identified(layout: Layout, *words: str) -> Any:
    return pytest.param(layout, *words, id="-".join((layout.name.replace(" ", "-"), *words)))


SWAPS = [identified(layout, *pair) for layout in LAYOUTS for pair in combinations(layout.gates, 2)]


@pytest.mark.parametrize(("layout", "first", "second"), SWAPS)
def test_swapped_gates_are_noticed(layout: Layout, first: str, second: str) -> None:
    expect_noticed(layout, with_swapped_gates(layout, first, second))


def words_of(pattern: str) -> set[str]:
    return {factor.name for axis in axes.parse(pattern).axes for term in axis.terms for factor in term}


TRANSPOSABLE = [
    identified(layout, name, word)
    for layout in LAYOUTS
    for name, pattern in layout.arrays.items()
    for word in ("input", "state")
    if isinstance(pattern, str) and {word, "unit"} <= words_of(pattern)
]


@pytest.mark.parametrize(("layout", "name", "word"), TRANSPOSABLE)
def test_a_missing_transpose_is_noticed(layout: Layout, name: str, word: str) -> None:
    pattern = layout.arrays[name]
    assert isinstance(pattern, str)
    left, arrow, right = pattern.partition("->")
    damaged = exchanged(left, word, "unit") + arrow + right
    expect_noticed(layout, replace(layout, arrays={**layout.arrays, name: damaged}))


@pytest.mark.parametrize("layout", [identified(keras.LSTM_CUDNN), identified(keras.GRU_CUDNN)])
def test_a_cudnn_kernel_read_as_a_plain_one_is_noticed(layout: Layout) -> None:
    plain = {"kernel": "input (gate unit) -> input_weight"}
    expect_noticed(layout, replace(layout, arrays={**layout.arrays, **plain}))


TWO_BIASED = [identified(layout) for layout in LAYOUTS if {"input_bias", "recurrent_bias"} <= layout.slots]


@pytest.mark.parametrize("layout", TWO_BIASED)
def test_swapped_biases_are_noticed_where_they_differ(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GRU keeps the second bias of n inside r (…); an LSTM and a simple RNN add the two, in whatever order."""
    arrays = arrays_of(layout)
    expected = outputs(layout, arrays)
    stated = {name: pattern for name, pattern in layout.arrays.items() if isinstance(pattern, str)}
    named = {name: exchanged(pattern, "input_bias", "recurrent_bias") for name, pattern in stated.items()}
    monkeypatch.setattr("layouts.layout.SIDES", ("recurrent", "input"))
    found = float(np.abs(outputs(replace(layout, arrays={**layout.arrays, **named}), arrays) - expected).max())
    assert found > NOTICED if layout.cell is cells.GRU else found <= 1e-12


@pytest.mark.parametrize("layout", [identified(layout) for layout in LAYOUTS if "input_bias" in layout.slots])
def test_a_lost_bias_is_noticed(layout: Layout) -> None:
    arrays = arrays_of(layout)
    kept = {
        entry.name: array
        for entry, array in zip(layout.entries(), arrays.values(), strict=True)
        if not any("bias" in target.template for target in entry.pattern.targets)
    }
    assert float(np.abs(outputs(layout, arrays) - outputs(layout, kept)).max()) > NOTICED
