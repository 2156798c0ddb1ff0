"""The body of a Loop, sorted by use: weights, states, counters, sequences, and other constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.arithmetic.constants import Fragment, origin, read_by, small
from converters.readers.onnx.arithmetic.machine import Unfit, Values
from converters.readers.onnx.arithmetic.nodes import upstream
from converters.readers.onnx.graph.scope import PRODUCTS, Node, Scope
from layouts.errors import printable
from layouts.records import dataclass, field

_FLOATS, _INT32 = (1, 10, 11, 16), 6
"""ONNX's codes of single, half, double and bfloat16; and that of 32-bit integers."""
MOST_STEPS = 4096
"""A loop is followed no further."""
_MOST_NODES, _MOST_WEIGHTS, _MOST_STATES, _DEEPEST = 300, 12, 4, 16


class Taker(NamedTuple):
    """The node that takes one step out of a sequence, and the name of the sequence in the graph around the Loop."""

    node: Node
    sequence: str

    @property
    def axis(self) -> int:
        """The axis of time."""
        return int(self.node.attributes.get("axis", 0))

    @property
    def step(self) -> str:
        """The value that is taken."""
        return self.node.output(0)


@dataclass(eq=False)
class Body:
    """A Loop and what it reads, sorted. Names are those in the body."""

    node: Node
    scope: Scope
    nodes: tuple[Node, ...]
    narrow: bool = False
    """Whether there is a matrix of one number: only then is a vector of one number a bias."""
    weights: dict[str, LazyArray] = field(default_factory=dict)
    """Stored name -> array: every array that can be a weight."""
    fragments: dict[str, Fragment] = field(default_factory=dict)
    """Name -> the stored array that it is, or is a part of."""
    fixed: Values = field(default_factory=dict)
    """Constants that are no weights, the first values of counters among them."""
    lengths: dict[str, np.dtype[Any]] = field(default_factory=dict)
    """Whole numbers that depend on the input: how many steps there are."""
    states: list[str] = field(default_factory=list)
    """Carried numbers that change from step to step."""
    counters: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """Carried numbers that depend on the input and never change."""
    takers: list[Taker] = field(default_factory=list)

    def initial(self, name: str) -> str:
        """The value outside with which a carried value starts."""
        return self.node.input(self.scope.inputs.index(name))

    def after(self, name: str) -> str:
        """The value of the body that a carried value takes on for the next step."""
        value: str = self.scope.outputs[self.scope.inputs.index(name) - 1]
        return value

    def final(self, name: str) -> str:
        """The Loop's output for the last value of a carried one."""
        return self.node.outputs[self.scope.inputs.index(name) - 2]

    @property
    def stacked(self) -> list[tuple[str, str]]:
        """The values of the body that the Loop collects over all steps, and its outputs for them."""
        carried = len(self.scope.inputs) - 2
        return list(zip(self.scope.outputs[1 + carried :], self.node.outputs[carried:], strict=False))

    def reaches_product(self, name: str) -> bool:
        """Whether a matrix product depends on a value within one step."""
        reached = {name}
        for node in self.nodes:
            if reached.intersection(node.inputs):
                if node.op in PRODUCTS:
                    return True
                reached.update(node.outputs)
        return False


