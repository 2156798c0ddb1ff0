"""What nodes are written with: names that nobody else has, constants once each, and the few steps that all need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from converters.model.arrays import Array
from converters.model.graph import Graph, Node
from converters.model.layers import Part
from layouts.errors import NotRepresentable, printable

OPSET, IR = 17, 8
"""The operators of 2022: LayerNormalization is among them, and every runtime in use knows them."""


class Held(NamedTuple):
    """What was planned for cells of a layer: the cells, and their initializers by the names of the layout."""

    parts: tuple[Part, ...]
    arrays: Mapping[str, str]


class Emission:
    """The nodes of one graph as they come, in `kind`, the dtype of its weights and numbers."""

    def __init__(self, graph: Graph, held: Mapping[int, Sequence[Held]], kind: np.dtype[Any]) -> None:
        self.graph, self.kind = graph, kind
        self.nodes: list[NodeProto] = []
        self.constants: dict[tuple[Any, ...], TensorProto] = {}
        self._held = held
        self._taken = {key for found in held.values() for each in found for key in each.arrays.values()}
        self._names: dict[str, str] = {}

    def within(self) -> Emission:
        """A graph inside this one: it has nodes of its own, and shares the names and the constants."""
        inner = copy(self)
        inner.nodes = []
        return inner

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        plain = printable(wish) or "value"
        found, number = plain, 0
        while found in self._taken:
            number += 1
            found = f"{plain}_{number}"
        self._taken.add(found)
        return found

    def bind(self, value: str, name: str) -> None:
        """From here on a value of the graph is called so."""
        self._names[value] = name

    def of(self, value: str) -> str:
        """What a value of the graph is called."""
        return self._names[value]

    def op(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        """One node with one output that is used; its name."""
        return self.ops(kind, *inputs, count=count, **attributes)[0]

    def ops(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> list[str]:
        """One node with several outputs; their names."""
        outputs = [self.name(kind.lower()) for _ in range(count)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=self.name(f"{kind}_node"), **attributes))
        return outputs

    def constant(self, value: Array) -> str:
        """A constant, the same name for the same numbers."""
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, self.name("constant"))
        return self.constants[key].name

    def ints(self, *values: int) -> str:
        """A list of whole numbers: axes, sizes, places."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A number of the graph's own dtype."""
        return self.constant(np.array(value, self.kind))

    def cast(self, x: str, dtype: Any) -> str:
        return self.op("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def real(self, x: str) -> str:
        """A value as numbers of the graph's own dtype."""
        return self.cast(x, self.kind)

    def size(self, x: str, axis: int) -> str:
        """The size of one axis, as a list of one."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def permuted(self, x: str, order: Sequence[int]) -> str:
        return x if list(order) == [*range(len(order))] else self.op("Transpose", x, perm=list(order))

    def sliced(self, x: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        return self.op("Slice", x, self.ints(start), self.ints(stop), self.ints(axis), self.ints(step))

    def reversed(self, x: str, axis: int) -> str:
        return self.sliced(x, axis, -1, np.iinfo(np.int64).min, -1)

    def shaped(self, x: str, *sizes: int | str) -> str:
        """Other axes: numbers, or lists of one that hold a size."""
        if all(isinstance(size, int) for size in sizes):
            return self.op("Reshape", x, self.ints(*(int(size) for size in sizes)), allowzero=0)
        parts = [self.ints(size) if isinstance(size, int) else size for size in sizes]
        return self.op("Reshape", x, self.op("Concat", *parts, axis=0))

    def rank(self, value: str) -> int:
        """How many axes a value of the graph has. Raises `NotRepresentable` where the source does not tell."""
        shape = self.graph.values[value].shape if value in self.graph.values else None
        if shape is None:
            raise NotRepresentable(f"{printable(value)}: the source does not tell how many axes it has")
        return len(shape)

    def held(self, node: Node) -> Sequence[Held]:
        """What was planned for a node's layer, which is told by its identity."""
        return self._held[id(node.layer)]


def refused(node: Node, why: str) -> NotRepresentable:
    """The error for a node that ONNX does not compute."""
    called = f"{printable(node.name)} ({printable(node.class_name)})"
    return NotRepresentable(f"{called}: {why}", layer=node.name, layout="onnx")
