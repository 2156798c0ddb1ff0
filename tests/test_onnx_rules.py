"""Where the texts of ONNX's recurrent operators leave a choice: what onnxruntime computes.

Found by running onnxruntime 1.31 and the reference evaluator of onnx 1.23:

1. `clip` limits what goes into f and g, biases and peepholes included: of every gate and the candidate of an LSTM and a
   GRU, whichever way that resets, and of an RNN. What goes into an LSTM's h is not clipped, though the text of the
   operator says "applied to the input of activations".
2. `input_forget` makes f = 1 - i, with i after its activation; weights, biases and peepholes of f have no effect.
3. activation_alpha and activation_beta are consumed by those functions alone that take such a number, in the order of
   `activations`, those of the second direction after those of the first. When a list is used up the defaults follow; a
   list that is too long is not noticed. The text of the operators does not say so: "consumed in the order of activation
   functions" could as well give every function its place.
4. The defaults are those of the operators of the same name (LeakyRelu 0.01, Elu 1, HardSigmoid 0.2 and 0.5), but for
   ThresholdedRelu, which has 1 as an operator and 0 here, and for ScaledTanh and Affine, which are 0 with both numbers
   0: they give nothing but zeros.
5. A sequence of length 0 ends with states of zero, whatever its initial ones.
6. An infinite `clip` is none. One of 0 or less is refused for LSTM and GRU; for an RNN, 0 clips to 0 and less is none.
7. Names of activations may be in any case, but for RNN.
8. The reference evaluator of onnx leaves out clip, input_forget, activations (for LSTM and GRU) and sequence_lens
   without a word, so that it cannot be the judge of these; it is right about directions, peepholes and initial states.
   `layout` 1, which onnxruntime refuses, is tested by it alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_single import STATES, TIME, Case, arrays_of, by_reference, expect_equal, model_of, run

from layouts import reference
from layouts.axes import Array

NUMBERS = [
    pytest.param(Case(op, {"activations": names} | given), expected, id=f"{op}-{label}")
    for op, names, given, expected, label in (
        ("LSTM", ["Sigmoid", "LeakyRelu", "Tanh"], {"activation_alpha": [0.3]}, [None, 0.3, None], "first-taker"),
        ("LSTM", ["Sigmoid", "LeakyRelu", "Tanh"], {"activation_alpha": [0.7, 0.3]}, [None, 0.7, None], "too-many"),
        ("LSTM", ["Elu", "Tanh", "LeakyRelu"], {"activation_alpha": [0.3, 0.2]}, [0.3, None, 0.2], "two-takers"),
        ("LSTM", ["Elu", "LeakyRelu", "LeakyRelu"], {"activation_alpha": [0.3, 0.2]}, [0.3, 0.2, 0.01], "used-up"),
        ("LSTM", ["Elu", "LeakyRelu", "LeakyRelu"], {}, [1.0, 0.01, 0.01], "defaults"),
        ("LSTM", ["Sigmoid", "ThresholdedRelu", "Tanh"], {}, [None, 0.0, None], "thresholded"),
        ("GRU", ["Sigmoid", "LeakyRelu"], {"activation_alpha": [0.3]}, [None, 0.3], "first-taker"),
        ("GRU", ["Sigmoid", "ThresholdedRelu"], {}, [None, 0.0], "thresholded"),
        ("RNN", ["ThresholdedRelu"], {}, [0.0], "thresholded"),
        (
            "RNN",
            ["LeakyRelu", "LeakyRelu"],
            {"activation_alpha": [0.3], "direction": "bidirectional"},
            [0.3, 0.01],
            "2",
        ),
        (
            "RNN",
            ["Tanh", "LeakyRelu"],
            {"activation_alpha": [0.3], "direction": "bidirectional"},
            [None, 0.3],
            "second",
        ),
        (
            "GRU",
            ["Sigmoid", "Elu"] * 2,
            {"activation_alpha": [0.3, 0.2], "direction": "bidirectional"},
            [None, 0.3, None, 0.2],
            "both",
        ),
    )
]


def function(name: str, alpha: float | None) -> Any:
    """ONNX's function with its alpha, from the text of the operators."""
    return {
        "Sigmoid": reference.sigmoid,
        "Tanh": np.tanh,
        "LeakyRelu": lambda x: np.where(x >= 0.0, x, alpha * x),
        "Elu": lambda x: np.where(x >= 0.0, x, alpha * np.expm1(x)),
        "ThresholdedRelu": lambda x: np.where(x > alpha, x, 0.0),
    }[name]


