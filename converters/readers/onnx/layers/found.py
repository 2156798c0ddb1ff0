"""A layer as it is found in a graph, before it has a name; and the constants of a node that may be its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Wiring
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.graph.origins import originals
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.constants import is_plain
from layouts import catalogue
from layouts.errors import NotRepresentable, ShapeError
from layouts.options import Options, Plain
from layouts.records import dataclass, replace

Leaf = tuple[Scope, str]
"""A stored array: the graph that holds it, and its name there."""

PARAMETER = "Parameter"
"""The class of a layer that holds arrays which arithmetic reads, and computes nothing itself."""
QUANTIZED = ("int8", "uint8", "int4", "uint4", "int2", "uint2")


@dataclass(frozen=True, eq=False)
class Found:
    """A layer without a path, and the nodes that it stands for: what these read is accounted for."""

    layer: Layer
    nodes: tuple[Node, ...]
    name: str = ""
    """What the layer is called, where that is told by more than its first node."""
    proven: frozenset[Node] = frozenset()
    """The nodes that were run and compute the layer, so that every constant that they read is accounted for."""
    stored: frozenset[str] = frozenset()
    """The stored arrays that are the weights of proven nodes."""

    recovered: Recovered | None = None
    """What is known of a layer that stood in the graph as arithmetic."""
    again: tuple[Found, ...] = ()
    """The other calls of the layer."""
    depths: tuple[Found, ...] = ()
    """The layers that were put together to one, from the first on."""

    def accounts_for(self, value: str, leaf: str) -> bool:
        """Whether an array behind a constant is a weight, or a number of the arithmetic, and not without effect.

        What a graph folds into a constant may be lost there: a product with zeros, or a sum that is multiplied by them.
        """
        return not self.proven or value == leaf or leaf in self.stored

    def read_by(self, node: Node) -> tuple[str, ...]:
        """The constants that a node of the layer reads as its weights, or as numbers of proven arithmetic."""
        names = [name for name in dict.fromkeys(node.inputs) if name and node.scope.is_constant(name)]
        if node in self.proven:
            return tuple(names)
        constants = ((name, node.scope.constant(name)) for name in names)
        return tuple(name for name, one in constants if one is not None and self._holds(one))

    def _holds(self, array: LazyArray) -> bool:
        """Whether an array is one of the layer's; beside proven nodes stand some that have copies of parts of them."""
        if array.name in self._held or not self.proven:
            return array.name in self._held
        bits = array.read().tobytes() if is_weight(array) else b""
        return bool(bits) and any(bits in whole.read().tobytes() for whole in self.layer.stored())

    @cached_property
    def _held(self) -> frozenset[str]:
        return frozenset(array.name for array in self.layer.stored())

    @cached_property
    def weights(self) -> list[Leaf]:
        """The values that the nodes read as weights, stored or computed from what is stored."""
        return [(node.scope, name) for node in self.nodes for name in self.read_by(node)]

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The stored arrays behind the weights, in the order in which the nodes read them."""
        found = ((scope, leaf) for scope, name in self.weights for leaf in scope.leaves(name, measured=False))
        arrays = {(scope.home(leaf), leaf): scope.constant(leaf) for scope, leaf in found}
        return tuple(
            leaf for leaf, array in arrays.items() if array is not None and _may_hold(array, bool(self.proven))
        )

    @cached_property
    def originals(self) -> list[str]:
        """The names that the weights had before an exporter folded them, where it notes them; else their own."""
        return [name for scope, leaf in self.leaves for name in originals(scope, leaf)]


def _may_hold(array: LazyArray, proven: bool) -> bool:
    """Whether a stored array may be a weight; single numbers of proven arithmetic are none."""
    return is_weight(array) if proven else array.is_floating or array.dtype.name in QUANTIZED


def weights(node: Node) -> dict[str, LazyArray]:
    """The constants that a node reads and that may be weights, by name."""
    constants = ((name, node.scope.constant(name)) for name in dict.fromkeys(filter(None, node.inputs)))
    return {name: array for name, array in constants if array is not None and is_weight(array)}


def is_weight(array: LazyArray) -> bool:
    """Whether an array is to be taken for weights, quantized ones too: sizes and indices are wide integers.

    A single number is one unless it looks like a constant that somebody wrote.
    """
    if array.is_floating:
        return array.size > 1 or (array.size == 1 and not is_plain(array))
    return array.size > 1 and array.dtype.name in QUANTIZED


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
