"""Loops whose body is a recurrent cell written as arithmetic, as tf2onnx and Keras's own export write them.

GRU, SimpleRNN, masked layers and every activation that ONNX's operators do not know become an ONNX `Loop`. Its body,
without the nodes that take a step out of a sequence, is the candidate. Names and the order of nodes are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.readers.onnx.arithmetic.assignments import Assignment, assignments
from converters.readers.onnx.arithmetic.constants import Bench, is_half, small
from converters.readers.onnx.arithmetic.gates import assignments_of, gated
from converters.readers.onnx.arithmetic.loop_body import MOST_STEPS, Body, Taker, needed, read_body
from converters.readers.onnx.arithmetic.loop_outputs import Loop, called, masked_by, measuring
from converters.readers.onnx.arithmetic.machine import GIVEN_UP, Machine, Unfit, Values
from converters.readers.onnx.arithmetic.nodes import Products
from converters.readers.onnx.arithmetic.prover import Candidate, Proof, States, prove
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.graph.scope import Node
from layouts.errors import printable

__all__ = ["Recovered", "recognise"]

_MOST_OPERATORS, _MOST_BATCH = 12, 512
_STEPS, _SAMPLES = 5, 10
"""The length of the sequence that a loop of any length is run on, and how many steps are observed."""


def recognise(node: Node) -> Recovered | str:
    """The layer that a Loop computes, or a sentence that says what the Loop is and why it is none."""
    try:
        return _recognised(node)
    except GIVEN_UP as error:
        return _refusal(node, str(error) or type(error).__name__)


def _refusal(node: Node, reason: str) -> str:
    body = node.subgraphs.get("body")
    operators = sorted({inner.op for inner in body.nodes}) if body else []
    shown = ", ".join(map(printable, operators[:_MOST_OPERATORS])) + (", …" if operators[_MOST_OPERATORS:] else "")
    return (
        f"{node.called} is a Loop over {shown or 'nothing'} and was not recognised as a recurrent layer: {reason}; "
        "convert the Keras file that it was exported from"
    )


def _recognised(node: Node) -> Recovered:
    body = read_body(node)
    bench = Bench(len(body.nodes))
    runs = _course(body, bench)
    tried = [*assignments({name: array.shape for name, array in body.weights.items()})] or [*_of_gates(body)]
    if not tried:
        shapes = ", ".join(str(array.shape) for array in body.weights.values())
        raise Unfit(f"its constants ({shapes or 'none'}) are not the weights of one LSTM, GRU or SimpleRNN")
    x, mask = _sequences(body)
    proof = _proven(body, runs, x, mask, tried, bench)
    call, wiring = called(Loop(body, x, mask, proof), runs.steps, runs.backwards, bench)
    one, stored = proof.claim.assignment, tuple(body.weights)
    nodes = (node, *measuring(node, stored))
    starts = tuple(map(body.initial, proof.claim.states.before))
    masked = masked_by(Loop(body, x, mask, proof), bench)
    arrays = one.arrays(body.weights)
    return Recovered(one.layout, arrays, proof.claim.options, call, wiring, nodes, stored, starts, masked)


def _of_gates(body: Body) -> Iterator[Assignment]:
    """The layers that all the weights are where every gate is a product of its own."""
    graph = Products(body.scope, frozenset())
    for h in filter(body.reaches_product, body.states):
        found = gated(graph, h)
        if found is not None:
            yield from (one for one in assignments_of(graph, found) if {*one.stored} == {*body.weights})


class _Course(NamedTuple):
    """How a loop runs: the number of steps, and of the first of them the counters and the places in the sequences."""

    steps: int
    counted: list[Values]
    taken: list[set[int]]

    @property
    def backwards(self) -> bool:
        """Whether the last step is taken first. Raises `Unfit` where the steps are taken in neither order."""
        for back in (False, True):
            expected = [{self.steps - 1 - step if back else step} for step in range(len(self.taken))]
            if [{place % self.steps for place in places} for places in self.taken] == expected:
                return back
        raise Unfit("it does not take the steps of its sequence one after the other")


def _course(body: Body, bench: Bench) -> _Course:
    """Run what controls a loop, on a sequence of 5 steps where the length depends on the input, for 4,096 at most.

    Raises `Unfit` for a loop whose end depends on what it computes, and for one that makes no step or forgets some.
    """
    condition, places = body.scope.outputs[0], [taker.node.input(1) for taker in body.takers]
    machine = Machine(needed(body.scope, [condition, *map(body.after, body.counters), *places]), bench.budget)
    values = body.fixed | {name: np.asarray(_STEPS, dtype) for name, dtype in body.lengths.items()}
    most, going, count = _limit(body), _constant(body, 1, True), 0
    counted, taken = list[Values](), list[set[int]]()
    while going and count < min(most, MOST_STEPS):
        number, running = body.scope.inputs[:2]
        values |= {number: np.asarray(count, np.int64), running: np.asarray(True)}
        made = machine.run(values)
        if count < _STEPS:
            counted.append({name: values[name] for name in (number, running, *body.counters)})
            taken.append({_index(made[place]) for place in places})
        values |= {name: made[body.after(name)] for name in body.counters}
        going, count = bool(np.all(made[condition])), count + 1
    if not count or (count != _STEPS and (body.lengths or most == _STEPS)):
        raise Unfit(f"it makes {count} steps where the sequence has {_STEPS}")
    return _Course(count, counted, taken)


def _limit(body: Body) -> float:
    """The most steps: those of the sequence where the number depends on the input."""
    return float(_constant(body, 0, _STEPS)) if body.node.input(0) else float("inf")


def _constant(body: Body, place: int, default: Any) -> Any:
    """An input of the Loop of one element; the default where it is absent, or depends on the input of the graph."""
    name = body.node.input(place)
    constant = body.node.scope.constant(name) if name else None
    if constant is not None and constant.size != 1:
        raise Unfit(f"{printable(name)} is not one number")
    return default if constant is None else small(constant).reshape(-1)[0]


def _index(place: np.ndarray[Any, Any]) -> int:
    if place.ndim or place.dtype.kind not in "iu":
        raise Unfit("it takes more than one step at a time out of its sequence")
    return int(place)


def _sequences(body: Body) -> tuple[Taker, Taker | None]:
    """What takes the input, and what takes the mask, if there is one."""
    inputs = [one for one in body.takers if body.reaches_product(one.step)]
    masks = [one for one in body.takers if one not in inputs]
    if len(inputs) != 1 or len(masks) > 1:
        raise Unfit(f"it reads {len(inputs)} sequences and {len(masks)} masks, where one and at most one are expected")
    return inputs[0], masks[0] if masks else None


def _proven(
    body: Body, runs: _Course, x: Taker, mask: Taker | None, tried: Sequence[Assignment], bench: Bench
) -> Proof:
    """The cell that the body is, with the first form of a mask that it can be."""
    weights = {name: bench.stand_in(name, array.shape) for name, array in body.weights.items()}
    constants = body.fixed | {name: np.asarray(_STEPS, dtype) for name, dtype in body.lengths.items()}
    constants |= {n: fragment.of(weights[fragment.stored], bench.budget) for n, fragment in body.fragments.items()}
    taking = {taker.node for taker in body.takers}
    problems: list[Unfit] = []
    for axes in _mask_axes(body, mask):
        candidate = Candidate(
            nodes=tuple(node for node in body.nodes if node not in taking),
            x=x.step,
            states=list(_states(body)),
            constants=constants,
            weights=weights,
            tried=tried,
            half=is_half(body.weights.values()),
            batch=_batch(body),
            samples=_SAMPLES,
            carried=(*body.states, *body.held),
            counted=runs.counted,
            mask=mask.step if mask else "",
            mask_axes=axes,
        )
        try:
            return prove([candidate], bench)
        except Unfit as problem:
            problems.append(problem)
    raise problems[0]


def _states(body: Body) -> Iterator[States]:
    """Which carried values can be h, and which h and c: within a step a product depends on h, and on no other state."""
    for h in (name for name in body.states if body.reaches_product(name)):
        yield States((h,), (body.after(h),))
        for c in body.states:
            if c != h:
                yield States((h, c), (body.after(h), body.after(c)))


def _mask_axes(body: Body, mask: Taker | None) -> tuple[int, ...]:
    """How many axes a step of the mask can have: one for the sequences, and sometimes another one behind it."""
    shape = body.node.scope.shape(mask.sequence) if mask else (1, 1)
    return (2, 1) if shape is None else (len(shape) - 1,)


def _batch(body: Body) -> int:
    """The number of sequences: fixed by the file, or 2."""
    for name in (*body.states, *body.held):
        constant = body.node.scope.constant(body.initial(name))
        shape = constant.shape if constant is not None else body.scope.shape(name)
        if shape and len(shape) == 2 and shape[0]:
            if shape[0] > _MOST_BATCH:
                raise Unfit(f"it runs on {shape[0]} sequences at a time")
            return shape[0]
    return 2
