"""Loops that are recurrent layers: recovered bit by bit, whoever wrote them, and refused where anything is changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_models import (
    BATCH,
    BODIES,
    TIME,
    body_of,
    exported,
    keras_layer,
    loops_of,
    random_weights,
    randomized,
    scope_of,
    written,
)
from onnx import helper, numpy_helper
from sampling import sampled

from converters.model.settings import Call
from converters.readers.onnx.arithmetic import machine
from converters.readers.onnx.arithmetic.loops import recognise
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.arithmetic.steps import recognise_steps
from converters.readers.onnx.graph.scope import Scope
from layouts.options import Recurrence
from layouts.reference import forward
from layouts.repack import unpack

ROOT = Path(__file__).resolve().parents[1]
DTLN = ROOT.parent / "shared" / "real" / "dtln"
PRIMES = st.sampled_from([1, 2, 3, 5, 7, 11])
NAMES = {"K": "kernel", "R": "recurrent_kernel", "B": "bias"}


def recovered(model: Any) -> list[Recovered]:
    """Every Loop of a model, or of a linked graph, each of which has to be recognised."""
    scope = model if isinstance(model, Scope) else scope_of(model)
    found = [recognise(node) for node in scope.nodes if node.op == "Loop"]
    for one in found:
        assert not isinstance(one, str), one
    return [one for one in found if isinstance(one, Recovered)]


def assert_bits(one: Recovered, weights: list[np.ndarray]) -> None:
    assert len(one.arrays) == len(weights)
    for name, expected in zip(("kernel", "recurrent_kernel", "bias"), weights, strict=False):
        found = one.arrays[name].read()
        assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
        assert (one.arrays[name].dtype, one.arrays[name].shape) == (expected.dtype, expected.shape)


# ---- Loops written here ----


@pytest.mark.parametrize("kind", BODIES)
@settings(max_examples=12, derandomize=True, database=None, deadline=None)
@given(
    inputs=PRIMES,
    units=PRIMES,
    axis=st.sampled_from([0, 1]),
    where=st.sampled_from(["captured", "carried", "inside"]),
    masked=st.booleans(),
)
def test_any_style(kind: str, inputs: int, units: int, axis: int, where: str, masked: bool) -> None:
    model, weights = written(kind, inputs, units, axis=axis, where=where, masked=masked)
    (one,) = recovered(model)
    assert one.layout.class_name == kind
    assert_bits(one, list(weights.values()))
    assert one.options.activation == "tanh"
    assert one.options.recurrent_activation == "sigmoid"
    assert one.wiring.gives[:2] == ("Y", "last_h")
    assert one.wiring.reads == "X"
    assert one.call.time_axis == axis
    assert one.call.masked == masked


@pytest.mark.parametrize("kind", BODIES)
def test_the_order_of_the_nodes_does_not_matter(kind: str) -> None:
    model, weights = written(kind, 3, 5)
    for seed in range(4):
        _shuffle(body_of(model), np.random.default_rng(seed))
        (one,) = recovered(model)
        assert_bits(one, list(weights.values()))


def _shuffle(graph: Any, random: np.random.Generator) -> None:
    """Another order in which every node still follows those that it reads from."""
    waiting, ordered = list(graph.node), []
    while waiting:
        made = {name for node in waiting for name in node.output}
        ready = [node for node in waiting if not made.intersection(node.input)]
        chosen = ready[random.integers(len(ready))]
        waiting.remove(chosen)
        ordered.append(chosen)
    del graph.node[:]
    graph.node.extend(ordered)


@pytest.mark.parametrize("zeros", ["all", "bias"])
def test_zeros_do_not_hide_what_is_what(zeros: str) -> None:
    model, weights = written("GRU (reset after)", 5, 5)
    for tensor in model.graph.initializer:
        if zeros == "all" or tensor.name == "B":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(weights[tensor.name]), tensor.name))
    (one,) = recovered(model)
    assert one.layout.class_name == "GRU (reset after)"
    assert one.arrays["kernel"].name == "K" and one.arrays["recurrent_kernel"].name == "R"


# ---- Loops that are changed ----

_OTHERS = {
    "Add": ("Sub", "Mul"),
    "Sub": ("Add",),
    "Mul": ("Add", "Div"),
    "Sigmoid": ("Tanh", "Relu"),
    "Tanh": ("Sigmoid", "Softsign"),
    "HardSigmoid": ("Sigmoid",),
    "Where": (),
}


def changes(graph: Any) -> Iterator[tuple[str, Any]]:
    """Bodies that differ in one place: another operator, two inputs or parts exchanged, a function too many."""
    for number, node in enumerate(graph.node):
        for op in _OTHERS.get(node.op_type, ()):
            yield from _changed(graph, number, f"{op} for", lambda one, op=op: setattr(one, "op_type", op))
        if node.op_type in ("Sub", "Where", "Split"):
            yield from _changed(graph, number, "exchanged", _exchange)
        if node.op_type in ("MatMul", "Gemm", "Mul", "Add"):
            yield from _changed(graph, number, "Tanh behind", None)


def _changed(graph: Any, number: int, what: str, change: Any) -> Iterator[tuple[str, Any]]:
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    node = copy.node[number]
    name = node.output[0]
    if change is not None:
        change(node)
    else:
        node.output[0] = f"{name}_before"
        copy.node.insert(number + 1, helper.make_node("Tanh", [f"{name}_before"], [name]))
    yield f"{what} {node.op_type} {name}", copy


def _exchange(node: Any) -> None:
    names = node.output if node.op_type == "Split" else node.input
    names[-1], names[-2] = names[-2], names[-1]


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("masked", [False, True])
def test_a_changed_body_is_refused_or_read_as_what_it_is(kind: str, masked: bool) -> None:
    """What is still recognised has to compute what the changed loop computes, by onnxruntime."""
    model, _ = written(kind, 3, 5, masked=masked)
    body = body_of(model)
    refused = []
    original = onnx.GraphProto()
    original.CopyFrom(body)
    for what, changed in changes(original):
        body.CopyFrom(changed)
        (found,) = [recognise(node) for node in loops_of(model)]
        if isinstance(found, str):
            refused.append(what)
            assert "convert the Keras file" in found
        else:
            _assert_computes(model, found, what)
    assert any(what.startswith("Tanh behind") for what in refused)


def _assert_computes(model: Any, one: Recovered, what: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    random = np.random.default_rng(1)
    x = random.normal(size=(TIME, BATCH, 3)).astype(np.float32)
    mask = random.random((TIME, BATCH)) < 0.6 if one.call.masked else None
    feeds = {"X": x} | ({} if mask is None else {"M": mask[..., None]})
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(["Y"], feeds)[0].swapaxes(0, 1)
    pieces = unpack(one.layout, {name: array.read() for name, array in one.arrays.items()})
    transposed = None if mask is None else mask.swapaxes(0, 1)
    found, _ = forward(one.layout.cell, pieces, x.swapaxes(0, 1), options=one.options, mask=transposed)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=what)


@pytest.mark.parametrize("wrong", ["sliced", "reads backwards", "every second", "stops early", "depends", "two masks"])
def test_what_is_not_one_layer_over_the_whole_sequence(wrong: str) -> None:
    """Weights cut wrongly, or a sequence that is not taken one step after the other to its end."""
    model, _ = written("GRU (reset before)", 3, 5, masked=wrong == "two masks")
    body = body_of(model)
    add: dict[str, list[Any]] = {
        "sliced": [helper.make_node("Gather", ["R0", "order"], ["R"], axis=1)],
        "reads backwards": [],
        "every second": [helper.make_node("Add", ["number", "number"], ["twice"])],
        "stops early": [helper.make_node("Less", ["number", "two"], ["going"])],
        "depends": [
            helper.make_node("ReduceMax", ["new_h"], ["top"], keepdims=0),
            helper.make_node("Less", ["top", "one"], ["going"]),
        ],
        "two masks": [
            helper.make_node("Gather", ["M2", "number"], ["m2"]),
            helper.make_node("And", ["m2", "m1"], ["m"]),
        ],
    }
    constants = {"order": np.r_[1:15, 0], "two": np.int64(2), "one": np.float32(1)}
    body.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items())
    nodes = list(body.node)
    if wrong in ("stops early", "depends"):
        nodes = [node for node in nodes if node.output[0] != "going"]
    if wrong == "sliced":
        next(t for t in model.graph.initializer if t.name == "R").name = "R0"
    if wrong == "every second":
        next(node for node in nodes if node.op_type == "Gather").input[1] = "twice"
    if wrong == "two masks":
        next(node for node in nodes if node.output[0] == "m").output[0] = "m1"
        model.graph.input.append(helper.make_tensor_value_info("M2", onnx.TensorProto.BOOL, ["T", "N", 1]))
    if wrong == "reads backwards":
        nodes[0].input[1] = "place"
        add[wrong] = [helper.make_node("Sub", ["six", "number"], ["place"])]
        body.initializer.append(numpy_helper.from_array(np.asarray(6), "six"))
    first = wrong in ("sliced", "every second", "reads backwards")
    del body.node[:]
    body.node.extend([*add[wrong], *nodes] if first else [*nodes, *add[wrong]])
    if wrong == "two masks":
        _shuffle(body, np.random.default_rng(0))
    (found,) = [recognise(node) for node in loops_of(model)]
    assert isinstance(found, str), found.call


@pytest.mark.parametrize("which", ["mask", "count"])
def test_a_loop_that_no_exporter_writes_is_refused(which: str) -> None:
    """A mask of the step before its input's, and a number of steps that is no number."""
    model, _ = written("SimpleRNN", 3, 5, masked=which == "mask")
    if which == "mask":
        body = body_of(model)
        body.initializer.append(numpy_helper.from_array(np.asarray(1), "one"))
        body.node.insert(0, helper.make_node("Sub", ["number", "one"], ["before"]))
        next(node for node in body.node if node.output[0] == "m").input[1] = "before"
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.int64), "none"))
        next(node for node in model.graph.node if node.op_type == "Loop").input[0] = "none"
    (found,) = [recognise(node) for node in loops_of(model)]
    assert isinstance(found, str) and "was not recognised" in found


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("budget", [1 << 16, 1 << 20, 1 << 21])
def test_one_budget_bounds_the_whole_search(kind: str, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before it is used up proves nothing."""
    monkeypatch.setattr(machine, "_BUDGET", budget)
    (found,) = [recognise(node) for node in loops_of(written(kind, 3, 5)[0])]
    assert isinstance(found, str) and "takes more computing than a recurrent layer" in found


@pytest.mark.parametrize("case", ["onnx_torch/lstm_cell", "onnx_dynamo/rnn"])
def test_no_step_is_found_without_a_budget(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "fixtures" / case / "model.onnx"
    assert len(recognise_steps(scope_of(onnx.load(path)))) == 1
    monkeypatch.setattr(machine, "_BUDGET", 1 << 20)
    assert recognise_steps(scope_of(onnx.load(path))) == []


def test_the_worked_example() -> None:
    """The Loop that the docstring of the arithmetic's folder explains step by step."""
    scope = scope_of(onnx.load(ROOT / "fixtures" / "onnx_tf2onnx" / "opset_9" / "model.onnx"))
    (one,) = recovered(scope)
    assert [array.shape for array in one.arrays.values()] == [(11, 13), (13, 13), (13,)]
    assert one.layout.class_name == "SimpleRNN" and one.options == Recurrence()
    assert one.call == Call(sequences=False, time_axis=0)
    assert one.wiring.reads == "sequential/simple_rnn/transpose:0"


def test_a_body_that_explodes_is_refused_at_once() -> None:
    """Outer products of what was just made, and a loop of a thousand million steps."""
    model, _ = written("SimpleRNN", 3, 5)
    body = body_of(model)
    for number in range(12):
        name = f"big{number}"
        body.node.append(helper.make_node("Concat", [f"big{number - 1}" if number else "new_h"] * 40, [name], axis=0))
    body.node.append(helper.make_node("ReduceSum", ["big11"], ["all"]))
    next(node for node in body.node if node.output[0] == "step").input[0] = "all"
    began = time.monotonic()
    (found,) = [recognise(node) for node in loops_of(model)]
    assert isinstance(found, str)
    assert time.monotonic() - began < 5.0


# ---- Loops of exporters ----

LIVE: dict[str, tuple[str, dict[str, Any], bool]] = {
    "gru after": ("GRU", {"return_sequences": True, "activation": "elu"}, False),
    "gru after without bias": ("GRU", {"use_bias": False}, False),
    "gru after masked": ("GRU", {"return_sequences": True}, True),
    "gru before": ("GRU", {"reset_after": False, "return_sequences": True}, False),
    "gru before, hard, backwards": ("GRU", {"reset_after": False, "recurrent_activation": "hard_sigmoid",
                                            "go_backwards": True, "return_sequences": True}, False),
    "gru masked, zeros": ("GRU", {"zero_output_for_mask": True, "return_sequences": True}, True),
    "gru in parts": ("GRU", {"reset_after": False, "implementation": 1}, False),
    "lstm masked": ("LSTM", {"return_sequences": True}, True),
    "lstm masked, last, backwards": ("LSTM", {"go_backwards": True}, True),
    "lstm selu": ("LSTM", {"activation": "selu", "return_sequences": True}, False),
    "rnn tanh": ("SimpleRNN", {"return_sequences": True}, False),
    "rnn relu, last": ("SimpleRNN", {"activation": "relu"}, False),
    "rnn masked, softplus": ("SimpleRNN", {"activation": "softplus", "return_sequences": True}, True),
}  # fmt: skip
"""What -> class, options, whether a mask comes."""


@pytest.fixture(scope="module", params=[3, 2], ids=["keras", "tf2onnx"])
def keras(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    if request.param == 2:
        return pytest.importorskip("tf_keras", reason="tf_keras is not installed")
    found = pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")
    if found.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend than TensorFlow")
    return found


@pytest.mark.parametrize("case", sampled(LIVE, 2))
def test_exported_loops(case: str, keras: Any, tmp_path: Path) -> None:
    kind, options, masked = LIVE[case]
    version = int(keras.__version__[0])
    layer = keras_layer(keras, kind, 5, options, version)
    _, onnx_model = _export(keras, layer, masked, tmp_path)
    scope = scope_of(onnx_model)
    (one,) = recovered(scope)
    assert_bits(one, layer.get_weights())
    cell = getattr(layer, "cell", layer)
    assert one.options == _expected(cell.get_config(), kind, version)
    assert one.call.sequences == options.get("return_sequences", False)
    assert one.call.direction == ("backward" if options.get("go_backwards") else "forward")
    assert one.call.masked == masked
    assert one.call.zeros_where_masked == options.get("zero_output_for_mask", False)
    assert one.call.time_axis == 0 and not one.call.initial
    assert "MatMul" not in {node.op for node in scope.nodes if node not in one.nodes}


def _export(keras: Any, layer: Any, masked: bool, folder: Path) -> tuple[Any, Any]:
    x = keras.Input((TIME, 3))
    model = keras.Model(x, layer(keras.layers.Masking()(x) if masked else x))
    return model, exported(keras, randomized(model), folder)


def _expected(config: dict[str, Any], kind: str, version: int) -> Recurrence:
    hard = {"hard_sigmoid": "hard_sigmoid_1/6" if version == 3 else "hard_sigmoid_0.2"}
    names = {"LSTM": 2, "GRU": 2, "SimpleRNN": 1}[kind]
    found = {key: hard.get(config[key], config[key]) for key in ("activation", "recurrent_activation")[:names]}
    return Recurrence(**found)


def test_both_directions(keras: Any, tmp_path: Path) -> None:
    layer = keras.layers.Bidirectional(keras.layers.SimpleRNN(5, return_sequences=True))
    _, onnx_model = _export(keras, layer, False, tmp_path)
    found = {one.call.direction == "backward": one for one in recovered(onnx_model)}
    assert_bits(found[False], layer.get_weights()[:3])
    assert_bits(found[True], layer.get_weights()[3:])
    assert found[False].wiring.reads == found[True].wiring.reads


def test_what_is_no_single_cell_is_refused(keras: Any, tmp_path: Path) -> None:
    cells = keras.layers.RNN([keras.layers.LSTMCell(5), keras.layers.LSTMCell(3)])
    _, onnx_model = _export(keras, cells, False, tmp_path)
    (found,) = [recognise(node) for node in loops_of(onnx_model)]
    assert isinstance(found, str) and "not the weights of one LSTM, GRU or SimpleRNN" in found


# ---- Steps without a Loop ----


@pytest.mark.parametrize(
    "kind, options", [("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False}), ("SimpleRNN", {})]
)
def test_unrolled(kind: str, options: dict[str, Any], keras: Any, tmp_path: Path) -> None:
    layer = getattr(keras.layers, kind)(5, unroll=True, **options)
    _, onnx_model = _export(keras, layer, False, tmp_path)
    scope = scope_of(onnx_model)
    (one,) = recognise_steps(scope)
    assert_bits(one, layer.get_weights())
    assert one.call.steps == TIME and one.call.time_axis == 0
    assert not one.call.initial and one.call.direction == "forward" and not one.call.single_step
    assert "MatMul" not in {node.op for node in scope.nodes if node not in one.nodes}


@pytest.mark.skipif(not DTLN.exists(), reason="the real models are not here")
def test_single_steps_of_a_real_model() -> None:
    """DTLN's second half, whose second LSTM has as many inputs as units: the wiring tells which is the state."""
    from converters import read

    keras_model = read(DTLN / "model.h5")
    found = recognise_steps(scope_of(onnx.load(DTLN / "model_2.onnx")))
    for one, name in zip(found, ("lstm_2", "lstm_3"), strict=True):
        (part,) = keras_model.layer(name).parts
        assert_bits(one, [part.arrays[key].read() for key in ("kernel", "recurrent_kernel", "bias")])
        assert one.call.single_step


@pytest.mark.parametrize("case", ["onnx_torch/lstm_cell", "onnx_torch/gru_cell", "onnx_dynamo/lstm_cell"])
def test_cells_of_pytorch_called_step_by_step(case: str) -> None:
    """Both biases in their places, and the first step from zeros found although the exporter computed half of it."""
    path = ROOT / "fixtures" / case / "model.onnx"
    (one,) = recognise_steps(scope_of(onnx.load(path)))
    assert {name: array.name for name, array in one.arrays.items()} == {name: f"cell.{name}" for name in one.arrays}
    assert len(one.arrays) == 4
    assert one.call.steps == 3 and not one.call.initial


@pytest.mark.parametrize("state", ["input", "both"])
def test_a_single_lstm_step_that_could_be_read_both_ways_is_left_alone(state: str) -> None:
    """With as many inputs as units the equation treats x and h alike; only where c comes from can tell."""
    inputs = "float[2,5] x, float[2,5] c" + (", float[2,5] h" if state == "both" else "")
    lines = BODIES["LSTM"] if state == "both" else f"h = Identity (c) {BODIES['LSTM']}"
    graph = onnx.parser.parse_graph(f"step ({inputs}) => (float[2,5] new_h, float[2,5] new_c) {{ {lines} }}")
    weights = random_weights("LSTM", 5, 5)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    found = recognise_steps(
        scope_of(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    )
    assert len(found) == (0 if state == "both" else 1)
    for one in found:
        assert_bits(one, list(weights.values()))