def read_body(node: Node) -> Body:
    """Sort what a Loop reads. Raises `Unfit` for what no exporter writes for a recurrent layer."""
    scope = node.subgraphs.get("body")
    if scope is None or len(scope.inputs) != len(node.inputs) or len(scope.inputs) < 3:
        raise Unfit("its body does not take what it is given")
    if len(scope.outputs) < len(scope.inputs) - 1 or len(set(scope.inputs)) < len(scope.inputs):
        raise Unfit("its body does not give back what it takes")
    body = Body(node, scope, needed(scope, scope.outputs))
    captured = tuple(_captured(body))
    constants = [*map(node.scope.constant, filter(None, node.inputs)), *map(scope.constant, captured)]
    body.narrow = any(one is not None and one.shape == (1, 1) for one in constants)
    graphs = [attribute.g for attribute in node.proto.attribute if attribute.name == "body"]
    types = {value.name: value.type.tensor_type.elem_type for graph in graphs for value in graph.input}
    for name in scope.inputs[2:]:
        _sort_carried(body, name, types.get(name, 0))
    for name in captured:
        _sort_unchanging(body, name, name, 0)
    if len(body.states) > _MOST_STATES or len(body.weights) > _MOST_WEIGHTS:
        raise Unfit(f"it has {len(body.states)} states and {len(body.weights)} arrays, more than any one cell")
    return body


def needed(scope: Scope, names: Sequence[str]) -> tuple[Node, ...]:
    return upstream(scope, names, lambda name: _local(scope, name), _MOST_NODES)


def _local(scope: Scope, name: str) -> Node | None:
    """The node of this very graph that computes a value."""
    node = scope.producer(name) if name and name not in scope.inputs else None
    return node if node is not None and node.scope is scope and node.op != "Constant" else None


def _captured(body: Body) -> Iterator[str]:
    """Names that the nodes read and that neither they nor the inputs of the body define."""
    for name in dict.fromkeys((*read_by(body.nodes), *body.scope.outputs)):
        if name not in body.scope.inputs and _local(body.scope, name) is None:
            yield name


def _sort_carried(body: Body, name: str, code: int) -> None:
    start = body.initial(name)
    constant = body.node.scope.constant(start)
    if _unchanged(body, name):
        _sort_unchanging(body, name, start, code)
    elif code in _FLOATS:
        body.states.append(name)
    elif constant is not None:
        body.counters.append(name)
        body.fixed[name] = small(constant)
    else:
        raise Unfit(f"it carries {printable(name)}, which counts from no constant")


def _sort_unchanging(body: Body, name: str, outside: str, code: int) -> None:
    """A value that is the same in all steps: captured, or carried as it is. `code`: its type, 0 for a captured one."""
    scope = body.node.scope if code else body.scope
    if scope.is_constant(outside):
        _sort_constant(body, name, outside, scope)
    elif taker := _taker(body, name):
        body.takers.append(Taker(taker, outside))
    elif code in _FLOATS:
        body.held.append(name)
    elif code or any(name in node.inputs for node in body.nodes):
        body.lengths[name] = np.dtype(np.int32 if code == _INT32 else np.int64)
    else:
        raise Unfit(f"it hands on {printable(name)}, which is computed outside")


def _unchanged(body: Body, name: str) -> bool:
    """Whether a carried value is handed on as it is."""
    value = body.after(name)
    for _ in range(_DEEPEST):
        node = _local(body.scope, value)
        if node is None or node.op != "Identity":
            break
        value = node.input(0)
    return value == name


def _taker(body: Body, name: str) -> Node | None:
    """The only reader of a sequence, where this is a Gather along its first or second axis."""
    readers = [node for node in body.nodes if name in node.inputs]
    if len(readers) != 1 or readers[0].op != "Gather" or readers[0].attributes.get("axis", 0) not in (0, 1):
        return None
    return readers[0] if readers[0].inputs[0] == name != readers[0].input(1) else None


def _sort_constant(body: Body, name: str, start: str, scope: Scope) -> None:
    """A weight, where it is an array of floating-point numbers; otherwise a number that the arithmetic needs."""
    constant, fragment = scope.constant(start), origin(scope, start)
    whole = scope.constant(fragment.stored)
    if constant is None or whole is None:
        raise Unfit(f"{printable(start)} cannot be folded")
    number = constant.size == 1 and len(constant.shape) < (1 if body.narrow else 2)
    if number or not constant.is_floating:
        body.fixed[name] = small(constant)
        return
    body.weights[fragment.stored] = whole
    body.fragments[name] = fragment
