"""Recurrent cells without a Loop: single steps and unrolled ones, found by what their arithmetic computes.

Keras writes `unroll=True` and steps of streaming models so. A product with a matrix of (units, gates × units) may be
that of a state; what merges with it tells which product is that of the input, and which value is the cell of an LSTM.
Whether it is a cell is then decided as for a Loop: on random numbers, by `layouts.reference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.arithmetic.assignments import array_of
from converters.readers.onnx.arithmetic.cells import Recovered
from converters.readers.onnx.arithmetic.links import link_of
from converters.readers.onnx.arithmetic.run import Machine, Unfit
from converters.readers.onnx.arithmetic.search import CUTS, find_step, is_told_apart
from converters.readers.onnx.arithmetic.stage import CellStep, Constants, Stage, Use
from converters.readers.onnx.arithmetic.start import first_step
from converters.readers.onnx.arithmetic.unrolled import unrolled
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.cells import RNN
from layouts.errors import ConversionError

_GATES = (1, 2, 3, 4)
"""2: the columns of z and r, where a GRU that resets before its product has those of n in an array of its own."""
_DEEPEST, _BATCH, _MOST_FAILED = 8, 2, 8
"""A matrix whose products were so often in no step is that of no state."""


def recognise_steps(scope: Scope, covered: Set[Node] = frozenset()) -> list[Recovered]:
    """Every recurrent layer that a graph has as single steps. `covered`: nodes that belong to other layers.

    What is not proven, or could be two things, is left out: its products stay what they are.
    """
    stage = Stage(scope, covered)
    found = list(unrolled(stage))
    taken = {node for one in found for node in one.nodes}
    matrices: dict[str, list[Use]] = {}
    for use in stage.uses.values():
        if use.node not in taken:
            matrices.setdefault(use.stored, []).append(use)
    for own in matrices.values():
        try:
            steps = _steps(stage, own)
            if steps and not taken.intersection(node for step in steps for node in step.nodes):
                found.append(_recovered(stage, steps))
                taken.update(found[-1].nodes)
        except (Unfit, ConversionError, MemoryError, RecursionError):
            continue
    return found


def _steps(stage: Stage, own: Sequence[Use]) -> list[CellStep]:
    """The steps whose recurrent matrix this is; none where its shape, or what merges with its product, is another."""
    shape = sorted(stage.shape(own[0].stored))
    if len(shape) != 2 or not shape[0] or shape[1] not in [gates * shape[0] for gates in _GATES]:
        return []
    if shape[0] == shape[1] and len(own) < 2 and not _is_second(stage, own[0]):
        return []
    found: list[CellStep] = []
    for number, value in enumerate(dict.fromkeys(use.value for use in own)):
        step = find_step(stage, own[0].stored, value, found[0] if found else None)
        if step is not None:
            found.append(step)
        elif number - len(found) >= _MOST_FAILED:
            return []
    return [] if len(found) == 1 and not _is_clear(stage, found[0]) else found


def _is_second(stage: Stage, use: Use) -> bool:
    """Whether what the input adds to a product comes from a matrix that is used for another step too."""
    link = link_of(stage, use)
    return link is not None and stage.used[link.source.use.stored] > 1


def _is_clear(stage: Stage, step: CellStep) -> bool:
    """Whether a step that stands alone tells its state from its input; that of an RNN does only behind a first one."""
    if step.assignment.layout.cell is RNN:
        return first_step(stage, step, _arrays(stage, step)) is not None
    return is_told_apart(stage, step)


def _arrays(stage: Stage, step: CellStep) -> dict[str, LazyArray]:
    """The stored arrays of a step's layer."""
    names = dict.fromkeys(name for rows in step.assignment.roles.values() for name in rows)
    return {name: array for name in names if (array := stage.scope.constant(name)) is not None}


def _recovered(stage: Stage, steps: Sequence[CellStep]) -> Recovered:
    """The layer of steps, in the order in which they follow each other."""
    scope, ordered = stage.scope, list(_chain(steps))
    arrays = _arrays(stage, steps[0])
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
    return Recovered(first.assignment.layout, roles, first.options, facts, tuple(nodes), tuple(arrays))


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
