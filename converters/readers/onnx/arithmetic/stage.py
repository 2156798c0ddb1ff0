"""What the search for single steps works on: a graph, its products, and random numbers in the place of its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.arithmetic.assignments import Assignment, random_weight
from converters.readers.onnx.arithmetic.body import origin, small
from converters.readers.onnx.arithmetic.run import PRODUCTS, Unfit, Values
from converters.readers.onnx.graph.scope import Node, Scope

_BUDGET = 1 << 32
"""Elements times the number of times that they are used: about five seconds."""


class Use(NamedTuple):
    """One product of a stored matrix with a value."""

    node: Node
    value: str
    stored: str


class CellStep(NamedTuple):
    """One step that was proven: the cell, the names of what goes in and comes out, and its nodes."""

    assignment: Assignment
    options: Mapping[str, Any]
    reads: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    nodes: tuple[Node, ...]


class Stage:
    """A graph, the products in it, and the random numbers that stand for its weights while they are looked at."""

    def __init__(self, scope: Scope, covered: Set[Node]) -> None:
        self.scope = scope
        self.place = scope.places
        self.uses = {use.node: use for use in _uses(scope, covered)}
        self.used = Counter(use.stored for use in self.uses.values())
        self.random = np.random.default_rng(len(scope.nodes))
        self._stand_ins: dict[str, Array] = {}
        self._left = _BUDGET

    def stand_in(self, name: str, shape: tuple[int, ...]) -> Array:
        """The random numbers for a stored array, the same every time."""
        if name not in self._stand_ins:
            self._stand_ins[name] = random_weight(self.random, shape)
        return self._stand_ins[name]

    def pay(self, effort: int) -> None:
        """Take from what a graph may cost. Raises `Unfit` when it is used up."""
        self._left -= effort
        if self._left < 0:
            raise Unfit("the graph has more that could be a recurrent step than can be looked at")

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a stored array; () where it is none."""
        array = self.scope.constant(name)
        return () if array is None else array.shape


def _uses(scope: Scope, covered: Set[Node]) -> Iterator[Use]:
    for node in scope.nodes:
        if node.op in PRODUCTS and not node.domain and node not in covered and len(node.inputs) > 1:
            value, matrix = node.inputs[:2]
            if value and matrix and scope.is_constant(matrix):
                yield Use(node, value, origin(scope, matrix).stored)


class Constants:
    """The constants that nodes read: arrays that can be weights, with random numbers in their places, and the rest."""

    def __init__(self, stage: Stage, nodes: Sequence[Node], known: Set[str]) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stand_ins: dict[str, Array] = {}
        self.values: Values = {}
        read = dict.fromkeys(name for node in nodes for name in node.inputs if name and name not in known)
        for name in read:
            constant = stage.scope.constant(name)
            if constant is not None and (not constant.is_floating or constant.size == 1):
                self.values[name] = small(constant)
            elif constant is not None:
                self._weight(stage, name, constant)

    def _weight(self, stage: Stage, name: str, constant: LazyArray) -> None:
        part = origin(stage.scope, name)
        whole = stage.scope.constant(part.stored) or constant
        self.shapes[part.stored] = whole.shape
        self.stand_ins[part.stored] = stage.stand_in(part.stored, whole.shape)
        self.values[name] = part.of(self.stand_ins[part.stored])
