"""What graphs of TensorFlow tell of layers: by structure, through functions and loops; and what they do not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hostile import tensorflow as built

import converters
from converters.readers.message import Message
from converters.readers.tensorflow import functions
from converters.readers.tensorflow.graph import Edge
from layouts.errors import UnsafeCheckpoint

FIXTURES = ROOT / "fixtures"
FUNCTIONS = FIXTURES / "tensorflow2" / "functions"
STRUCTURES = FIXTURES / "tensorflow1" / "structures" / "frozen.pb"


@pytest.mark.parametrize("name", ["model", "functions.pb", "loops.pb"])
def test_nothing_is_assumed_of_recurrent_layers_whose_functions_are_there(name: str) -> None:
    found = converters.read(FUNCTIONS / name)
    for layer in found.layers:
        assert not layer.recurrent or not layer.assumed, layer.assumed
    first = found.layers[0].parts[0].recurrence if name == "model" else found.layer("a_1").parts[0].recurrence
    assert (first.activation, first.recurrent_activation) == ("relu", "hard_sigmoid_1/6")


def test_a_convolution_and_what_is_behind_it_are_told() -> None:
    layer = converters.read(FUNCTIONS / "model").layer("d")
    assert layer.call.activation == "tanh" and layer.parts[0].options.strides == (2,)
    assert not {"activation", "strides", "padding"} & {*layer.assumed}


@pytest.mark.parametrize("statement", ["a.activation", "a.recurrent_activation"])
def test_nobody_may_state_another_function_than_the_graph(statement: str) -> None:
    with pytest.raises(converters.ConversionError, match=r"assume a\..*=softsign: the source tells"):
        converters.read(FUNCTIONS / "model", assume={statement: "softsign"})
    same = converters.read(FUNCTIONS / "model", assume={"a.activation": "relu"})
    assert same.layer("a").parts[0].recurrence.activation == "relu"


def test_a_checkpoint_without_functions_assumes_and_says_so() -> None:
    found = converters.read(FUNCTIONS / "compiled.index")
    assert found.layer("a").assumed["recurrent_activation"] == "sigmoid"


def test_residual_cells_are_no_stack() -> None:
    paths = [layer.path for layer in converters.read(STRUCTURES).layers]
    assert [path for path in paths if path.startswith("g/")] == [
        "g/multi_rnn_cell/cell_0/basic_lstm_cell",
        "g/multi_rnn_cell/cell_1/basic_lstm_cell",
    ]


def test_a_scaled_function_is_not_taken_for_the_function() -> None:
    with pytest.raises(converters.ConversionError, match="its activation is none that is known here"):
        converters.convert(STRUCTURES)


def loop(*, same: bool) -> Message:
    """A loop of one state and one weight that multiplies it; or that gives the weight back changed."""
    inputs = b"".join(built.field(2, built.field(1, name)) for name in ("state", "weight"))
    outputs = b"".join(built.field(3, built.field(1, name)) for name in ("s", "w"))
    inner = built.node("mul", "Mul", "state", "weight")
    given = {"s": "mul:z:0", "w": "weight" if same else "mul:z:0"}
    ret = b"".join(built.field(4, built.field(1, key) + built.field(2, value)) for key, value in given.items())
    body = built.field(1, built.field(1, "body") + inputs + outputs) + b"\x1a" + inner[1:] + ret
    told = built.field(5, built.field(1, "body") + built.field(2, built.field(10, built.field(1, "body"))))
    nodes = [
        built.node("w", "Const"),
        built.node("h", "Const"),
        built.node("loop", "While", "h", "w", attributes=told),
        built.node("end", "Relu", "loop:0"),
    ]
    return Message(memoryview(b"".join(nodes) + built.field(2, built.field(1, body))))


def test_a_weight_goes_through_a_loop_as_it_is_and_a_state_does_not() -> None:
    graph = functions.whole(loop(same=True))
    (use,) = [use for use in graph.uses_of(Edge("w", 0)) if use.node.op == "Mul"]
    state = graph.origin(use.node.inputs[0])
    assert state is not None and state.op == "Merge" and graph.origin(use.node.inputs[1]) is graph.nodes["w"]
    assert graph.nodes[state.inputs[1].node].op == "NextIteration"
    ends = graph.nodes["end"].inputs[0]
    assert graph.nodes[ends.node].op == "Exit"
    changed = functions.whole(loop(same=False))
    assert not [use for use in changed.uses_of(Edge("w", 0)) if use.node.op == "Mul"]


@pytest.mark.parametrize("hostile", [built.graph_that_calls_itself, built.graph_of_doubling_functions])
def test_functions_are_bounded(hostile: object, tmp_path: Path) -> None:
    with pytest.raises(UnsafeCheckpoint):
        converters.read(hostile(tmp_path))  # type: ignore[operator]


def test_directions_of_keras_by_name_are_one_layer() -> None:
    shapes = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}
    for words in ("{}_lstm/lstm_cell", "{}_lstm_7", "{}_lstm_1/lstm_cell_3"):
        paths = [f"bidirectional/{words.format(way)}" for way in ("forward", "backward")]
        arrays = {f"{path}/{name}": np.ones(shape, "f4") for path in paths for name, shape in shapes.items()}
        (layer,) = converters.read(arrays, framework="keras").layers
        assert (layer.path, len(layer.parts), layer.call.merge) == ("bidirectional", 2, "concat")


def test_the_buffer_of_cudnn_is_refused_by_name() -> None:
    found = converters.read({"cudnn_lstm/opaque_kernel": np.ones(180, "f4")}, framework="tensorflow")
    assert "only one version of cuDNN knows" in str(found.layer("cudnn_lstm").unknown)


def test_cells_of_one_stack_may_have_names_of_their_users() -> None:
    shapes = {"kernel": (8, 20), "bias": (20,)}
    paths = {f"rnn/multi_rnn_cell/cell_{k}/{name}": k for k, name in enumerate(("first", "second"))}
    arrays = {
        f"{p}/{n}": np.ones((10, 20) if k and n == "kernel" else s, "f4")
        for p, k in paths.items()
        for n, s in shapes.items()
    }
    stated = {f"{path.replace('/', '.')}.class": "LSTMCell" for path in paths} | {"forget_bias": 1.0}
    (layer,) = converters.read(arrays, framework="tensorflow", assume=stated).layers
    assert (layer.path, len(layer.parts)) == ("rnn/multi_rnn_cell", 2)


def test_a_backward_cell_that_stays_apart_runs_backwards() -> None:
    sizes = {"fw": 5, "bw": 3}
    arrays = {f"bidirectional_rnn/{way}/basic_rnn_cell/kernel": np.ones((4 + n, n), "f4") for way, n in sizes.items()}
    found = converters.read(arrays, framework="tensorflow")
    assert [layer.call.direction for layer in found.layers] == ["forward", "reverse"]
