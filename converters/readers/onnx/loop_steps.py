"""Recurrent cells without a Loop: single steps and unrolled ones, found by what their arithmetic computes.

Keras writes `unroll=True` and steps of streaming models so. A product with a matrix of (units, gates × units) may be
that of a state; what merges with it tells which product is that of the input, and which value is the cell of an LSTM.
Whether it is a cell is then decided as for a Loop: on random numbers, by `layouts.reference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np

from converters.readers.onnx.graph import Node, Scope
from converters.readers.onnx.loop_assignments import array_of
from converters.readers.onnx.loop_cells import Recovered
from converters.readers.onnx.loop_run import Machine, Unfit
from converters.readers.onnx.loop_search import CUTS, find_step, is_told_apart
from converters.readers.onnx.loop_stage import CellStep, Constants, Stage, Use
from converters.readers.onnx.loop_start import first_step
from converters.readers.onnx.recurrent import is_zero
from layouts.cells import RNN
from layouts.errors import ConversionError

_GATES = (1, 2, 3, 4)
"""2: the columns of z and r, where a GRU that resets before its product has those of n in an array of its own."""
_DEEPEST, _BATCH = 8, 2


def recognise_steps(scope: Scope, covered: Set[Node] = frozenset()) -> list[Recovered]:
    """Every recurrent layer that a graph has as single steps. `covered`: nodes that belong to other layers.

    What is not proven, or could be two things, is left out: its products stay what they are.
    """
    stage, found = Stage(scope, covered), list[Recovered]()
    for stored in dict.fromkeys(use.stored for use in stage.uses.values()):
        own = [use for use in stage.uses.values() if use.stored == stored]
        try:
            steps = _steps(stage, own)
            taken = {node for one in found for node in one.nodes}
            if steps and not taken.intersection(node for step in steps for node in step.nodes):
                found.append(_recovered(stage, steps))
        except (Unfit, ConversionError, MemoryError, RecursionError):
            continue
    return found


def _steps(stage: Stage, own: Sequence[Use]) -> list[CellStep]:
    """The steps whose recurrent matrix this is; none where its shape, or what merges with its product, is another."""
    shape = sorted(stage.shape(own[0].stored))
    if len(shape) != 2 or not shape[0] or shape[1] not in [gates * shape[0] for gates in _GATES]:
        return []
    if shape[0] == shape[1] and len(own) < 2:
        return []
    found: list[CellStep] = []
    for value in dict.fromkeys(use.value for use in own):
        step = find_step(stage, own[0].stored, value, found[0] if found else None)
        if step is not None:
            found.append(step)
    single = len(found) == 1
    if single and (found[0].assignment.layout.cell is RNN or not is_told_apart(stage, found[0])):
        return []
    return found


def _recovered(stage: Stage, steps: Sequence[CellStep]) -> Recovered:
    """The layer of steps, in the order in which they follow each other."""
    scope, ordered = stage.scope, list(_chain(steps))
    names = dict.fromkeys(name for rows in steps[0].assignment.roles.values() for name in rows)
    arrays = {name: array for name in names if (array := scope.constant(name)) is not None}
    from_zeros = first_step(stage, ordered[0], arrays)
    ordered = [from_zeros, *ordered] if from_zeros else ordered
    first, last = ordered[0], ordered[-1]
    facts: dict[str, Any] = {"reads": first.reads, "gives": ("", *last.after)}
    facts |= {"single_step": True} if len(ordered) == 1 else {"steps": len(ordered)} | _sequence(stage, ordered)
    for name, start in zip(("initial_h", "initial_c"), first.before, strict=False):
        if not is_zero(first.nodes[0], start):
            facts[name] = "stored" if scope.is_constant(start) else "input"
    roles = {role: array_of(rows, arrays) for role, rows in first.assignment.roles.items()}
    nodes = dict.fromkeys(node for step in ordered for node in step.nodes)
    return Recovered(first.assignment.layout, roles, first.options, facts, tuple(nodes), tuple(names))


def _chain(steps: Sequence[CellStep]) -> Iterator[CellStep]:
    """Each step after the one whose states it takes. Raises `Unfit` where they are not one chain."""
    after = {step.before: step for step in steps}
    made = {step.after for step in steps}
    starts = [step for step in steps if step.before not in made]
    step, count = starts[0] if len(starts) == 1 else None, 0
    while step is not None and count < len(steps):
        yield step
        step, count = after.get(step.after), count + 1
    if count != len(steps):
        raise Unfit("its steps do not follow each other")


def _sequence(stage: Stage, steps: Sequence[CellStep]) -> dict[str, Any]:
    """The sequence that the inputs of all steps are cut out of, and how; nothing where they are not one sequence."""
    scope, cuts = stage.scope, dict[Node, None]()
    roots = {_root(scope, step.reads, cuts) for step in steps}
    if len(roots) != 1:
        return {}
    (root,) = roots
    nodes = [node for node in scope.nodes if node in cuts]
    whole = stage.random.standard_normal((len(steps), _BATCH, steps[0].assignment.inputs))
    for axis in (0, 1):
        try:
            constants = Constants(stage, nodes, {root}).values
            made = Machine(nodes).run(constants | {root: np.moveaxis(whole, 0, axis)})
        except Unfit:
            continue
        for order in (1, -1):
            if all(np.array_equal(made[step.reads], x) for step, x in zip(steps, whole[::order], strict=True)):
                facts: dict[str, Any] = {"reads": root} | ({"time_major": True} if axis == 0 else {})
                return facts | ({"go_backwards": True} if order < 0 else {})
    return {}


def _root(scope: Scope, name: str, cuts: dict[Node, None]) -> str:
    """The value that another is cut out of; the nodes that cut are noted."""
    for _ in range(_DEEPEST):
        node = scope.producer(name)
        if node is None or node.domain or node.op not in CUTS or node.scope is not scope:
            break
        cuts[node] = None
        name = node.input(0)
    return name
