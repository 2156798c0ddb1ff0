"""Proposes single steps of recurrent cells among the nodes of a graph.

A product with a matrix of (units, gates × units) may be that of a state. What is lacking to compute on from it is the
product of the input; what is lacking after that, the cell state of an LSTM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.arithmetic.assignments import Assignment, assignments_among
from converters.readers.onnx.arithmetic.constants import Constants, is_half, origin, read_by
from converters.readers.onnx.arithmetic.gates import assignments_of, gated
from converters.readers.onnx.arithmetic.machine import Unfit, Values, doubled
from converters.readers.onnx.arithmetic.nodes import ARITHMETIC, Products, downstream, upstream
from converters.readers.onnx.arithmetic.prover import Candidate, States, prove
from converters.readers.onnx.graph.scope import PRODUCTS, Node
from layouts.cells import LSTM
from layouts.options import Recurrence

_MOST_NODES, _MOST_TRIED = 80, 4


class Step(NamedTuple):
    """One step that was proven: the cell, the names of what goes in and comes out, and its nodes."""

    assignment: Assignment
    options: Recurrence
    reads: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    nodes: tuple[Node, ...]


def find_step(graph: Products, recurrent: str, h: str, like: Step | None) -> Step | None:
    """The step in which this matrix is multiplied with the state h; of the cell of another step, where one is given."""
    for candidate in _of_gates(graph, h, like) or _candidates(graph, recurrent, h, like):
        try:
            proof = prove([candidate], graph.bench)
        except Unfit:
            continue
        claim, after = proof.claim, tuple(names[-1] for names in proof.after)
        return Step(claim.assignment, claim.options, candidate.x, claim.states.before, after, candidate.nodes)
    return None


def _candidates(graph: Products, recurrent: str, h: str, like: Step | None) -> Iterator[Candidate]:
    """Every pair of an input and a cell state, or none, that the product with the state may merge with."""
    _, lacking = _computable(graph, {h}, {recurrent})
    products = dict.fromkeys(share.use for name in lacking if (share := graph.share(name)))
    for use in list(products)[:_MOST_TRIED]:
        if use.stored == recurrent or use.value == h:
            continue
        known, matrices = {h, use.value}, {recurrent, use.stored}
        nodes, lacking = _computable(graph, known, matrices)
        for cell in ("", *lacking[:_MOST_TRIED]):
            full = _computable(graph, known | {cell}, matrices)[0] if cell else nodes
            candidate = _candidate(graph, full, (use.stored, recurrent), (use.value, h, cell), like)
            if candidate is not None:
                yield candidate


def _of_gates(graph: Products, h: str, like: Step | None) -> list[Candidate]:
    """The same where every gate is a product of its own; no other candidate then, since a gate looks like a cell."""
    found = gated(graph, h)
    if found is None:
        return []
    tried = [like.assignment] if like is not None else [*assignments_of(graph, found)]
    nodes, lacking = _computable(graph, {h, found.x}, found.matrices)
    candidates = list[Candidate]()
    for cell in ("", *(lacking[:_MOST_TRIED] if found.layout.cell is LSTM else ())):
        full = _computable(graph, {h, found.x, cell}, found.matrices)[0] if cell else nodes
        constants = Constants(graph.scope, (n for n in read_by(full) if n not in (h, found.x, cell)), graph.bench)
        if constants.weights.keys() >= {name for one in tried for name in one.stored}:
            candidates.append(_named(graph, full, (found.x, h, cell), constants, tried, like))
    return candidates


def _computable(graph: Products, known: set[str], matrices: Set[str]) -> tuple[tuple[Node, ...], list[str]]:
    """The arithmetic that can be done with some values and matrices, and the values that come next to it."""
    return downstream(graph.scope, known, lambda node: _is_arithmetic(graph, node, matrices), _MOST_NODES)


def _is_arithmetic(graph: Products, node: Node, matrices: Set[str]) -> bool:
    """Whether a node can belong to a step with these matrices."""
    if node.op not in PRODUCTS or not graph.has(node, ARITHMETIC):
        return graph.has(node, ARITHMETIC)
    use = graph.uses.get(node)
    return use is not None and (use.stored in matrices or any(_is_rest(graph, one, use.stored) for one in matrices))


def _is_rest(graph: Products, recurrent: str, stored: str) -> bool:
    """Whether a matrix has the columns that a recurrent matrix of two gates lacks."""
    shape = graph.shape(recurrent)
    return len(shape) == 2 and shape[1] == 2 * shape[0] and graph.shape(stored) == (shape[0], shape[0])


def _candidate(
    graph: Products, nodes: tuple[Node, ...], matrices: tuple[str, str], names: tuple[str, str, str], like: Step | None
) -> Candidate | None:
    """Nodes with their input, h and the cell state or ''; None where they do not read both matrices."""
    constants = Constants(graph.scope, (name for name in read_by(nodes) if name not in names), graph.bench)
    if not constants.weights.keys() >= set(matrices):
        return None
    if like is not None:
        tried = [like.assignment] if constants.weights.keys() >= set(like.assignment.stored) else []
    else:
        tried = list(assignments_among(constants.shapes, matrices, _added_to(graph, matrices[0], nodes)))
    return _named(graph, nodes, names, constants, tried, like)


def _named(
    graph: Products,
    nodes: tuple[Node, ...],
    names: tuple[str, str, str],
    constants: Constants,
    tried: Sequence[Assignment],
    like: Step | None,
) -> Candidate:
    """Nodes with the parts that their values may play."""
    x, h, cell = names
    states = [States((h, cell or h), ("", "")), *([] if cell else [States((h,), ("",))])]
    half = is_half(graph.scope.constant(name) for one in tried[:1] for name in one.matrices)
    options, batch = [like.options] if like else (), _sequences(graph, h, nodes)
    return Candidate(nodes, x, states, constants.values, constants.weights, tried, options, half, batch)


def _sequences(graph: Products, h: str, nodes: Sequence[Node]) -> int:
    """How many sequences nodes are run on: one where they are made for one and drop its axis, else two."""
    return 1 if (graph.scope.shape(h) or ())[:1] == (1,) and any(node.op == "Squeeze" for node in nodes) else 2


def _added_to(graph: Products, kernel: str, nodes: Sequence[Node]) -> set[str]:
    """The constants that are added to the product with the input's weights before anything else is."""
    found: set[str] = set()
    for node in nodes:
        use = graph.uses.get(node)
        if use is not None and use.stored == kernel:
            readers = [one for one in graph.scope.readers(node.output(0)) if one.op == "Add"]
            near = [*node.inputs[2:], *read_by(readers)]
            found.update(origin(graph.scope, name).stored for name in near if name and graph.scope.is_constant(name))
    return found


