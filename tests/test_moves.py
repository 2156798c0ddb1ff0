"""What pictures say of a move: elements moved from region to region, as told, are those that `repack` gives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from layout_samples import (
    BOTH,
    OPTIONS,
    every_layout,
    given,
    numbered,
    shapes_of,
    sizes_of,
)

from layouts import Layout, Piece, pack, unpack
from layouts.axes import Array
from layouts.errors import NotRepresentable
from layouts.frameworks import chainer, flax, gateport, haiku, keras, pytorch
from layouts.moves import Added, Moves, Stored, moves
from layouts.regions import Region, Span, Step, of_layout

EVERY = every_layout()
NO_CONSTANT = ("projection", "peephole")


def extent(*layouts: Layout) -> tuple[tuple[str, ...], int]:
    """Two directions where every layout tells them apart, two layers where their names do."""
    both = all(layout.holds("direction") for layout in layouts)
    deep = all("{layer}" in "".join(layout.arrays) for layout in layouts)
    return BOTH if both else BOTH[:1], 2 if deep else 1


def counted(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Every element of a layer has a number of its own; floating point, so that conventions may compute."""
    arrays, start = {}, 1
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        arrays[name] = np.arange(start, start + size, dtype=np.float64).reshape(shape)
        start += size
    return arrays


def indices(region: Region, words: tuple[str, ...]) -> tuple[Array, ...]:
    """The index of every element of a region along each axis, the elements in the order of these words."""
    grid = dict(zip(words, np.indices([region.sizes[word] for word in words]), strict=True))
    empty = np.zeros([region.sizes[word] for word in words], int)
    return tuple(
        span.start + sum((step.stride * grid[step.word] for step in span.steps), empty) for span in region.spans
    )


def elements(region: Region, array: Array, words: tuple[str, ...]) -> Array:
    assert array.shape == region.shape
    return np.asarray(array[indices(region, words)])


def constant(added: Added) -> float:
    return added.sign * (OPTIONS[added.value] if isinstance(added.value, str) else added.value)


def moved(found: Moves, arrays: Mapping[str, Array], target: Layout) -> dict[str, Array]:
    """Arrays of the target, every element moved by what the moves say and by nothing else."""
    filled: dict[str, Array] = {}
    for move in found.moves:
        words = target.cell.slots[move.piece.slot].dims
        parts = [elements(own.region, arrays[own.region.array], words) for own in move.sources]
        value = move.sign * sum(parts, np.zeros([move.target.sizes[word] for word in words]))
        value = value + sum(map(constant, move.added)) if move.fill is None else np.full_like(value, move.fill)
        value = value * move.factor
        array = filled.setdefault(move.target.array, np.full(move.target.shape, np.nan))
        where = indices(move.target, words)
        assert np.isnan(array[where]).all(), "a place is filled twice"
        array[where] = value
    return filled


def plain(layout: Layout) -> bool:
    """Whether every array is a view of its pattern."""
    return not any(entry.custom for entry in layout.entries())


@pytest.mark.parametrize("layout", numbered(EVERY))
def test_a_region_holds_what_its_view_holds(layout: Layout) -> None:
    directions, layers = extent(layout)
    shapes = shapes_of(layout, directions, layers)
    stated = given(sizes_of(layout))
    arrays = counted(shapes)
    bare = Layout(layout.framework, layout.cell, layout.arrays, layout.gates, layout.spelling)
    views = unpack(bare, arrays, directions=directions, layers=layers, sizes=stated)
    found = of_layout(layout, shapes, directions=directions, layers=layers, sizes=stated)
    assert found.keys() == views.keys()
    for piece, region in found.items():
        own, view = elements(region, arrays[region.array], layout.cell.slots[piece.slot].dims), views[piece]
        if region.reshaped:
            own, view = np.sort(own.ravel()), np.sort(view.ravel())
        assert np.array_equal(own, view), piece


HUBS = ("pytorch", "gateport", "keras")
"""Every layout is moved into theirs, and theirs into every layout."""


def goals(source: Layout) -> list[Layout]:
    """Into which layouts of the same cell this one is moved: itself among them."""
    alike = [layout for layout in EVERY if layout.cell is source.cell and plain(layout)]
    return [layout for layout in alike if layout is source or {source.framework, layout.framework} & {*HUBS}]


@pytest.mark.parametrize("source", numbered(layout for layout in EVERY if plain(layout)))
def test_moving_what_the_moves_say_is_repacking(source: Layout) -> None:
    for target in goals(source):
        directions, layers = extent(source, target)
        without = tuple(slot for slot in NO_CONSTANT if slot not in target.slots)
        stated = given(sizes_of(source, without))
        arrays = counted(shapes_of(source, directions, layers, without))
        told = {"directions": directions, "layers": layers, "sizes": stated}
        regions = of_layout(source, {name: array.shape for name, array in arrays.items()}, **told)
        found = moves({piece: Stored(source, region) for piece, region in regions.items()}, target, stated)
        if any(piece.slot != "recurrent_bias" for piece, _ in found.homeless):
            with pytest.raises(NotRepresentable, match="has no place"):
                pack(target, unpack(source, arrays, options=OPTIONS, **told), options=OPTIONS, sizes=stated)
            continue
        for _, own in found.homeless:
            arrays[own.region.array][indices(own.region, own.region.words)] = 0.0
        expected = pack(target, unpack(source, arrays, options=OPTIONS, **told), options=OPTIONS, sizes=stated)
        given_back = moved(found, arrays, target)
        assert given_back.keys() == expected.keys()
        for name, array in expected.items():
            assert np.array_equal(given_back[name], array), f"{target.name} {name}"


