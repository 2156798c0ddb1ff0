"""The reference cells: against values worked by hand, and against the modules of torch.nn.

The arithmetic stands beside every value: one unit, the inputs x = 1, 2, linear activations where that keeps it short.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from layout_samples import BOTH, expect_close, sequence

from layouts import Layout, Piece, cells, unpack
from layouts.axes import Array
from layouts.frameworks import pytorch
from layouts.options import Recurrence
from layouts.reference import ACTIVATIONS, forward, sigmoid

LINEAR = Recurrence("linear", "linear")
TWO_STEPS = np.array([[[1.0], [2.0]]])
THREE_STEPS = np.array([[[1.0], [2.0], [4.0]]])


Numbers = Mapping[str, Mapping[str, float] | float]


def one_unit(cell: cells.Cell, slots: Numbers, direction: str = "forward") -> dict[Piece, Array]:
    """Pieces of one unit and one input: a number for each gate of a slot, or one number where there are no gates."""
    matrices = ("input_weight", "recurrent_weight", "projection")
    pieces = {}
    for slot, values in slots.items():
        for gate, value in values.items() if isinstance(values, Mapping) else (("", values),):
            pieces[Piece(slot, gate, direction=direction)] = np.full((1, 1) if slot in matrices else (1,), value)
    assert {piece.slot for piece in pieces} <= set(cell.slots)
    return pieces


def outputs(cell: cells.Cell, pieces: Mapping[Piece, Array], x: Array, **extra: Any) -> list[float]:
    found, states = forward(cell, pieces, x, **extra)
    last = 0 if extra.get("direction") == "backward" else -1
    assert np.array_equal(states[0], found[:, last])
    return [float(value) for value in found.ravel()]


LSTM: dict[str, Mapping[str, float] | float] = {
    "input_weight": {"i": 1.0, "f": 2.0, "g": 3.0, "o": 4.0},
    "recurrent_weight": {"i": 0.5, "f": 0.0, "g": 1.0, "o": -1.0},
    "input_bias": {"i": 0.0, "f": 1.0, "g": 0.0, "o": 0.0},
    "recurrent_bias": {"i": 0.0, "f": 0.0, "g": 1.0, "o": 0.0},
}
GRU: dict[str, Mapping[str, float] | float] = {
    "input_weight": {"r": 1.0, "z": 0.5, "n": 2.0},
    "recurrent_weight": {"r": 0.5, "z": 1.0, "n": 3.0},
    "input_bias": {"r": 0.0, "z": 0.0, "n": 1.0},
    "recurrent_bias": {"r": 0.0, "z": 0.0, "n": 2.0},
}


def test_lstm() -> None:
    # x = 1, h = c = 0:      i = 1    f = 2 + 1 = 3    g = 3 + 1 = 4    o = 4    c = 3·0 + 1·4 = 4    h = 4·4 = 16
    # x = 2, h = 16, c = 4:  i = 2 + 0.5·16 = 10    f = 4 + 1 = 5    g = 6 + 16 + 1 = 23    o = 8 - 16 = -8
    #                        c = 5·4 + 10·23 = 250    h = -8·250 = -2000
    assert outputs(cells.LSTM, one_unit(cells.LSTM, LSTM), TWO_STEPS, options=LINEAR) == [16.0, -2000.0]


def test_lstm_final_cell() -> None:
    _, (h, c) = forward(cells.LSTM, one_unit(cells.LSTM, LSTM), TWO_STEPS, options=LINEAR)
    assert (h.item(), c.item()) == (-2000.0, 250.0)


def test_lstm_with_peepholes() -> None:
    # i and f look at the old c, o at the new one.
    # x = 1, h = c = 0:      i = 1    f = 3    g = 4    c = 4    o = 4 - 0.25·4 = 3    h = 3·4 = 12
    # x = 2, h = 12, c = 4:  i = 2 + 6 + 0.5·4 = 10    f = 4 + 1 + 1·4 = 9    g = 6 + 12 + 1 = 19
    #                        c = 9·4 + 10·19 = 226    o = 8 - 12 - 0.25·226 = -60.5    h = -60.5·226 = -13673
    pieces = one_unit(cells.LSTM, LSTM | {"peephole": {"i": 0.5, "f": 1.0, "o": -0.25}})
    assert outputs(cells.LSTM, pieces, TWO_STEPS, options=LINEAR) == [12.0, -13673.0]


def test_lstm_with_another_function_of_its_cell() -> None:
    # As without peepholes, but h = o softsign(c): c = 4, h = 4·(4/5) = 3.2
    # x = 2, h = 3.2, c = 4:  i = 2 + 1.6 = 3.6    f = 5    g = 6 + 3.2 + 1 = 10.2    o = 8 - 3.2 = 4.8
    #                         c = 5·4 + 3.6·10.2 = 56.72    h = 4.8·56.72/57.72
    found = outputs(
        cells.LSTM, one_unit(cells.LSTM, LSTM), TWO_STEPS, options=replace(LINEAR, output_activation="softsign")
    )
    expect_close(np.array(found), np.array([3.2, 4.8 * 56.72 / 57.72]), 1e-14)


def test_clipping_leaves_the_function_of_the_cell_alone() -> None:
    # Everything that goes into a gate or the candidate is cut to 3; c is not.
    # x = 1, h = c = 0:    i = 1    f = 3    g = 3    o = 3    c = 3    h = 3·3 = 9
    # x = 2, h = 9, c = 3: i = 6.5 → 3    f = 5 → 3    g = 16 → 3    o = 8 - 9 = -1    c = 3·3 + 3·3 = 18    h = -18
    found = outputs(cells.LSTM, one_unit(cells.LSTM, LSTM), TWO_STEPS, options=replace(LINEAR, clip=3.0))
    assert found == [9.0, -18.0]


def test_a_coupled_forget_gate_is_one_minus_the_input_gate() -> None:
    # Its weights and peephole have no effect.  x = 1, h = c = 0:  i = 1    f = 0    g = 4    o = 4    c = 4    h = 16
    # x = 2, h = 16, c = 4:  i = 10 + 0.5·4 = 12    f = -11    g = 23    o = -8    c = -11·4 + 12·23 = 232    h = -1856
    pieces = one_unit(cells.LSTM, LSTM | {"peephole": {"i": 0.5, "f": 1.0, "o": 0.0}})
    assert outputs(cells.LSTM, pieces, TWO_STEPS, options=replace(LINEAR, input_forget=True)) == [16.0, -1856.0]


def test_lstm_with_projection() -> None:
    # Twice o c is what the next step sees; c itself is not projected.
    # x = 1, h = c = 0:      as without: c = 4, o = 4    h = 2·16 = 32
    # x = 2, h = 32, c = 4:  i = 2 + 16 = 18    f = 5    g = 6 + 32 + 1 = 39    o = 8 - 32 = -24
    #                        c = 5·4 + 18·39 = 722    h = 2·(-24·722) = -34656
    pieces = one_unit(cells.LSTM, LSTM | {"projection": 2.0})
    assert outputs(cells.LSTM, pieces, TWO_STEPS, options=LINEAR) == [32.0, -34656.0]


def test_lstm_with_its_default_activations() -> None:
    # Every weight 0, so i = f = o = σ(0) = 1/2; the bias ln 3 / 2 of g makes tanh = (3 - 1) / (3 + 1) = 1/2.
    # c = 1/2·1/2 = 1/4, then 1/2·1/4 + 1/4 = 3/8; h = 1/2 tanh c.
    zero = dict.fromkeys("ifgo", 0.0)
    bias = zero | {"g": math.log(3.0) / 2.0}
    pieces = one_unit(cells.LSTM, {"input_weight": zero, "recurrent_weight": zero, "input_bias": bias})
    found = outputs(cells.LSTM, pieces, TWO_STEPS)
    expect_close(np.array(found), np.array([0.5 * math.tanh(0.25), 0.5 * math.tanh(0.375)]), 1e-15)


def test_gru_resets_after_the_product() -> None:
    # x = 1, h = 0:    r = 1    z = 0.5    n = 2 + 1 + 1·(0 + 2) = 5    h = 0.5·5 + 0 = 2.5
    # x = 2, h = 2.5:  r = 2 + 1.25 = 3.25    z = 1 + 2.5 = 3.5    n = 4 + 1 + 3.25·(7.5 + 2) = 35.875
    #                  h = -2.5·35.875 + 3.5·2.5 = -80.9375
    assert outputs(cells.GRU, one_unit(cells.GRU, GRU), TWO_STEPS, options=LINEAR) == [2.5, -80.9375]


def test_gru_resets_before_the_product() -> None:
    # x = 1, h = 0:    r = 1    z = 0.5    n = 2 + 1 + 3·(1·0) + 2 = 5    h = 0.5·5 + 0 = 2.5
    # x = 2, h = 2.5:  r = 3.25    z = 3.5    n = 4 + 1 + 3·(3.25·2.5) + 2 = 31.375
    #                  h = -2.5·31.375 + 3.5·2.5 = -69.6875
    cell = cells.GRU_RESET_BEFORE
    assert outputs(cell, one_unit(cell, GRU), TWO_STEPS, options=LINEAR) == [2.5, -69.6875]


@pytest.mark.parametrize("cell", [cells.GRU, cells.GRU_RESET_BEFORE], ids=lambda cell: cell.name)
def test_gru_with_its_default_activations(cell: cells.Cell) -> None:
    # Every weight 0: r = z = σ(0) = 1/2, n = tanh(ln 3 / 2) = 1/2; h = 1/2·1/2 = 1/4, then 1/4 + 1/2·1/4 = 3/8.
    zero = dict.fromkeys("rzn", 0.0)
    bias = zero | {"n": math.log(3.0) / 2.0}
    pieces = one_unit(cell, {"input_weight": zero, "recurrent_weight": zero, "input_bias": bias})
    found = outputs(cell, pieces, TWO_STEPS)
    expect_close(np.array(found), np.array([0.25, 0.375]), 1e-15)


RNN: dict[str, Mapping[str, float] | float] = {
    "input_weight": 2.0,
    "recurrent_weight": -1.0,
    "input_bias": 1.0,
    "recurrent_bias": 0.5,
}
SUM: dict[str, Mapping[str, float] | float] = {"input_weight": 1.0, "recurrent_weight": 1.0}
"""h' = x + h: outputs are running sums."""


