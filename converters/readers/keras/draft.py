"""A graph while it is written: nodes in order, values under names of their own, masks made once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from converters.model.graph import Graph, Node, Shape, Value
from converters.model.layers import Layer
from converters.model.operations import Operation, Unknown
from converters.model.shapes import after
from layouts.errors import UnreadableCheckpoint
from layouts.records import dataclass, replace

_MOST_NODES = 10_000
_MOST_READ = 100_000
"""Calls, of nested models too, and the values that they read: nested models can double them at every level."""
_WORD = re.compile(r"[a-z][a-z0-9_./]*|[A-Za-z,]+->[A-Za-z]*")
"""What a setting may say: a word, or an equation of letters."""
BOOLEAN = "bool"


@dataclass(frozen=True)
class Flow:
    """A value on its way through the model, and the value that masks its steps ('' for none)."""

    value: str
    mask: str = ""


class Draft:
    """What has been read of a graph."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self._calls: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._left = _MOST_READ
        self._masks: dict[tuple[Operation, tuple[str, ...]], str] = {}
        self._makers: dict[str, Node] = {}
        self._notes: dict[str, tuple[Any, ...]] = {}

    def call(self, path: str) -> str:
        """The name of one call of a layer: its path, and behind it which call it is where there are several."""
        self._calls[path] = self._calls.get(path, 0) + 1
        return path if self._calls[path] == 1 else f"{path} ({self._calls[path]})"

    def spend(self, count: int) -> None:
        """Take so many calls and values from what one graph may have."""
        self._left -= count
        if self._left < 0:
            raise UnreadableCheckpoint(f"its graph has more than {_MOST_READ} calls and values")

    def value(self, name: str, shape: Shape | None, dtype: str = "float32") -> str:
        """A new value under this name, or one like it where the name is taken."""
        unique = name
        while unique in self.values:
            self._taken[name] = self._taken.get(name, 1) + 1
            unique = f"{name} [{self._taken[name]}]"
        self.values[unique] = Value(unique, shape, dtype)
        return unique

    def input(self, name: str, shape: Shape | None, dtype: str) -> Flow:
        """A value that comes from outside."""
        unique = self.value(name, shape, dtype)
        self.inputs.append(self.values[unique])
        return Flow(unique)

    def shape(self, name: str) -> Shape | None:
        """The shape of a value."""
        return self.values[name].shape

    def shapes(self, names: Iterable[str]) -> list[Shape | None]:
        """The shapes of values."""
        return [self.values[name].shape for name in names]

    def add(self, node: Node) -> None:
        """A node whose values are named already."""
        if len(self.nodes) >= _MOST_NODES:
            raise UnreadableCheckpoint(f"its graph has more than {_MOST_NODES} nodes")
        _check(node.operation)
        self._settle((*node.inputs, node.mask))
        self.nodes.append(node)
        self._makers |= dict.fromkeys(node.outputs, node)

    def maker(self, value: str) -> Node | None:
        """The node that makes a value; None for one from outside."""
        return self._makers.get(value)

    def note(self, name: str, said: tuple[Any, ...]) -> str:
        """A name for something that is no value yet, and perhaps becomes a part of one: only its note is kept.

        Where it is read as a value after all, an unknown node makes it.
        """
        unique = self.value(name, None, BOOLEAN)
        self._notes[unique] = said
        return unique

    def _settle(self, values: Iterable[str]) -> None:
        """Unknown nodes for notes that are read as values."""
        for value in values:
            if self._notes.pop(value, None) is not None:
                why = Unknown("a function of masks or of sizes, whose value is used as numbers")
                self.nodes.append(Node(value, "function", why, (), (value,)))

    def noted(self, value: str) -> tuple[Any, ...] | None:
        """What a note says; None for a value."""
        return self._notes.get(value)

    def compute(
        self,
        path: str,
        class_name: str,
        operation: Operation,
        inputs: Sequence[str],
        name: str,
        mask: str = "",
        layer: Layer | None = None,
    ) -> str:
        """A node of one output, whose shape follows from the operation."""
        dtype = self.values[inputs[0]].dtype if inputs else "float32"
        output = self.value(name, after(operation, self.shapes(inputs)), dtype)
        self.add(Node(path, class_name, operation, tuple(inputs), (output,), mask, layer))
        return output

    def mask(self, path: str, operation: Operation, inputs: Sequence[str]) -> str:
        """The mask that an operation makes of these values: one node, however many layers ask for it."""
        key = (operation, tuple(inputs))
        if key not in self._masks:
            shape = after(operation, self.shapes(inputs))
            self._masks[key] = self.value(f"{path}:mask", shape, BOOLEAN)
            self.add(Node(path, "mask", operation, tuple(inputs), (self._masks[key],)))
        return self._masks[key]

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The graph, without masks that nothing reads, and with indices as whole numbers."""
        self._settle(outputs)
        nodes = _read(self.nodes, outputs)
        used = {name for node in nodes for name in (*node.inputs, *node.outputs, node.mask)} | set(outputs)
        kept = {name: value for name, value in self.values.items() if name in used}
        inputs = tuple(self.values[value.name] for value in self.inputs)
        return Graph(inputs, tuple(nodes), tuple(outputs), kept | {value.name: value for value in inputs})

    def indices(self, name: str) -> None:
        """A value is read as indices: one that comes from outside as plain numbers is of whole ones."""
        if self.values[name].dtype == "float32" and any(value.name == name for value in self.inputs):
            self.values[name] = replace(self.values[name], dtype="int32")


def _check(operation: Operation) -> None:
    """Raise `UnreadableCheckpoint` unless an operation is made of finite numbers and of words."""
    if not isinstance(operation, Unknown) and not all(map(_is_setting, vars(operation).values())):
        raise UnreadableCheckpoint(f"the settings of a {type(operation).__name__} are malformed")


def _is_setting(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_setting, value))
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _read(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes without those that make a mask which no other reads."""
    read, kept = set(outputs), []
    for node in reversed(nodes):
        if node.class_name != "mask" or read & set(node.outputs):
            kept.append(node)
            read |= {*node.inputs, node.mask}
    return kept[::-1]
