"""Loops whose body is a recurrent cell written as arithmetic, as tf2onnx and Keras's own export write them.

GRU, SimpleRNN, masked layers and every activation that ONNX's operators do not know become an ONNX `Loop`. What each
input of the loop is for follows from how the body uses it, not from names or from the order of the nodes; then the body
is run on random numbers, and exactly one cell of `layouts.reference` has to give the same at every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.assignments import Assignment, array_of, assignments, random_weight
from converters.readers.onnx.arithmetic.body import Body, cut, read_body, steps_of
from converters.readers.onnx.arithmetic.cells import Recovered, Verdict, decide, functions, match
from converters.readers.onnx.arithmetic.facts import facts, measuring
from converters.readers.onnx.arithmetic.observed import Run, mask_ranks, observe, reaches_product
from converters.readers.onnx.arithmetic.run import Unfit
from converters.readers.onnx.graph.scope import Node
from layouts.errors import ConversionError, printable

__all__ = ["Recovered", "recognise"]

_MOST_OPERATORS = 12


def recognise(node: Node) -> Recovered | str:
    """The layer that a Loop computes, or a sentence that says what the Loop is and why it is none."""
    try:
        return _recognised(node)
    except (Unfit, ConversionError, MemoryError, RecursionError) as error:
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
    count = steps_of(body)
    tried = list(assignments({name: array.shape for name, array in body.weights.items()}))
    if not tried:
        shapes = ", ".join(str(array.shape) for array in body.weights.values())
        raise Unfit(f"its constants ({shapes or 'none'}) are not the weights of one LSTM, GRU or SimpleRNN")
    random = np.random.default_rng(len(body.nodes))
    stand_ins = {name: random_weight(random, array.shape) for name, array in body.weights.items()}
    verdicts, runs = _all_verdicts(body, tried, stand_ins, count, random)
    found = decide(verdicts)
    run = next(run for verdict, run in zip(verdicts, runs, strict=True) if found in verdict.agreeing)
    arrays = {name: array_of(rows, body.weights) for name, rows in found.assignment.roles.items()}
    stored = tuple(body.weights)
    known, nodes = facts(body, found, run, count), (node, *measuring(node, stored))
    return Recovered(found.assignment.layout, arrays, found.options, known, nodes, stored)


def _all_verdicts(
    body: Body, tried: Sequence[Assignment], stand_ins: Mapping[str, Array], count: int, random: np.random.Generator
) -> tuple[list[Verdict], list[Run]]:
    """Observe the loop and compare, once for every pair of sizes and every form of mask that may be right."""
    given = cut(body, stand_ins) | body.fixed
    dtype = min((array.dtype for array in body.weights.values()), key=lambda one: one.itemsize)
    verdicts, runs, problems = [], [], []
    for inputs, units in dict.fromkeys((one.inputs, one.units) for one in tried):
        for mask_rank in mask_ranks(body):
            try:
                run = observe(body, given, inputs, units, mask_rank, count, random)
            except Unfit as problem:
                problems.append(problem)
                continue
            fitting = [one for one in tried if (one.inputs, one.units) == (inputs, units)]
            verdicts.append(match(fitting, stand_ins, run.steps, _orders(body, run), functions(body.nodes), dtype))
            runs.append(run)
            break
    if not verdicts:
        raise problems[0]
    return verdicts, runs


def _orders(body: Body, run: Run) -> dict[int, list[tuple[str, ...]]]:
    """Which loop-carried values can be h, and which h and c.

    Within a step a product depends on h, and on no other state; c is none that is h wherever it changes, as the output
    that a masked layer repeats.
    """
    h = [name for name in body.states if reaches_product(body, name)]
    both: list[tuple[str, ...]]
    both = [(one, other) for one in h for other in body.states if other != one and not _follows(run, other, one)]
    return {1: [(name,) for name in h], 2: both}


def _follows(run: Run, name: str, other: str) -> bool:
    """Whether a state takes on the value of another wherever the mask lets it change."""
    for step in run.steps:
        kept = slice(None) if step.mask is None else step.mask
        one, two = step.after[name], step.after[other]
        if one.shape != two.shape or not np.allclose(one[kept], two[kept], rtol=0.0, atol=1e-9):
            return False
    return True
