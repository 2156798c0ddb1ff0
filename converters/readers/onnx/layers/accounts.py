"""Which stored arrays the layers of a graph hold, and where every other one is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import QUANTIZED, Found, Leaf
from converters.readers.onnx.layers.recurrent import MOVING, OPERATORS, STATES, is_zero


class Slot(NamedTuple):
    """An input of a node where a constant meets what depends on the input of the graph."""

    node: Node
    number: int
    array: LazyArray

    @property
    def name(self) -> str:
        return self.node.input(self.number)


class Accounts:
    """What the layers found so far hold of the stored arrays."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = {node: one for one in found for node in one.nodes}
        self._held: dict[Leaf, dict[str, int]] = {}
        self._last: tuple[object, list[tuple[Node, int]]] = (None, [])
        for one in found:
            for scope, name in one.weights:
                array = scope.constant(name)
                if array is not None and _may_hold_weights(array):
                    kept = (leaf for leaf in scope.leaves(name, measured=False) if one.accounts_for(name, leaf))
                    for leaf in kept:
                        self._held.setdefault((scope.home(leaf), leaf), {})[name] = array.size

    def holds(self, scope: Scope, leaf: str) -> bool:
        """Whether layers hold all of a stored array: a part of it is not enough."""
        array, values = scope.constant(leaf), self._held.get((scope.home(leaf), leaf))
        return values is not None and array is not None and sum(values.values()) >= array.size

    def of_layer(self, slot: Slot) -> bool:
        """Whether a constant is a weight of the layer that reads it, or a number of its proven arithmetic."""
        one = self._found.get(slot.node)
        return one is not None and slot.name in one.read_by(slot.node)

    def counts(self, slot: Slot, leaf: str) -> bool:
        """Whether the layer that reads a constant has use for a stored array behind it."""
        return self._found[slot.node].accounts_for(slot.name, leaf)

    def of_state(self, slot: Slot) -> bool:
        """Whether a constant is an initial state alone, moved or repeated on the way: zeros, or refused by the plan."""
        places = self._places(slot)
        return bool(places) and all(self._is_state(*place) for place in places)

    def end_of(self, slot: Slot) -> Node:
        """The node that computes with a constant, past those that only move it."""
        places = self._places(slot)
        return places[0][0] if places else slot.node

    def _is_state(self, node: Node, number: int) -> bool:
        one = self._found.get(node)
        name = next((name for name, place in STATES.items() if place == number), "")
        if one is None or not (one.proven or (node.op in OPERATORS and name)):
            return False
        names = () if one.proven and node not in one.proven else STATES if one.proven else (name,)
        return any(one.layer.call.initial.get(key) == "stored" for key in names) or is_zero(node, node.input(number))

    def _places(self, slot: Slot) -> list[tuple[Node, int]]:
        """The nodes that a constant goes into, past those that only move numbers, and as which of their inputs."""
        start = slot.node, slot.number
        if self._last[0] != start:
            self._last = start, [*self._followed(start)]
        return self._last[1]

    def _followed(self, start: tuple[Node, int]) -> Iterator[tuple[Node, int]]:
        waiting, seen = [start], {start}
        while waiting:
            node, number = waiting.pop()
            if node in self._found or not _moves(node, number):
                yield node, number
                continue
            new = {place for made in filter(None, node.outputs) for place in _readers(node.scope, made)}
            waiting += new - seen
            seen |= new


def _moves(node: Node, number: int) -> bool:
    """Whether a node hands an input on, as it is or in parts."""
    return not node.domain and (node.op == "Concat" or (node.op in MOVING and not number))


def _readers(scope: Scope, name: str) -> Iterator[tuple[Node, int]]:
    for node in scope.readers(name):
        yield from ((node, number) for number, one in enumerate(node.inputs) if one == name)


def slots(root: Scope) -> Iterator[Slot]:
    """Every place where a constant of floating-point or quantized numbers is read and not folded further."""
    for node in root.walk():
        if any(node.scope.is_constant(name) for name in node.outputs if name):
            continue
        for number, name in enumerate(node.inputs):
            array = node.scope.constant(name) if name else None
            if array is not None and array.size and _may_hold_weights(array):
                yield Slot(node, number, array)


def _may_hold_weights(array: LazyArray) -> bool:
    return array.is_floating or array.dtype.name in QUANTIZED
