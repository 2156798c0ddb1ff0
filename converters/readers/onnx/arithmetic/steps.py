"""Recurrent cells without a Loop: single steps, and layers whose steps are written out one after another.

Keras writes `unroll=True` and the steps of streaming models so, PyTorch its cells. `single_steps` proposes the steps;
here they are joined to layers. What is written with one product for the input of all steps is found by `unrolled`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.settings import Call, Wiring
from converters.readers.onnx.arithmetic.chained import step_of
from converters.readers.onnx.arithmetic.constants import Constants, read_by
from converters.readers.onnx.arithmetic.machine import GIVEN_UP, Machine, Unfit
from converters.readers.onnx.arithmetic.nodes import CUTS, Products, Use, in_order
from converters.readers.onnx.arithmetic.recovered import Recovered, initial_states
from converters.readers.onnx.arithmetic.single_steps import Step, find_step, first_step
from converters.readers.onnx.arithmetic.unrolled import unrolled
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.cells import LSTM, RNN

_GATES = (1, 2, 3, 4)
"""2: the columns of z and r, where a GRU that resets before its product has those of n in an array of its own."""
_SHAPED = (*CUTS, "Reshape", "Transpose", "Unsqueeze")
_DEEPEST, _BATCH, _MOST_FAILED = 8, 2, 8
"""A matrix with so many products that belong to no step is no recurrent matrix."""


def recognise_steps(scope: Scope, covered: Set[Node] = frozenset()) -> list[Recovered]:
    """Every recurrent layer that a graph has as single steps. `covered`: nodes that belong to other layers.

    What is not proven, or is ambiguous, is left out: its products stay what they are.
    """
    graph = Products(scope, covered)
    found = list(unrolled(graph))
    taken = {node for one in found for node in one.nodes}
    matrices: dict[str, list[Use]] = {}
    for use in graph.uses.values():
        if use.node not in taken:
            matrices.setdefault(use.stored, []).append(use)
    for own in matrices.values():
        if taken.issuperset(use.node for use in own):
            continue
        try:
            steps = _steps(graph, own)
            if steps and not taken.intersection(node for step in steps for node in step.nodes):
                found.append(_recovered(graph, steps))
                taken.update(found[-1].nodes)
        except GIVEN_UP:
            continue
    return found


def _steps(graph: Products, own: Sequence[Use]) -> list[Step]:
    """The steps whose recurrent matrix this is; none where its shape, or what merges with its product, is another."""
    shape = sorted(graph.shape(own[0].stored))
    if len(shape) != 2 or not shape[0] or shape[1] not in [gates * shape[0] for gates in _GATES]:
        return []
    if shape[0] == shape[1] and len(own) < 2 and not _is_second(graph, own[0]):
        return []
    found: list[Step] = []
    for number, value in enumerate(dict.fromkeys(use.value for use in own)):
        step = find_step(graph, own[0].stored, value, found[0] if found else None)
        if step is not None:
            found.append(step)
        elif number - len(found) >= _MOST_FAILED:
            return []
    return [] if len(found) == 1 and not _is_clear(graph, found[0]) else found


def _is_second(graph: Products, use: Use) -> bool:
    """Whether what the input adds to a product comes from a matrix that is used for another step too."""
    step = step_of(graph, use)
    return step is not None and graph.counted[step.share.use.stored] > 1


def _is_clear(graph: Products, step: Step) -> bool:
    """Whether a step that stands alone tells its state from its input; that of an RNN does only behind a first one."""
    if step.assignment.layout.cell is RNN:
        return first_step(graph, step, _arrays(graph, step)) is not None
    return _is_told_apart(graph, step)


def _arrays(graph: Products, step: Step) -> dict[str, LazyArray]:
    """The stored arrays of a step's layer."""
    return {name: array for name in step.assignment.stored if (array := graph.scope.constant(name)) is not None}


def _recovered(graph: Products, steps: Sequence[Step]) -> Recovered:
    """The layer of steps, in the order in which they follow each other."""
    ordered = list(_chain(steps))
    arrays = _arrays(graph, steps[0])
    from_zeros = first_step(graph, ordered[0], arrays)
    ordered = [from_zeros, *ordered] if from_zeros else ordered
    first, nodes = ordered[0], dict.fromkeys(node for step in ordered for node in step.nodes)
    h, c = initial_states(first.nodes[0], first.before)
    single = len(ordered) == 1
    call = Call(single_step=single, steps=0 if single else len(ordered), initial_h=h, initial_c=c)
    reads, axis, direction = (None if single else _sequence(graph, ordered)) or (first.reads, 1, "forward")
    call, wiring = (
        replace(call, time_axis=axis, direction=direction),
        Wiring(reads=reads, gives=("", *ordered[-1].after)),
    )
    one = first.assignment
    found = Recovered(one.layout, one.arrays(arrays), first.options, call, wiring, tuple(nodes), tuple(arrays))
    return replace(found, starts=first.before, between=tuple(step.after[0] for step in ordered))


def _chain(steps: Sequence[Step]) -> Iterator[Step]:
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


def _sequence(graph: Products, steps: Sequence[Step]) -> tuple[str, int, str] | None:
    """The sequence that the inputs of all steps are cut out of, its time axis and direction; None if it is not one."""
    scope, cuts = graph.scope, dict[Node, None]()
    roots = {_root(scope, step.reads, cuts) for step in steps}
    if len(roots) != 1:
        return None
    (root,) = roots
    nodes = in_order(scope, cuts)
    whole = graph.bench.normal(len(steps), _BATCH, steps[0].assignment.inputs)
    for axis in (0, 1):
        try:
            constants = Constants(scope, (name for name in read_by(nodes) if name != root), graph.bench).values
            made = Machine(nodes, graph.bench.budget).run(constants | {root: np.moveaxis(whole, 0, axis)})
        except Unfit:
            continue
        for order in (1, -1):
            if all(np.array_equal(made[step.reads], x) for step, x in zip(steps, whole[::order], strict=True)):
                return root, axis, "forward" if order > 0 else "backward"
    return None


def _root(scope: Scope, name: str, cuts: dict[Node, None]) -> str:
    """The value that another is cut out of; the nodes that cut are noted."""
    for _ in range(_DEEPEST):
        node = scope.producer(name)
        if node is None or node.domain or node.op not in CUTS or node.scope is not scope:
            break
        cuts[node] = None
        name = node.input(0)
    return name


def _is_told_apart(graph: Products, step: Step) -> bool:
    """Whether it is sure which value is the state of a single step, and which one the input.

    The equation of an LSTM treats them alike where they are of one size. The state comes from where the cell comes
    from: from the same value, or from a value of the same class.
    """
    if step.assignment.layout.cell is not LSTM or step.assignment.inputs != step.assignment.units:
        return True
    h, x, c = (_source(graph, name) for name in (step.before[0], step.reads, step.before[1]))
    return h == c != x or (h[0] == c[0] != x[0] and x != c)


def _source(graph: Products, name: str) -> tuple[str, str]:
    """The class of the value that a value is cut out of, and which one it is."""
    for _ in range(_DEEPEST):
        node = graph.scope.producer(name)
        if node is None:
            return ("input" if graph.scope.is_input(name) else "stored"), name
        if is_zero(node, name):
            return "zero", ""
        if node.domain or node.op not in _SHAPED:
            break
        name = node.input(0)
    return "computed", name
