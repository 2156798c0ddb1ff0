"""The search for one step of a recurrent cell among the nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import combinations
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.assignments import Assignment, assignments, pieces_of, states_of
from converters.readers.onnx.arithmetic.body import origin
from converters.readers.onnx.arithmetic.cells import AGREES, difference, functions, options_of
from converters.readers.onnx.arithmetic.run import ELEMENTWISE, OVERHEAD, PRODUCTS, Machine, Unfit, Values
from converters.readers.onnx.arithmetic.stage import CellStep, Constants, Stage, Use
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.cells import LSTM, Piece
from layouts.frameworks import keras
from layouts.reference import forward

CUTS = ("Cast", "Gather", "Identity", "Slice", "Split", "Squeeze")
"""Operators that take a step out of a sequence, or a value out of several."""
_SHAPED = (*CUTS, "Reshape", "Transpose", "Unsqueeze")
ARITHMETIC = frozenset((*ELEMENTWISE, *PRODUCTS, "Slice", "Split", "Squeeze"))
"""What a step consists of; anything else joins steps, or is another layer."""
_MOST_NODES, _MOST_TRIED, _MOST_OTHERS, _DEEPEST = 80, 4, 5, 8
_SAMPLES, _BATCH = 4, 2


def find_step(stage: Stage, recurrent: str, h: str, like: CellStep | None) -> CellStep | None:
    """The step in which this matrix is multiplied with the state h; of the cell of another step, where one is given."""
    _, lacking = _computable(stage, {h}, {recurrent})
    products = dict.fromkeys(use for name in lacking if (use := _behind(stage, name)) is not None)
    for use in list(products)[:_MOST_TRIED]:
        if use.stored == recurrent or use.value == h:
            continue
        known, matrices = {h, use.value}, {recurrent, use.stored}
        nodes, lacking = _computable(stage, known, matrices)
        for cell in ("", *lacking[:_MOST_TRIED]):
            full = _computable(stage, known | {cell}, matrices)[0] if cell else nodes
            step = _proven(stage, full, (recurrent, use.stored), (h, use.value, cell), like)
            if step is not None:
                return step
    return None


def _computable(stage: Stage, known: set[str], matrices: Set[str]) -> tuple[list[Node], list[str]]:
    """The arithmetic that can be done with some values and constants, and the values that come next to it."""
    scope, have = stage.scope, set(known)
    found: set[Node] = set()
    lacking: dict[str, None] = {}
    waiting = [reader for name in known for reader in scope.readers(name)]
    while waiting and len(found) < _MOST_NODES:
        node = waiting.pop(0)
        if node in found or known.intersection(node.outputs) or not _is_arithmetic(stage, node, matrices):
            continue
        missing = [name for name in node.inputs if name and name not in have and not scope.is_constant(name)]
        lacking.update(dict.fromkeys(missing))
        if not missing:
            found.add(node)
            have.update(filter(None, node.outputs))
            waiting += [reader for name in node.outputs if name for reader in scope.readers(name)]
    return sorted(found, key=lambda node: stage.place[node]), [name for name in lacking if name not in have]


def _is_arithmetic(stage: Stage, node: Node, matrices: Set[str]) -> bool:
    """Whether a node can belong to a step with these matrices."""
    if node not in stage.place or node.domain or node.op not in ARITHMETIC:
        return False
    if node.op not in PRODUCTS:
        return True
    use = stage.uses.get(node)
    return use is not None and (use.stored in matrices or any(_is_rest(stage, one, use.stored) for one in matrices))


def _is_rest(stage: Stage, recurrent: str, stored: str) -> bool:
    """Whether a matrix has the columns that a recurrent matrix of two gates lacks."""
    shape = stage.shape(recurrent)
    return len(shape) == 2 and shape[1] == 2 * shape[0] and stage.shape(stored) == (shape[0], shape[0])


def _behind(stage: Stage, name: str) -> Use | None:
    """The product that a value is, or is cut out of, or that only constants were added to."""
    for _ in range(_DEEPEST):
        node = stage.scope.producer(name)
        if node is None or node.domain or node in stage.uses:
            return stage.uses.get(node) if node is not None else None
        lacking = [one for one in node.inputs if one and not stage.scope.is_constant(one)]
        if node.op not in (*CUTS, "Add") or len(lacking) != 1:
            return None
        (name,) = lacking
    return None


def _proven(
    stage: Stage, nodes: list[Node], matrices: tuple[str, str], names: tuple[str, str, str], like: CellStep | None
) -> CellStep | None:
    """The cell that gives the same as these nodes, with the names that hold its new states."""
    (recurrent, kernel), (h, x, cell) = matrices, names
    constants = Constants(stage, nodes, set(names))
    if recurrent not in constants.shapes or kernel not in constants.shapes:
        return None
    assigned = _assigned(constants.shapes, kernel, recurrent, _added_to(stage, kernel, nodes), like)
    tried = [one for one in assigned if not (cell and states_of(one) == 1)]
    for inputs, units in dict.fromkeys((one.inputs, one.units) for one in tried):
        try:
            samples = _samples(stage, nodes, constants, names, (inputs, units))
        except Unfit:
            continue
        for one in (one for one in tried if (one.inputs, one.units) == (inputs, units)):
            before = (h, cell or h)[: states_of(one)]
            found = _agreeing(stage, one, constants, samples, (x, before), nodes, like)
            if found is not None:
                return found
    return None


def _agreeing(
    stage: Stage,
    one: Assignment,
    constants: Constants,
    samples: Sequence[Values],
    names: tuple[str, tuple[str, ...]],
    nodes: list[Node],
    like: CellStep | None,
) -> CellStep | None:
    """The step of these arrays with the activations, if any, that agree with all samples."""
    pieces, (x, before) = pieces_of(one, constants.stand_ins), names
    for options in options_of(one.layout, functions(nodes)) if like is None else [like.options]:
        stage.pay(sum(array.size for array in pieces.values()) + OVERHEAD)
        after = _after(one, pieces, options, samples, x, before, nodes)
        if after:
            return CellStep(one, options, x, before, after, tuple(nodes))
    return None


def _samples(
    stage: Stage, nodes: list[Node], constants: Constants, names: tuple[str, str, str], sizes: tuple[int, int]
) -> list[Values]:
    """What the nodes make of random inputs and states, several times."""
    (h, x, cell), (inputs, units) = names, sizes
    size = sum(array.size for array in constants.values.values())
    machine = Machine(nodes, size)
    samples: list[Values] = []
    for _ in range(_SAMPLES):
        stage.pay(size + OVERHEAD * len(nodes))
        known = {name: stage.random.standard_normal((_BATCH, units)) for name in filter(None, (h, cell))}
        samples.append(machine.run(constants.values | known | {x: stage.random.standard_normal((_BATCH, inputs))}))
    return samples


def _assigned(
    shapes: Mapping[str, tuple[int, ...]], kernel: str, recurrent: str, own: Set[str], like: CellStep | None
) -> Iterator[Assignment]:
    """The layouts that two matrices and some of the other arrays make; that of another step, where one is given."""
    if like is not None:
        if all(name in shapes for names in like.assignment.roles.values() for name in names):
            yield like.assignment
        return
    others = [name for name in shapes if name not in (kernel, recurrent)][:_MOST_OTHERS]
    units, width = shapes[recurrent]
    if width == 2 * units:
        yield from _in_two(shapes, kernel, recurrent, others)
    for count in range(min(len(others), 2), -1, -1):
        for some in combinations(others, count):
            for one in assignments({name: shapes[name] for name in (kernel, recurrent, *some)}):
                if one.matrices == (kernel, recurrent) and _in_order(one, own):
                    yield one


def _in_order(one: Assignment, own: Set[str]) -> bool:
    """Whether the two biases of PyTorch stand where they are added: a sum does not tell one from the other."""
    return "bias_ih" not in one.roles or not own or one.roles["bias_ih"][0] in own


def _added_to(stage: Stage, kernel: str, nodes: Sequence[Node]) -> set[str]:
    """The constants that are added to the product with the input's weights before anything else is."""
    found: set[str] = set()
    for node in nodes:
        use = stage.uses.get(node)
        if use is not None and use.stored == kernel:
            readers = [one for one in stage.scope.readers(node.output(0)) if one.op == "Add"]
            near = [*node.inputs[2:], *(name for one in readers for name in one.inputs)]
            found.update(origin(stage.scope, name).stored for name in near if name and stage.scope.is_constant(name))
    return found


