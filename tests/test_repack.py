"""Moving weights between frameworks: outputs stay, whatever the way; what has no place is refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from layout_samples import (
    BOTH,
    OPTIONS,
    every_layout,
    expect_close,
    expect_same_bits,
    given,
    normal,
    recurrent,
    sequence,
    shapes_of,
    sizes_of,
)
from sampling import sampled

from layouts import Layout, Piece, catalogue, cells, pack, repack, unpack
from layouts.axes import Array
from layouts.errors import CoverageError, NotRepresentable
from layouts.frameworks import chainer, flax, haiku, keras, lasagne, pytorch
from layouts.frameworks import tensorflow as tf1
from layouts.reference import forward
from layouts.repack import changed

NO_CONSTANT = ("projection", "peephole")
"""Slots that a layout either has a place for or not: no number stands for a missing one."""


def pair(first: Layout, *others: Layout) -> Any:
    names = "-to-".join(layout.name.replace(" ", "-") for layout in (first, *others))
    return pytest.param(first, *others, id=names)


def places(layout: Layout) -> set[Piece]:
    return set(unpack(layout, normal(shapes_of(layout)), options=OPTIONS, sizes=given(sizes_of(layout))))


def common(source: Layout, *targets: Layout) -> dict[Piece, Array]:
    """Random pieces of the source, but of slots that not every target has; a second bias that would be lost is zero."""
    lacking = [slot for slot in NO_CONSTANT if any(slot not in layout.slots for layout in targets)]
    stated = given(sizes_of(source, lacking))
    pieces = unpack(source, normal(shapes_of(source, without=lacking)), options=OPTIONS, sizes=stated)
    for target in targets:
        for piece in set(pieces) - places(target):
            if not source.cell.sums(piece.gate):
                pieces[piece][...] = 0.0
    return pieces


def moved(layout: Layout, pieces: Mapping[Piece, Array]) -> dict[Piece, Array]:
    """Pieces after a stay in the arrays of this layout."""
    dims = [(layout.cell.slots[piece.slot].dims, value.shape) for piece, value in pieces.items()]
    stated = given({name: size for names, shape in dims for name, size in zip(names, shape, strict=True)})
    return unpack(layout, pack(layout, pieces, options=OPTIONS), options=OPTIONS, sizes=stated)


def outputs(cell: cells.Cell, pieces: Mapping[Piece, Array]) -> Array:
    return forward(cell, pieces, sequence())[0]


PAIRS = sampled((pair(a, b) for cell in recurrent() for a in every_layout(cell) for b in every_layout(cell)), 23)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_of_layouts_gives_equal_outputs(source: Layout, target: Layout) -> None:
    pieces = common(source, target)
    expected = outputs(source.cell, pieces)
    assert np.abs(expected).max() > 0.1
    expect_close(outputs(source.cell, moved(target, pieces)), expected)


FRAMEWORKS = [
    list({layout.framework: layout for layout in reversed(every_layout(cell))}.values()) for cell in recurrent()
]
"""For every recurrent cell the first layout of each framework."""

TRIANGLES = sampled((pair(*three) for layouts in FRAMEWORKS for three in permutations(layouts, 3)), 97)


@pytest.mark.parametrize(("first", "second", "third"), TRIANGLES)
def test_a_detour_changes_nothing(first: Layout, second: Layout, third: Layout) -> None:
    pieces = common(first, second, third)
    direct, detour = moved(third, pieces), moved(third, moved(second, pieces))
    expect_close(outputs(first.cell, detour), outputs(first.cell, direct))


STATIC = [layout for layout in every_layout() if not layout.cell.summed and not layout.cell.recurrent]


STATIC_PAIRS = sampled((pair(a, b) for a, b in permutations(STATIC, 2) if a.cell is b.cell and a.slots == b.slots), 13)


@pytest.mark.parametrize(("source", "target"), STATIC_PAIRS)
def test_other_layers_keep_every_bit(source: Layout, target: Layout) -> None:
    pieces = common(source, target)
    again = moved(target, pieces)
    assert set(again) == set(pieces)
    for piece, value in pieces.items():
        assert np.array_equal(again[piece], value), piece


# --- there and back, for every pair of frameworks whose cells agree

HOMES = [
    list({layout.framework: layout for layout in reversed(every_layout(cell))}.values())
    for cell in dict.fromkeys(layout.cell for layout in every_layout())
]
"""For every cell the first layout of each framework."""


def sums(pieces: Mapping[Piece, Array]) -> dict[Piece, Array]:
    """The biases of every gate, added up."""
    found: dict[Piece, Array] = {}
    for piece, value in pieces.items():
        if piece.slot in ("input_bias", "recurrent_bias"):
            bias = piece._replace(slot="input_bias")
            found[bias] = found.get(bias, 0.0) + value
    return found


def expect_alike(found: Mapping[Piece, Array], expected: Mapping[Piece, Array], summed: bool) -> None:
    """Raise unless every bit agrees; with `summed`, those of biases may differ, and not their sum. 0 may be absent."""
    for piece in {*found, *expected}:
        one, other = (np.asarray(pieces.get(piece, 0.0)) for pieces in (found, expected))
        if not (summed and "bias" in piece.slot):
            assert np.array_equal(*np.broadcast_arrays(one, other)), piece
    for piece, value in sums(expected).items():
        expect_close(sums(found)[piece], value)


THERE_AND_BACK = sampled((pair(a, b) for homes in HOMES for a, b in permutations(homes, 2)), 7)


@pytest.mark.parametrize(("source", "target"), THERE_AND_BACK)
def test_there_and_back(source: Layout, target: Layout) -> None:
    pieces = common(source, target)
    back, lost = moved(target, pieces), changed(target, pieces, OPTIONS)
    conventions = bool(target.added) or "recurrent_bias" not in target.slots or not places(source) <= places(target)
    assert not lost or conventions, "no convention is named that would change a bias"
    expect_alike(back, pieces, bool(lost))
    if not lost and not source.added:
        own = {"options": OPTIONS, "sizes": given(sizes_of(source))}
        expect_same_bits(pack(source, back, **own), pack(source, pieces, **own))


DETOURS = sampled((pair(*three) for homes in HOMES for three in combinations(homes, 3)), 41)


@pytest.mark.parametrize(("first", "second", "third"), DETOURS)
def test_a_detour_keeps_every_bit(first: Layout, second: Layout, third: Layout) -> None:
    pieces = common(first, second, third)
    lost = [*changed(second, pieces, OPTIONS), *changed(third, pieces, OPTIONS)]
    expect_alike(moved(third, moved(second, pieces)), moved(third, pieces), bool(lost))


# --- two biases and one


def test_one_bias_becomes_two_and_the_second_is_zero() -> None:
    source = normal(shapes_of(keras.LSTM))
    target = repack(keras.LSTM, pytorch.LSTM, source)
    assert np.array_equal(target["bias_ih_l0"], source["bias"])
    assert not target["bias_hh_l0"].any()


def test_two_biases_become_one_where_the_equation_adds_them() -> None:
    source = normal(shapes_of(pytorch.LSTM, without=("projection",)))
    target = repack(pytorch.LSTM, keras.LSTM, source)
    assert np.array_equal(target["bias"], source["bias_ih_l0"] + source["bias_hh_l0"])


def test_the_second_bias_of_a_gru_candidate_is_refused_where_there_is_one_bias() -> None:
    with pytest.raises(NotRepresentable, match=r"no place for recurrent_bias\[n\], which is not zero"):
        repack(pytorch.GRU, flax.GRU_JOINED, normal(shapes_of(pytorch.GRU)))


def test_the_second_bias_of_a_gru_candidate_may_be_zero() -> None:
    source = normal(shapes_of(pytorch.GRU))
    source["bias_hh_l0"][10:] = 0.0  # r, z, n of 5 units: n begins at 10
    target = repack(pytorch.GRU, flax.GRU_JOINED, source)
    assert np.array_equal(target["dense_i/bias"], source["bias_ih_l0"] + source["bias_hh_l0"])


def test_a_gru_keeps_the_second_bias_of_its_candidate_alone() -> None:
    source = normal(shapes_of(pytorch.GRU))
    target = repack(pytorch.GRU, flax.GRU, source)
    assert np.array_equal(target["hn/bias"], source["bias_hh_l0"][10:])
    assert np.array_equal(target["in/bias"], source["bias_ih_l0"][10:])
    assert np.array_equal(target["iz/bias"], (source["bias_ih_l0"] + source["bias_hh_l0"])[5:10])


def test_a_layer_without_biases_stays_without() -> None:
    source = normal({name: shape for name, shape in shapes_of(keras.GRU).items() if name != "bias"})
    assert sorted(repack(keras.GRU, pytorch.GRU, source)) == ["weight_hh_l0", "weight_ih_l0"]


def test_a_zero_second_bias_moves_as_opaque_words() -> None:
    source = {name: array.astype(np.uint16) for name, array in normal(shapes_of(pytorch.LSTM_CELL)).items()}
    source["bias_hh"][...] = 0
    expect_same_bits({"bias": repack(pytorch.LSTM_CELL, keras.LSTM, source)["bias"]}, {"bias": source["bias_ih"]})


# --- constants and senses


def test_a_forget_offset_is_added_on_the_way_in() -> None:
    source = normal(shapes_of(tf1.BASIC_LSTM))
    pieces = unpack(tf1.BASIC_LSTM, source, options={"forget_bias": 0.75})
    i, g, f, o = np.split(source["bias"], 4)
    for gate, stored in {"i": i, "g": g, "f": f + 0.75, "o": o}.items():
        assert np.array_equal(pieces[Piece("input_bias", gate)], stored), gate


def test_a_forget_offset_is_taken_off_on_the_way_out() -> None:
    source = normal(shapes_of(keras.LSTM))
    target = pack(tf1.BASIC_LSTM, unpack(keras.LSTM, source), options={"forget_bias": 0.75})
    i, f, g, o = np.split(source["bias"], 4)
    assert np.array_equal(target["bias"], np.concatenate([i, g, f - 0.75, o]))


def test_a_forget_offset_makes_a_bias_where_there_was_none() -> None:
    source = normal({name: shape for name, shape in shapes_of(keras.LSTM).items() if name != "bias"})
    target = pack(tf1.BASIC_LSTM, unpack(keras.LSTM, source), options={"forget_bias": 0.75})
    assert target["bias"].tolist() == [0.0] * 10 + [-0.75] * 5 + [0.0] * 5


def test_a_forget_offset_has_to_be_stated() -> None:
    with pytest.raises(NotRepresentable, match="forget_bias"):
        unpack(tf1.BASIC_LSTM, normal(shapes_of(tf1.BASIC_LSTM)))


def test_a_fixed_forget_offset_needs_no_statement_and_takes_none() -> None:
    source = normal(shapes_of(haiku.LSTM))
    for options in ({}, {"forget_bias": 0.75}):
        pieces = unpack(haiku.LSTM, source, options=options)
        assert np.array_equal(pieces[Piece("input_bias", "f")], source["linear/b"][10:15] + 1.0)


@pytest.mark.parametrize(
    ("layout", "name"), [(lasagne.GRU, "W_in_to_updategate"), (chainer.GRU, "W_z/W")], ids=["lasagne", "chainer"]
)
def test_a_gate_of_opposite_sense_is_negated(layout: Layout, name: str) -> None:
    source = normal(shapes_of(layout))
    value = unpack(layout, source)[Piece("input_weight", "z")]
    assert np.array_equal(value, -(source[name].T if layout is lasagne.GRU else source[name]))


def test_only_the_gate_of_opposite_sense_is_negated() -> None:
    source = normal(shapes_of(lasagne.GRU))
    pieces = unpack(lasagne.GRU, source)
    assert np.array_equal(pieces[Piece("input_bias", "z")], -source["b_updategate"])
    assert np.array_equal(pieces[Piece("input_bias", "r")], source["b_resetgate"])
    assert np.array_equal(pieces[Piece("recurrent_weight", "n")], source["W_hid_to_hidden_update"].T)


# --- refusals


def test_pytorch_has_no_layout_for_a_reset_before() -> None:
    with pytest.raises(NotRepresentable, match="pytorch has no layer that computes gru reset before") as caught:
        catalogue.target(("pytorch",), [cells.GRU_RESET_BEFORE])
    assert caught.value.layout == "pytorch"


@pytest.mark.parametrize(
    ("source", "target"),
    [pair(a, b) for a, b in combinations([lists[0] for lists in FRAMEWORKS], 2)],
)
def test_different_equations_are_refused(source: Layout, target: Layout) -> None:
    with pytest.raises(NotRepresentable, match="different equations"):
        repack(source, target, normal(shapes_of(source)))


@pytest.mark.parametrize("slot", NO_CONSTANT)
def test_weights_without_a_place_are_refused(slot: str) -> None:
    without = [other for other in NO_CONSTANT if other != slot]
    pieces = unpack(tf1.LSTM, normal(shapes_of(tf1.LSTM, without=without)), options=OPTIONS)
    with pytest.raises(NotRepresentable, match=f"no place for {slot}"):
        pack(tf1.BASIC_LSTM, pieces, options=OPTIONS)


def test_a_missing_weight_is_refused() -> None:
    pieces = unpack(keras.LSTM, normal(shapes_of(keras.LSTM)))
    del pieces[Piece("recurrent_weight", "g")]
    with pytest.raises(CoverageError, match=r"weight_hh_l0: nothing fills recurrent_weight\[g\]"):
        pack(pytorch.LSTM, pieces)


BOTH_IN_ONE_ARRAY = Layout(
    "none",
    cells.GRU,
    {
        "W": "direction (gate unit) input -> input_weight",
        "R": "direction (gate unit) state -> recurrent_weight",
        "B": "direction (side gate unit) -> {side}_bias",
    },
    gates="zrn",
)


def test_an_axis_of_directions_holds_forward_first_in_whatever_order_pieces_come() -> None:
    source = normal(shapes_of(BOTH_IN_ONE_ARRAY, BOTH))
    pieces = unpack(BOTH_IN_ONE_ARRAY, source, directions=BOTH)
    assert np.array_equal(pieces[Piece("input_weight", "r", direction="backward")], source["W"][1, 5:10])
    expect_same_bits(pack(BOTH_IN_ONE_ARRAY, dict(reversed(pieces.items()))), source)
