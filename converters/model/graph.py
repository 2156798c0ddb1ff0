"""The whole network of a source, neutral: nodes in the order of the data's flow, and the values between them.

A layer with weights is a node whose operation is `Apply`; a layer that is called several times is several nodes with
one layer. Nested models are taken apart; their layers carry their path. Masks are values like others: who makes one,
and who reads it, is written down, so that nobody has to know how a framework hands masks on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from converters.model.layers import Layer
from converters.model.operations import Operation, Stored, Unknown
from layouts.records import dataclass, field

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """What flows between nodes. `shape` as the source has it, batch first, None for open sizes; None where unknown.

    `axes`: of an input the names of its sizes, '' for one that has none; open sizes of one name are equal.
    """

    name: str
    shape: Shape | None = None
    dtype: str = "float32"
    axes: tuple[str, ...] = ()

    def filled(self, shape: Shape, batch: int, other: int, batches: Collection[str] = ()) -> tuple[int, ...]:
        """A shape with numbers for open sizes: the batch, in front or where it has one of these names, and others."""
        names = self.axes or ("",) * len(shape)
        return tuple(
            size if size is not None else batch if number == 0 or name in batches else other
            for number, (size, name) in enumerate(zip(shape, names, strict=True))
        )


def batch_names(inputs: Iterable[Value]) -> frozenset[str]:
    """The names that the first sizes of inputs have: those of the batch."""
    return frozenset(name for value in inputs for name in value.axes[:1] if name)


@dataclass(frozen=True, eq=False)
class Node:
    """One call: what it computes, of which values, and which it makes.

    name: the path of its layer, as the source calls it; several nodes of a shared layer have one.
    inputs: the values it reads; of a recurrent layer the sequence, its time on the `time_axis` of the layer's call, and
        then its initial states where they are given, (batch, units) each: direction by direction, forward first, and
        within one layer by layer of a stack, h, or h and c.
    outputs: the values it makes; of a recurrent layer its outputs (two where directions are not merged), then its
        states where it gives them, in the order of the inputs. Directions that are "stacked" have an axis of their own
        behind the time: (batch, time, directions, units), or (time, directions, batch, units). A layer that is called
        for one step alone reads and gives a sequence of one.
    mask: the value that masks its steps, '' where none does.
    layer: where it has weights.
    """

    name: str
    class_name: str
    operation: Operation
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    mask: str = ""
    layer: Layer | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes, each after those whose values it reads; the values that come from outside, and those that leave."""

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, Value] = field(default_factory=dict)
    """Shape and dtype of every value, as far as they are known."""

    @property
    def unknown(self) -> tuple[Node, ...]:
        """The nodes that nobody here can compute."""
        return tuple(node for node in self.nodes if isinstance(node.operation, Unknown) or _is_unknown(node))

    def reads(self, layer: Layer) -> bool:
        """Whether arithmetic reads the arrays of a layer: parameters, which no module has to compute."""
        return any(node.layer is layer and isinstance(node.operation, Stored) for node in self.nodes)


class Drawn(NamedTuple):
    """The network of a source; None, and why, where it tells none or its network could not be read."""

    graph: Graph | None = None
    problems: tuple[str, ...] = ()


def as_drawn(graph: Graph | None) -> Callable[[], Drawn]:
    """What draws a network that is there already."""
    found = Drawn(graph)
    return lambda: found


def why(node: Node) -> str:
    """Why nobody here can compute a node; '' where it can be computed."""
    if isinstance(node.operation, Unknown):
        return node.operation.why
    return " ".join(str(node.layer.unknown).split()) if node.layer and _is_unknown(node) else ""


def _is_unknown(node: Node) -> bool:
    own = node.layer is not None and node.layer.unknown is not None
    return own and not isinstance(node.operation, Stored)
