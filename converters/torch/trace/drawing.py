"""The graph of a traced module, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from converters.model import operations as op
from converters.model.graph import Graph, Node, Value
from converters.model.layers import Layer
from converters.torch.trace import modules, operations
from converters.torch.trace.runs import Runs
from layouts.errors import NotRepresentable, printable

Made = Any
"""What a node of torch.fx stands for: the name of a value, a tuple of such, or a plain object of Python."""


class Name(str):
    """The name of a value of the graph, told apart from text."""


class Drawing:
    """A graph in the making."""

    def __init__(self, walked: fx.GraphModule, runs: Runs, layers: dict[str, Layer]) -> None:
        self.walked, self.runs, self.layers = walked, runs, layers
        self.values: dict[str, Value] = {}
        self._nodes: list[Node] = []
        self._inputs: list[Value] = []
        self._made: dict[fx.Node, Made] = {}

    def graph(self) -> Graph:
        """The whole graph. Raises `NotRepresentable` for the first node that is not known."""
        outputs: list[str] = []
        for node in self.walked.graph.nodes:
            if node.op == "output":
                outputs = [str(name) for name in _flat(self.of(node.args[0]))]
            else:
                self._made[node] = self._draw(node)
        if not outputs:
            raise NotRepresentable("the module gives no tensor")
        return Graph(tuple(self._inputs), tuple(self._nodes), tuple(outputs), self.values)

    def of(self, argument: Any) -> Made:
        """An argument of a node, with what was made of the nodes in it."""
        return fx.node.map_arg(argument, lambda node: self._made[node])

    def _draw(self, node: fx.Node) -> Made:
        if node.op == "placeholder":
            name = self.value(node.name, self.runs.shape(node), _dtype(self.runs.value(node)))
            self._inputs.append(self.values[name])
            return name
        if node.op == "call_module":
            return modules.drawn(self, node)
        if node.op == "get_attr":
            return operations.constant(self, node)
        return operations.drawn(self, node)

    def value(self, wish: str, shape: tuple[int | None, ...], dtype: str = "float32") -> Name:
        """A new value."""
        name, number = wish, 0
        while name in self.values:
            number += 1
            name = f"{wish}_{number}"
        self.values[name] = Value(name, shape, dtype)
        return Name(name)

    def add(
        self,
        node: fx.Node,
        operation: op.Operation,
        *inputs: str,
        shape: tuple[int | None, ...] | None = None,
        layer: Layer | None = None,
        dtype: str = "",
    ) -> Name:
        """One node with one output; its shape is that of what torch.fx's node gives, unless another is told."""
        own = self.runs.value(node)
        told = self.runs.shape(node) if shape is None else shape
        name = self.value(node.name, told, dtype or _dtype(own))
        self.put(node, operation, inputs, (name,), layer)
        return name

    def put(
        self, node: fx.Node, operation: op.Operation, inputs: Sequence[str], outputs: Sequence[str], layer: Layer | None
    ) -> None:
        path = layer.path if layer else str(node.target) if node.op == "call_module" else node.name
        self._nodes.append(Node(path, _class_of(self, node), operation, tuple(inputs), tuple(outputs), "", layer))

    def shape(self, name: str) -> tuple[int | None, ...]:
        return self.values[name].shape or ()

    def refuse(self, node: fx.Node, why: str) -> NotRepresentable:
        """The error for a node that is not known."""
        return NotRepresentable(f"{printable(node.name)} ({printable(_class_of(self, node))}): {why}", layer=node.name)


def _class_of(drawing: Drawing, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(drawing.walked.get_submodule(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else "float32"


def _flat(made: Made) -> list[Name]:
    if isinstance(made, Name):
        return [made]
    if isinstance(made, list | tuple):
        return [name for each in made for name in _flat(each)]
    raise NotRepresentable("the module gives something that is no tensor")
