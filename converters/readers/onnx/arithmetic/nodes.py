"""Walks through a graph, and its products: what a value is computed from, and what can be computed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.constants import Bench, origin
from converters.readers.onnx.arithmetic.machine import ELEMENTWISE, Unfit, doubled
from converters.readers.onnx.graph.scope import PRODUCTS, Node, Scope

CUTS = ("Cast", "Gather", "Identity", "Slice", "Split", "Squeeze")
"""Operators that take a step out of a sequence, or a value out of several."""
ARITHMETIC = frozenset((*ELEMENTWISE, *PRODUCTS, "Slice", "Split", "Squeeze"))
"""What a step consists of; anything else joins steps, or is another layer."""
_DEEPEST, _MOST_NUMBERS = 8, 1 << 24


def upstream(
    scope: Scope, names: Iterable[str], maker: Callable[[str], Node | None], most: int, ends: Set[str] = frozenset()
) -> tuple[Node, ...]:
    """The nodes that make some values, in the order of the graph; none beyond `ends`.

    `maker`: the node to go on to from a name, or None. Raises `Unfit` for more than `most` nodes.
    """
    found: dict[Node, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        node = maker(name) if name and name not in ends else None
        if node is not None and node not in found:
            found[node] = None
            waiting += node.inputs
            if len(found) > most:
                raise Unfit(f"it has more than {most} nodes")
    return in_order(scope, found)


def downstream(
    scope: Scope, known: set[str], fits: Callable[[Node], bool], most: int
) -> tuple[tuple[Node, ...], list[str]]:
    """The nodes that can be computed from some values and constants, and the values that are lacking for more."""
    have, found, lacking = set(known), set[Node](), dict[str, None]()
    waiting = [reader for name in known for reader in scope.readers(name)]
    while waiting and len(found) < most:
        node = waiting.pop(0)
        if node in found or known.intersection(node.outputs) or not fits(node):
            continue
        missing = [name for name in node.inputs if name and name not in have and not scope.is_constant(name)]
        lacking.update(dict.fromkeys(missing))
        if not missing:
            found.add(node)
            have.update(filter(None, node.outputs))
            waiting += [reader for name in node.outputs if name for reader in scope.readers(name)]
    return in_order(scope, found), [name for name in lacking if name not in have]


def in_order(scope: Scope, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Nodes in the order of the graph."""
    return tuple(sorted(nodes, key=scope.places.__getitem__))


def made_by(nodes: Iterable[Node]) -> list[str]:
    """The names of all values that nodes make, in order."""
    return [name for node in nodes for name in node.outputs if name]


class Use(NamedTuple):
    """One product of a value with a constant matrix, which is cut out of the array `stored`."""

    node: Node
    value: str
    stored: str


class Share(NamedTuple):
    """What the input adds to a step: a product, constants added to it, and whether a part is cut out of it."""

    use: Use
    added: tuple[str, ...]
    cut: bool


class Products:
    """A graph without Loops: the products with stored matrices in it, outside the nodes of other layers."""

    def __init__(self, scope: Scope, covered: Set[Node]) -> None:
        self.scope = scope
        self.bench = Bench(len(scope.nodes))
        self.uses = {use.node: use for use in _uses(scope, covered)}
        self.counted = Counter(use.stored for use in self.uses.values())
        self._read: dict[str, list[Use]] = {}
        for use in self.uses.values():
            self._read.setdefault(use.value, []).append(use)

    def of(self, value: str) -> Sequence[Use]:
        """The products of a value."""
        return self._read.get(value, ())

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a constant; () for any other value."""
        array = self.scope.constant(name)
        return () if array is None else array.shape

    def has(self, node: Node | None, operators: Iterable[str]) -> bool:
        """Whether a node is one of the graph's own and has one of ONNX's operators listed."""
        return node is not None and node in self.scope.places and not node.domain and node.op in operators

    def share(self, name: str) -> Share | None:
        """The product that a value is, or is a part of, with what was added; None for anything else."""
        added, cut = list[str](), False
        for _ in range(_DEEPEST):
            node = self.scope.producer(name)
            use = self.uses.get(node) if node is not None else None
            if use is not None:
                bias = [one for one in use.node.inputs[2:] if one]
                return Share(use, (*added, *bias), cut) if all(map(self.scope.is_constant, bias)) else None
            if node is None or not self.has(node, (*CUTS, "Add")):
                return None
            lacking = [one for one in node.inputs if one and not self.scope.is_constant(one)]
            if len(lacking) != 1 or (node.op != "Add" and lacking[0] != node.input(0)):
                return None
            added += [one for one in node.inputs if one not in lacking] if node.op == "Add" else []
            cut |= node.op != "Add"
            (name,) = lacking
        return None

    def stored(self, names: Iterable[str]) -> Iterator[tuple[str, Array]]:
        """Constants as the file has them. Raises `Unfit` for large ones."""
        for name in names:
            constant = self.scope.constant(name)
            if constant is not None:
                self.bench.budget.pay(constant.size)
                if constant.size > _MOST_NUMBERS:
                    raise Unfit("its constants are too large")
                yield name, np.asarray(doubled(constant.read()))


def _uses(scope: Scope, covered: Set[Node]) -> Iterator[Use]:
    for node in scope.nodes:
        if node.op in PRODUCTS and not node.domain and node not in covered and len(node.inputs) > 1:
            value, matrix = node.inputs[:2]
            if value and matrix and scope.is_constant(matrix):
                yield Use(node, value, origin(scope, matrix).stored)