def test_what_is_written_times_a_factor_is_told() -> None:
    arrays, factors = counted(shapes_of(keras.LSTM)), {"i": 0.25, "o": 3.0}
    stored = {
        piece: Stored(keras.LSTM, region) for piece, region in of_layout(keras.LSTM, shapes_of(keras.LSTM)).items()
    }
    expected = pack(pytorch.LSTM, unpack(keras.LSTM, arrays), factors=factors)
    found = moved(moves(stored, pytorch.LSTM, factors=factors), arrays, pytorch.LSTM)
    assert found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


def told(source: Layout, target: Layout, without: tuple[str, ...] = ()) -> Moves:
    found = of_layout(source, shapes_of(source, without=without))
    return moves({piece: Stored(source, region) for piece, region in found.items()}, target)


def of(found: Moves, slot: str, gate: str) -> tuple[tuple[str, ...], int, tuple[Added, ...], float | None]:
    move = next(move for move in found.moves if move.piece == Piece(slot, gate))
    return tuple(own.region.array for own in move.sources), move.sign, move.added, move.fill


def test_a_bias_that_is_added_when_the_layer_runs_is_told() -> None:
    found = told(haiku.LSTM, pytorch.LSTM)
    assert of(found, "input_bias", "f") == (("linear/b",), 1, (Added(1.0, 1),), None)
    assert of(found, "input_bias", "i") == (("linear/b",), 1, (), None)
    assert of(found, "recurrent_bias", "f") == ((), 1, (), 0.0)


def test_a_bias_that_is_not_stored_is_what_is_added() -> None:
    found = told(haiku.LSTM, pytorch.LSTM, without=("input_bias",))
    assert of(found, "input_bias", "f") == ((), 1, (Added(1.0, 1),), None)


def test_two_biases_are_summed_or_must_be_zero() -> None:
    found = told(pytorch.GRU, keras.GRU)
    assert found.homeless == () and of(found, "recurrent_bias", "n") == (("bias_hh_l0",), 1, (), None)
    summed = told(pytorch.LSTM, keras.LSTM, without=("projection",))
    assert summed.homeless == () and of(summed, "input_bias", "i")[0] == ("bias_ih_l0", "bias_hh_l0")
    lost = told(pytorch.GRU, flax.GRU_JOINED)
    assert [(piece, own.region.array) for piece, own in lost.homeless] == [(Piece("recurrent_bias", "n"), "bias_hh_l0")]


def test_a_gate_of_opposite_sense_is_told() -> None:
    found = told(haiku.GRU, gateport.GRU_RESET_BEFORE)
    assert [of(found, "input_weight", gate)[1] for gate in "rzn"] == [1, -1, 1]
    assert of(found, "input_bias", "z")[1] == -1
    again = told(haiku.GRU, chainer.GRU)
    assert of(again, "input_weight", "z")[1] == 1


def test_interleaved_blocks_are_runs_of_one() -> None:
    region = of_layout(chainer.LSTM, shapes_of(chainer.LSTM))[Piece("input_weight", "i")]
    assert region.spans[0].runs(9) == [(1, 1), (5, 1), (9, 1), (13, 1), (17, 1)]
    assert region.spans[0].runs(3) == [(1, 1), (5, 1), (17, 1)]
    whole = of_layout(keras.LSTM, shapes_of(keras.LSTM))[Piece("input_weight", "f")]
    assert [span.runs(3) for span in whole.spans] == [[(0, 3)], [(5, 5)]]
    assert Span(0, (Step("a", 2, 12), Step("b", 3, 4), Step("c", 2, 1))).runs(9) == [(k, 2) for k in range(0, 24, 4)]
    assert Span(5, (Step("a", 3, -2),)).runs(9) == [(1, 1), (3, 1), (5, 1)]


def test_labels_on_an_axis_that_is_stored_backwards() -> None:
    bias = {"bias": "~side (gate unit) -> {side}_bias"}
    odd = Layout("odd", pytorch.GRU.cell, {**keras.GRU.arrays, **bias}, gates="zrn")
    found = of_layout(odd, shapes_of(odd))
    arrays = counted(shapes_of(odd))
    for piece, view in unpack(odd, arrays).items():
        region = found[piece]
        assert np.array_equal(elements(region, arrays[region.array], odd.cell.slots[piece.slot].dims), view)
