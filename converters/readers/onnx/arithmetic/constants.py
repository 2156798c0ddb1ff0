"""Constants that nodes read: numbers that the arithmetic needs, and weights, which random numbers stand in for.

Random numbers in the place of stored weights keep zeros and repeated values in a file from hiding a wrong reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.arithmetic.machine import Budget, Machine, Unfit, Values, doubled
from converters.readers.onnx.graph.scope import Node, Scope
from layouts.errors import printable

MOST_NUMBERS = 4096
"""A constant with more elements than this is a weight, or of no recurrent layer."""
_CUTTING = ("Cast", "Identity", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
_DEEPEST = 16


class Fragment(NamedTuple):
    """A constant that the nodes `cuts` cut out of a stored array; without nodes it is that array."""

    stored: str
    value: str
    cuts: tuple[Node, ...]

    def of(self, whole: Array, budget: Budget) -> Array:
        """The same fragment of an array that stands in for the stored one."""
        values: Values = {self.stored: whole}
        for node in self.cuts:
            values |= {one: small(constant) for one in node.inputs[1:] if (constant := node.scope.constant(one))}
        return Machine(self.cuts, budget, whole.size).run(values)[self.value]


def origin(scope: Scope, name: str) -> Fragment:
    """The stored array behind a constant, and the nodes that cut the constant out of it."""
    value, cuts = name, list[Node]()
    for _ in range(_DEEPEST):
        node = scope.producer(name)
        if node is None or node.op not in _CUTTING or not scope.is_constant(name):
            break
        cuts.append(node)
        name = node.input(0)
    return Fragment(name, value, tuple(reversed(cuts)))


def small(constant: LazyArray) -> Array:
    """The elements of a constant that is no weight. Raises `Unfit` for a large one."""
    if constant.size > MOST_NUMBERS:
        raise Unfit(f"it reads {printable(constant.name)} {constant.shape}, which is no weight")
    return doubled(constant.read())


class Bench:
    """Random numbers, the stand-ins of the stored arrays, and the budget of one search."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.budget = Budget()
        self._stand_ins: dict[str, Array] = {}

    def normal(self, *shape: int) -> Array:
        """Random numbers around zero."""
        return self.random.standard_normal(shape)

    def stand_in(self, name: str, shape: tuple[int, ...]) -> Array:
        """The random numbers in the place of a stored array, the same every time.

        They are scaled so that a sum over the first axis is neither small nor large.
        """
        if name not in self._stand_ins:
            scale = 0.7 if len(shape) < 2 else 1.2 / max(1, shape[0]) ** 0.5
            self._stand_ins[name] = np.asarray(scale * self.normal(*shape))
        return self._stand_ins[name]


class Constants:
    """The constants that some nodes read: `values` by the names in the nodes, and `weights` by their stored names."""

    def __init__(self, scope: Scope, names: Iterable[str], bench: Bench) -> None:
        self.weights: dict[str, Array] = {}
        self.values: Values = {}
        for name in names:
            constant = scope.constant(name)
            if constant is not None and (not constant.is_floating or constant.size == 1):
                self.values[name] = small(constant)
            elif constant is not None:
                fragment = origin(scope, name)
                whole = scope.constant(fragment.stored) or constant
                self.weights[fragment.stored] = bench.stand_in(fragment.stored, whole.shape)
                self.values[name] = fragment.of(self.weights[fragment.stored], bench.budget)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of the stored arrays."""
        return {name: array.shape for name, array in self.weights.items()}


def read_by(nodes: Iterable[Node]) -> dict[str, None]:
    """The names of all values that nodes read, in order."""
    return {name: None for node in nodes for name in node.inputs if name}


def is_half(weights: Iterable[LazyArray | None]) -> bool:
    """Whether weights have less than single precision."""
    return any(array is not None and array.dtype.itemsize < 4 for array in weights)
