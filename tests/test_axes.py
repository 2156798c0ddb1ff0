"""The notation: any pattern cuts any array into views that cover it once; what is wrong is said where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layout_samples import normal, shapes_of

from layouts import Layout, axes, cells, unpack
from layouts.axes import Pattern, Size, parse
from layouts.errors import LayoutError, ShapeError
from layouts.frameworks import keras, keras_convolutions, pytorch

NAMES = ("input", "unit", "state", "height", "width", "depth", "in", "out")
LABELS: dict[str, Sequence[Any]] = {"gate": "ifgo", "direction": ("forward", "backward"), "role": ("query", "key")}
LABEL_WORDS = ("gate", "gate:f", "gate:og", "direction", "role")


def sized(**sizes: int) -> dict[str, Size]:
    return {name: Size(value, "", ()) for name, value in sizes.items()}


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Pattern, dict[str, int]]:
    """A pattern of products, labels, reversed axes, axes of one and perhaps one stack, with a size for every word."""
    labels = draw(st.lists(st.sampled_from(LABEL_WORDS), max_size=3, unique_by=lambda word: word.split(":")[0]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    words = draw(st.permutations(labels + names))
    texts: list[str] = []
    while words:
        count = draw(st.integers(1, min(3, len(words))))
        axis, words = words[:count], words[count:]
        texts.append(draw(st.sampled_from(["", "~"])) + axis[0] if count == 1 else f"({' '.join(axis)})")
    texts += ["1"] * draw(st.integers(0, 2))
    slots = "weight"
    if draw(st.booleans()):
        texts.append(draw(st.sampled_from(["(first + second)", "(first + second third)"])))
        slots = "weight + bias"
    text = f"{' '.join(draw(st.permutations(texts)))} -> {slots}"
    sizes = {name: draw(st.integers(1, 4)) for name in (*names, "first", "second", "third")}
    return parse(text), sizes


def numbered_array(pattern: Pattern, sizes: dict[str, int]) -> np.ndarray[Any, Any]:
    shape = axes.shape_of(pattern, sized(**sizes), LABELS, "array")
    return np.arange(math.prod(shape)).reshape(shape)


@given(patterns())
def test_parts_cover_each_element_exactly_once(case: tuple[Pattern, dict[str, int]]) -> None:
    pattern, sizes = case
    array = numbered_array(pattern, sizes)
    found = [part.view.ravel() for part in axes.views(array, pattern, sized(**sizes), LABELS)]
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(array.size))


@given(patterns())
def test_parts_share_the_memory_of_the_array(case: tuple[Pattern, dict[str, int]]) -> None:
    pattern, sizes = case
    array = numbered_array(pattern, sizes)
    for part in axes.views(array, pattern, sized(**sizes), LABELS):
        part.view[...] = -1
    assert (array == -1).all()


@given(patterns(), st.sampled_from(["uint8", "float16", "float32", "float64", "complex128"]), st.randoms())
def test_a_round_trip_keeps_every_bit(case: tuple[Pattern, dict[str, int]], dtype: str, random: Any) -> None:
    pattern, sizes = case
    source = numbered_array(pattern, sizes).astype(dtype)
    source.view(np.uint8)[...] = np.frombuffer(random.randbytes(source.nbytes), np.uint8).reshape(
        source.view(np.uint8).shape
    )
    target = np.zeros_like(source)
    taken = list(axes.views(source, pattern, sized(**sizes), LABELS))
    for part, place in zip(taken, axes.views(target, pattern, sized(**sizes), LABELS), strict=True):
        assert (part.slot, part.labels, part.axes) == (place.slot, place.labels, place.axes)
        place.view[...] = part.view
    assert target.tobytes() == source.tobytes()


@given(patterns(), st.data())
def test_one_unknown_size_is_solved(case: tuple[Pattern, dict[str, int]], data: st.DataObject) -> None:
    pattern, sizes = case
    shape = numbered_array(pattern, sizes).shape
    unknown = data.draw(st.sampled_from([f.name for a in pattern.axes for t in a.terms for f in t if not f.is_label]))
    known = {name: size for name, size in sizes.items() if name != unknown}
    assert axes.solve({"array": pattern}, {"array": shape}, LABELS, {}, known)[unknown].value == sizes[unknown]


def test_a_part_is_named_by_slot_labels_and_axes() -> None:
    array = np.arange(24).reshape(4, 6)
    found = list(axes.views(array, parse("input (gate:og unit) -> input_weight"), sized(input=4, unit=3), LABELS))
    assert [(part.slot, part.labels, part.axes) for part in found] == [
        ("input_weight", {"gate": "o"}, ("input", "unit")),
        ("input_weight", {"gate": "g"}, ("input", "unit")),
    ]
    assert np.array_equal(found[1].view, array[:, 3:])


def test_interleaved_gates_are_strided_views() -> None:
    (i, f, *_) = axes.views(np.arange(8), parse("(unit gate) -> input_bias"), sized(unit=2), LABELS)
    assert (i.view.tolist(), f.view.tolist()) == ([0, 4], [1, 5])


def test_a_reversed_axis_is_read_backwards() -> None:
    (part,) = axes.views(np.arange(6).reshape(2, 3), parse("~height out -> weight"), sized(height=2, out=3), LABELS)
    assert part.view.tolist() == [[3, 4, 5], [0, 1, 2]]


def test_a_stacked_axis_is_cut_in_order() -> None:
    pattern = parse("(input + state) -> input_weight[n] + recurrent_weight[n]")
    above, below = axes.views(np.arange(5), pattern, sized(input=2, state=3), LABELS)
    assert (above.slot, above.view.tolist(), above.labels) == ("input_weight", [0, 1], {"gate": "n"})
    assert (below.slot, below.view.tolist(), below.labels) == ("recurrent_weight", [2, 3, 4], {"gate": "n"})


@pytest.mark.parametrize(
    "text",
    [
        "input unit",
        "input unit ->",
        "input unit -> two words",
        "input unit -> 7",
        "(input unit -> weight",
        "input) unit -> weight",
        "((gate unit)) input -> weight",
        "input input -> weight",
        "(input + state) unit -> weight",
        "input unit -> weight + bias",
        "(a + b) (c + d) -> weight + bias",
        "(input +) unit -> weight + bias",
        "() unit -> weight",
        "gate:RZ unit -> weight",
        "in-put -> weight",
        "2 unit -> weight",
        "input unit -> weight[rz]",
        "input unit -> weight[]",
    ],
)
def test_a_bad_pattern_is_refused(text: str) -> None:
    with pytest.raises(LayoutError):
        parse(text)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"kernel": "input (gate unit) -> weights"}, "no slot 'weights'"),
        ({"kernel": "inputs (gate unit) -> input_weight"}, "has the axes 'gate unit input'"),
        ({"kernel": "(gate unit) -> input_weight"}, "has the axes"),
        ({"kernel": "input unit -> input_weight"}, "nothing tells the gate"),
        ({"kernel": "input (gate:rz unit) -> input_weight"}, "has the gates 'ifgo'"),
        ({"kernel": "input unit -> input_weight[n]"}, "has the gates 'ifgo'"),
    ],
)
def test_a_bad_layout_is_refused_when_it_is_made(arrays: dict[str, str], reason: str) -> None:
    with pytest.raises(LayoutError, match=reason):
        Layout("none", cells.LSTM, arrays, gates="ifgo")


@pytest.mark.parametrize("gates", ["ifg", "ifgoo", "rzn", ""])
def test_a_layout_lists_every_gate_once(gates: str) -> None:
    with pytest.raises(LayoutError, match="gates"):
        Layout("none", cells.LSTM, {"bias": "(gate unit) -> input_bias"}, gates=gates)


@pytest.mark.parametrize(
    ("layout", "name", "shape", "expected"),
    [
        pytest.param(
            keras.LSTM,
            "kernel",
            (3, 15),
            [
                "kernel: shape (3, 15)",
                "recurrent_kernel (5, 20) makes unit 5",
                "axis 1 ((gate unit)) should be 4 × 5 = 20, and it is 15",
                "15 would be a GRU (3 gates)",
            ],
            id="gates-of-a-gru",
        ),
        pytest.param(
            keras.GRU,
            "bias",
            (2, 20),
            ["bias: shape (2, 20)", "axis 1 ((gate unit))", "3 × 5 = 15", "20 would be an LSTM (4 gates)"],
            id="gates-of-an-lstm",
        ),
        pytest.param(
            keras.GRU, "bias", (15,), ["bias: shape (15,) has 1 axes", "describes 2"], id="one-bias-instead-of-two"
        ),
        pytest.param(keras.GRU, "bias", (3, 15), ["axis 0 (side) should be 2, and it is 3"], id="three-biases"),
        pytest.param(
            keras.LSTM, "kernel", (3, 21), ["axis 1 ((gate unit)) should be 4 × 5 = 20, and it is 21"], id="no-multiple"
        ),
        pytest.param(
            keras_convolutions.CONV1D[2], "W", (7, 2, 3, 5), ["axis 1 (1) should be 1, and it is 2"], id="axis-of-one"
        ),
        pytest.param(
            pytorch.LSTM, "weight_hh_l0", (28, 5), ["weight_hh_l0", "4 × 5 = 20, and it is 28"], id="another-unit"
        ),
    ],
)
def test_a_wrong_shape_is_explained(layout: Layout, name: str, shape: tuple[int, ...], expected: list[str]) -> None:
    without = ("projection",)
    with pytest.raises(ShapeError) as caught:
        unpack(layout, normal(shapes_of(layout, without=without) | {name: shape}))
    assert [text for text in expected if text not in str(caught.value)] == []
    assert caught.value.array == name


def test_a_size_that_no_shape_tells_has_to_be_stated() -> None:
    pattern = parse("(head key) -> input_bias")
    with pytest.raises(ShapeError, match="the shapes do not tell 'head'"):
        axes.shape_of(pattern, axes.solve({"b": pattern}, {"b": (6,)}, {}, {}, {}), {}, "b")


def test_a_known_size_of_zero_is_refused_and_not_divided_by() -> None:
    pattern = parse("(head key) -> input_bias")
    with pytest.raises(ShapeError, match="axis 0"):
        axes.solve({"b": pattern}, {"b": (6,)}, {}, {}, {"head": 0})