def test_rnn() -> None:
    # h = 2·1 + 1.5 = 3.5, then 2·2 - 3.5 + 1.5 = 2
    pieces = one_unit(cells.RNN, RNN)
    assert outputs(cells.RNN, pieces, TWO_STEPS, options=Recurrence("linear")) == [3.5, 2.0]


def test_rnn_with_its_default_activation() -> None:
    # h = tanh(3.5), then tanh(5.5 - h)
    found = outputs(cells.RNN, one_unit(cells.RNN, RNN), TWO_STEPS)
    expect_close(np.array(found), np.array([math.tanh(3.5), math.tanh(5.5 - math.tanh(3.5))]), 1e-15)


def test_rnn_with_relu() -> None:
    # h = max(0, -2·1 + 1.5) = 0, then max(0, -2·2 + 0 + 1.5) = 0
    pieces = one_unit(cells.RNN, RNN | {"input_weight": -2.0})
    assert outputs(cells.RNN, pieces, TWO_STEPS, options=Recurrence("relu")) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("direction", "mask", "expected"),
    [
        ("forward", None, [1.0, 3.0, 7.0]),  # 1, 1 + 2, 3 + 4
        ("backward", None, [7.0, 6.0, 4.0]),  # from the end: 4, 4 + 2, 6 + 1; put back into the order of the input
        ("forward", [True, False, True], [1.0, 1.0, 5.0]),  # the second step keeps 1; 1 + 4
        ("forward", [False, True, True], [0.0, 2.0, 6.0]),  # nothing before the first step that counts
        ("backward", [True, True, False], [3.0, 2.0, 0.0]),  # the last step does not count: 2, 2 + 1
    ],
)
def test_directions_and_masks(direction: str, mask: list[bool] | None, expected: list[float]) -> None:
    pieces = one_unit(cells.RNN, SUM, direction)
    steps = None if mask is None else np.array([mask])
    options = Recurrence("linear")
    assert outputs(cells.RNN, pieces, THREE_STEPS, direction=direction, mask=steps, options=options) == expected


