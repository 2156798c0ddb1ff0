"""Whether a loop reads its sequence from the end: by what was done with it before it became a list of steps.

Source: `rnn` of Keras's backends, which reverses its input over time, then takes it apart step by step.
"""

from __future__ import annotations

from converters.readers.tensorflow.graph import Edge, Graph, Node
from converters.readers.tensorflow.tracing import PRODUCTS

_STEP = {"TensorListGetItem": 0, "TensorArrayReadV3": 2}
"""What takes one step out of a list, and which of its inputs is the list."""
_LIST = {"TensorListFromTensor": 0, "TensorArrayScatterV3": 2}
"""What makes such a list, and which of its inputs is the sequence."""
_MOVES = {"Transpose", "Reshape", "Cast"}


def reads_backwards(graph: Graph, kernel: Node) -> bool | None:
    """Whether the steps with which a kernel is multiplied come from the end; None where no list of steps is found."""
    products = [use.node for use in graph.uses_of(Edge(kernel.name, 0)) if use.node.op in PRODUCTS and use.position]
    found = {_from_end(graph, product.inputs[0]) for product in products} - {None}
    return found.pop() if len(found) == 1 else None


def _from_end(graph: Graph, edge: Edge) -> bool | None:
    step = graph.origin(edge)
    listed = _input(graph, step, _STEP)
    sequence = _input(graph, listed, _LIST)
    for _ in range(4):
        if sequence is not None and sequence.op in _MOVES:
            sequence = graph.origin(sequence.inputs[0])
    return None if listed is None or listed.op not in _LIST else sequence is not None and sequence.op == "ReverseV2"


def _input(graph: Graph, node: Node | None, places: dict[str, int]) -> Node | None:
    """The origin of the input of a node that a table names."""
    place = places.get(node.op) if node is not None else None
    return (
        graph.origin(node.inputs[place])
        if node is not None and place is not None and place < len(node.inputs)
        else None
    )
