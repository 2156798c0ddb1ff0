"""Small weights, constants that are none, the axes that a person sees, names and order of layers in ONNX graphs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from onnx import helper
from test_onnx_graphs import BATCH, INPUT, LSTM, TIME, UNITS, B, R, W, model, normal, quietly, run

import converters

WEIGHTS = {"W": W, "R": R, "B": B}


def node(op: str, *inputs: str, out: str = "z", name: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [out], name=name, **attributes)


# ---- Small weights ----


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1)])
def test_one_slope_of_any_rank_is_a_prelu(shape: tuple[int, ...]) -> None:
    found = model([node("PRelu", "x", "slope", name="act")], {"slope": normal(*shape)}, "z")
    tensors = converters.convert(found, layer="act")
    assert converters.plan(found).modules[0].constructor == "nn.PReLU(1)"
    built, x = torch.nn.PReLU(), normal(TIME, BATCH, INPUT)
    built.load_state_dict(tensors)
    np.testing.assert_array_equal(built(torch.from_numpy(x)).detach().numpy(), run(found, x))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1, 5)])
def test_slopes_of_a_channels_axis_that_is_the_last(shape: tuple[int, ...]) -> None:
    """(batch, channels) with an axis more than there are is what ONNX refuses, and so do we."""
    found = model([node("PRelu", "x", "slope", name="act")], {"slope": normal(*shape)}, "z", x=(7, 5))
    tensors = converters.convert(found, layer="act")
    assert torch.equal(tensors["weight"], torch.from_numpy(normal(*shape).reshape(5)))


@pytest.mark.parametrize("shape", [(5, 1), (1, 5, 1), (5, 1, 1, 1), (2, 5), (5, 7), (7,)])
def test_slopes_of_channels_in_three_dimensions_or_a_clear_refusal(shape: tuple[int, ...]) -> None:
    found = model([node("PRelu", "x", "slope", name="act")], {"slope": normal(*shape)}, "z", x=(2, 5, 7))
    if shape in ((5, 1), (1, 5, 1)):
        assert converters.convert(found, layer="act")["weight"].shape == (5,)
    else:
        with pytest.raises(converters.NotRepresentable, match=r"act.*slopes"):
            converters.convert(found)


@pytest.mark.parametrize("op", ["Mul", "Add", "Sub", "Div", "Pow", "Max"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_one_trained_number_is_refused_by_name(op: str, shape: tuple[int, ...]) -> None:
    found = model([LSTM, node(op, "y", "scale", name="scaled")], WEIGHTS | {"scale": normal(*shape, seed=3)}, "z")
    with pytest.raises(converters.UnknownLayer, match=r"scaled.*reads scale"):
        converters.convert(found)
    assert "scaled.scale" in quietly(found, strict=False)


@pytest.mark.parametrize("value", [0.5, 1.0, -1e9, 2**0.5, 8**-0.5, 1 / 6, 1e-5, 0.044715, 3.0, 0.2, float("-inf")])
def test_numbers_that_people_write_are_named_and_not_refused(value: float) -> None:
    found = model([LSTM, node("Mul", "y", "folded", name="m")], WEIGHTS | {"folded": np.float32(value)}, "z")
    with pytest.warns(converters.ConversionWarning, match=r"taken for constants.*folded = .* in m \(Mul\)"):
        assert len(converters.convert(found)) == 4


def test_settings_and_literals_are_silent() -> None:
    nodes = [
        LSTM,
        node("Clip", "y", "low", "high", out="a"),
        node("Pow", "a", "two", out="b"),
        node("Add", "b", "epsilon", out="c"),
        node("Sqrt", "c", out="d"),
        node("Constant", out="half", value_float=0.5),
        node("Mul", "d", "half"),
    ]
    numbers = {"low": 0.0, "high": 6.0, "two": 2.0, "epsilon": 1e-6}
    arrays = WEIGHTS | {name: np.float32(value) for name, value in numbers.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(converters.convert(model(nodes, arrays, "z"))) == 4


def test_a_part_of_an_array_that_no_layer_reads_is_not_dropped() -> None:
    """One stored array, of which a layer has the first half, and arithmetic the second."""
    flat = normal(INPUT + 11, 11)
    arrays = WEIGHTS | {"flat": flat, "zero": np.array([0]), "cut": np.array([INPUT]), "end": np.array([INPUT + 11])}
    nodes = [
        node("Slice", "flat", "zero", "cut", out="matrix"),
        node("Slice", "flat", "cut", "end", out="mask"),
        node("MatMul", "x", "matrix", out="p", name="head"),
        node("Mul", "p", "mask", name="masked"),
    ]
    with pytest.raises(converters.UnknownLayer, match=r"masked.*reads flat"):
        converters.convert(model(nodes, arrays, "z"))


def test_the_input_of_a_layer_may_be_a_weight() -> None:
    """A learned query, of which no layout has a place."""
    query = node("LSTM", "query", "W", "R", "B", out="q", name="reader", hidden_size=UNITS)
    found = model([LSTM, query, node("Add", "y", "q")], WEIGHTS | {"query": normal(TIME, BATCH, INPUT)}, "z")
    with pytest.raises(converters.UnknownLayer, match="reads query"):
        converters.convert(found)


def test_a_second_use_of_a_layer_may_have_a_learned_state() -> None:
    again = node("LSTM", "x", "W", "R", "B", "", "h0", "c0", out="q", name="again", hidden_size=UNITS)
    arrays = WEIGHTS | {"h0": normal(1, BATCH, UNITS), "c0": np.zeros((1, BATCH, UNITS), np.float32)}
    with pytest.raises(converters.ConversionError, match=r"h0|stored states"):
        converters.convert(model([LSTM, again, node("Add", "y", "q")], arrays, "z"))


# ---- The axes that a person sees ----

IN = helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2])
OUT = [
    helper.make_node("Squeeze", ["y", "one"], ["s"]),
    helper.make_node("Transpose", ["s"], ["z"], perm=[1, 0, 2]),
]


def around(before: Any, after: list[Any], output: str = "z", ways: int = 1) -> Any:
    """A model of one LSTM; the sequence has the batch first."""
    reads = before.output[0] if before is not None else "x"
    direction = "bidirectional" if ways == 2 else "forward"
    lstm = helper.make_node("LSTM", [reads, "W", "R"], ["y"], name="lstm", hidden_size=UNITS, direction=direction)
    arrays = {"W": np.concatenate([W] * ways), "R": np.concatenate([R] * ways), "one": np.array([1])}
    arrays |= {"sizes": np.array([0, 0, -1]), "last": np.array([-1]), "big": np.array([2**31]), "zero": np.array([0])}
    nodes = [*([before] if before is not None else []), lstm, *after]
    used = {name for one in nodes for name in one.input}
    return model(nodes, {name: array for name, array in arrays.items() if name in used}, output, x=(BATCH, TIME, INPUT))


BOTH = [
    helper.make_node("Transpose", ["y"], ["u"], perm=[0, 2, 1, 3]),
    helper.make_node("Reshape", ["u", "sizes"], ["s"]),
    OUT[1],
]
LAST = [
    helper.make_node("Squeeze", ["y", "one"], ["s"]),
    helper.make_node("Slice", ["s", "last", "big", "zero"], ["w"]),
    helper.make_node("Squeeze", ["w", "zero"], ["z"]),
]
RELU = [OUT[0], helper.make_node("Relu", ["s"], ["r"]), helper.make_node("Transpose", ["r"], ["z"], perm=[1, 0, 2])]
AXES = [
    pytest.param(IN, OUT, "z", 1, True, id="both"),
    pytest.param(IN, BOTH, "z", 2, True, id="both-directions"),
    pytest.param(IN, LAST, "z", 1, True, id="last-step"),
    pytest.param(IN, OUT[:1], "s", 1, False, id="not-back"),
    pytest.param(None, OUT, "z", 1, False, id="not-before"),
    pytest.param(IN, RELU, "z", 1, False, id="something-between"),
    pytest.param(helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 2]), OUT, "z", 1, False, id="no-exchange"),
]


@pytest.mark.parametrize(("before", "after", "output", "ways", "batch_first"), AXES)
def test_a_layer_between_transpositions_has_the_batch_first(
    before: Any, after: list[Any], output: str, ways: int, batch_first: bool
) -> None:
    (module,) = converters.plan(around(before, after, output, ways)).modules
    assert ("batch_first=True" in module.constructor) == batch_first
    assert any("reads (time, batch, input)" in note for note in module.notes) != batch_first


@pytest.mark.parametrize("after", [BOTH[:2], BOTH], ids=["time", "batch"])
def test_directions_side_by_side_ask_for_nothing(after: list[Any]) -> None:
    (module,) = converters.plan(around(IN, after, after[-1].output[0], 2)).modules
    assert not [note for note in module.notes if "stack" in note or "chunk" in note]
    (module,) = converters.plan(around(None, [], "y", 2)).modules
    assert [note for note in module.notes if "chunk" in note]


def test_what_the_constructor_says_gives_what_the_graph_gives() -> None:
    found, x = around(IN, OUT), normal(BATCH, TIME, INPUT)
    built = torch.nn.LSTM(INPUT, UNITS, batch_first=True, bias=False)
    built.load_state_dict(converters.convert(found, layer="lstm"))
    np.testing.assert_allclose(built(torch.from_numpy(x))[0].detach().numpy(), run(found, x), atol=1e-6)


def test_initial_states_of_a_batch_first_layer_are_those_of_pytorch() -> None:
    """Between transpositions the states are (directions, batch, units) all the same."""
    path = ROOT / "fixtures" / "onnx_keras" / "initial_state" / "model.onnx"
    (module,) = [module for module in converters.plan(path).modules if module.layers[0].recurrent]
    assert "batch_first=True" in module.constructor
    assert "initial_h is an input: pass it as h_0, (layers × directions, batch, units)" in module.notes


# ---- Names ----


@pytest.mark.parametrize(
    ("sliced", "expected"),
    [("lambda_2/strided_slice", "lstm"), ("lstm_4/PartitionedCall/strided_slice_2", "lstm_4")],
)
def test_no_name_is_taken_from_the_next_layer(sliced: str, expected: str) -> None:
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], name="LSTM__57", hidden_size=UNITS),
        helper.make_node("Squeeze", ["y", "one"], ["s"], name="Squeeze__60"),
        helper.make_node("Slice", ["s", "last", "big", "zero"], ["z"], name=sliced),
    ]
    arrays = {"one": np.array([1]), "last": np.array([-1]), "big": np.array([2**31]), "zero": np.array([0])}
    assert [layer.path for layer in converters.read(model(nodes, WEIGHTS | arrays, "z")).layers] == [expected]
