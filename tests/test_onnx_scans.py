"""Scan nodes whose body is a recurrent cell: of every axis and direction, run by onnxruntime, built and evaluated."""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from loop_models import BODIES, random_weights, written
from onnx import helper, numpy_helper, parser
from sampling import sampled

import converters
from converters.verification.evaluate import evaluate

onnxruntime = pytest.importorskip("onnxruntime")

TIME, BATCH, INPUT, UNITS = 7, 2, 3, 5


def scanned(kind: str, axis: int, back: int, made_axis: int, made_back: int, opset: int = 17) -> Any:
    """A model of one Scan, whose weights are captured from around it, and whose states start at zero."""
    weights, states = random_weights(kind, INPUT, UNITS), ("h", "c") if kind == "LSTM" else ("h",)
    state = f"float[N,{UNITS}]"
    typed = ", ".join(f"{state} {name}" for name in states)
    made = ", ".join(f"{state} new_{name}" for name in states)
    body = parser.parse_graph(
        f"body ({typed}, float[N,{INPUT}] x) => ({made}, {state} step) {{ {BODIES[kind]} step = Identity (new_h) }}"
    )
    sizes = [("time", "batch"), ("batch", "time")]
    x = helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [*sizes[axis], INPUT])
    y = helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [*sizes[made_axis], UNITS])
    last = helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, ["batch", UNITS])
    numbers = {"batch_axis": [1 - axis], "units": [UNITS]}
    nodes = [
        helper.make_node("Shape", ["X"], ["shape"]),
        helper.make_node("Gather", ["shape", "batch_axis"], ["count"]),
        helper.make_node("Concat", ["count", "units"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node(
            "Scan",
            [*("zeros" for _ in states), "X"],
            ["last", *(["last_c"] if kind == "LSTM" else []), "Y"],
            "scan",
            body=body,
            num_scan_inputs=1,
            scan_input_axes=[axis],
            scan_input_directions=[back],
            scan_output_axes=[made_axis],
            scan_output_directions=[made_back],
        ),
    ]
    stored = [numpy_helper.from_array(np.asarray(value, np.int64), name) for name, value in numbers.items()]
    stored += [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y, last], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), weights


WAYS = list(product((0, 1), (0, 1), (0, 1), (0, 1)))
CASES = [(kind, *way) for kind in BODIES for way in WAYS]


@pytest.mark.parametrize("case", sampled(CASES, 5), ids=lambda case: "-".join(map(str, case)))
def test_every_way(case: tuple[str, int, int, int, int], tmp_path: Path) -> None:
    made, weights = scanned(*case)
    file = tmp_path / "model.onnx"
    onnx.save(made, file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    sizes = (TIME, BATCH, INPUT) if case[1] == 0 else (BATCH, TIME, INPUT)
    x = np.random.default_rng(1).normal(size=sizes).astype("float32")
    expected = session.run(None, {"X": x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        found = converters.read(file)
        module = converters.build(file)
    (layer,) = found.layers
    np.testing.assert_array_equal(layer.parts[0].arrays["kernel"].read(), weights["K"])
    with torch.no_grad():
        given = module(torch.from_numpy(x))
    assert found.graph is not None
    values = evaluate(found.graph, [x])
    for y, name, wanted in zip(given, ("Y", "last"), expected, strict=True):
        np.testing.assert_allclose(y.numpy(), wanted, rtol=0.0, atol=1e-6)
        np.testing.assert_allclose(values[name], wanted, rtol=0.0, atol=1e-6)


def changed(how: str) -> Any:
    """A Scan that is no recurrent layer, or none that is told."""
    made, _ = scanned("SimpleRNN", 0, 0, 0, 0)
    node = made.graph.node[-1]
    body = next(attribute.g for attribute in node.attribute if attribute.name == "body")
    if how == "another function":
        body.node[-2].op_type = "Sin"
    elif how == "an axis beyond":
        next(attribute for attribute in node.attribute if attribute.name == "scan_input_axes").ints[0] = 2
    elif how == "too few inputs":
        del body.input[-1:]
    return made


@pytest.mark.parametrize("how", ["another function", "an axis beyond", "too few inputs"])
def test_what_is_no_recurrent_layer_is_refused(how: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        with pytest.raises(converters.ConversionError):
            converters.build(changed(how))


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", sampled(BODIES, 2))
def test_a_loop_collects_its_steps_in_front(kind: str, axis: int, masked: bool) -> None:
    """Whatever axis of its sequence the steps are taken from."""
    made, _ = written(kind, INPUT, UNITS, axis=axis, masked=masked)
    generator = np.random.default_rng(1)
    sizes = (TIME, BATCH) if axis == 0 else (BATCH, TIME)
    given = {"X": generator.normal(size=(*sizes, INPUT)).astype("float32")}
    given |= {"M": generator.random((*sizes, 1)) > 0.4} if masked else {}
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(made)
    with torch.no_grad():
        found = module(*map(torch.from_numpy, given.values()))
    for y, expected in zip(found, session.run(None, given), strict=True):
        np.testing.assert_allclose(y.numpy(), expected, rtol=0.0, atol=2e-6)