def test_a_mask_keeps_the_cell_of_an_lstm() -> None:
    pieces = one_unit(cells.LSTM, LSTM)
    _, kept = forward(cells.LSTM, pieces, THREE_STEPS, mask=np.array([[True, True, False]]), options=LINEAR)
    _, shorter = forward(cells.LSTM, pieces, TWO_STEPS, options=LINEAR)
    assert [state.item() for state in kept] == [state.item() for state in shorter]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hard_sigmoid_0.2", [0.0, 0.3, 0.5, 0.7, 1.0]),  # 0.2·(-1) + 0.5 = 0.3
        ("hard_sigmoid_1/6", [0.0, 1.0 / 3.0, 0.5, 2.0 / 3.0, 1.0]),  # -1/6 + 1/2 = 1/3
        ("relu", [0.0, 0.0, 0.0, 1.0, 4.0]),
        ("leaky_relu_0.01", [-0.04, -0.01, 0.0, 1.0, 4.0]),
        ("linear", [-4.0, -1.0, 0.0, 1.0, 4.0]),
        ("softsign", [-0.8, -0.5, 0.0, 0.5, 0.8]),  # x / (1 + |x|)
        ("elu", [math.exp(-4.0) - 1.0, math.exp(-1.0) - 1.0, 0.0, 1.0, 4.0]),
        ("exponential", [math.exp(-4.0), math.exp(-1.0), 1.0, math.e, math.exp(4.0)]),
        ("softplus", [math.log(1.0 + math.exp(x)) for x in (-4.0, -1.0, 0.0, 1.0, 4.0)]),
        ("sigmoid", [1.0 / (1.0 + math.exp(-x)) for x in (-4.0, -1.0, 0.0, 1.0, 4.0)]),
        ("silu", [x / (1.0 + math.exp(-x)) for x in (-4.0, -1.0, 0.0, 1.0, 4.0)]),
    ],
)
def test_activations(name: str, expected: list[float]) -> None:
    expect_close(ACTIVATIONS[name](np.array([-4.0, -1.0, 0.0, 1.0, 4.0])), np.array(expected), 1e-14)


