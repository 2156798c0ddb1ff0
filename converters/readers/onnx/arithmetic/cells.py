"""Which recurrent cell some arithmetic is: every cell that the arrays and functions allow is tried, one has to agree.

The arithmetic is observed on random numbers, with random numbers in the place of the stored weights too: zeros and
repeated values in a file cannot hide a wrong reading. `layouts.reference` says what each cell makes of the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.settings import Call, Wiring
from converters.readers.onnx.arithmetic.assignments import Assignment, pieces_of, states_of
from converters.readers.onnx.arithmetic.run import Unfit
from converters.readers.onnx.graph.scope import Node
from layouts.cells import RNN, Piece
from layouts.layout import Layout
from layouts.options import Recurrence
from layouts.reference import forward


@dataclass(frozen=True, eq=False)
class Recovered:
    """A recurrent layer that a file has as arithmetic. `nodes` are those that it stands for; `stored` are the names of
    the arrays that it holds."""

    layout: Layout
    arrays: Mapping[str, LazyArray]
    options: Mapping[str, Any]
    facts: Mapping[str, Any]
    nodes: tuple[Node, ...]
    stored: tuple[str, ...]

    @property
    def recurrence(self) -> Recurrence:
        """The options of its cell."""
        return Recurrence(**{name: value for name, value in self.options.items() if name in self.layout.cell.chooses})

    @property
    def call(self) -> Call:
        """How the graph calls it."""
        facts = self.facts
        return Call(
            sequences=facts.get("return_sequences"),
            direction="backward" if facts.get("go_backwards") else str(facts.get("direction", "forward")),
            time_axis=0 if facts.get("time_major") else 1,
            masked=bool(facts.get("masked")),
            zeros_where_masked=bool(facts.get("zero_output_for_mask")),
            initial_h=str(facts.get("initial_h", "")),
            initial_c=str(facts.get("initial_c", "")),
            single_step=bool(facts.get("single_step")),
            steps=int(facts.get("steps", 0)),
        )

    @property
    def wiring(self) -> Wiring:
        """What it reads and gives."""
        return Wiring(reads=self.facts["reads"], gives=self.facts["gives"])


@dataclass(frozen=True, eq=False)
class Step:
    """One step as observed: x (batch, input), mask (batch,) or None, and values by name before and after it."""

    x: Array
    mask: Array | None
    before: Mapping[str, Array]
    after: Mapping[str, Array]


class Match(NamedTuple):
    """A cell that may be what was observed, which values are its states, and how far it is off."""

    assignment: Assignment
    options: Mapping[str, Any]
    states: tuple[str, ...]
    error: float


@dataclass
class Verdict:
    """Everything that was tried: the cells that agree, and whether another is too near to be told apart."""

    agreeing: list[Match] = field(default_factory=list)
    unclear: bool = False


_FUNCTIONS = {
    "Tanh": ("tanh",),
    "Sigmoid": ("sigmoid", "silu"),
    "Relu": ("relu",),
    "Max": ("relu", "leaky_relu_0.01", "hard_sigmoid_0.2", "hard_sigmoid_1/6"),
    "Min": ("hard_sigmoid_0.2", "hard_sigmoid_1/6"),
    "Clip": ("relu", "hard_sigmoid_0.2", "hard_sigmoid_1/6"),
    "HardSigmoid": ("hard_sigmoid_0.2", "hard_sigmoid_1/6"),
    "Softsign": ("softsign",),
    "Abs": ("softsign",),
    "Softplus": ("softplus",),
    "Log": ("softplus",),
    "Elu": ("elu", "selu"),
    "Celu": ("elu",),
    "Selu": ("selu",),
    "Swish": ("silu",),
    "Exp": ("exponential", "elu", "selu", "sigmoid", "silu", "softplus"),
    "LeakyRelu": ("leaky_relu_0.01",),
    "Erf": ("gelu",),
    "Erfc": ("gelu",),
    "Gelu": ("gelu",),
}
"""Operators, and the functions of `layouts.reference` that can be written with them."""

AGREES, _DIFFERS = 1e-5, 1e-3
_MOST_EFFORT = 1 << 30
"""Weights times what is tried with them: a few seconds."""
_HALF_AGREES, _HALF_DIFFERS = 1e-3, 1e-2
"""Errors relative to the largest value. The arithmetic is run in double precision, but its constants (0.2, 1/6) are as
precise as the file has them; wrong cells are off by far more."""


def functions(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The activations that these nodes can be computing."""
    found = {name: None for node in nodes for name in _FUNCTIONS.get(node.op, ())}
    return (*found, "linear")


