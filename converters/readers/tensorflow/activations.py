"""Which activation a graph applies to a value: one operation, none, or what no single operation here is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from converters.readers.tensorflow.graph import Edge, Graph, Node, Use
from layouts.reference import ACTIVATIONS

FUNCTIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "Relu6": "relu6", "Softmax": "softmax", "LeakyRelu": "leaky_relu", "Exp": "exponential",
}  # fmt: skip
"""Operations that are activations, as the cells here call them."""
_ASIDE = {"Shape", "ShapeN", "Rank", "Size", "HistogramSummary", "ScalarSummary", "StackPushV2", "TensorListPushBack"}
"""Operations that look at a value on its way; those whose names end in Grad are of training."""

_TRAINING = re.compile(r"(^|/)gradients(_\d{1,4})?/")
"""The scope that `tf.gradients` opens."""
_LINES = {"Mul", "RealDiv", "Add", "AddV2", "Sub"}

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
        elif len(functions) == 1 and operations == functions and not any(_is_scaled(graph, use) for use in uses):
            found.add(FUNCTIONS[functions.pop()])
        elif not functions and any(map(plain, uses)):
            found.add("linear")
        elif uses:
            return set(), f"its activation is none that is known here, but made of {', '.join(sorted(operations)[:6])}"
    strange = sorted(name for name in found if name not in ACTIVATIONS)
    return found, f"its activation is {strange[0]}, which no module computes" if strange else ""


def _is_scaled(graph: Graph, use: Use) -> bool:
    """Whether a number is all that is multiplied with, or added to, what a function gives."""
    after = [each.node for each in graph.uses(use.node) if not is_aside(each)]
    return bool(after) and all(node.op in _LINES and _numbers(graph, node) for node in after)


def is_aside(use: Use) -> bool:
    """Whether a use changes nothing of what a network computes: it looks at a value, or is of training."""
    return use.node.op.endswith("Grad") or use.node.op in _ASIDE or bool(_TRAINING.search(use.node.name))


def _is_silu(graph: Graph, value: Edge, use: Use) -> bool:
    """Whether a value is multiplied with its own sigmoid."""
    if use.node.op != "Mul" or len(use.node.inputs) != 2:
        return False
    other = graph.origin(use.node.inputs[1 - use.position])
    return other is not None and other.op == "Sigmoid" and graph.source(other.inputs[0]) == value


def clipped(graph: Graph, value: Edge) -> str:
    """The line that is clipped to 0 and 1 over a value: hard_sigmoid of Keras 1 and 2, or that of Keras 3; '' for none.

    Source: 0.2 x + 0.5 between 0 and 1, and relu6(x + 3) / 6.
    """
    uses = [use for use in graph.uses_of(value) if not is_aside(use)]
    found = {_line(graph, use.node) for use in uses if use.node.op in ("Mul", "Add", "AddV2")}
    return found.pop() if len(found) == 1 and len(uses) == 1 else ""


def _line(graph: Graph, node: Node) -> str:
    """The function that begins with this product or sum with a number."""
    number = next(iter(_numbers(graph, node)), None)
    after = [use.node for use in graph.uses(node)]
    if number is None or len(after) != 1:
        return ""
    if node.op == "Mul" and _is(number, 0.2) and after[0].op in ("Add", "AddV2") and _holds(graph, after[0], 0.5):
        ends = {use.node.op for use in graph.uses(after[0])}
        return "hard_sigmoid_0.2" if ends and ends <= {"Minimum", "Maximum", "ClipByValue"} else ""
    if _is(number, 3.0) and after[0].op == "Relu6":
        last = [use.node for use in graph.uses(after[0])]
        divided = len(last) == 1 and last[0].op == "RealDiv" and _holds(graph, last[0], 6.0)
        scaled = len(last) == 1 and last[0].op == "Mul" and _holds(graph, last[0], 1 / 6)
        return "hard_sigmoid_1/6" if divided or scaled else ""
    return ""


def _holds(graph: Graph, node: Node, wanted: float) -> bool:
    return any(_is(number, wanted) for number in _numbers(graph, node))


def _numbers(graph: Graph, node: Node) -> list[float]:
    """The inputs of a node that are one number."""
    return [number for edge in node.inputs if (number := graph.number(edge)) is not None]


def _is(number: float, wanted: float) -> bool:
    return abs(number - wanted) < 1e-6
