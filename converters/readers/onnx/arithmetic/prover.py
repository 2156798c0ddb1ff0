"""The proof: which cell of `layouts.reference`, with which activations, reproduces what some nodes compute.

An extractor proposes a `Candidate`; it is accepted only if exactly one cell reproduces its outputs on random inputs,
states and weights. This is the only place that decides, whatever shape the arithmetic has in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.assignments import Assignment
from converters.readers.onnx.arithmetic.constants import Bench
from converters.readers.onnx.arithmetic.machine import Machine, Unfit, Values
from converters.readers.onnx.arithmetic.nodes import made_by
from converters.readers.onnx.graph.scope import Node
from layouts.cells import RNN, Piece
from layouts.layout import Layout
from layouts.options import Recurrence
from layouts.records import dataclass
from layouts.reference import forward

_OPERATORS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid Exp",
    "relu": "Relu Max Clip",
    "leaky_relu_0.01": "LeakyRelu Max",
    "hard_sigmoid_0.2": "HardSigmoid Clip Max Min",
    "hard_sigmoid_1/6": "HardSigmoid Clip Max Min",
    "softsign": "Softsign Abs",
    "softplus": "Softplus Log Exp",
    "elu": "Elu Celu Exp",
    "selu": "Selu Elu Exp",
    "silu": "Swish Sigmoid Exp",
    "exponential": "Exp",
    "gelu": "Gelu Erf Erfc",
}
"""Functions of `layouts.reference`, and the operators of which one is enough to write them; "linear" needs none."""

_MOST_NUMBERS = 1 << 25


class States(NamedTuple):
    """The values that hold the states, h or h and c, before and after. '' before: zeros; after: any that agrees."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Nodes that may compute a recurrent layer, and the parts that values may play in it. The prover decides."""

    nodes: tuple[Node, ...]
    x: str
    """The input: of one step (batch, input), or of all steps where there is a time axis."""
    states: Sequence[States]
    """The ways in which values may be the states."""
    constants: Values
    """All other values that the nodes read, with random numbers in the place of weights."""
    weights: Mapping[str, Array]
    """The same random numbers by the names of the stored arrays."""
    tried: Sequence[Assignment]
    """What the stored arrays may be."""
    options: Sequence[Recurrence] = ()
    """The activations, where they are known: else all that the operators allow are tried."""
    half: bool = False
    """Whether the file computes in less than single precision."""
    batch: int = 2
    samples: int = 4
    axis: int | None = None
    """The time axis of the input."""
    between: tuple[str, ...] = ()
    """The values that hold h after each step but the last."""
    carried: tuple[str, ...] = ()
    """More values of (batch, units) that are carried from step to step."""
    counted: Sequence[Values] = ({},)
    """Values that differ from step to step: counters."""
    mask: str = ""
    mask_axes: int = 1
    state_axes: int = 2

    @property
    def agrees(self) -> float:
        """The largest error of the right cell, relative to the largest value. Nodes run in double precision, but
        constants (0.2, 1/6) are as precise as the file has them."""
        return 1e-3 if self.half else 1e-5

    @property
    def differs(self) -> float:
        """The least error of a wrong cell: most are off by far more."""
        return 1e-2 if self.half else 1e-3


class Claim(NamedTuple):
    """One cell that a candidate may be, with its weights. `order`: -1 where the sequence is taken from its end."""

    assignment: Assignment
    pieces: Mapping[Piece, Array]
    options: Recurrence
    states: States
    order: int


class Sample(NamedTuple):
    """One run on random numbers: x (batch, steps, input), mask (batch, steps) or None, and values by name."""

    x: Array
    mask: Array | None
    values: Mapping[str, Array]


class Proof(NamedTuple):
    """The one claim that is true; for each state, all values that hold the new one; and what was observed."""

    candidate: Candidate
    claim: Claim
    after: tuple[tuple[str, ...], ...]
    samples: Sequence[Sample]

    @property
    def backwards(self) -> bool:
        """Whether the sequence is taken from its end."""
        return self.claim.order < 0


def prove(candidates: Sequence[Candidate], bench: Bench) -> Proof:
    """The one cell that one of the candidates is. Raises `Unfit` for none, and for another one that is too near."""
    found, problems = list[Proof](), list[Unfit]()
    ran = unclear = False
    for one, sizes in [(c, sizes) for c in candidates for sizes in dict.fromkeys(a.sizes for a in c.tried)]:
        try:
            samples = list(_samples(one, *sizes, bench))
        except Unfit as problem:
            problems.append(problem)
            continue
        ran = True
        for claim in _claims(one, sizes):
            near = _near(one, claim, samples, bench)
            after = tuple(tuple(name for name, error in names.items() if error <= one.agrees) for names in near)
            if all(after):
                found.append(Proof(one, claim, after, samples))
            unclear |= all(near) and not all(after)
    found = [proof for proof in found if not _is_inside(proof, found)]
    if len(found) > 1 or unclear:
        raise Unfit("more than one recurrent cell agrees with its arithmetic")
    if problems and not ran:
        raise problems[0]
    if not found:
        raise Unfit("its arithmetic is that of no recurrent cell known here")
    return found[0]


