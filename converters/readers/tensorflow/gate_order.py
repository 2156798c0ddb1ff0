"""Whether what is cut into four is an LSTM's i, g, f and o in this order: by what each part is multiplied with."""

from __future__ import annotations

from collections.abc import Iterator

from converters.readers.tensorflow.activations import FUNCTIONS
from converters.readers.tensorflow.graph import Edge, Graph, Node
from converters.readers.tensorflow.tracing import SUMS

_INPUT, _CANDIDATE, _FORGET, _OUTPUT = range(4)
_CELLS = {*FUNCTIONS} | SUMS | {"Minimum", "Maximum", "Mul"}
"""What makes the cell that the output gate multiplies: a function of it (silu is a Mul), or itself, maybe clipped."""


def is_lstm(graph: Graph, cut: Node) -> bool:
    """Whether σ(i) multiplies a function of g, and σ(f) and σ(o) what is none; and o multiplies the new cell.

    Source: `call` of LSTMCell in rnn_cell_impl.py: c = σ(f + offset) c + σ(i) act(j), m = σ(o) act(c).
    """
    partners = [list(_partners(graph, cut, part)) for part in range(4)]
    inner = [any(_is_of(graph, edge, cut) for edge in each) for each in partners]
    made = any(_operation(graph, edge) in _CELLS for edge in partners[_OUTPUT])
    return inner[_INPUT] and not inner[_FORGET] and not inner[_OUTPUT] and made and bool(partners[_FORGET])


def _partners(graph: Graph, cut: Node, part: int) -> Iterator[Edge]:
    """What the sigmoid of one part is multiplied with."""
    for node in _sigmoids(graph, Edge(cut.name, part), 3):
        for use in graph.uses(node):
            if use.node.op == "Mul" and len(use.node.inputs) == 2:
                yield graph.source(use.node.inputs[1 - use.position])


def _sigmoids(graph: Graph, value: Edge, sums: int) -> Iterator[Node]:
    """The sigmoids of a value, or of what is added to it: an offset, a peephole."""
    for use in graph.uses_of(value):
        if use.node.op == "Sigmoid":
            yield use.node
        elif use.node.op in SUMS and sums:
            yield from _sigmoids(graph, Edge(use.node.name, 0), sums - 1)


def _is_of(graph: Graph, edge: Edge, cut: Node) -> bool:
    """Whether a value is the candidate, or a function of it alone."""
    node = graph.nodes.get(edge.node)
    if edge == Edge(cut.name, _CANDIDATE):
        return True
    own = node is not None and (node.op in FUNCTIONS or node.op == "Mul")
    return own and node is not None and any(graph.source(each) == Edge(cut.name, _CANDIDATE) for each in node.inputs)


def _operation(graph: Graph, edge: Edge) -> str:
    node = graph.nodes.get(edge.node)
    return node.op if node is not None else ""
