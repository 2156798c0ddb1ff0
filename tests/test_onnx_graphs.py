"""Graphs around recurrent nodes: functions, quantized and shared arrays, biases apart from products, what is left."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import converters

Array = np.ndarray[Any, Any]
Nodes = Sequence[Any]

TIME, BATCH, INPUT, UNITS = 7, 2, 3, 5
X = (TIME, BATCH, INPUT)


def normal(*shape: int, seed: int = 0) -> Array:
    return (0.4 * np.random.default_rng([seed, *shape]).standard_normal(shape)).astype(np.float32)


W, R, B = normal(1, 4 * UNITS, INPUT), normal(1, 4 * UNITS, UNITS), normal(1, 8 * UNITS)
LSTM = helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], name="lstm", hidden_size=UNITS)


def model(
    nodes: Nodes, arrays: Mapping[str, Array], output: str = "y", *, x: Any = X, opset: int = 17, **more: Any
) -> Any:
    """A graph that reads x and gives one output."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x)
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(list(nodes), "graph", [given], [made], stored)
    opsets = [helper.make_opsetid("", opset), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def run(found: Any, x: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def quietly(found: Any, **options: Any) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(found, **options)


def expect_outputs(found: Any, tensors: Mapping[str, torch.Tensor], name: str = "lstm") -> None:
    """Raise unless nn.LSTM with these weights gives what onnxruntime gives."""
    x, lstm = normal(*X, seed=1), torch.nn.LSTM(INPUT, UNITS)
    lstm.load_state_dict({key.removeprefix(f"{name}."): value for key, value in tensors.items() if name in key})
    with torch.no_grad():
        y = lstm(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(y, run(found, x)[:, 0], rtol=0, atol=1e-6)


def test_functions_are_put_in_place_of_their_calls() -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = helper.make_function(
        "own", "cell", ["a", "w", "r", "b"], ["out"],
        [helper.make_node("LSTM", ["a", "w", "r", "b"], ["out"], hidden_size=UNITS)], opsets[:1],
    )  # fmt: skip
    outer = helper.make_function(
        "own", "layer", ["a", "w", "r", "b"], ["out"],
        [helper.make_node("cell", ["a", "w", "r", "b"], ["out"], domain="own")], opsets,
    )  # fmt: skip
    call = helper.make_node("layer", ["x", "W", "R", "B"], ["y"], domain="own", name="encoder")
    found = model([call], {"W": W, "R": R, "B": B}, functions=[inner, outer], opsets=opsets[1:])
    tensors = converters.convert(found)
    assert len(tensors) == 4
    expect_outputs(found, tensors)


@pytest.mark.parametrize("opset", [10, 13, 21])
def test_weights_behind_dequantization(opset: int) -> None:
    whole = np.clip(np.round(W / 0.02), -127, 127).astype(np.int8)
    nodes = [helper.make_node("DequantizeLinear", ["whole", "scale"], ["W"]), LSTM]
    found = model(nodes, {"whole": whole, "scale": np.float32(0.02), "R": R, "B": B}, opset=opset)
    tensors = converters.convert(found)
    exact = whole.astype(np.float32) * np.float32(0.02)
    assert np.array_equal(np.sort(tensors["lstm.weight_ih_l0"].numpy(), None), np.sort(exact, None))
    expect_outputs(found, tensors)


def test_parts_of_one_array_are_two_layers_and_the_same_part_is_one() -> None:
    sizes = [4 * UNITS * INPUT, 4 * UNITS * UNITS] * 2
    ends = np.cumsum(sizes)
    nodes, arrays = [], {"flat": normal(int(ends[-1]))}
    for k, (stop, size) in enumerate(zip(ends, sizes, strict=True)):
        arrays |= {f"start{k}": np.array([stop - size]), f"stop{k}": np.array([stop])}
        arrays |= {f"sizes{k}": np.array([1, 4 * UNITS, -1])}
        nodes.append(helper.make_node("Slice", ["flat", f"start{k}", f"stop{k}"], [f"part{k}"]))
        nodes.append(helper.make_node("Reshape", [f"part{k}", f"sizes{k}"], [f"weight{k}"]))
    for name, first in (("one", 0), ("two", 2), ("again", 0)):
        weights = [f"weight{first}", f"weight{first + 1}"]
        nodes.append(helper.make_node("LSTM", ["x", *weights], [f"y_{name}"], name=name, hidden_size=UNITS))
    tensors = converters.convert(model(nodes, arrays, "y_two"))
    assert {key.partition(".")[0] for key in tensors} == {"one", "two"}
    assert not torch.equal(tensors["one.weight_ih_l0"], tensors["two.weight_ih_l0"])


def test_quantized_weights_are_named_and_not_dropped() -> None:
    product = helper.make_node("MatMulInteger", ["rows", "matrix"], ["z"], name="head")
    rows = helper.make_node("Cast", ["y"], ["rows"], to=TensorProto.INT8)
    found = model([LSTM, rows, product], {"W": W, "R": R, "B": B, "matrix": np.ones((UNITS, 11), np.int8)})
    with pytest.raises(converters.UnknownLayer, match=r"head.*reads matrix: its weights are quantized"):
        converters.convert(found)
    assert quietly(found, strict=False)["head.matrix"].shape == (UNITS, 11)


def test_what_nothing_reads_is_left_out_with_a_warning() -> None:
    found = model([LSTM], {"W": W, "R": R, "B": B, "spare": normal(11)})
    with pytest.warns(converters.ConversionWarning, match="spare is stored, and nothing in the model reads it"):
        assert len(converters.convert(found)) == 4


def test_arithmetic_with_a_stored_array_is_refused_by_name() -> None:
    nodes = [LSTM, helper.make_node("Mul", ["y", "scale"], ["z"], name="attention/scaled")]
    found = model(nodes, {"W": W, "R": R, "B": B, "scale": normal(UNITS)}, "z")
    with pytest.raises(converters.UnknownLayer, match=r"attention/scaled.*Mul.*reads scale"):
        converters.convert(found)
    assert quietly(found, layer="lstm").keys() == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}


def linear(nodes: Nodes, arrays: Mapping[str, Array], output: str, x: Array) -> tuple[Array, Array]:
    """What nn.Linear gives from the converted layer 'head', and what onnxruntime gives."""
    found = model(nodes, arrays, output, x=x.shape)
    tensors = converters.convert(found, layer="head")
    built = torch.nn.Linear(x.shape[-1], tensors["weight"].shape[0], bias="bias" in tensors)
    built.load_state_dict(tensors)
    with torch.no_grad():
        made = built(torch.from_numpy(x)).numpy()
    return made, run(found, x).reshape(made.shape)


MATRIX, BIAS = normal(INPUT, 11), normal(11)


@pytest.mark.parametrize("sizes", [[TIME, BATCH, 11], [-1, 11], [BATCH, -1, 11]])
@pytest.mark.parametrize("first", [True, False])
def test_the_bias_of_an_add_behind_a_reshape(sizes: list[int], first: bool) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["p"], name="head"),
        helper.make_node("Reshape", ["p", "sizes"], ["q"]),
        helper.make_node("Add", ["bias", "q"] if first else ["q", "bias"], ["y"]),
    ]
    arrays = {"matrix": MATRIX, "bias": BIAS, "sizes": np.array(sizes)}
    made, expected = linear(nodes, arrays, "y", normal(TIME * BATCH, INPUT, seed=2))
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)


