"""The executable definition of every recurrent cell: a forward pass in NumPy float64 from neutral pieces.

Independent of every framework. Inputs x are (batch, time, input); states are (batch, units). Every function returns
the outputs of all steps (batch, time, units or state) and the final states. The step functions are the equations of
the docstrings in `layouts.cells`, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from layouts.cells import GRU, GRU_RESET_BEFORE, LSTM, RNN, Cell, Piece
from layouts.options import Recurrence

Array = np.ndarray[Any, Any]
States = tuple[Array, ...]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow, and with all digits where it is small."""
    raised = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0.0, raised, 1.0) / (1.0 + raised))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu_0.01": lambda x: np.where(x > 0.0, x, 0.01 * x),
    "hard_sigmoid_0.2": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard_sigmoid_1/6": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0.0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0))),
    "silu": lambda x: x * sigmoid(x),
    "exponential": np.exp,
    "gelu": lambda x: 0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0))),
}
"""By distinct names: the two functions that Keras calls hard_sigmoid are two entries.
"""


class Weights:
    """The pieces of one layer and one direction as float64, a missing bias as zero."""

    def __init__(self, pieces: Mapping[Piece, Array], layer: int, direction: str) -> None:
        self._pieces = {
            (p.slot, p.gate): np.asarray(v, np.float64)
            for p, v in pieces.items()
            if (p.layer, p.direction) == (layer, direction)
        }

    def __call__(self, slot: str, gate: str = "") -> Array:
        return self._pieces.get((slot, gate), np.zeros(()))

    def has(self, slot: str) -> bool:
        return any(name == slot for name, _ in self._pieces)

    def input(self, gate: str, x: Array) -> Array:
        return x @ self("input_weight", gate).T + self("input_bias", gate)

    def recurrent(self, gate: str, h: Array) -> Array:
        return h @ self("recurrent_weight", gate).T + self("recurrent_bias", gate)

    def both(self, gate: str, x: Array, h: Array) -> Array:
        return self.input(gate, x) + self.recurrent(gate, h)


Function = Callable[[Array], Array]


def _functions(options: Recurrence) -> tuple[Function, Function]:
    """The activation of the candidate and that of the gates, each after the clipping of its argument."""
    inner = ACTIVATIONS[options.activation]
    gate = ACTIVATIONS[options.recurrent_activation]
    limit = options.clip
    return (inner, gate) if limit is None else (_clipped(inner, limit), _clipped(gate, limit))


def _output_function(options: Recurrence) -> Function:
    """What an LSTM applies to its cell, unclipped: the activation of the candidate unless another is told."""
    return ACTIVATIONS[options.output_activation or options.activation]


def _clipped(function: Function, limit: float) -> Function:
    return lambda x: function(np.clip(x, -limit, limit))


def _lstm_step(w: Weights, x: Array, states: States, options: Recurrence) -> States:
    h, c = states
    inner, gate = _functions(options)
    i = gate(w.both("i", x, h) + w("peephole", "i") * c)
    f = 1.0 - i if options.input_forget else gate(w.both("f", x, h) + w("peephole", "f") * c)
    c = _limited(f * c + i * inner(w.both("g", x, h)), options.cell_clip)
    o = gate(w.both("o", x, h) + w("peephole", "o") * c)
    h = o * _output_function(options)(c)
    return (_limited(h @ w("projection").T, options.projection_clip) if w.has("projection") else h), c


def _limited(values: Array, limit: float | None) -> Array:
    return values if limit is None else np.clip(values, -limit, limit)


def _gru_step(w: Weights, x: Array, states: States, options: Recurrence) -> States:
    (h,) = states
    inner, gate = _functions(options)
    r, z = gate(w.both("r", x, h)), gate(w.both("z", x, h))
    n = inner(w.input("n", x) + r * w.recurrent("n", h))
    return ((1.0 - z) * n + z * h,)


def _gru_before_step(w: Weights, x: Array, states: States, options: Recurrence) -> States:
    (h,) = states
    inner, gate = _functions(options)
    r, z = gate(w.both("r", x, h)), gate(w.both("z", x, h))
    n = inner(w.input("n", x) + w.recurrent("n", r * h))
    return ((1.0 - z) * n + z * h,)


def _rnn_step(w: Weights, x: Array, states: States, options: Recurrence) -> States:
    inner, _ = _functions(options)
    return (inner(w.both("", x, states[0])),)


_STEPS = {
    LSTM.name: _lstm_step,
    GRU.name: _gru_step,
    GRU_RESET_BEFORE.name: _gru_before_step,
    RNN.name: _rnn_step,
}


def initial_states(cell: Cell, w: Weights, batch: int) -> States:
    """Zeros: (h,) or, for an LSTM, (h, c)."""
    gate = cell.gates[:1]
    units, state = w("input_weight", gate).shape[0], w("recurrent_weight", gate).shape[1]
    return (np.zeros((batch, state)), np.zeros((batch, units)))[: 2 if cell is LSTM else 1]


def forward(
    cell: Cell,
    pieces: Mapping[Piece, Array],
    x: Array,
    *,
    options: Recurrence = Recurrence(),
    layer: int = 0,
    direction: str = "forward",
    mask: Array | None = None,
    initial: States | None = None,
) -> tuple[Array, States]:
    """Run one layer in one direction over x (batch, time, input), in float64.

    The outputs of direction "backward" are put back into the time order of the input. `mask` (batch, time) keeps the
    state and repeats the output at steps that are False, as Keras does. `initial` states are zeros unless given.
    Returns (outputs, final states).
    """
    w, step = Weights(pieces, layer, direction), _STEPS[cell.name]
    states = initial or initial_states(cell, w, len(x))
    outputs = np.zeros((*x.shape[:2], states[0].shape[1]))
    steps = range(x.shape[1])
    for t in steps if direction == "forward" else reversed(steps):
        new = step(w, np.asarray(x[:, t], np.float64), states, options)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], n, old) for n, old in zip(new, states, strict=True))
        states = new
        outputs[:, t] = states[0]
    return outputs, states
