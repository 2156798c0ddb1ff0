"""Layers of ONNX in plans: constructor calls, notes and refusals; parts whose arrays hold both directions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from layout_samples import BOTH
from onnx_single import STATES, Case, arrays_of, layer_of

from converters.model import stacking
from converters.model.arrays import in_memory
from converters.model.layers import Layer, Part
from converters.model.settings import Wiring
from converters.planning import pairing
from converters.targets import PYTORCH
from layouts import catalogue
from layouts.errors import NotRepresentable
from layouts.options import Normalization, Options, Plain, Recurrence

BOTHWAYS = {"direction": "bidirectional"}


def layer(case: Case, **call: Any) -> Layer:
    found = layer_of(case, arrays_of(case))
    return replace(found, call=replace(found.call, **call))


def planned(case: Case, **call: Any) -> Any:
    (module,) = pairing.pair(layer(case, **call), "", PYTORCH)
    return module


def around(kind: str, shapes: dict[str, tuple[int, ...]], options: Options = Plain(), rank: int | None = None) -> Any:
    """The module of a node that is not recurrent."""
    arrays = {name: in_memory(name, np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    layout = catalogue.choose("onnx", kind, {"transB": 1}, shapes)
    found = Layer("node", kind, (Part(layout, arrays, options),), wiring=Wiring(rank=rank, reads="x", gives=("y",)))
    (module,) = pairing.pair(found, "", PYTORCH)
    return module


CALLS = [
    pytest.param(Case("LSTM"), "nn.LSTM(3, 5)", id="plain"),
    pytest.param(Case("GRU", BOTHWAYS | {"linear_before_reset": 1}), "nn.GRU(3, 5, bidirectional=True)", id="both"),
    pytest.param(
        Case("RNN", {}, (), {"activation": "relu"}), "nn.RNN(3, 5, nonlinearity='relu', bias=False)", id="rnn"
    ),
    pytest.param(Case("LSTM", {}, ("B",), {"clip": 0.5}), "converters.nn.LSTM(3, 5, clip=0.5)", id="clip"),
    pytest.param(Case("RNN", {}, ("B",), {"clip": 0.5}), "converters.nn.RNN(3, 5, clip=0.5)", id="rnn-clip"),
    pytest.param(
        Case("LSTM", {}, ("B", "P"), {"input_forget": True}),
        "converters.nn.LSTM(3, 5, peepholes=True, input_forget=True)",
        id="peepholes",
    ),
    pytest.param(
        Case("LSTM", {}, ("B",), {"output_activation": "softsign"}),
        "converters.nn.LSTM(3, 5, output_activation='softsign')",
        id="output",
    ),
    pytest.param(
        Case("LSTM", {}, ("B",), {"activation": "relu", "output_activation": "relu"}),
        "converters.nn.LSTM(3, 5, activation='relu')",
        id="one-activation",
    ),
    pytest.param(Case("GRU"), "converters.nn.GRU(3, 5, reset_after=False)", id="before"),
    pytest.param(Case("LSTM", {}, ("B",), {"activation": "LeakyRelu(alpha=0.3)"}), "", id="no-name"),
    pytest.param(Case("LSTM", {}, ("B",), {"output_activation": "Affine(alpha=2)"}), "", id="no-name-for-output"),
    pytest.param(Case("GRU", {}, ("B",), {"clip": float("inf")}), "", id="no-such-clip"),
]


@pytest.mark.parametrize(("case", "call"), CALLS)
def test_the_constructor_names_what_differs(case: Case, call: str) -> None:
    assert planned(case).constructor == call


def test_a_layer_with_the_batch_first_says_so() -> None:
    assert planned(Case("LSTM"), time_axis=1).constructor == "nn.LSTM(3, 5, batch_first=True)"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"clip": 0.25}, "it clips what goes into its activations to ±0.25, and nn.LSTM does not"),
    (
        {"input_forget": True},
        "its forget gate is 1 minus its input gate (input_forget), and nn.LSTM computes one of its",
    ),
    ({"output_activation": "relu"}, "its output_activation is relu, and nn.LSTM has none apart from its activation"),
    ({"recurrent_activation": "hard_sigmoid_0.2"}, "is hard_sigmoid (clip(0.2 x + 0.5, 0, 1)), and nn.LSTM computes"),
    ({"activation": "LeakyRelu(alpha=0.3)"}, "its activation is LeakyRelu(alpha=0.3), and nn.LSTM computes tanh"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_a_refusal_says_what_nn_lstm_does_not_compute(options: dict[str, Any], words: str) -> None:
    (problem,) = planned(Case("LSTM", {}, ("B",), options)).problems
    assert isinstance(problem, NotRepresentable)
    assert words in str(problem)


@pytest.mark.parametrize("options", [{}, {"clip": None, "input_forget": False, "output_activation": None}], ids=str)
def test_options_that_say_nothing_are_no_reason(options: dict[str, Any]) -> None:
    module = planned(Case("LSTM", {}, ("B",), options))
    assert (module.problems, module.constructor) == ((), "nn.LSTM(3, 5)")


NOTES = [
    pytest.param(Case("LSTM", {"direction": "reverse"}), {}, "feed x.flip(0) and flip the outputs back", id="reverse"),
    pytest.param(Case("LSTM", {"direction": "reverse"}), {"time_axis": 1}, "feed x.flip(1)", id="reverse-batch-first"),
    pytest.param(
        Case("LSTM", {"direction": "reverse"}, ("B", "sequence_lens")),
        {},
        "reverse each sequence within its own length",
        id="reverse-lengths",
    ),
    pytest.param(
        Case("GRU", {}, ("B", "sequence_lens")),
        {},
        "pack_padded_sequence(x, sequence_lens, enforce_sorted=False)",
        id="lengths",
    ),
    pytest.param(
        Case("GRU", {}, ("B", "sequence_lens")), {"time_axis": 1}, "batch_first=True, ", id="lengths-batch-first"
    ),
    pytest.param(Case("LSTM", {}, STATES), {}, "initial_h is an input: pass it as h_0", id="h"),
    pytest.param(Case("LSTM", {}, STATES), {}, "initial_c is an input: pass it as c_0", id="c"),
    pytest.param(Case("RNN"), {"initial_h": "stored"}, "initial_h is stored in the graph and not zero", id="stored"),
    pytest.param(
        Case("RNN", {}, STATES[:1]), {"time_axis": 1}, "(batch, directions, units): transpose", id="h-batch-first"
    ),
    pytest.param(Case("RNN", BOTHWAYS), {}, "Y is (time, directions, batch, units)", id="both"),
    pytest.param(Case("RNN", BOTHWAYS), {}, "stacked on axis 1", id="both-axis"),
    pytest.param(
        Case("RNN", BOTHWAYS), {"time_axis": 1}, "Y is (batch, time, directions, units)", id="both-batch-first"
    ),
    pytest.param(Case("RNN"), {}, "reads (time, batch, input)", id="time-major"),
]


@pytest.mark.parametrize(("case", "call", "note"), NOTES)
def test_a_note_tells_what_the_node_did(case: Case, call: dict[str, Any], note: str) -> None:
    assert [text for text in planned(case, **call).notes if note in text]
    assert not [text for text in planned(Case("LSTM"), time_axis=1).notes if note in text]


def test_a_plain_node_with_the_batch_first_needs_no_note() -> None:
    assert planned(Case("LSTM"), time_axis=1).notes == ()


def test_both_directions_in_one_part_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = layer(Case("LSTM", BOTHWAYS))
    assert stacking.bidirectional(found.parts)
    assert stacking.difference(found.parts) == ""
    assert "3 → 5, both directions" in str(checkpoint(found))
    assert [tensor.key for tensor in planned(Case("LSTM", BOTHWAYS)).tensors][4] == "weight_ih_l0_reverse"


def checkpoint(*layers: Layer) -> Any:
    from converters.model.checkpoint import Checkpoint

    return Checkpoint("m.onnx", "onnx", "17", "ONNX", layers)


def deeper(case: Case, width: int, **call: Any) -> Layer:
    """A node that reads so many features."""
    found, arrays = layer(case, **call), arrays_of(case)
    wide = np.zeros((*arrays["W"].shape[:2], width), np.float32)
    (part,) = found.parts
    part = replace(part, arrays={**part.arrays, "W": in_memory("W", wide)})
    return replace(found, path="second", parts=(part,))


STACKS = [
    pytest.param(Case("LSTM", BOTHWAYS), Case("LSTM", BOTHWAYS), 10, {}, "", id="both"),
    pytest.param(Case("LSTM"), Case("LSTM"), 5, {}, "", id="one"),
    pytest.param(Case("LSTM", BOTHWAYS), Case("LSTM", BOTHWAYS), 5, {}, "reads 5 features where 10 arrive", id="width"),
    pytest.param(Case("LSTM", BOTHWAYS), Case("LSTM"), 10, {}, "some run in one direction", id="ways"),
    pytest.param(Case("LSTM"), Case("LSTM", {"direction": "reverse"}), 5, {}, "second goes backwards", id="reverse"),
    pytest.param(Case("LSTM"), Case("LSTM"), 5, {"time_axis": 1}, "one has the time first", id="time"),
    pytest.param(Case("LSTM"), Case("LSTM", {}, ("B",), {"clip": 1.0}), 5, {}, "they differ in clip", id="clip"),
]


@pytest.mark.parametrize(("first", "second", "width", "call", "reason"), STACKS)
def test_nodes_stack_where_widths_and_directions_agree(
    first: Case, second: Case, width: int, call: dict[str, Any], reason: str
) -> None:
    found = stacking.unstackable([layer(first), deeper(second, width, **call)])
    assert reason in found if reason else found == ""


def test_a_stack_of_both_directions_is_one_module() -> None:
    case = Case("LSTM", BOTHWAYS)
    module = pairing.stack([layer(case), deeper(case, 10)], "rnn", PYTORCH)
    assert module.constructor == "nn.LSTM(3, 5, num_layers=2, bidirectional=True)"


def test_directions_that_differ_become_two_modules() -> None:
    case = Case("LSTM", BOTHWAYS)
    found = layer(case)
    halves = [
        replace(
            found.parts[0],
            arrays={name: in_memory(name, lazy.read()[k : k + 1]) for name, lazy in found.parts[0].arrays.items()},
            options=Recurrence(activation=("tanh", "relu")[k]),
            direction=way,
            directions=(),
        )
        for k, way in enumerate(BOTH)
    ]
    forward, backward = pairing.pair(replace(found, parts=tuple(halves)), "rnn", PYTORCH)
    assert (forward.name, backward.name) == ("rnn.forward", "rnn.backward")
    assert backward.constructor == "converters.nn.LSTM(3, 5, activation='relu')"
    assert any("the backward modules read x.flip(0)" in note for note in backward.notes)
    assert any("stack the outputs of the two modules" in note for note in forward.notes)


AROUND = [
    pytest.param(around("Gemm", {"B": (5, 3), "C": (5,)}), "nn.Linear(3, 5)", id="gemm"),
    pytest.param(around("Gemm", {"B": (5, 3), "C": (1, 5)}), "nn.Linear(3, 5)", id="gemm-row"),
    pytest.param(around("MatMul", {"B": (3, 5)}), "nn.Linear(3, 5, bias=False)", id="matmul"),
    pytest.param(around("Gather", {"data": (13, 5)}), "nn.Embedding(13, 5)", id="gather"),
    pytest.param(
        around(
            "BatchNormalization",
            dict.fromkeys(("scale", "B", "input_mean", "input_var"), (5,)),
            Normalization(epsilon=1e-5, momentum=0.9),
            4,
        ),
        "nn.BatchNorm2d(5, eps=1e-05, momentum=0.1)",
        id="batch-norm",
    ),
    pytest.param(
        around("InstanceNormalization", {"scale": (5,), "B": (5,)}, Normalization(groups=5, epsilon=1e-5)),
        "nn.GroupNorm(5, 5, eps=1e-05)",
        id="instance-norm",
    ),
    pytest.param(
        around("GroupNormalization", {"scale": (6,), "bias": (6,)}, Normalization(groups=2)),
        "nn.GroupNorm(2, 6)",
        id="group-norm",
    ),
    pytest.param(
        around("LayerNormalization", {"Scale": (7, 5)}, Normalization(epsilon=1e-5)),
        "nn.LayerNorm((7, 5), eps=1e-05)",
        id="norm",
    ),
    pytest.param(around("RMSNormalization", {"scale": (5,)}), "nn.RMSNorm(5, eps=1e-05)", id="rms-norm"),
    pytest.param(around("PRelu", {"slope": (5, 1, 1)}, rank=4), "nn.PReLU(5)", id="prelu"),
]


@pytest.mark.parametrize(("module", "call"), AROUND)
def test_nodes_around_the_recurrent_ones(module: Any, call: str) -> None:
    assert (module.constructor, module.notes, module.problems) == (call, (), ())


@pytest.mark.parametrize(
    ("shape", "rank", "note"),
    [
        ((5,), 3, "of axis 2: move it to axis 1"),
        ((5,), None, "of axis -1: unless that is axis 1"),
        ((5,), 2, ""),
        ((1,), 4, ""),
    ],
)
def test_slopes_along_another_axis_are_noted(shape: tuple[int, ...], rank: int | None, note: str) -> None:
    notes = around("PRelu", {"slope": shape}, rank=rank).notes
    assert [note in text for text in notes] == ([True] if note else [])