def test_selu_is_the_one_of_torch() -> None:
    x = torch.linspace(-4.0, 4.0, 9, dtype=torch.float64)
    expect_close(ACTIVATIONS["selu"](x.numpy()), torch.nn.functional.selu(x).numpy(), 1e-12)


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(over="raise"):
        assert ACTIVATIONS["sigmoid"](np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


def run_stack(layout: Layout, module: torch.nn.RNNBase, x: Array, options: Recurrence) -> tuple[Array, ...]:
    """Outputs of the top layer and the final states of every layer and direction, in PyTorch's order."""
    directions = BOTH if module.bidirectional else BOTH[:1]
    arrays = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    pieces = unpack(layout, arrays, directions=directions, layers=module.num_layers)
    finals = []
    for layer in range(module.num_layers):
        runs = [
            forward(layout.cell, pieces, x, options=options, layer=layer, direction=direction)
            for direction in directions
        ]
        x = np.concatenate([found for found, _ in runs], axis=-1)
        finals += [states for _, states in runs]
    return x, *(np.stack(states) for states in zip(*finals, strict=True))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize(
    ("layout", "make", "extra"),
    [
        pytest.param(pytorch.LSTM, torch.nn.LSTM, {}, id="LSTM"),
        pytest.param(pytorch.LSTM, torch.nn.LSTM, {"proj_size": 3}, id="LSTM-projected"),
        pytest.param(pytorch.GRU, torch.nn.GRU, {}, id="GRU"),
        pytest.param(pytorch.RNN, torch.nn.RNN, {"nonlinearity": "tanh"}, id="RNN-tanh"),
        pytest.param(pytorch.RNN, torch.nn.RNN, {"nonlinearity": "relu"}, id="RNN-relu"),
    ],
)
def test_stacks_of_torch(
    layout: Layout, make: Any, extra: dict[str, Any], bidirectional: bool, layers: int, bias: bool
) -> None:
    torch.manual_seed(0)
    shape = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "batch_first": True}
    module = make(2, 5, dtype=torch.float64, **shape, **extra)
    x = sequence(width=2)
    with torch.no_grad():
        expected, states = module(torch.from_numpy(x))
    options = Recurrence(extra.get("nonlinearity", "tanh"))
    found, *finals = run_stack(layout, module, x, options)
    expect_close(found, expected.numpy())
    for final, state in zip(finals, states if isinstance(states, tuple) else (states,), strict=True):
        expect_close(final, state.numpy())


@pytest.mark.parametrize(
    ("layout", "make"),
    [
        (pytorch.LSTM_CELL, torch.nn.LSTMCell),
        (pytorch.GRU_CELL, torch.nn.GRUCell),
        (pytorch.RNN_CELL, torch.nn.RNNCell),
    ],
    ids=["LSTMCell", "GRUCell", "RNNCell"],
)
def test_cells_of_torch(layout: Layout, make: Any) -> None:
    torch.manual_seed(0)
    module = make(2, 5, dtype=torch.float64)
    x = sequence(width=2)
    state, steps = None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            state = module(torch.from_numpy(x[:, t]), state)
            steps.append((state[0] if isinstance(state, tuple) else state).numpy())
    pieces = unpack(layout, {name: value.detach().numpy() for name, value in module.state_dict().items()})
    expect_close(forward(layout.cell, pieces, x)[0], np.stack(steps, axis=1))


def test_masks_agree_with_packed_sequences() -> None:
    torch.manual_seed(0)
    module = torch.nn.LSTM(2, 5, batch_first=True, dtype=torch.float64)
    x, lengths = sequence(width=2), [7, 4]
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), torch.tensor(lengths), batch_first=True)
    with torch.no_grad():
        _, expected = module(packed)
    pieces = unpack(pytorch.LSTM, {name: value.detach().numpy() for name, value in module.state_dict().items()})
    mask = np.arange(7) < np.array(lengths)[:, None]
    _, states = forward(cells.LSTM, pieces, x, mask=mask)
    for found, state in zip(states, expected, strict=True):
        expect_close(found, state[0].numpy())


def test_a_small_sigmoid_has_all_its_digits() -> None:
    x = np.array([-745.0, -53.0, -1.0, 0.0, 1.0, 40.0, 1e4])
    wanted = [math.exp(each) / (1.0 + math.exp(each)) if each < 0.0 else 1.0 / (1.0 + math.exp(-each)) for each in x]
    assert np.allclose(sigmoid(x), wanted, rtol=1e-15, atol=0.0)
