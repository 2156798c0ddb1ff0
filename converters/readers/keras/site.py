"""The place of one call of one layer: what it is, what it is called with, and how its nodes are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Node, Shape
from converters.model.layers import Layer
from converters.readers.keras.config import Leaf
from converters.readers.keras.draft import Draft, Flow
from converters.readers.keras.semantics import Version
from layouts.errors import UnreadableCheckpoint, printable
from layouts.records import dataclass, field


@dataclass(frozen=True)
class Given:
    """What a layer is called with: positional and named arguments, `Flow`s inside lists and mappings among them."""

    arguments: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)
    wanted: int = 1
    """How many of the values that the call gives are read."""

    @property
    def training(self) -> bool:
        """Whether the call says that the layer is in training."""
        return self.named.get("training") in (True, 1)

    @property
    def flows(self) -> list[Flow]:
        """The values of the positional arguments."""
        return list(flows_in(self.arguments))


def flows_in(value: Any) -> Iterator[Flow]:
    """The values inside an argument, in the order in which Keras flattens it."""
    if isinstance(value, Flow):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from flows_in(each)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from flows_in(value[key])


@dataclass(frozen=True, eq=False)
class Site:
    """One call. `name` is that of the value it makes; further ones are counted behind it."""

    draft: Draft
    version: Version
    leaf: Leaf
    given: Given
    name: str
    layer: Layer | None = None

    @property
    def path(self) -> str:
        return self.leaf.path

    @property
    def flows(self) -> list[Flow]:
        """The values that the layer is called with; at least one."""
        found = self.given.flows
        if not found:
            raise UnreadableCheckpoint(f"{printable(self.path)} is called with no value")
        return found

    def compute(
        self,
        operation: op.Operation,
        inputs: Sequence[str],
        *,
        name: str = "",
        mask: str = "",
        layer: Layer | None = None,
    ) -> str:
        """A node of one output, whose shape follows from the operation."""
        return self.draft.compute(self.path, self.leaf.kind, operation, inputs, name or self.name, mask, layer)

    def give(
        self, operation: op.Operation, inputs: Sequence[str], shapes: Sequence[Shape | None], mask: str = ""
    ) -> list[str]:
        """A node of this layer that makes as many values as there are shapes."""
        names = [f"{self.name}:{number}" if number else self.name for number in range(len(shapes))]
        outputs = [self.draft.value(name, shape) for name, shape in zip(names, shapes, strict=True)]
        node = Node(self.path, self.leaf.kind, operation, tuple(inputs), tuple(outputs), mask, self.layer)
        self.draft.add(node)
        return outputs

    def unknown(self, why: str) -> list[Flow]:
        """A node that says why nobody here can compute it; it gives as many values as are read."""
        inputs = list(flows_in([*self.given.arguments, *self.given.named.values()]))
        made = self.give(op.Unknown(why), [flow.value for flow in inputs], [None] * self.given.wanted)
        return [Flow(value) for value in made]
