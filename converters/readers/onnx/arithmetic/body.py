"""What stands in the body of a Loop, by the part that it plays: weights, states, counters, sequences, and the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count as natural
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.arithmetic.run import Machine, Unfit, Values, doubled
from converters.readers.onnx.graph.scope import Node, Scope
from layouts.errors import printable

_FLOATS = (1, 10, 11, 16)
"""ONNX's codes of single, half, double and bfloat16."""
_PARTS = ("Cast", "Identity", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
"""A constant computed by these is a part of a stored array."""
MOST_STEPS = 4096
"""A loop is followed no further, and a constant of more numbers than this is a weight."""
_MOST_NODES, _MOST_WEIGHTS, _MOST_STATES, _DEEPEST = 300, 8, 4, 16
STEPS = 5
"""The length of the sequence that a loop of any length is run on."""


class Part(NamedTuple):
    """A constant that nodes outside the body cut out of a stored array; without nodes it is that array."""

    stored: str
    value: str
    cuts: tuple[Node, ...]

    def of(self, whole: Array) -> Array:
        """The part, of an array that stands in the place of the stored one."""
        values: Values = {self.stored: whole}
        for node in self.cuts:
            values |= {one: small(constant) for one in node.inputs[1:] if (constant := node.scope.constant(one))}
        return Machine(self.cuts, whole.size).run(values)[self.value]


@dataclass(eq=False)
class Body:
    """A Loop and what it reads, sorted. Names are those that the body knows the values by."""

    node: Node
    scope: Scope
    nodes: tuple[Node, ...] = ()
    narrow: bool = False
    """Whether there is a matrix of one number: only then is a vector of one number a bias."""
    weights: dict[str, LazyArray] = field(default_factory=dict)
    """Stored name -> array: every array that can be a weight."""
    parts: dict[str, Part] = field(default_factory=dict)
    """Name in the body -> the stored array that it is, or is a part of."""
    fixed: Values = field(default_factory=dict)
    """Constants that are no weights, as numbers."""
    lengths: dict[str, np.dtype[Any]] = field(default_factory=dict)
    """Whole numbers that depend on the input: how many steps there are."""
    states: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    """Loop-carried values and their places among the inputs of the body: numbers that change, counts, and numbers
    that depend on the input and never change."""
    sequences: dict[str, tuple[Node, str]] = field(default_factory=dict)
    """Name in the body -> the node that takes a step out of it, and the name of the sequence in the graph outside."""

    def initial(self, name: str) -> str:
        """The value outside with which a loop-carried value starts."""
        return self.node.input(self.scope.inputs.index(name))

    def after(self, name: str) -> str:
        """The value of the body that a loop-carried value takes on for the next step."""
        value: str = self.scope.outputs[self.scope.inputs.index(name) - 1]
        return value

    @property
    def carried(self) -> int:
        """The number of loop-carried values."""
        return len(self.scope.inputs) - 2

    @property
    def stacked(self) -> tuple[str, ...]:
        """The values of the body that the Loop collects over all steps."""
        return self.scope.outputs[1 + self.carried :]


def read_body(node: Node) -> Body:
    """Sort what a Loop reads. Raises `Unfit` for what no exporter writes for a recurrent layer."""
    scope = node.subgraphs.get("body")
    if scope is None or len(scope.inputs) != len(node.inputs) or len(scope.inputs) < 3:
        raise Unfit("its body does not take what it is given")
    if len(scope.outputs) < len(scope.inputs) - 1 or len(set(scope.inputs)) < len(scope.inputs):
        raise Unfit("its body does not give back what it takes")
    body = Body(node, scope)
    body.nodes = needed(scope, scope.outputs)
    kinds, captured = _kinds(node), tuple(_captured(body))
    constants = [*map(node.scope.constant, filter(None, node.inputs)), *map(scope.constant, captured)]
    body.narrow = any(one is not None and one.shape == (1, 1) for one in constants)
    for place, name in enumerate(scope.inputs[2:], 2):
        _sort_carried(body, name, place, kinds.get(name, 0))
    for name in captured:
        _sort_captured(body, name)
    if len(body.states) > _MOST_STATES or len(body.weights) > _MOST_WEIGHTS:
        raise Unfit(f"it has {len(body.states)} states and {len(body.weights)} arrays, more than any one cell")
    return body


def needed(scope: Scope, names: tuple[str, ...]) -> tuple[Node, ...]:
    """The nodes of a graph that its values depend on, in the order of the file, without Constant nodes."""
    found: dict[Node, None] = {}
    waiting = list(names)
    while waiting:
        node = local(scope, waiting.pop())
        if node is not None and node not in found:
            found[node] = None
            waiting += [name for name in node.inputs if name]
    if len(found) > _MOST_NODES:
        raise Unfit(f"it has more than {_MOST_NODES} nodes")
    return tuple(node for node in scope.nodes if node in found)


def local(scope: Scope, name: str) -> Node | None:
    """The node of this very graph that computes a value."""
    node = scope.producer(name) if name and name not in scope.inputs else None
    return node if node is not None and node.scope is scope and node.op != "Constant" else None


def _kinds(node: Node) -> dict[str, int]:
    graphs = [attribute.g for attribute in node.proto.attribute if attribute.name == "body"]
    return {value.name: value.type.tensor_type.elem_type for graph in graphs for value in graph.input}


def _captured(body: Body) -> Iterator[str]:
    """Names that the nodes read and that neither they nor the inputs of the body define."""
    read = [name for node in body.nodes for name in node.inputs if name]
    for name in dict.fromkeys((*read, *body.scope.outputs)):
        if name not in body.scope.inputs and local(body.scope, name) is None:
            yield name


def _sort_carried(body: Body, name: str, place: int, kind: int) -> None:
    outside, unchanged = body.node.scope, _unchanged(body, name)
    start = body.node.input(place)
    constant = outside.constant(start)
    if unchanged and constant is not None:
        _sort_constant(body, name, start, outside)
    elif unchanged and (taker := _taker(body, name)):
        body.sequences[name] = taker, start
    elif kind in _FLOATS:
        (body.held if unchanged else body.states)[name] = place
    elif constant is not None:
        body.counters[name] = place
        body.fixed[name] = small(constant)
    elif unchanged:
        body.lengths[name] = np.dtype(np.int32 if kind == 6 else np.int64)
    else:
        raise Unfit(f"it carries {printable(name)}, which counts from no constant")


def _unchanged(body: Body, name: str) -> bool:
    """Whether a loop-carried value is handed on as it is."""
    value = body.after(name)
    for _ in range(_DEEPEST):
        node = local(body.scope, value)
        if node is None or node.op != "Identity":
            break
        value = node.input(0)
    return value == name


def _taker(body: Body, name: str) -> Node | None:
    """The node that takes one step out of a sequence: Gather along its first or second axis."""
    takers = [node for node in body.nodes if name in node.inputs]
    single = takers[0] if len(takers) == 1 else None
    fits = single is not None and single.op == "Gather" and single.inputs[0] == name and single.inputs[1] != name
    return single if fits and single is not None and single.attributes.get("axis", 0) in (0, 1) else None


def _sort_captured(body: Body, name: str) -> None:
    if body.scope.is_constant(name):
        _sort_constant(body, name, name, body.scope)
    elif taker := _taker(body, name):
        body.sequences[name] = taker, name
    elif any(name in node.inputs for node in body.nodes):
        body.lengths[name] = np.dtype(np.int64)
    else:
        raise Unfit(f"it hands on {printable(name)}, which is computed outside")


def _sort_constant(body: Body, name: str, start: str, scope: Scope) -> None:
    """A weight, where it is an array of floating-point numbers; otherwise a number that the arithmetic needs."""
    constant = scope.constant(start)
    if constant is None:
        raise Unfit(f"{printable(start)} cannot be folded")
    part = origin(scope, start)
    number = constant.size == 1 and len(constant.shape) < (1 if body.narrow else 2)
    if number or not constant.is_floating:
        body.fixed[name] = small(constant)
        return
    whole = scope.constant(part.stored)
    if whole is None:
        raise Unfit(f"{printable(part.stored)} cannot be folded")
    body.weights[part.stored] = whole
    body.parts[name] = part


def origin(scope: Scope, name: str) -> Part:
    """The array that a constant is a part of, and the nodes that cut it out."""
    value, cuts = name, list[Node]()
    for _ in range(_DEEPEST):
        node = scope.producer(name)
        if node is None or node.op not in _PARTS or not scope.is_constant(name):
            break
        cuts.append(node)
        name = node.input(0)
    return Part(name, value, tuple(reversed(cuts)))


def small(constant: LazyArray) -> Array:
    """The numbers of a constant that is no weight. Raises `Unfit` for a large one."""
    if constant.size > MOST_STEPS:
        raise Unfit(f"it reads {printable(constant.name)} {constant.shape}, which is no weight")
    return doubled(constant.read())


def cut(body: Body, stand_ins: Mapping[str, Array]) -> Values:
    """What the body reads of the weights, where these numbers stand in their places."""
    return {name: part.of(stand_ins[part.stored]) for name, part in body.parts.items()}


def steps_of(body: Body) -> int:
    """How many steps the loop makes, on a sequence of 5 where the length depends on the input; at most 4,096.

    Raises `Unfit` for a loop whose end depends on what it computes, and for one that makes no step or forgets some.
    """
    control = needed(body.scope, (body.scope.outputs[0], *map(body.after, body.counters)))
    machine = Machine(control)
    values = body.fixed | {name: np.asarray(STEPS, dtype) for name, dtype in body.lengths.items()}
    most, going = _limit(body), _begins(body)
    for step in natural():
        if not going or step >= min(most, MOST_STEPS):
            break
        made = machine.run(values | numbered(body, step))
        values |= {name: made[body.after(name)] for name in body.counters}
        going = bool(np.all(made[body.scope.outputs[0]]))
    if not step or (step != STEPS and (body.lengths or most == STEPS)):
        raise Unfit(f"it makes {step} steps where the sequence has {STEPS}")
    return step


def numbered(body: Body, step: int) -> Values:
    """The two values that every body is given: the number of the step, and that it is to run."""
    number, running = body.scope.inputs[:2]
    return {number: np.asarray(step, np.int64), running: np.asarray(True)}


def _limit(body: Body) -> float:
    name = body.node.input(0)
    constant = body.node.scope.constant(name) if name else None
    if not name:
        return float("inf")
    return float(STEPS) if constant is None else float(small(constant).reshape(-1)[0])


def _begins(body: Body) -> bool:
    name = body.node.input(1)
    constant = body.node.scope.constant(name) if name else None
    return constant is None or bool(np.all(small(constant)))