def match(
    tried: Sequence[Assignment],
    stand_ins: Mapping[str, Array],
    steps: Sequence[Step],
    orders: Mapping[int, Sequence[tuple[str, ...]]],
    names: Sequence[str],
    dtype: np.dtype[Any],
) -> Verdict:
    """Try every assignment with every activation against what was observed.

    `orders`: by the number of a cell's states, the names that these may have. Raises `Unfit` for too much to try.
    """
    _check_effort(tried, orders, len(names))
    verdict = Verdict()
    agrees, differs = (AGREES, _DIFFERS) if dtype.itemsize >= 4 else (_HALF_AGREES, _HALF_DIFFERS)
    for one in tried:
        pieces = pieces_of(one, stand_ins)
        for options in options_of(one.layout, names):
            for order in orders[states_of(one)]:
                error = _error(one, pieces, options, steps, order, differs)
                if error <= agrees:
                    verdict.agreeing.append(Match(one, options, order, error))
                verdict.unclear |= agrees < error <= differs
    return verdict


def _check_effort(tried: Sequence[Assignment], orders: Mapping[int, Sequence[Any]], functions: int) -> None:
    trials = sum(functions**2 * len(orders[states_of(one)]) * (one.inputs + one.units) * one.units for one in tried)
    if trials > _MOST_EFFORT:
        raise Unfit("there are too many ways in which it could be a recurrent cell")


def decide(verdicts: Sequence[Verdict]) -> Match:
    """The one cell that agrees. Raises `Unfit` where none does, or where another one is too near to tell them apart."""
    agreeing = [one for verdict in verdicts for one in verdict.agreeing]
    if not agreeing:
        raise Unfit("its arithmetic is that of no recurrent cell known here")
    if len(agreeing) > 1 or any(verdict.unclear for verdict in verdicts):
        raise Unfit("more than one recurrent cell agrees with its arithmetic")
    return agreeing[0]


def options_of(layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every way to give the cell of a layout these activations."""
    if layout.cell is RNN:
        yield from ({"activation": name} for name in names)
        return
    for inner, gate in product(names, names):
        yield {"activation": inner, "recurrent_activation": gate, **layout.when}


def _error(
    one: Assignment,
    pieces: Mapping[Piece, Array],
    options: Mapping[str, Any],
    steps: Sequence[Step],
    order: tuple[str, ...],
    enough: float,
) -> float:
    """The largest error of any step and state; the first that is more than `enough` will do."""
    worst = 0.0
    for step in steps:
        mask = None if step.mask is None else step.mask[:, None]
        before = tuple(step.before[name] for name in order)
        with np.errstate(all="ignore"):
            _, after = forward(one.layout.cell, pieces, step.x[:, None], options=options, mask=mask, initial=before)
        for name, found in zip(order, after, strict=True):
            worst = max(worst, difference(found, step.after[name]))
        if worst > enough:
            break
    return worst


def difference(one: Array, other: Array) -> float:
    """The largest difference, relative to the largest value where that is above 1; infinite for other shapes or NaN."""
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))):
        return math.inf
    return float(np.max(np.abs(one - other), initial=0.0) / max(1.0, float(np.max(np.abs(one), initial=0.0))))