def test_an_add_of_another_width_is_not_a_bias() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["p"], name="head"),
        helper.make_node("Reshape", ["p", "sizes"], ["q"]),
        helper.make_node("Add", ["q", "added"], ["y"], name="shift"),
    ]
    found = model(nodes, {"matrix": MATRIX, "added": normal(BATCH), "sizes": np.array([11, -1, BATCH])}, x=(14, INPUT))
    tensors = quietly(found, strict=False)
    assert tensors.keys() == {"head.weight", "shift.added"}


def test_a_product_that_others_read_too_keeps_its_bias_apart() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["p"], name="head"),
        helper.make_node("Add", ["p", "bias"], ["q"], name="shift"),
        helper.make_node("Sub", ["p", "q"], ["y"]),
    ]
    tensors = quietly(model(nodes, {"matrix": MATRIX, "bias": BIAS}, x=(14, INPUT)), strict=False)
    assert tensors.keys() == {"head.weight", "shift.bias"}


@pytest.mark.parametrize("shape", [(11,), (1, 11)])
@pytest.mark.parametrize("turned", [0, 1])
def test_gemm(shape: tuple[int, ...], turned: int) -> None:
    node = helper.make_node("Gemm", ["x", "matrix", "bias"], ["y"], name="head", transB=turned)
    matrix = np.ascontiguousarray(MATRIX.T) if turned else MATRIX
    made, expected = linear([node], {"matrix": matrix, "bias": BIAS.reshape(shape)}, "y", normal(13, INPUT, seed=2))
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}])
def test_a_scaled_gemm_is_refused(attributes: dict[str, float]) -> None:
    node = helper.make_node("Gemm", ["x", "matrix", "bias"], ["y"], name="head", **attributes)
    with pytest.raises(converters.NotRepresentable, match=r"head.*alpha or beta"):
        converters.convert(model([node], {"matrix": MATRIX, "bias": BIAS}, x=(13, INPUT)))


