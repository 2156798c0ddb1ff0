"""Each framework's own equation on its own arrays gives what the reference gives on the unpacked pieces.

The steps are written as the framework's source or documentation has them, with its names, its concatenations and its
orders, and share no code with `layouts`: a wrong gate, transpose, offset or sense in a layout shows as another output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from layout_samples import OPTIONS, expect_close, normal, sequence, shapes_of, sizes_of

from layouts import Layout, catalogue, unpack
from layouts.axes import Array
from layouts.frameworks import chainer, equinox, flax, haiku, lasagne, onnx
from layouts.frameworks import tensorflow as tf1
from layouts.options import Recurrence
from layouts.reference import forward

Arrays = Mapping[str, Array]
State = tuple[Array, ...]
"""What one step hands to the next, the output first."""

Step = Callable[[Arrays, Array, State], State]

FORGET_BIAS = OPTIONS["forget_bias"]


def sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


# --- TensorFlow 1: rnn_cell_impl.py, contrib/rnn/python/ops/lstm_ops.py, contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py


def tf1_gates(w: Arrays, x: Array, h: Array) -> list[Array]:
    """i, j, f, o = split(matmul(concat([inputs, h], 1), kernel) + bias, 4, axis=1)"""
    return np.split(np.concatenate([x, h], 1) @ w["kernel"] + w["bias"], 4, axis=1)


def tf1_basic_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i, j, f, o = tf1_gates(w, x, h)
    c = c * sigmoid(f + FORGET_BIAS) + sigmoid(i) * np.tanh(j)
    return np.tanh(c) * sigmoid(o), c


def tf1_lstm(w: Arrays, x: Array, state: State) -> State:
    m, c = state
    i, j, f, o = tf1_gates(w, x, m)
    c = sigmoid(f + FORGET_BIAS + w["w_f_diag"] * c) * c + sigmoid(i + w["w_i_diag"] * c) * np.tanh(j)
    m = sigmoid(o + w["w_o_diag"] * c) * np.tanh(c)
    return (m @ w["projection/kernel"] if "projection/kernel" in w else m), c


def tf1_cudnn_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i, j, f, o = tf1_gates(w, x, h)
    c = c * sigmoid(f) + sigmoid(i) * np.tanh(j)
    return np.tanh(c) * sigmoid(o), c


def tf1_reset_update(w: Arrays, x: Array, h: Array) -> list[Array]:
    return np.split(sigmoid(np.concatenate([x, h], 1) @ w["gates/kernel"] + w["gates/bias"]), 2, axis=1)


def tf1_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    r, u = tf1_reset_update(w, x, h)
    c = np.tanh(np.concatenate([x, r * h], 1) @ w["candidate/kernel"] + w["candidate/bias"])
    return (u * h + (1 - u) * c,)


def tf1_cudnn_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    r, u = tf1_reset_update(w, x, h)
    hidden = h @ w["candidate/hidden_projection/kernel"] + w["candidate/hidden_projection/bias"]
    inputs = x @ w["candidate/input_projection/kernel"] + w["candidate/input_projection/bias"]
    return ((1 - u) * np.tanh(inputs + r * hidden) + u * h,)


def tf1_rnn(w: Arrays, x: Array, state: State) -> State:
    return (np.tanh(np.concatenate([x, state[0]], 1) @ w["kernel"] + w["bias"]),)


def under(equation: Step, *pairs: tuple[str, str]) -> Step:
    """The same equation over arrays whose names, or ends of names, were other ones before."""

    def step(w: Arrays, x: Array, state: State) -> State:
        def today(name: str) -> str:
            return next((name.removesuffix(old) + new for old, new in pairs if name.endswith(old)), name)

        return equation({today(name): array for name, array in w.items()}, x, state)

    return step


TF_1_0 = (("weights", "kernel"), ("biases", "bias"))
TF_0 = (
    ("Gates/Linear/Matrix", "gates/kernel"),
    ("Gates/Linear/Bias", "gates/bias"),
    ("Candidate/Linear/Matrix", "candidate/kernel"),
    ("Candidate/Linear/Bias", "candidate/bias"),
    ("Linear/Matrix", "kernel"),
    ("Linear/Bias", "bias"),
)
TF_0_WHOLE = (
    ("W_0", "kernel"),
    ("B", "bias"),
    ("W_P_0", "projection/kernel"),
    ("W_I_diag", "w_i_diag"),
    ("W_F_diag", "w_f_diag"),
    ("W_O_diag", "w_o_diag"),
)
TF_BLOCK = (("w_ru", "gates/kernel"), ("b_ru", "gates/bias"), ("w_c", "candidate/kernel"), ("b_c", "candidate/bias"))


# --- Flax: flax/linen/recurrent.py, flax/nnx/nn/recurrent.py


def dense(w: Arrays, name: str, x: Array) -> Array:
    y = x @ w[f"{name}/kernel"]
    return y + w[f"{name}/bias"] if f"{name}/bias" in w else y


def flax_lstm(w: Arrays, x: Array, state: State, forget: str = "if") -> State:
    h, c = state
    i = sigmoid(dense(w, "ii", x) + dense(w, "hi", h))
    f = sigmoid(dense(w, forget, x) + dense(w, "hf", h))
    g = np.tanh(dense(w, "ig", x) + dense(w, "hg", h))
    o = sigmoid(dense(w, "io", x) + dense(w, "ho", h))
    c = f * c + i * g
    return o * np.tanh(c), c


def nnx_lstm(w: Arrays, x: Array, state: State) -> State:
    return flax_lstm(w, x, state, forget="if_")


def nnx_optimized_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i, f, g, o = np.split(dense(w, "dense_i", x) + dense(w, "dense_h", h), 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def flax_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    r = sigmoid(dense(w, "ir", x) + dense(w, "hr", h))
    z = sigmoid(dense(w, "iz", x) + dense(w, "hz", h))
    n = np.tanh(dense(w, "in", x) + r * dense(w, "hn", h))
    return ((1.0 - z) * n + z * h,)


def nnx_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    xi_r, xi_z, xi_n = np.split(dense(w, "dense_i", x), 3, axis=-1)
    hh_r, hh_z, hh_n = np.split(dense(w, "dense_h", h), 3, axis=-1)
    r, z = sigmoid(xi_r + hh_r), sigmoid(xi_z + hh_z)
    return ((1.0 - z) * np.tanh(xi_n + r * hh_n) + z * h,)


def flax_rnn(w: Arrays, x: Array, state: State) -> State:
    return (np.tanh(dense(w, "i", x) + dense(w, "h", state[0])),)


def nnx_rnn(w: Arrays, x: Array, state: State) -> State:
    return (np.tanh(dense(w, "dense_i", x) + dense(w, "dense_h", state[0])),)


# --- Haiku: haiku/_src/recurrent.py


def haiku_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i, g, f, o = np.split(np.concatenate([x, h], axis=-1) @ w["linear/w"] + w["linear/b"], 4, axis=-1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def haiku_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    size = h.shape[-1]
    w_h_z, w_h_a = np.split(w["w_h"], [2 * size], axis=1)
    b_z, b_a = np.split(w["b"], [2 * size])
    zr_x, a_x = np.split(x @ w["w_i"], [2 * size], axis=-1)
    z, r = np.split(sigmoid(zr_x + h @ w_h_z + b_z), 2, axis=-1)
    a = np.tanh(a_x + (r * h) @ w_h_a + b_a)
    return ((1 - z) * h + z * a,)


def haiku_rnn(w: Arrays, x: Array, state: State) -> State:
    return (np.maximum(x @ w["linear/w"] + w["linear/b"] + state[0] @ w["linear_1/w"] + w["linear_1/b"], 0.0),)


# --- Lasagne: lasagne/layers/recurrent.py


def lasagne_stacked(w: Arrays, prefix: str, *gates: str) -> Array:
    return np.concatenate([w[f"{prefix}_{gate}"] for gate in gates], axis=-1)


def lasagne_lstm(w: Arrays, x: Array, state: State) -> State:
    hid, cell = state
    order = ("ingate", "forgetgate", "cell", "outgate")
    gates = x @ lasagne_stacked(w, "W_in_to", *order) + lasagne_stacked(w, "b", *order)
    gates = gates + hid @ lasagne_stacked(w, "W_hid_to", *order)
    ingate, forgetgate, cell_input, outgate = np.split(gates, 4, axis=1)
    ingate = sigmoid(ingate + cell * w["W_cell_to_ingate"])
    forgetgate = sigmoid(forgetgate + cell * w["W_cell_to_forgetgate"])
    cell = forgetgate * cell + ingate * np.tanh(cell_input)
    outgate = sigmoid(outgate + cell * w["W_cell_to_outgate"])
    return outgate * np.tanh(cell), cell


def lasagne_gru(w: Arrays, x: Array, state: State) -> State:
    (hid,) = state
    order = ("resetgate", "updategate", "hidden_update")
    inputs = x @ lasagne_stacked(w, "W_in_to", *order) + lasagne_stacked(w, "b", *order)
    in_r, in_u, in_c = np.split(inputs, 3, axis=1)
    hid_r, hid_u, hid_c = np.split(hid @ lasagne_stacked(w, "W_hid_to", *order), 3, axis=1)
    resetgate, updategate = sigmoid(hid_r + in_r), sigmoid(hid_u + in_u)
    hidden_update = np.tanh(in_c + resetgate * hid_c)
    return ((1 - updategate) * hid + updategate * hidden_update,)


def lasagne_rnn(w: Arrays, x: Array, state: State) -> State:
    inputs = x @ w["input_to_hidden.W"] + w["input_to_hidden.b"]
    return (np.tanh(inputs + state[0] @ w["hidden_to_hidden.W"]),)


# --- Chainer: functions/rnn/n_step_lstm.py, n_step_gru.py, n_step_rnn.py, lstm.py, links/rnn/gru.py


def chainer_linear(w: Arrays, number: int, x: Array) -> Array:
    return x @ w[f"w{number}"].T + w[f"b{number}"]


def chainer_nstep_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i = sigmoid(chainer_linear(w, 0, x) + chainer_linear(w, 4, h))
    f = sigmoid(chainer_linear(w, 1, x) + chainer_linear(w, 5, h))
    a = np.tanh(chainer_linear(w, 2, x) + chainer_linear(w, 6, h))
    o = sigmoid(chainer_linear(w, 3, x) + chainer_linear(w, 7, h))
    c = f * c + i * a
    return o * np.tanh(c), c


def chainer_nstep_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    r = sigmoid(chainer_linear(w, 0, x) + chainer_linear(w, 3, h))
    z = sigmoid(chainer_linear(w, 1, x) + chainer_linear(w, 4, h))
    h_bar = np.tanh(chainer_linear(w, 2, x) + r * chainer_linear(w, 5, h))
    return ((1 - z) * h_bar + z * h,)


def chainer_nstep_tanh(w: Arrays, x: Array, state: State) -> State:
    return (np.tanh(chainer_linear(w, 0, x) + chainer_linear(w, 1, state[0])),)


def chainer_nstep_relu(w: Arrays, x: Array, state: State) -> State:
    return (np.maximum(chainer_linear(w, 0, x) + chainer_linear(w, 1, state[0]), 0.0),)


def chainer_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    lstm_in = x @ w["upward/W"].T + w["upward/b"] + h @ w["lateral/W"].T
    a, i, f, o = np.moveaxis(lstm_in.reshape(len(x), -1, 4), 2, 0)  # _extract_gates: interleaved
    c = np.tanh(a) * sigmoid(i) + sigmoid(f) * c
    return sigmoid(o) * np.tanh(c), c


def chainer_link(w: Arrays, name: str, x: Array) -> Array:
    return x @ w[f"{name}/W"].T + w[f"{name}/b"]


def chainer_stateless_gru(w: Arrays, x: Array, state: State) -> State:
    (h,) = state
    r = sigmoid(chainer_link(w, "W_r", x) + chainer_link(w, "U_r", h))
    z = sigmoid(chainer_link(w, "W_z", x) + chainer_link(w, "U_z", h))
    h_bar = np.tanh(chainer_link(w, "W", x) + chainer_link(w, "U", r * h))
    return (z * h_bar + (1 - z) * h,)


def chainer_stateful_gru(w: Arrays, x: Array, state: State) -> State:
    """The first step after reset_state, where `self.h` is None (here zeros), leaves out every U, with its bias."""
    if state[0].any():
        return chainer_stateless_gru(w, x, state)
    z, h_bar = sigmoid(chainer_link(w, "W_z", x)), np.tanh(chainer_link(w, "W", x))
    return (z * h_bar,)


def chainer_stateful_gru_unbiased(w: Arrays, x: Array, state: State) -> State:
    """A layer whose biases of U and U_z are zero, as the layout wants them."""
    zeros = np.zeros(state[0].shape[1])
    return chainer_stateful_gru({**w, "U/b": zeros, "U_z/b": zeros}, x, state)


# --- Equinox: equinox/nn/_rnn.py


def equinox_lstm(w: Arrays, x: Array, state: State) -> State:
    h, c = state
    i, f, g, o = np.split(x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"], 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def equinox_gru(w: Arrays, x: Array, state: State) -> State:
    (hidden,) = state
    igates = np.split(x @ w["weight_ih"].T + w["bias"], 3, axis=-1)
    hgates = np.split(hidden @ w["weight_hh"].T, 3, axis=-1)
    reset, inp = sigmoid(igates[0] + hgates[0]), sigmoid(igates[1] + hgates[1])
    new = np.tanh(igates[2] + reset * (hgates[2] + w["bias_n"]))
    return (new + inp * (hidden - new),)


# --- ONNX: the equations in the texts of the operators LSTM, GRU and RNN, with one direction


def onnx_lstm(w: Arrays, x: Array, state: State) -> State:
    hidden, cell = state
    (wi, wo, wf, wc), (ri, ro, rf, rc) = np.split(w["W"][0], 4), np.split(w["R"][0], 4)
    wbi, wbo, wbf, wbc, rbi, rbo, rbf, rbc = np.split(w["B"][0], 8)
    pi, po, pf = np.split(w["P"][0], 3)
    it = sigmoid(x @ wi.T + hidden @ ri.T + pi * cell + wbi + rbi)
    ft = sigmoid(x @ wf.T + hidden @ rf.T + pf * cell + wbf + rbf)
    ct = np.tanh(x @ wc.T + hidden @ rc.T + wbc + rbc)
    new = ft * cell + it * ct
    ot = sigmoid(x @ wo.T + hidden @ ro.T + po * new + wbo + rbo)
    return ot * np.tanh(new), new


def onnx_gates(w: Arrays, x: Array, hidden: Array) -> tuple[Array, Array]:
    (wz, wr, _), (rz, rr, _) = np.split(w["W"][0], 3), np.split(w["R"][0], 3)
    wbz, wbr, _, rbz, rbr, _ = np.split(w["B"][0], 6)
    return sigmoid(x @ wz.T + hidden @ rz.T + wbz + rbz), sigmoid(x @ wr.T + hidden @ rr.T + wbr + rbr)


def onnx_gru(w: Arrays, x: Array, state: State) -> State:
    (hidden,), (zt, rt) = state, onnx_gates(w, x, *state)
    wh, rh, wbh, rbh = w["W"][0, 10:], w["R"][0, 10:], w["B"][0, 10:15], w["B"][0, 25:]
    ht = np.tanh(x @ wh.T + (rt * (hidden @ rh.T + rbh)) + wbh)
    return ((1 - zt) * ht + zt * hidden,)


def onnx_gru_before(w: Arrays, x: Array, state: State) -> State:
    (hidden,), (zt, rt) = state, onnx_gates(w, x, *state)
    wh, rh, wbh, rbh = w["W"][0, 10:], w["R"][0, 10:], w["B"][0, 10:15], w["B"][0, 25:]
    ht = np.tanh(x @ wh.T + (rt * hidden) @ rh.T + rbh + wbh)
    return ((1 - zt) * ht + zt * hidden,)


def onnx_rnn(w: Arrays, x: Array, state: State) -> State:
    wbi, rbi = np.split(w["B"][0], 2)
    return (np.tanh(x @ w["W"][0].T + state[0] @ w["R"][0].T + wbi + rbi),)


EQUATIONS: dict[Layout, Step] = {
    tf1.BASIC_LSTM: tf1_basic_lstm,
    tf1.LSTM: tf1_lstm,
    tf1.LSTM_BLOCK: tf1_lstm,
    tf1.LSTM_CUDNN: tf1_cudnn_lstm,
    tf1.GRU_BEFORE: tf1_gru,
    tf1.GRU_CUDNN: tf1_cudnn_gru,
    tf1.RNN: tf1_rnn,
    tf1.BASIC_LSTM_1_0: under(tf1_basic_lstm, *TF_1_0),
    tf1.BASIC_LSTM_0: under(tf1_basic_lstm, *TF_0),
    tf1.LSTM_1_0: under(tf1_lstm, *TF_1_0),
    tf1.LSTM_0: under(tf1_lstm, *TF_0_WHOLE),
    tf1.GRU_BEFORE_1_0: under(tf1_gru, *TF_1_0),
    tf1.GRU_BEFORE_0: under(tf1_gru, *TF_0),
    tf1.GRU_BLOCK: under(tf1_gru, *TF_BLOCK),
    tf1.RNN_1_0: under(tf1_rnn, *TF_1_0),
    tf1.RNN_0: under(tf1_rnn, *TF_0),
    flax.LSTM: flax_lstm,
    flax.LSTM_NNX: nnx_lstm,
    flax.LSTM_JOINED: nnx_optimized_lstm,
    flax.GRU: flax_gru,
    flax.GRU_JOINED: nnx_gru,
    flax.RNN: flax_rnn,
    flax.RNN_NNX: nnx_rnn,
    haiku.LSTM: haiku_lstm,
    haiku.GRU: haiku_gru,
    haiku.RNN: haiku_rnn,
    lasagne.LSTM: lasagne_lstm,
    lasagne.GRU: lasagne_gru,
    lasagne.RNN: lasagne_rnn,
    lasagne.LSTM_GIVEN: lasagne_lstm,
    lasagne.GRU_GIVEN: lasagne_gru,
    lasagne.RNN_GIVEN: lasagne_rnn,
    chainer.NSTEP_LSTM: chainer_nstep_lstm,
    chainer.NSTEP_GRU: chainer_nstep_gru,
    chainer.NSTEP_RNN_TANH: chainer_nstep_tanh,
    chainer.NSTEP_RNN_RELU: chainer_nstep_relu,
    chainer.LSTM: chainer_lstm,
    chainer.GRU: chainer_stateful_gru_unbiased,
    chainer.STATELESS_GRU: chainer_stateless_gru,
    equinox.LSTM: equinox_lstm,
    equinox.GRU: equinox_gru,
    onnx.LSTM: onnx_lstm,
    onnx.GRU: onnx_gru,
    onnx.GRU_BEFORE: onnx_gru_before,
    onnx.RNN: onnx_rnn,
}

SCANNED: dict[Layout, Step] = {
    flax.LSTM_SCANNED: flax_lstm,
    flax.LSTM_NNX_SCANNED: nnx_lstm,
    flax.LSTM_JOINED_SCANNED: nnx_optimized_lstm,
    flax.GRU_SCANNED: flax_gru,
    flax.GRU_JOINED_SCANNED: nnx_gru,
    flax.RNN_SCANNED: flax_rnn,
    flax.RNN_NNX_SCANNED: nnx_rnn,
}
"""Cells one on another, whose arrays have the layers on their first axis: flax/linen/transforms.py, scan."""


def named(equations: Mapping[Layout, Step]) -> list[Any]:
    return [pytest.param(layout, step, id=layout.name.replace(" ", "-")) for layout, step in equations.items()]


def run(step: Step, arrays: Arrays, x: Array, state: State) -> Array:
    steps = []
    for t in range(x.shape[1]):
        state = step(arrays, x[:, t], state)
        steps.append(state[0])
    return np.stack(steps, axis=1)


@pytest.mark.parametrize(("layout", "step"), named(EQUATIONS))
def test_the_framework_computes_what_its_layout_says(layout: Layout, step: Step) -> None:
    arrays, x = normal(shapes_of(layout)), sequence()
    pieces = unpack(layout, arrays, options=OPTIONS)
    found, states = forward(layout.cell, pieces, x, options=Recurrence(**layout.implies))
    expect_close(found, run(step, arrays, x, tuple(np.zeros_like(state) for state in states)))


@pytest.mark.parametrize(("layout", "step"), named(SCANNED))
def test_every_layer_of_scanned_cells_computes_what_the_layout_says(layout: Layout, step: Step) -> None:
    """Every cell reads what the one below gives, so that the input is as wide as the state."""
    width = sizes_of(layout)["state"]
    narrow = shapes_of(layout, layers=2)
    shapes = {
        name: tuple(width if n == sizes_of(layout)["input"] else n for n in shape) for name, shape in narrow.items()
    }
    arrays, x = normal(shapes), sequence(width=width)
    pieces = unpack(layout, arrays, layers=2)
    for layer in range(2):
        found, states = forward(layout.cell, pieces, x, layer=layer)
        own = {name: array[layer] for name, array in arrays.items()}
        expect_close(found, run(step, own, x, tuple(np.zeros_like(state) for state in states)))
        x = found


GIVEN = (lasagne.LSTM_GIVEN, lasagne.GRU_GIVEN, lasagne.RNN_GIVEN)


@pytest.mark.parametrize(("layout", "step"), named({layout: EQUATIONS[layout] for layout in GIVEN}))
def test_states_that_a_layer_of_lasagne_has_learned_are_its_first_ones(layout: Layout, step: Step) -> None:
    """hid_init and cell_init, (1, units), are repeated for every sequence; the caller passes them to the module."""
    arrays, x = normal(shapes_of(layout) | dict.fromkeys(layout.ignored, (1, sizes_of(layout)["state"]))), sequence()
    first = tuple(np.repeat(arrays[name], len(x), axis=0) for name in layout.ignored)
    found, _ = forward(layout.cell, unpack(layout, arrays), x, initial=first)
    expect_close(found, run(step, arrays, x, first))


@pytest.mark.parametrize("framework", ["tensorflow", "flax", "haiku", "lasagne", "chainer", "equinox", "onnx"])
def test_every_recurrent_layout_has_its_equation_here(framework: str) -> None:
    found = {layout for candidates in catalogue.layers(framework).values() for layout in candidates}
    assert [layout.name for layout in found if layout.cell.recurrent and layout not in EQUATIONS | SCANNED] == []


@pytest.mark.parametrize("layout", [chainer.GRU, chainer.STATELESS_GRU], ids=["stateful", "stateless"])
@pytest.mark.parametrize("biased", [None, *chainer.GRU.zero])
def test_the_stateful_gru_of_chainer_is_exact_without_these_biases_only(biased: str | None, layout: Layout) -> None:
    """With one of them no layout describes it; that of U_r is a random number throughout."""
    arrays, x = normal(shapes_of(chainer.STATELESS_GRU)), sequence()
    arrays |= {name: np.zeros_like(arrays[name]) for name in chainer.GRU.zero if name != biased}
    found, states = forward(layout.cell, unpack(layout, arrays), x)
    expected = run(chainer_stateful_gru, arrays, x, tuple(np.zeros_like(state) for state in states))
    difference = np.abs(found - expected).max()
    assert difference > 1e-3 if biased else difference <= 1e-12
