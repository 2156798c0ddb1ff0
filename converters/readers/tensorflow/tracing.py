"""What happens to a variable in a graph: the products that it is in, what is added to them, and who reads that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from converters.model.arrays import LazyArray
from converters.readers.tensorflow.graph import Graph, Node, Use
from layouts.records import dataclass

PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2"}
SUMS = {"BiasAdd", "Add", "AddV2", "BiasAddV1"}
_SHAPED = {"Reshape", "Transpose"}
"""What a product over more than two axes does to its matrix first."""


@dataclass(frozen=True)
class Trace:
    """A graph, and its variables by the names of their arrays."""

    graph: Graph
    nodes: Mapping[str, Node]
    arrays: Mapping[str, LazyArray]

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of arrays by those of their nodes."""
        return {node.name: name for name, node in self.nodes.items() if name in self.arrays}

    def products(self, uses: list[Use]) -> Iterator[Node]:
        """The products in which a matrix is on the right, as it is or made flat first; not those of gradients."""
        for use in uses:
            if use.node.op in _SHAPED and use.position == 0:
                yield from self.products(self.graph.uses(use.node))
            elif use.node.op in PRODUCTS and use.position == 1 and not use.node.attribute("transpose_b").integer(5):
                yield use.node

    def after(self, node: Node) -> Node:
        """The sum of a product with its bias, past reshaping; the product itself where nothing is added."""
        for use in self.graph.uses(node):
            if use.node.op in SUMS and self.bias(use.node, node) is not None:
                return use.node
            if use.node.op in ("Reshape", "Squeeze") and use.position == 0:
                return self.after(use.node)
        return node

    def bias(self, sum_: Node, product: Node) -> str | None:
        """The name of the variable that a sum adds to a product."""
        for edge in sum_.inputs:
            origin = self.graph.origin(edge)
            while origin is not None and origin.op in ("Reshape", "Squeeze") and origin is not product:
                origin = self.graph.origin(origin.inputs[0])
            name = self._name_of(origin) if origin is not None and origin is not product else None
            if name is not None and len(self.arrays[name].shape) == 1:
                return name
        return None

    def _name_of(self, node: Node) -> str | None:
        return self._names.get(node.name)

    def consumers(self, node: Node, operations: set[str]) -> list[Node]:
        """Who reads a value, of these operations."""
        return [use.node for use in self.graph.uses(node) if use.node.op in operations]

    def joins(self, product: Node) -> Node | None:
        """What joins the inputs of a product, where they are joined."""
        origin = self.graph.origin(product.inputs[0]) if product.inputs else None
        return origin if origin is not None and origin.op in ("ConcatV2", "Concat") else None

    def operations(self, sums: list[Node]) -> set[str]:
        """The operations that read any of these."""
        return {use.node.op for node in sums for use in self.graph.uses(node)}

    def biases(self, node: Node) -> Iterator[str]:
        """The variable that a node adds, where it is such a sum."""
        found = self.bias(node, node) if node.op in SUMS else None
        if found is not None:
            yield found
