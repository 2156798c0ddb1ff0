"""A layer as it is found in a graph, before it has a name; and the constants of a node that may be its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Wiring
from converters.readers.onnx.graph.scope import Node, Scope
from layouts import catalogue
from layouts.errors import NotRepresentable, ShapeError
from layouts.options import Options, Plain

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
    def weights(self) -> list[Leaf]:
        """The values that the nodes read as weights, stored or computed from what is stored."""
        names = ((node, self.inputs[node] if node in self.inputs else weights(node)) for node in self.nodes)
        return [(node.scope, name) for node, read in names for name in read]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The stored arrays behind the weights, in the order in which the nodes read them."""
        found = ((scope, leaf) for scope, name in self.weights for leaf in scope.leaves(name))
        arrays = {(scope.home(leaf), leaf): scope.constant(leaf) for scope, leaf in found}
        return tuple(leaf for leaf, array in arrays.items() if array is not None and is_weight(array))


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


def constant(node: Node, number: int) -> LazyArray | None:
    """The constant behind an input; None where there is none."""
    name = node.input(number)
    return node.scope.constant(name) if name else None


def given(node: Node, names: Mapping[str, int]) -> Iterator[tuple[str, LazyArray]]:
    """The arrays of the inputs that are there. Raises `NotRepresentable` for one that is not constant."""
    for name, number in names.items():
        array = constant(node, number)
        if array is not None:
            yield name, array
        elif node.input(number):
            raise NotRepresentable(f"its {name} is not stored: it is an input of the graph (see weights=), or computed")


def found_layer(
    node: Node,
    arrays: Mapping[str, LazyArray],
    *more: Node,
    options: Options = Plain(),
    conditions: Mapping[str, Any] | None = None,
    reads: str = "",
    rank: int | None = None,
) -> Found:
    """The layer of one node, and of those that belong to it, in the layout that fits its arrays.

    `conditions`: how the arrays are stored; `reads`: the input, where it is not the node's first; `rank`: its axes.
    """
    whole = next((name for name, array in arrays.items() if not array.is_floating), None)
    if whole:
        raise ShapeError(f"{whole} holds {arrays[whole].dtype}, and weights have fractions", array=whole)
    shapes = {name: array.shape for name, array in arrays.items()}
    layout = catalogue.choose("onnx", node.op, conditions or {}, shapes)
    gives = more[-1].outputs if more else node.outputs
    wiring = Wiring(rank=rank, reads=reads or node.input(0), gives=gives)
    return Found(Layer("", node.op, (Part(layout, dict(arrays), options),), wiring=wiring), (node, *more))


def reshaped(array: LazyArray, shape: tuple[int, ...]) -> LazyArray:
    """The same numbers under another shape."""
    return replace(array, shape=shape, read=lambda: array.read().reshape(shape))
