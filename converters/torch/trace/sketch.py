"""A graph of a traced module in the making: values, nodes, and what torch.fx's nodes stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from converters.model import operations as op
from converters.model.graph import Node, Value
from converters.model.layers import Layer
from converters.torch.trace.runs import Runs
from layouts.errors import NotRepresentable, printable
from layouts.records import dataclass

Made = Any
"""What a node of torch.fx stands for: the name of a value, a tuple of such, or a plain object of Python."""


class Name(str):
    """The name of a value of the graph, told apart from text."""


@dataclass(frozen=True)
class Filled:
    """A tensor of one number, made for the sizes of others: the node that makes it."""

    number: float
    node: fx.Node


@dataclass(frozen=True)
class Counted:
    """0, 1, 2, … as far as an open size: the node that makes them."""

    node: fx.Node


class Sketch:
    """The nodes so far. `made` holds what each node of torch.fx stands for."""

    def __init__(self, walked: fx.GraphModule, runs: Runs, layers: dict[str, Layer]) -> None:
        self.walked, self.runs, self.layers = walked, runs, layers
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.made: dict[fx.Node, Made] = {}

    def of(self, argument: Any) -> Made:
        """An argument of a node, with what was made of the nodes in it."""
        return fx.node.map_arg(argument, lambda node: self.made[node])

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
        name = self.value(node.name, told, dtype or dtype_of(own))
        self.put(node, operation, inputs, (name,), layer)
        return name

    def put(
        self,
        node: fx.Node,
        operation: op.Operation,
        inputs: Sequence[str],
        outputs: Sequence[str],
        layer: Layer | None,
        mask: str = "",
    ) -> None:
        path = layer.path if layer else str(node.target) if node.op == "call_module" else node.name
        self.nodes.append(Node(path, self.class_of(node), operation, tuple(inputs), tuple(outputs), mask, layer))

    def shape(self, name: str) -> tuple[int | None, ...]:
        return self.values[name].shape or ()

    def refuse(self, node: fx.Node, why: str) -> NotRepresentable:
        """The error for a node that is not known."""
        return NotRepresentable(f"{printable(node.name)} ({printable(self.class_of(node))}): {why}", layer=node.name)

    def class_of(self, node: fx.Node) -> str:
        """The class of the module that a node calls, or the name of its function."""
        if node.op == "call_module":
            return type(self.walked.get_submodule(str(node.target))).__name__
        return str(getattr(node.target, "__name__", node.target))


def dtype_of(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, torch.Tensor) else "float32"


def is_name(value: object) -> bool:
    return isinstance(value, Name)
