"""A loop run step by step on random numbers, and what it was seen to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.body import STEPS, Body, numbered
from converters.readers.onnx.arithmetic.cells import Step
from converters.readers.onnx.arithmetic.run import PRODUCTS, Machine, Unfit, Values

_OBSERVED = 10
"""Steps that are looked at, over as many runs of the loop as it takes."""
_MOST_BATCH = 512
_MOST_NUMBERS = 1 << 20


class Run(NamedTuple):
    """The steps of a loop as observed, what each carried and gave, and whether it took the last one first."""

    steps: list[Step]
    values: list[Values]
    backwards: bool


def roles(body: Body) -> tuple[str, str]:
    """The name of the sequence that is read, and of the mask, '' where there is none."""
    reads = [name for name, (taker, _) in body.sequences.items() if reaches_product(body, *taker.outputs)]
    masks = [name for name in body.sequences if name not in reads]
    if len(reads) != 1 or len(masks) > 1:
        raise Unfit(f"it reads {len(reads)} sequences and {len(masks)} masks, where one and at most one are expected")
    return reads[0], masks[0] if masks else ""


def reaches_product(body: Body, *names: str) -> bool:
    """Whether a matrix product depends on one of these values within one step."""
    reached = set(names)
    for node in body.nodes:
        if reached.intersection(node.inputs):
            if node.op in PRODUCTS:
                return True
            reached.update(node.outputs)
    return False


def mask_ranks(body: Body) -> tuple[int, ...]:
    _, mask = roles(body)
    shape = body.node.scope.shape(body.sequences[mask][1]) if mask else (1, 1, 1)
    return (3, 2) if shape is None else (len(shape),)


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


def observe(
    body: Body,
    given: Mapping[str, Array],
    inputs: int,
    units: int,
    mask_rank: int,
    count: int,
    random: np.random.Generator,
) -> Run:
    """Run the loop step by step, every step on states of its own."""
    reads, masks = roles(body)
    batch = _batch(body)
    machine = Machine(body.nodes, sum(array.size for array in body.weights.values()))
    kept = {*body.stacked, *body.states, *body.held, *map(body.after, body.states)}
    length = count if count * batch * inputs <= _MOST_NUMBERS else min(count, STEPS)
    if STEPS * batch * (inputs + units) > 16 * _MOST_NUMBERS:
        raise Unfit(f"a step of {batch} sequences takes more numbers than a recurrent layer's")
    steps: list[Step] = []
    observed: list[Values] = []
    orders: set[frozenset[bool]] = set()
    while len(steps) < _OBSERVED:
        x = random.standard_normal((length, batch, inputs))
        mask = random.random((length, batch)) < 0.6
        values = dict(given) | {name: np.asarray(STEPS, dtype) for name, dtype in body.lengths.items()}
        values[reads] = _stored(body, reads, x)
        if masks:
            values[masks] = _stored(body, masks, mask[..., None] if mask_rank == 3 else mask)
        for number in range(min(count, STEPS)):
            before = {name: random.standard_normal((batch, units)) for name in (*body.states, *body.held)}
            made = machine.run(values | before | numbered(body, number))
            taken = {_taken(body, name, made) % length for name in filter(None, (reads, masks))}
            orders.add(_order(taken, number, length))
            (at,) = taken
            after = {name: made[body.after(name)] for name in body.states}
            steps.append(Step(x[at], mask[at] if masks else None, before, after))
            observed.append({name: made[name] for name in kept})
            values |= {name: made[body.after(name)] for name in body.counters}
    return Run(steps, observed, _backwards(orders))


def _stored(body: Body, name: str, sequence: Array) -> Array:
    """A sequence (time, batch, …) as the body takes it."""
    taker, _ = body.sequences[name]
    return np.swapaxes(sequence, 0, 1) if taker.attributes.get("axis", 0) == 1 else sequence


def _taken(body: Body, name: str, made: Values) -> int:
    """Which step of a sequence was taken."""
    taker, _ = body.sequences[name]
    place = made[taker.inputs[1]]
    if place.size != 1 or place.ndim:
        raise Unfit("it takes more than one step at a time out of its sequence")
    return int(place)


def _order(taken: set[int], number: int, length: int) -> frozenset[bool]:
    """Which orders, forwards and backwards, take these steps as the one of this number."""
    return frozenset(back for back in (False, True) if taken == {length - 1 - number if back else number})


def _backwards(orders: set[frozenset[bool]]) -> bool:
    possible = frozenset.intersection(*orders)
    if not possible:
        raise Unfit("it does not take the steps of its sequence one after the other")
    return possible == {True}
