"""A layer as it is found in a graph, before it has a name; and which constants of a node may be weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from converters.arrays import LazyArray
from converters.checkpoint import Layer
from converters.readers.onnx.graph import Node, Scope

Leaf = tuple[Scope, str]
"""A stored array: the graph that holds it, and its name there."""

_QUANTIZED = ("int8", "uint8", "int4", "uint4", "int2", "uint2")


class Found(NamedTuple):
    """A layer without a path, and the nodes that it stands for: what these read is accounted for."""

    layer: Layer
    nodes: tuple[Node, ...]
    name: str = ""
    """What the layer is called, where that is told by more than its first node."""
    inputs: Mapping[Node, tuple[str, ...]] = {}
    """The inputs that are weights, where a node has constants beside them."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The stored arrays behind the weights, in the order in which the nodes read them."""
        read = [(node.scope, name) for node in self.nodes for name in self._weight_names(node)]
        return tuple(dict.fromkeys((scope.home(leaf), leaf) for scope, name in read for leaf in scope.leaves(name)))

    def _weight_names(self, node: Node) -> tuple[str, ...]:
        return self.inputs[node] if node in self.inputs else tuple(weights(node))


def weights(node: Node) -> dict[str, LazyArray]:
    """The constants that a node reads and that may be weights, by name."""
    constants = ((name, node.scope.constant(name)) for name in dict.fromkeys(filter(None, node.inputs)))
    return {name: array for name, array in constants if array is not None and is_weight(array)}


def stored_weights(root: Scope) -> Iterator[tuple[Leaf, LazyArray]]:
    """Every stored array of a graph and of those inside it that may hold weights."""
    for scope in root.scopes():
        for name in scope.stored():
            array = scope.constant(name)
            if array is not None and is_weight(array):
                yield (scope, name), array


def is_weight(array: LazyArray) -> bool:
    """Whether an array may hold weights, quantized ones too: sizes and indices are wide integers, or single numbers."""
    return array.size > 1 and (array.is_floating or array.dtype.name in _QUANTIZED)


def shortened(arrays: Mapping[str, LazyArray]) -> dict[str, LazyArray]:
    """Arrays by the last parts of their names, for a layer that keeps them; by whole names where these are alike."""
    short = {name: name.rpartition("/")[2].removesuffix(":0") for name in arrays}
    alike = len(set(short.values())) < len(short)
    return {name if alike else short[name]: array for name, array in arrays.items()}
