"""Graphs of TensorFlow 2 as plain ones: every function that is called stands in the place of its call, bounded.

A loop becomes what it is in TensorFlow 1: values that a Merge takes from before or from a NextIteration. A value that a
loop passes on as it is, such as a weight, is the one from before. Source: function.proto, and the operations
PartitionedCall, While and If in functional_ops.cc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from converters.readers.message import Message, text
from converters.readers.tensorflow.graph import Edge, Graph, Node
from layouts.errors import UnsafeCheckpoint
from layouts.records import dataclass, field

_CALLS = {"PartitionedCall": "f", "StatefulPartitionedCall": "f"}
_LOOPS = {"While", "StatelessWhile"}
_BRANCHES = {"If": ("then_branch", "else_branch"), "StatelessIf": ("then_branch", "else_branch")}
_INLINED = {*_CALLS, *_LOOPS, *_BRANCHES}
_DEEP = 24
_MOST = 300_000
_MOST_CALLS = 20_000
_NOTHING = Message(memoryview(b""))


@dataclass(frozen=True)
class Function:
    """One function: its inputs by name, its nodes, and the value of each output in order."""

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """The functions of a graph by name, each read when it is called first: most of a large model's never are."""

    _messages: Mapping[str, Message]
    _read: dict[str, Function] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self._messages

    def __bool__(self) -> bool:
        return bool(self._messages)

    def function(self, name: str) -> Function:
        """The function of a name that is there."""
        if name not in self._read:
            self._read[name] = _function(self._messages[name])
        return self._read[name]


def library(graph: Message) -> Library:
    """The functions of a GraphDef by name."""
    messages = (message for part in graph.messages(2) for message in part.messages(1))
    return Library({message.message(1).text(1): message for message in messages})


def _function(message: Message) -> Function:
    signature = message.message(1)
    given = {entry.text(1): entry.text(2) for entry in message.messages(4)}
    outputs = (each.text(1) for each in signature.messages(3))
    inputs = tuple(each.text(1) for each in signature.messages(2))
    return Function(inputs, tuple(map(Node.of, message.messages(3))), tuple(given.get(name, "") for name in outputs))


def whole(graph: Message) -> Graph:
    """The graph of a GraphDef with its functions in the place of their calls."""
    flat = Flattening(library(graph))
    if not flat.functions:
        return Graph(map(Node.of, graph.messages(1)))
    flat.add("", [*map(Node.of, graph.messages(1))], {}, 0)
    return Graph(flat.nodes)


@dataclass
class Flattening:
    """A graph on its way to nodes without calls."""

    functions: Library
    nodes: list[Node] = field(default_factory=list)
    _calls: int = 0

    def call(self, name: str, arguments: Sequence[Edge], depth: int = 0) -> list[Edge]:
        """Put the nodes of a function among the others; the values that it gives."""
        function = self.functions.function(name)
        self._calls += 1
        if self._calls > _MOST_CALLS:
            raise UnsafeCheckpoint(f"its functions are called more than {_MOST_CALLS} times")
        prefix = f"{name}#{self._calls}/"
        given = dict(zip(function.inputs, arguments, strict=False))
        inner = self.add(prefix, function.nodes, given, depth + 1)
        return [_edge(written, prefix, given, inner) for written in function.outputs]

    def add(self, prefix: str, plain: Sequence[Node], given: Mapping[str, Edge], depth: int) -> set[str]:
        """Put nodes among the others; the names of those that are calls, whose outputs are nodes of their own."""
        if depth > _DEEP:
            raise UnsafeCheckpoint(f"its functions call one another more than {_DEEP} deep")
        calls = {node.name for node in plain if node.op in _INLINED}
        for node in plain:
            if len(self.nodes) > _MOST:
                raise UnsafeCheckpoint(f"its functions make more than {_MOST} nodes where they are called")
            written = (text(each) for each in node.raw.each(3))
            edges = tuple(_edge(each, prefix, given, calls) for each in written if not each.startswith("^"))
            named = Node(prefix + node.name, node.op, edges, node.raw)
            if node.name in calls:
                self._inline(named, depth)
            else:
                self.nodes.append(named)
        return calls

    def _inline(self, node: Node, depth: int) -> None:
        if node.op in _CALLS:
            given = self._called(node, _CALLS[node.op], node.inputs, depth)
            self._outputs(node, [[edge] for edge in given], "Identity")
        elif node.op in _LOOPS:
            self._loop(node, depth)
        else:
            ways = [self._called(node, name, node.inputs[1:], depth) for name in _BRANCHES[node.op]]
            self._outputs(node, [list(pair) for pair in zip(*ways, strict=False)], "Merge")

    def _called(self, node: Node, attribute: str, arguments: Sequence[Edge], depth: int) -> list[Edge]:
        name = node.attribute(attribute).message(10).text(1)
        return self.call(name, arguments, depth) if name in self.functions else []

    def _loop(self, node: Node, depth: int) -> None:
        """The body once, each of its inputs from before or from its own output."""
        name = node.attribute("body").message(10).text(1)
        if name not in self.functions:
            return
        body = self.functions.function(name)
        kept = [k < len(body.outputs) and body.outputs[k] == name for k, name in enumerate(body.inputs)]
        states = [
            edge if same else Edge(f"{node.name}#state{k}", 0)
            for k, (edge, same) in enumerate(zip(node.inputs, kept, strict=False))
        ]
        made = self._called(node, "body", states, depth)
        for k, (edge, again) in enumerate(zip(node.inputs, made, strict=False)):
            if not kept[k]:
                self.nodes.append(Node(f"{node.name}#next{k}", "NextIteration", (again,), _NOTHING))
                merged = (edge, Edge(f"{node.name}#next{k}", 0))
                self.nodes.append(Node(f"{node.name}#state{k}", "Merge", merged, _NOTHING))
        for port, state in enumerate(states):
            ends = "Identity" if kept[port] else "Exit"
            self.nodes.append(Node(f"{node.name}#{port}", ends, (state,), _NOTHING))

    def _outputs(self, node: Node, values: Iterable[list[Edge]], operation: str) -> None:
        for port, edges in enumerate(values):
            self.nodes.append(Node(f"{node.name}#{port}", operation, tuple(edges), _NOTHING))


def _edge(written: str, prefix: str, given: Mapping[str, Edge], calls: set[str]) -> Edge:
    """A value as a function writes it: an input, 'node:output:number', or 'node:number' in a graph."""
    if written in given:
        return given[written]
    name, *others = written.split(":")
    port = others[-1] if others else "0"
    number = int(port) if port.isdecimal() and len(port) < 6 else 0
    return Edge(f"{prefix}{name}#{number}", 0) if name in calls else Edge(prefix + name, number)