def first_step(graph: Products, step: Step, arrays: Mapping[str, LazyArray]) -> Step | None:
    """The step from zeros whose new states are those before another step; None where these come from elsewhere.

    Exporters compute what can be computed of it: biases may stand in it as constants that were added up, so it is run
    with the stored weights themselves.
    """
    one = step.assignment
    try:
        nodes, reads = _leading_to(graph, step)
        constants = dict(graph.stored(name for name in read_by(nodes) if name != reads))
        weights = {name: np.asarray(doubled(array.read())) for name, array in arrays.items()}
        states, half = States(("",) * one.states, step.before), is_half(arrays.values())
        batch = _batch(step, constants, arrays)
        candidate = Candidate(nodes, reads, [states], constants, weights, [one], [step.options], half, batch, samples=1)
        prove([candidate], graph.bench)
    except Unfit:
        return None
    return Step(one, step.options, reads, (), step.before, nodes)


def _leading_to(graph: Products, step: Step) -> tuple[tuple[Node, ...], str]:
    """The nodes that make the states before a step, and the one value that is multiplied with the input's weights."""
    reads: dict[str, None] = {}

    def maker(name: str) -> Node | None:
        if graph.scope.is_constant(name):
            return None
        node = graph.scope.producer(name)
        if node is None or not graph.has(node, ARITHMETIC):
            raise Unfit("its states come from elsewhere")
        use = graph.uses.get(node)
        if use is not None and use.stored in step.assignment.kernels:
            reads[use.value] = None
        return node

    nodes = upstream(graph.scope, step.before, maker, _MOST_NODES, reads.keys())
    if len(reads) != 1:
        raise Unfit("its states depend on more than one input")
    return nodes, next(iter(reads))


def _batch(step: Step, constants: Values, arrays: Mapping[str, LazyArray]) -> int:
    """How many sequences the constants are made for: that of zeros of (batch, units), or of sums of biases; else 2."""
    weights = [arrays[name].shape for name in step.assignment.matrices]
    others = [one.shape for one in constants.values() if one.ndim == 2 and one.shape not in weights]
    return min((shape[0] for shape in others if shape[1] % step.assignment.units == 0), default=2)
