"""Which activation a graph applies to a value: one operation, none, or what no single operation here is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from converters.readers.tensorflow.graph import Edge, Graph, Use
from layouts.reference import ACTIVATIONS

FUNCTIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "Relu6": "relu6", "Softmax": "softmax", "LeakyRelu": "leaky_relu", "Exp": "exponential",
}  # fmt: skip
"""Operations that are activations, as the cells here call them."""
_ASIDE = {"Shape", "ShapeN", "Rank", "Size", "HistogramSummary", "ScalarSummary", "StackPushV2", "VariableShape"}
"""Operations that look at a value on its way; those whose names end in Grad are of training."""

IsPlain = Callable[[Use], bool]


def applied(graph: Graph, values: Iterable[Edge], plain: IsPlain) -> tuple[set[str], str]:
    """The activations of these values, and why they are refused, '' where they are not.

    `plain` says of a use whether it takes the value as it is: that is the function "linear".
    """
    found: set[str] = set()
    for value in values:
        uses = [use for use in graph.uses_of(value) if not is_aside(use)]
        operations = {use.node.op for use in uses}
        functions = operations & {*FUNCTIONS}
        if functions == {"Sigmoid"} and any(_is_silu(graph, value, use) for use in uses):
            found.add("silu")
        elif len(functions) == 1 and operations == functions:
            found.add(FUNCTIONS[functions.pop()])
        elif not functions and any(map(plain, uses)):
            found.add("linear")
        elif uses:
            return set(), f"its activation is none that is known here, but made of {', '.join(sorted(operations)[:6])}"
    strange = sorted(name for name in found if name not in ACTIVATIONS)
    return found, f"its activation is {strange[0]}, which no module computes" if strange else ""


def is_aside(use: Use) -> bool:
    """Whether a use changes nothing of what a network computes."""
    return use.node.op.endswith("Grad") or use.node.op in _ASIDE


def _is_silu(graph: Graph, value: Edge, use: Use) -> bool:
    """Whether a value is multiplied with its own sigmoid."""
    if use.node.op != "Mul" or len(use.node.inputs) != 2:
        return False
    other = graph.origin(use.node.inputs[1 - use.position])
    return other is not None and other.op == "Sigmoid" and graph.source(other.inputs[0]) == value