@pytest.mark.parametrize(("case", "alphas"), NUMBERS)
def test_numbers_go_to_the_functions_that_take_them(
    case: Case, alphas: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, each = arrays_of(case), len(alphas) // len(case.ways)
    expected = run(model_of(case, arrays), arrays)[0]
    keys = {"LSTM": ("recurrent_activation", "activation", "output_activation"), "RNN": ("activation",)}
    for number, name in enumerate(case.attributes["activations"]):
        monkeypatch.setitem(reference.ACTIVATIONS, str(number), function(name, alphas[number]))
    for way in range(len(case.ways)):
        told = keys.get(case.op, ("recurrent_activation", "activation"))
        options = {key: str(way * each + place) for place, key in enumerate(told)}
        found = by_reference(case._replace(options=options), arrays)[0]
        expect_equal([found[:, way]], [expected[:, way]])


@pytest.mark.parametrize("name", ["ScaledTanh", "Affine"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_functions_without_an_operator_have_no_defaults_but_zero(op: str, name: str) -> None:
    names = {"LSTM": ["Sigmoid", name, name], "GRU": ["Sigmoid", name], "RNN": [name]}[op]
    case = Case(op, {"activations": names})
    arrays = arrays_of(case)
    assert all(not output.any() for output in run(model_of(case, arrays), arrays))


def test_the_cell_is_not_clipped_on_its_way_out() -> None:
    case = Case("LSTM", {"clip": 0.25}, ("B", *STATES), {"clip": 0.25})
    arrays = arrays_of(case)
    arrays["initial_c"] *= 20
    expected = run(model_of(case, arrays), arrays)
    assert np.abs(expected[0]).max() > 0.2 > reference.sigmoid(np.array(0.25)) * np.tanh(0.25)
    expect_equal(by_reference(case, arrays), expected)


def test_a_coupled_gate_leaves_the_weights_of_the_forget_gate_without_effect() -> None:
    case = Case("LSTM", {"input_forget": 1}, ("B", "P"))
    arrays = arrays_of(case)
    expected = run(model_of(case, arrays), arrays)
    for name in ("W", "R"):
        arrays[name][:, 10:15] = 7.0  # i, o, f, c of 5 units
    arrays["B"][:, 10:15], arrays["P"][:, 10:] = 7.0, 7.0
    expect_equal(run(model_of(case, arrays), arrays), expected, 0.0)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_a_sequence_of_no_steps_ends_in_zero(op: str) -> None:
    case = Case(op, {}, ("B", "sequence_lens", *STATES[: 2 if op == "LSTM" else 1]))
    arrays = arrays_of(case) | {"sequence_lens": np.array([0, TIME], np.int32)}
    y, *states = run(model_of(case, arrays), arrays)
    assert not y[:, :, 0].any() and not any(state[:, 0].any() for state in states)
    assert all(state[:, 1].all() for state in states)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_an_infinite_clip_is_none(op: str) -> None:
    case = Case(op, {"clip": float("inf")})
    arrays = arrays_of(case)
    expect_equal(by_reference(case, arrays), run(model_of(case, arrays), arrays))


@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_a_clip_of_nothing_is_refused_by_onnxruntime(op: str) -> None:
    case = Case(op, {"clip": 0.0})
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="clip_ > 0"):
        run(model_of(case, arrays_of(case)), arrays_of(case))


def test_activations_are_named_in_any_case() -> None:
    case = Case("LSTM", {"activations": ["hardSIGMOID", "relu", "TANH"]}, ("B",))
    options = {"recurrent_activation": "hard_sigmoid_0.2", "activation": "relu", "output_activation": "tanh"}
    arrays = arrays_of(case)
    expect_equal(by_reference(case._replace(options=options), arrays), run(model_of(case, arrays), arrays))


def evaluated(case: Case, arrays: dict[str, Array]) -> list[Array]:
    """The outputs of the reference evaluator of onnx."""
    return [np.asarray(output) for output in ReferenceEvaluator(model_of(case, arrays)).run(None, arrays)]


LEFT_OUT = [
    Case("LSTM", {"clip": 0.25}),
    Case("LSTM", {"input_forget": 1}),
    Case("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"]}),
    Case("GRU", {"activations": ["HardSigmoid", "Tanh"]}),
    Case("LSTM", {}, ("B", "sequence_lens")),
    Case("GRU", {"clip": 0.25}),
    Case("RNN", {}, ("B", "sequence_lens")),
]


@pytest.mark.parametrize("case", LEFT_OUT, ids=str)
def test_what_the_reference_evaluator_of_onnx_leaves_out(case: Case) -> None:
    """Should this fail, the evaluator has learnt it: then it may be a second judge."""
    arrays = arrays_of(case)
    plain = case._replace(attributes={}, optional=tuple(name for name in case.optional if name != "sequence_lens"))
    given = arrays_of(plain)
    found = evaluated(case, arrays)
    expect_equal(found, evaluated(plain, given), 0.0)
    assert np.abs(found[0] - run(model_of(case, arrays), arrays)[0]).max() > 1e-3


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_layout_1_has_the_batch_first(op: str, bidirectional: bool) -> None:
    direction = {"direction": "bidirectional"} if bidirectional else {}
    case, batch_first = Case(op, direction), Case(op, direction | {"layout": 1})
    arrays = arrays_of(case)
    y, *states = run(model_of(case, arrays), arrays)
    x = np.ascontiguousarray(arrays["X"].swapaxes(0, 1))
    found = evaluated(batch_first, arrays | {"X": x})
    expect_equal(found, [np.moveaxis(y, 2, 0), *(state.swapaxes(0, 1) for state in states)])
