"""Which recurrent cell some arithmetic is: every cell that the arrays and functions allow is tried, one has to agree.

The arithmetic is observed on random numbers, with random numbers in the place of the stored weights too: zeros and
repeated values in a file cannot hide a wrong reading. `layouts.reference` says what each cell makes of the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from converters.arrays import Array, LazyArray
from converters.readers.onnx.graph import Node
from converters.readers.onnx.loop_run import Unfit
from layouts import keras
from layouts.cells import Piece
from layouts.layout import Layout
from layouts.reference import forward
from layouts.repack import unpack

Roles = Mapping[str, tuple[str, ...]]
"""An array of the layout -> the name that it is stored by, or those of its parts: vectors that are the rows of a bias,
matrices that are columns of a kernel."""


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


@dataclass(frozen=True, eq=False)
class Step:
    """One step as observed: x (batch, input), mask (batch,) or None, and values by name before and after it."""

    x: Array
    mask: Array | None
    before: Mapping[str, Array]
    after: Mapping[str, Array]


class Assignment(NamedTuple):
    """A layout, the arrays that could be its own, and its sizes."""

    layout: Layout
    roles: Roles
    inputs: int
    units: int


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

_GATES = {4: (keras.LSTM,), 3: (keras.GRU, keras.GRU_BEFORE), 1: (keras.RNN,)}
_STATES = {"lstm": 2}
AGREES, _DIFFERS = 1e-5, 1e-3
_MOST_EFFORT = 1 << 31
"""Weights times what is tried with them: about ten seconds."""
_HALF_AGREES, _HALF_DIFFERS = 1e-3, 1e-2
"""Errors relative to the largest value. The arithmetic is run in double precision, but its constants (0.2, 1/6) are as
precise as the file has them; wrong cells are off by far more."""


def functions(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The activations that these nodes can be computing."""
    found = {name: None for node in nodes for name in _FUNCTIONS.get(node.op, ())}
    return (*found, "linear")


def assignments(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Assignment]:
    """Every way in which arrays of these shapes are exactly the arrays of a recurrent layer of Keras's."""
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    for kernel, recurrent in permutations(matrices, 2):
        (inputs, width), (units, gated) = shapes[kernel], shapes[recurrent]
        rest = [name for name in shapes if name not in (kernel, recurrent)]
        if gated == width and units and width % units == 0:
            for layout in _GATES.get(width // units, ()):
                for bias in _biases(layout, {name: shapes[name] for name in rest}, width):
                    yield Assignment(
                        layout, {"kernel": (kernel,), "recurrent_kernel": (recurrent,)} | bias, inputs, units
                    )


def _biases(layout: Layout, rest: Mapping[str, tuple[int, ...]], width: int) -> Iterator[dict[str, tuple[str, ...]]]:
    """The bias that these arrays make, all of them: absent, whole, or as the rows of a GRU's (2, 3 × units)."""
    names, two = tuple(rest), layout is keras.GRU
    if not rest:
        yield {}
    elif len(rest) == 1 and rest[names[0]] == ((2, width) if two else (width,)):
        yield {"bias": names}
    elif two and len(rest) <= 2 and all(shape == (width,) for shape in rest.values()):
        yield from ({"bias": rows} for rows in (permutations(names, 2) if len(names) == 2 else [names * 2]))


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


def states_of(one: Assignment) -> int:
    """2 for an LSTM, h and c; 1 for any other."""
    return _STATES.get(one.layout.cell.name, 1)


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


def array_of(names: tuple[str, ...], arrays: Mapping[str, LazyArray]) -> LazyArray:
    """An array as stored; where the file stores parts of it, put together when it is read."""
    parts = [arrays[name] for name in names]
    if len(parts) == 1:
        return parts[0]
    shape = _joined([np.broadcast_to(np.uint8(0), part.shape) for part in parts]).shape
    return LazyArray(" + ".join(names), shape, parts[0].dtype, lambda: _joined([part.read() for part in parts]))


def pieces_of(one: Assignment, arrays: Mapping[str, Array]) -> dict[Piece, Array]:
    """The neutral pieces of the arrays that an assignment names."""
    return unpack(one.layout, {role: _joined([arrays[name] for name in names]) for role, names in one.roles.items()})


def random_weight(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random numbers in the place of a weight, so that a sum over its first axis is neither small nor large."""
    scale = 0.7 if len(shape) == 1 else 1.2 / max(1, shape[0]) ** 0.5
    return scale * random.standard_normal(shape)


def _joined(parts: Sequence[Array]) -> Array:
    """Rows of a bias, or columns of a kernel."""
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts) if parts[0].ndim == 1 else np.concatenate(parts, axis=1)


def options_of(layout: Layout, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every way to give the cell of a layout these activations."""
    if layout is keras.RNN:
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