def _in_two(
    shapes: Mapping[str, tuple[int, ...]], kernel: str, recurrent: str, others: Sequence[str]
) -> Iterator[Assignment]:
    """A GRU that resets before its product, whose recurrent matrix is stored as columns of z and r, and those of n."""
    inputs, units = shapes[kernel][0], shapes[recurrent][0]
    for rest in (name for name in others if shapes[name] == (units, units)):
        matrices = {"kernel": (kernel,), "recurrent_kernel": (recurrent, rest)}
        for bias in (name for name in others if shapes[name] == (3 * units,)):
            yield Assignment(keras.GRU_BEFORE, matrices | {"bias": (bias,)}, inputs, units)
        yield Assignment(keras.GRU_BEFORE, matrices, inputs, units)


def _after(
    one: Assignment,
    pieces: Mapping[Piece, Array],
    options: Mapping[str, Any],
    samples: Sequence[Values],
    reads: str,
    before: tuple[str, ...],
    nodes: Sequence[Node],
) -> tuple[str, ...]:
    """The values that are the new states in every sample; () where there are none."""
    candidates = [[name for node in nodes for name in node.outputs if name] for _ in before]
    for sample in samples:
        initial = tuple(sample[name] for name in before)
        with np.errstate(all="ignore"):
            _, after = forward(one.layout.cell, pieces, sample[reads][:, None], options=options, initial=initial)
        for number, found in enumerate(after):
            candidates[number] = [n for n in candidates[number] if difference(found, sample[n]) <= AGREES]
        if not all(candidates):
            return ()
    return tuple(names[-1] for names in candidates)


def is_told_apart(stage: Stage, step: CellStep) -> bool:
    """Whether it is sure which value is the state of a single step, and which one the input.

    The equation of an LSTM treats them alike where they are of one size. The state comes from where the cell comes
    from: from the same value, or from a value of the same kind.
    """
    if step.assignment.layout.cell is not LSTM or step.assignment.inputs != step.assignment.units:
        return True
    h, x, c = (_source(stage, name) for name in (step.before[0], step.reads, step.before[1]))
    return h == c != x or (h[0] == c[0] != x[0] and x != c)


def _source(stage: Stage, name: str) -> tuple[str, str]:
    """The kind of value that a value is cut out of, and which one it is."""
    for _ in range(_DEEPEST):
        node = stage.scope.producer(name)
        if node is None:
            return ("input" if stage.scope.is_input(name) else "stored"), name
        if is_zero(node, name):
            return "zero", ""
        if node.domain or node.op not in _SHAPED:
            break
        name = node.input(0)
    return "computed", name
