"""What LSTM, GRU and RNN nodes compute: onnxruntime against `layouts.reference` and against the planned module.

The rules that this found are told, and held one by one, in `test_onnx_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
import torch
from onnx_single import BATCH, STATES, TIME, Case, arrays_of, by_reference, expect_equal, layer_of, model_of, run
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import converters.nn
from converters.planning import pairing
from converters.targets import PYTORCH
from layouts import pack
from layouts.axes import Array

DIRECTIONS = ("forward", "reverse", "bidirectional")
FUNCTIONS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "relu": ("Relu", ()),
    "sigmoid": ("Sigmoid", ()),
    "tanh": ("Tanh", ()),
    "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()),
    "elu": ("Elu", (1.0,)),
    "leaky_relu_0.01": ("LeakyRelu", (0.01,)),
    "hard_sigmoid_0.2": ("HardSigmoid", (0.2, 0.5)),
    "hard_sigmoid_1/6": ("HardSigmoid", (1 / 6, 0.5)),
    "linear": ("Affine", (1.0, 0.0)),
}
"""Neutral name -> ONNX's function with its alpha and beta."""


def shared(op: str) -> Iterator[Case]:
    """Every combination of direction, bias, initial states, lengths and clip that the three operators share."""
    states = STATES if op == "LSTM" else STATES[:1]
    for direction, bias, given, lengths, clip in product(
        DIRECTIONS, (("B",), ()), (states, ()), (("sequence_lens",), ()), ({}, {"clip": 0.25})
    ):
        yield Case(op, {"direction": direction} | clip, bias + lengths + given, clip)


def with_more(case: Case, attributes: Mapping[str, Any], options: Mapping[str, Any], *optional: str) -> Case:
    return Case(case.op, {**case.attributes, **attributes}, case.optional + optional, {**case.options, **options})


def all_options() -> Iterator[Case]:
    for case, peepholes, coupled in product(shared("LSTM"), ((), ("P",)), (0, 1)):
        attributes = {"input_forget": 1} if coupled else {}
        yield with_more(case, attributes, {"input_forget": True} if coupled else {}, *peepholes)
    for case, before in product(shared("GRU"), (0, 1)):
        yield with_more(case, {"linear_before_reset": before}, {})
    yield from shared("RNN")


def activated() -> Iterator[Case]:
    """Every function that has a neutral name, in every place where a node takes one."""
    for name in FUNCTIONS:
        for recurrent, inner, output in ((name, "tanh", "tanh"), ("sigmoid", name, "tanh"), ("sigmoid", "tanh", name)):
            named = {"recurrent_activation": recurrent, "activation": inner}
            yield _activated("LSTM", (recurrent, inner, output), named | {"output_activation": output})
            if output == "tanh":
                for before in (0, 1):
                    case = _activated("GRU", (recurrent, inner), named)
                    yield with_more(case, {"linear_before_reset": before}, {})
        yield _activated("RNN", (name,), {"activation": name})


def _activated(op: str, names: tuple[str, ...], options: Mapping[str, Any]) -> Case:
    functions = [FUNCTIONS[name] for name in names]
    numbers: dict[str, Any] = {"activations": [function for function, _ in functions]}
    for key, place in (("activation_alpha", 0), ("activation_beta", 1)):
        values = [given[place] for _, given in functions if len(given) > place]
        numbers |= {key: values} if values else {}
    return Case(op, numbers, ("B",), options)


def identified(cases: Iterator[Case]) -> list[Any]:
    """Parameters for pytest, each once."""
    named = {str(case): case for case in cases}
    return [pytest.param(case, id=name) for name, case in named.items()]


def by_module(case: Case, arrays: Mapping[str, Array]) -> list[Array]:
    """The same by the constructor that the plan prints, with the forward code that its notes ask for."""
    (planned,) = pairing.pair(layer_of(case, arrays), "", PYTORCH)
    assert planned.layout is not None
    module = eval(planned.constructor, {"nn": torch.nn, "converters": converters})
    pieces = {piece: view for part in planned.parts for piece, view in part.unpack().items()}
    module.load_state_dict({k: torch.from_numpy(v) for k, v in pack(planned.layout, pieces).items()}, strict=True)
    x, lengths = torch.from_numpy(arrays["X"]), torch.tensor(arrays.get("sequence_lens", [TIME] * BATCH))
    backwards = case.direction == "reverse"
    x = _reversed(x, lengths) if backwards else x
    given = tuple(torch.from_numpy(arrays[name]) for name in STATES if name in arrays)
    initial = (given or None) if case.op == "LSTM" else (given[0] if given else None)
    with torch.no_grad():
        packed, states = module(pack_padded_sequence(x, lengths, enforce_sorted=False), initial)
        y, _ = pad_packed_sequence(packed, total_length=TIME)
    y = _reversed(y, lengths) if backwards else y
    y = torch.stack(y.chunk(len(case.ways), dim=-1), 1)
    return [y.numpy(), *(state.numpy() for state in (states if case.op == "LSTM" else (states,)))]


def _reversed(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each sequence (time, batch, …) reversed within its own length."""
    found = x.clone()
    for number, length in enumerate(lengths):
        found[:length, number] = x[:length, number].flip(0)
    return found


@pytest.mark.parametrize("case", [*identified(all_options()), *identified(activated())])
def test_reference_and_module_compute_what_onnxruntime_does(case: Case) -> None:
    arrays = arrays_of(case)
    expected = run(model_of(case, arrays), arrays)
    expect_equal(by_reference(case, arrays), expected)
    expect_equal(by_module(case, arrays), expected)
