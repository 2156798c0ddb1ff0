"""A TensorFlow graph: its nodes, who reads what, and the constants in it; bounded, and nothing of it is run.

Source: graph.proto, node_def.proto, attr_value.proto and meta_graph.proto in tensorflow/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.message import Message, text
from converters.readers.tensorflow.numbers import dtype_of, shape_of, tensor
from layouts.errors import UnsafeCheckpoint
from layouts.records import dataclass

_MOST_NODES = 500_000
_MOST_INPUTS = 2_000_000
_DEEP = 64
_VARIABLES = {"VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable"}
_SAME = {"Identity", "Enter", "RefEnter", "ReadVariableOp", "Switch", "RefSwitch", "StopGradient", "ExpandDims"}
"""Operations that pass on a variable's values as they are."""


_EACH = "IdentityN"
"""Passes on each of its inputs, as functions with a gradient of their own end."""


class Edge(NamedTuple):
    """One value: a node, and which of its outputs."""

    node: str
    port: int


class Use(NamedTuple):
    """A node that reads a value, and as which of its inputs."""

    node: Node
    position: int


@dataclass(frozen=True, eq=False)
class Node:
    """One operation; attributes are parsed when somebody asks."""

    name: str
    op: str
    inputs: tuple[Edge, ...]
    raw: Message

    @cached_property
    def attributes(self) -> Mapping[str, Message]:
        return {entry.text(1): entry.message(2) for entry in self.raw.messages(5)}

    def attribute(self, name: str) -> Message:
        """An attribute, an empty message where it is not there."""
        return self.attributes.get(name, Message(memoryview(b"")))

    @staticmethod
    def of(message: Message) -> Node:
        """A NodeDef."""
        edges = (_edge(text(each)) for each in message.each(3))
        return Node(message.text(1), message.text(2), tuple(edge for edge in edges if edge is not None), message)

    @property
    def scope(self) -> str:
        """The name without its last word."""
        return self.name.rpartition("/")[0]


class Graph:
    """The nodes of one graph by name, and for every value who reads it."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: dict[str, Node] = {}
        self._uses: dict[Edge, list[Use]] = {}
        edges = 0
        for node in nodes:
            edges += len(node.inputs)
            if len(self.nodes) >= _MOST_NODES or edges > _MOST_INPUTS:
                raise UnsafeCheckpoint(f"the graph has more than {_MOST_NODES} nodes")
            self.nodes[node.name] = node
            for position, edge in enumerate(node.inputs):
                self._uses.setdefault(edge, []).append(Use(node, position))

    def uses(self, node: Node, port: int = 0) -> list[Use]:
        """Who reads a value of a node, past nodes that pass it on."""
        return self.uses_of(Edge(node.name, port))

    def uses_of(self, value: Edge) -> list[Use]:
        """Who reads a value, past nodes that pass it on."""
        found: list[Use] = []
        seen: set[Edge] = set()
        waiting = [value]
        while waiting:
            edge = waiting.pop()
            if edge in seen:
                continue
            seen.add(edge)
            for use in self._uses.get(edge, ()):
                if use.node.op == _EACH:
                    waiting.append(Edge(use.node.name, use.position))
                elif self._passes(use.node) and use.position == 0:
                    waiting += [Edge(use.node.name, k) for k in range(2 if "Switch" in use.node.op else 1)]
                else:
                    found.append(use)
        return found

    def source(self, edge: Edge) -> Edge:
        """The value that a value is, past nodes that pass it on."""
        for _ in range(_DEEP):
            node = self.nodes.get(edge.node)
            if node is None or not node.inputs or not (self._passes(node) or node.op == _EACH):
                return edge
            edge = node.inputs[min(edge.port, len(node.inputs) - 1) if node.op == _EACH else 0]
        return edge

    def _passes(self, node: Node) -> bool:
        """Whether a node passes on its first input as it is."""
        return node.op in _SAME or node.name in self._unchanged

    @cached_property
    def _unchanged(self) -> frozenset[str]:
        """The values that a loop gives back to itself as they came: a weight, what all steps read."""
        merges = (node for node in self.nodes.values() if node.op == "Merge" and len(node.inputs) == 2)
        return frozenset(node.name for node in merges if self._is_unchanged(node))

    def _is_unchanged(self, merge: Node) -> bool:
        node = self.nodes.get(merge.inputs[1].node)
        for _ in range(_DEEP):
            if node is None or not node.inputs or (node.op != "NextIteration" and node.op not in _SAME):
                return node is merge
            node = self.nodes.get(node.inputs[0].node)
        return False

    def origin(self, edge: Edge) -> Node | None:
        """The node that makes a value, past those that pass it on."""
        return self.nodes.get(self.source(edge).node)

    def variables(self) -> dict[str, Node]:
        """The variables by name."""
        return {node.name: node for node in self.nodes.values() if node.op in _VARIABLES}

    def number(self, edge: Edge) -> float | None:
        """The one number of a constant; None for anything else."""
        node = self.origin(edge)
        found = constant(node) if node is not None and node.op == "Const" else None
        return float(found.read().reshape(-1)[0]) if found is not None and found.size == 1 else None

    def constants(self) -> Iterator[LazyArray]:
        """Every constant of numbers, in the order of the graph."""
        for node in self.nodes.values():
            found = constant(node) if node.op == "Const" else None
            if found is not None:
                yield found


def constant(node: Node) -> LazyArray | None:
    """The array of a constant; None where it holds no numbers."""
    message = node.attribute("value").message(8)
    dtype = dtype_of(message.integer(1))
    if dtype is None or dtype == np.dtype(bool):
        return None
    shape = shape_of(message.message(2))
    return LazyArray(node.name, shape, dtype, tensor(message, shape, dtype))


def numbers(array: LazyArray | None) -> Array | None:
    """The numbers of a constant."""
    return None if array is None else array.read()


def _edge(written: str) -> Edge | None:
    """An input as it is written, 'node' or 'node:1'; None for one that only says what comes before."""
    if written.startswith("^"):
        return None
    name, _, port = written.partition(":")
    return Edge(name, int(port) if port.isdecimal() and len(port) < 6 else 0)
