"""Loops whose body is a recurrent cell written as arithmetic, as tf2onnx and Keras's own export write them.

GRU, SimpleRNN, masked layers and every activation that ONNX's operators do not know become an ONNX `Loop`. Its body,
without the nodes that take a step out of a sequence, is the candidate. Names and the order of nodes are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from converters.readers.onnx.arithmetic.assignments import Assignment, assignments
from converters.readers.onnx.arithmetic.constants import Bench, is_half
from converters.readers.onnx.arithmetic.loop_body import STEPS, Body, Course, Taker, course, read_body
from converters.readers.onnx.arithmetic.loop_outputs import Loop, called, measuring
from converters.readers.onnx.arithmetic.machine import GIVEN_UP, Unfit
from converters.readers.onnx.arithmetic.prover import Candidate, Proof, States, prove
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.graph.scope import Node
from layouts.errors import printable

__all__ = ["Recovered", "recognise"]

_MOST_OPERATORS, _MOST_BATCH, _SAMPLES = 12, 512, 10


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
    runs = course(body, bench)
    tried = list(assignments({name: array.shape for name, array in body.weights.items()}))
    if not tried:
        shapes = ", ".join(str(array.shape) for array in body.weights.values())
        raise Unfit(f"its constants ({shapes or 'none'}) are not the weights of one LSTM, GRU or SimpleRNN")
    x, mask = _sequences(body)
    proof = _proven(body, runs, x, mask, tried, bench)
    call, wiring = called(Loop(body, runs, x, mask, proof), bench)
    one, stored = proof.claim.assignment, tuple(body.weights)
    nodes = (node, *measuring(node, stored))
    return Recovered(one.layout, one.arrays(body.weights), proof.claim.options, call, wiring, nodes, stored)


def _sequences(body: Body) -> tuple[Taker, Taker | None]:
    """What takes the input, and what takes the mask, if there is one."""
    inputs = [one for one in body.takers if body.reaches_product(one.step)]
    masks = [one for one in body.takers if one not in inputs]
    if len(inputs) != 1 or len(masks) > 1:
        raise Unfit(f"it reads {len(inputs)} sequences and {len(masks)} masks, where one and at most one are expected")
    return inputs[0], masks[0] if masks else None


def _proven(body: Body, runs: Course, x: Taker, mask: Taker | None, tried: Sequence[Assignment], bench: Bench) -> Proof:
    """The cell that the body is, with the first form of a mask that it can be."""
    weights = {name: bench.stand_in(name, array.shape) for name, array in body.weights.items()}
    constants = body.fixed | {name: np.asarray(STEPS, dtype) for name, dtype in body.lengths.items()}
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