def _is_inside(one: Proof, found: Sequence[Proof]) -> bool:
    """Whether a linear step is what another one's activation reads: every simple recurrent step has one inside."""
    cell, linear = one.claim.assignment.layout.cell, one.claim.options.activation == "linear"
    return cell is RNN and linear and any(o.claim.assignment is one.claim.assignment and o is not one for o in found)


def _samples(one: Candidate, inputs: int, units: int, bench: Bench) -> Iterator[Sample]:
    """What the nodes make of random inputs and states."""
    steps, shape = len(one.between) + 1, (one.batch, units)
    if one.samples * one.batch * steps * (inputs + units) > _MOST_NUMBERS:
        raise Unfit(f"{steps} steps of {one.batch} sequences take more numbers than a recurrent layer's")
    room = one.batch * steps * (inputs + units) + sum(array.size for array in one.constants.values())
    machine = Machine(one.nodes, bench.budget, room)
    carried = dict.fromkeys([*(name for way in one.states for name in way.before if name), *one.carried])
    for number in range(one.samples):
        bench.budget.pay(room)
        x, mask = bench.normal(one.batch, steps, inputs), bench.random.random((one.batch, steps)) < 0.6
        given = one.constants | one.counted[number % len(one.counted)]
        given |= {one.x: x[:, 0] if one.axis is None else np.moveaxis(x, 1, one.axis)}
        given |= {one.mask: mask.reshape(-1, *[1] * (one.mask_axes - 1))} if one.mask else {}
        given |= {name: bench.normal(*[1] * (one.state_axes - 2), *shape) for name in carried}
        made = machine.run(given)
        fits = [n for n, a in made.items() if a.shape == shape or (one.between and a.size == one.batch * units)]
        yield Sample(x, mask if one.mask else None, {name: made[name].reshape(shape) for name in fits})


def _claims(one: Candidate, sizes: tuple[int, int]) -> Iterator[Claim]:
    """Every cell of these sizes, with every choice of activations, states and order."""
    names = [name for name, operators in _OPERATORS.items() if any(node.op in operators.split() for node in one.nodes)]
    for assignment in (a for a in one.tried if a.sizes == sizes):
        ways = [way for way in one.states if len(way.before) == assignment.states]
        pieces = assignment.pieces(one.weights)
        options = one.options or _options(assignment.layout, [*names, "linear"])
        for chosen, way, order in product(options, ways, (1, -1) if one.between else (1,)):
            yield Claim(assignment, pieces, chosen, way, order)


def _options(layout: Layout, names: Sequence[str]) -> list[Recurrence]:
    """Every choice of activations, as options of a layout's cell."""
    if layout.cell is RNN:
        return [Recurrence(name) for name in names]
    return [Recurrence(one, gate) for one, gate in product(names, names)]


def _near(one: Candidate, claim: Claim, samples: Sequence[Sample], bench: Bench) -> list[dict[str, float]]:
    """For each new state, the values that are not clearly different from it, and their largest errors."""
    cell, pieces, worst = claim.assignment.layout.cell, claim.pieces, 0.0
    near = [dict.fromkeys([name] if name else made_by(one.nodes), 0.0) for name in claim.states.after]
    for x, mask, values in samples:
        bench.budget.pay(0, x.shape[0] * x.shape[1] * sum(array.size for array in pieces.values()), runs=x.shape[1])
        zeros = np.zeros((len(x), claim.assignment.units))
        initial = tuple(values[name] if name else zeros for name in claim.states.before)
        with np.errstate(all="ignore"):
            y, after = forward(cell, pieces, x[:, :: claim.order], options=claim.options, mask=mask, initial=initial)
        worst = max([worst, *(_error(values, name, y[:, step]) for step, name in enumerate(one.between))])
        for names, state in zip(near, after, strict=True):
            names |= {name: max(error, worst, _error(values, name, state)) for name, error in names.items()}
        near = [{name: error for name, error in names.items() if error <= one.differs} for names in near]
        if not all(near):
            break
    return near


def _error(values: Mapping[str, Array], name: str, state: Array) -> float:
    return difference(state, values[name]) if name in values else math.inf


def difference(one: Array, other: Array) -> float:
    """The largest difference, relative to the largest value where that is above 1; infinite for other shapes or NaN."""
    if one.shape != other.shape or not (np.all(np.isfinite(one)) and np.all(np.isfinite(other))):
        return math.inf
    return float(np.max(np.abs(one - other), initial=0.0) / max(1.0, float(np.max(np.abs(one), initial=0.0))))
