"""Cells in which every gate is a product of its own, as Keras computes them with `implementation=1`.

Recurrent dropout demands it. Which matrices belong to one gate is told by the sum in which their products meet; which
gate it is, by the proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

from converters.readers.onnx.arithmetic.assignments import Assignment
from converters.readers.onnx.arithmetic.chained import step_of
from converters.readers.onnx.arithmetic.constants import origin
from converters.readers.onnx.arithmetic.nodes import Products, Share, Use
from layouts.frameworks import keras
from layouts.layout import Layout

_DEEPEST = 4


class Gate(NamedTuple):
    """The stored arrays of one gate; '' for a bias that is not there."""

    kernel: str
    recurrent: str
    bias: str
    recurrent_bias: str


class Gated(NamedTuple):
    """The input of a step, and the gates: all four of an LSTM in any order; of a GRU the candidate last."""

    x: str
    layout: Layout
    gates: tuple[Gate, ...]

    @property
    def matrices(self) -> set[str]:
        """The names of the stored matrices."""
        return {name for gate in self.gates for name in (gate.kernel, gate.recurrent)}


def gated(graph: Products, h: str) -> Gated | None:
    """The gates of the step that starts with a state; None where they are not products of their own."""
    own = [use for use in graph.of(h) if _is_square(graph, use)]
    steps = {use: step for use in own if (step := step_of(graph, use)) is not None}
    reads = {step.share.use.value for step in steps.values()}
    if len(reads) != 1 or h in reads:
        return None
    (x,) = reads
    found = [_gate(graph, use, step.added, step.share) for use, step in steps.items()]
    layout: Layout | None = keras.LSTM if len(own) == len(found) == 4 else None
    if len(found) == 2:
        rest = [use for use in own if use not in steps]
        layout = keras.GRU if len(rest) == 1 else keras.GRU_BEFORE if not rest else None
        found.append(_candidate_after(graph, rest[0]) if rest else _candidate_before(graph, h, x))
    gates = tuple(gate for gate in found if gate is not None)
    if layout is None or len(gates) != len(found) or len({gate.kernel for gate in gates}) != len(gates):
        return None
    return Gated(x, layout, gates)


def _is_square(graph: Products, use: Use) -> bool:
    shape = graph.shape(use.node.input(1))
    return len(shape) == 2 and shape[0] == shape[1]


def _candidate_after(graph: Products, use: Use) -> Gate | None:
    """The candidate of a GRU that resets the product of the state."""
    value, added = use.node.output(0), list[str]()
    for _ in range(_DEEPEST):
        readers = graph.scope.readers(value)
        node = readers[0] if len(readers) == 1 else None
        if node is None or not graph.has(node, ("Add", "Mul")):
            return None
        others = [name for name in node.inputs if name != value]
        value = node.output(0)
        if node.op == "Mul":
            break
        added += others
    for node in graph.scope.readers(value):
        shares = [graph.share(name) for name in node.inputs if name != value] if graph.has(node, ("Add",)) else []
        if len(shares) == 1 and shares[0] is not None:
            return _gate(graph, use, tuple(added), shares[0])
    return None


def _candidate_before(graph: Products, h: str, x: str) -> Gate | None:
    """The candidate of a GRU that resets the state before its product."""
    resets = [node for node in graph.scope.readers(h) if graph.has(node, ("Mul",))]
    for use in (use for node in resets for use in graph.of(node.output(0)) if _is_square(graph, use)):
        step = step_of(graph, use)
        if step is not None and step.share.use.value == x:
            return _gate(graph, use, step.added, step.share)
    return None


def _gate(graph: Products, use: Use, added: Sequence[str], share: Share) -> Gate | None:
    """A gate whose arrays are stored as they are read; None for any other one."""
    if share.cut or len(share.added) > 1 or len(added) > 1:
        return None
    names = share.use.node.input(1), use.node.input(1), *(one[0] if one else "" for one in (share.added, added))
    whole = all(not name or origin(graph.scope, name).stored == name for name in names)
    return Gate(*names) if whole else None


def assignments_of(graph: Products, found: Gated) -> Iterator[Assignment]:
    """The layer that the gates are, in every order that they may have."""
    inputs, units = graph.shape(found.gates[0].kernel)
    candidate = found.gates[4 if found.layout is keras.LSTM else 2 :]
    for some in permutations(found.gates[: len(found.gates) - len(candidate)]):
        order = (*some, *candidate)
        roles = {"kernel": tuple(g.kernel for g in order), "recurrent_kernel": tuple(g.recurrent for g in order)}
        rows = [[g.bias for g in order], [g.recurrent_bias for g in order]]
        own = [name for row in rows[: 2 if found.layout is keras.GRU else 1] for name in row]
        if all(own):
            roles["bias"] = tuple(own)
        if all(own) or not any(own):
            yield Assignment(found.layout, roles, inputs, units)