@pytest.mark.parametrize("squeezed", [True, False])
def test_the_bias_of_a_convolution_in_a_node_of_its_own(squeezed: bool) -> None:
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["p"], name="conv")]
    if squeezed:
        nodes.append(helper.make_node("Squeeze", ["p", "axis"], ["q"]))
    nodes.append(helper.make_node("Add", ["q" if squeezed else "p", "bias"], ["y"]))
    kernel, bias = normal(5, 3, 1, 3), normal(5)
    arrays = {"kernel": kernel, "bias": bias.reshape((1, 5, 1) if squeezed else (5, 1, 1))}
    found = model(nodes, arrays | ({"axis": np.array([2])} if squeezed else {}), x=(2, 3, 1, 7))
    built = torch.nn.Conv2d(3, 5, (1, 3))
    built.load_state_dict(converters.convert(found, layer="conv"))
    x = normal(2, 3, 1, 7, seed=2)
    with torch.no_grad():
        made = built(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(made.reshape(run(found, x).shape), run(found, x), rtol=0, atol=1e-6)


def test_layers_that_go_backwards_do_not_stack() -> None:
    second = helper.make_node("LSTM", ["q", "W2", "R2"], ["z"], name="second", hidden_size=UNITS, direction="reverse")
    nodes = [LSTM, helper.make_node("Squeeze", ["y", "axis"], ["q"]), second]
    arrays = {"W": W, "R": R, "B": B, "axis": np.array([1]), "W2": normal(1, 4 * UNITS, UNITS, seed=3), "R2": R}
    found = model(nodes, arrays, "z")
    assert converters.read(found).layers[1].wiring.fed_by == ("lstm",)
    with pytest.raises(converters.NotRepresentable, match="second goes backwards"):
        converters.convert(found, stack={"whole": ["lstm", "second"]})


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_layers_stack_only_where_steps_stay_steps(order: tuple[int, ...]) -> None:
    """Batch and time exchanged between two layers: the names of the nodes look the same, and the network is another."""
    nodes = [
        LSTM,
        helper.make_node("Squeeze", ["y", "axis"], ["q"]),
        helper.make_node("Transpose", ["q"], ["p"], perm=order),
        helper.make_node("LSTM", ["p", "W2", "R2"], ["z"], name="second", hidden_size=UNITS),
    ]
    arrays = {"W": W, "R": R, "B": B, "axis": np.array([1]), "W2": normal(1, 4 * UNITS, UNITS, seed=3), "R2": R}
    wiring = converters.read(model(nodes, arrays, "z")).layers[1].wiring
    assert wiring.fed_by == (("lstm",) if order == (0, 1, 2) else ())
