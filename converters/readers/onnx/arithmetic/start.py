"""The first of several steps where the states are zeros and exporters have computed what could be computed of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.arithmetic.assignments import array_of
from converters.readers.onnx.arithmetic.cells import AGREES, difference
from converters.readers.onnx.arithmetic.run import PRODUCTS, Machine, Unfit, Values, doubled
from converters.readers.onnx.arithmetic.search import ARITHMETIC
from converters.readers.onnx.arithmetic.stage import CellStep, Stage
from converters.readers.onnx.graph.scope import Node
from layouts.reference import forward
from layouts.repack import unpack

_MOST_NODES, _MOST_NUMBERS = 80, 1 << 24


def first_step(stage: Stage, step: CellStep, arrays: Mapping[str, LazyArray]) -> CellStep | None:
    """The step from zeros whose new states are those before another step; None where these come from elsewhere.

    The biases may stand in it as constants that were added up, so it is run with the stored weights themselves.
    """
    try:
        nodes, reads = _leading_to(stage, step)
        constants = _constants(stage, nodes, reads)
        x = stage.random.standard_normal((_batch(step, constants, arrays), step.assignment.inputs))
        made = Machine(nodes, sum(one.size for one in constants.values())).run(constants | {reads: x})
    except Unfit:
        return None
    stored = {role: doubled(array_of(rows, arrays).read()) for role, rows in step.assignment.roles.items()}
    pieces = unpack(step.assignment.layout, stored)
    _, after = forward(step.assignment.layout.cell, pieces, x[:, None], options=step.options)
    if any(difference(one, made[name]) > AGREES for one, name in zip(after, step.before, strict=True)):
        return None
    return CellStep(step.assignment, step.options, reads, (), step.before, tuple(nodes))


def _batch(step: CellStep, constants: Values, arrays: Mapping[str, LazyArray]) -> int:
    """How many sequences the constants are made for: that of zeros of (batch, units), or of sums of biases; else 2."""
    weights = [arrays[name].shape for name in step.assignment.matrices]
    others = [one.shape for one in constants.values() if one.ndim == 2 and one.shape not in weights]
    return min((shape[0] for shape in others if shape[1] % step.assignment.units == 0), default=2)


def _leading_to(stage: Stage, step: CellStep) -> tuple[list[Node], str]:
    """The nodes that make the states before a step, and the one value that is multiplied with the input's weights."""
    found: dict[Node, None] = {}
    reads: dict[str, None] = {}
    waiting = list(step.before)
    while waiting:
        name = waiting.pop()
        node = stage.scope.producer(name)
        if stage.scope.is_constant(name) or node in found:
            continue
        if node is None or node not in stage.place or node.op not in ARITHMETIC or len(found) > _MOST_NODES:
            raise Unfit("its states come from elsewhere")
        found[node] = None
        use = stage.uses.get(node)
        if node.op in PRODUCTS and use is not None and use.stored == step.assignment.matrices[0]:
            reads[use.value] = None
            waiting += [one for one in node.inputs[2:] if one]
        else:
            waiting += [one for one in node.inputs if one]
    if len(reads) != 1:
        raise Unfit("its states depend on more than one input")
    return sorted(found, key=lambda node: stage.place[node]), next(iter(reads))


def _constants(stage: Stage, nodes: list[Node], reads: str) -> Values:
    found: Values = {}
    for name in dict.fromkeys(name for node in nodes for name in node.inputs if name and name != reads):
        constant = stage.scope.constant(name)
        if constant is not None:
            stage.pay(constant.size)
            if constant.size > _MOST_NUMBERS:
                raise Unfit("its constants are too large")
            found[name] = np.asarray(doubled(constant.read()))
    return found
