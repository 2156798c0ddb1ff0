"""Inputs that a model is tried with, made of its graph, so that masks, lengths, saturation and indices occur."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Graph, Node, Shape, Value, batch_names
from converters.verification.evaluate import evaluate
from layouts.errors import ConversionError, ShapeError, printable
from layouts.records import dataclass, replace

Array = np.ndarray[Any, Any]

_BATCH, _STEPS, _SHORT, _LONG = 5, 7, 4, 60
_LARGE = 30.0
"""What usual numbers are multiplied by, so that gates saturate."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is put in, and what it tries."""

    name: str
    inputs: tuple[Array, ...]


@dataclass(frozen=True)
class Entry:
    """One input of a graph: what reads it decides which numbers make sense.

    indices: how many there are, of an input that goes into an embedding; 0 of any other. masks: the number that all
    features of a masked step have; None where nothing of this input masks. lengths: it holds the lengths of sequences.
    batches: names of sizes that are the batch, on whatever axis they stand.
    """

    value: Value
    indices: int = 0
    masks: float | None = None
    lengths: bool = False
    batches: frozenset[str] = frozenset()

    def sizes(self, batch: int, steps: int) -> tuple[int, ...]:
        """Open sizes filled: the batch, and the steps. A batch that the source fixes stays."""
        return self.value.filled(self.shape, batch, steps, self.batches)

    @property
    def shape(self) -> Shape:
        if self.value.shape is None:
            raise ConversionError(
                f"the shape of the input {printable(self.value.name)} is not known: state the inputs yourself"
            )
        return self.value.shape


_CARRY = (op.Identity, op.Reshape, op.AddAxis, op.DropAxis, op.Permute, op.Take, op.Reverse, op.MergeTime)
"""What a value may pass on its way into an embedding or a mask, and stay what it is."""
_COUNT = (*_CARRY, op.Scale, op.Activation, op.Expand)
"""What lengths may pass on their way to be places."""


def entries(graph: Graph) -> list[Entry]:
    """The inputs of a graph, with what is known of their numbers."""
    batches = batch_names(graph.inputs)
    return [replace(_entry(graph, value), batches=batches) for value in graph.inputs]


def _entry(graph: Graph, value: Value) -> Entry:
    readers = list(_readers(graph, value.name))
    indices = [_rows(node) for node in readers if _rows(node)]
    masks = [node.operation.value for node in readers if isinstance(node.operation, op.MaskOf)]
    lengths = any(isinstance(n.operation, op.MaskOfLengths) and n.inputs[1] == value.name for n in readers)
    return Entry(value, min(indices, default=0), masks[0] if masks else None, lengths or _tells_places(graph, value))


def _tells_places(graph: Graph, value: Value) -> bool:
    """Whether whole numbers become the places of elements, as lengths do of which each tells its last step."""
    counted = _readers(graph, value.name, _COUNT) if "int" in value.dtype else ()
    return any(isinstance(node.operation, op.Pick) for node in counted)


def _rows(node: Node) -> int:
    """How many indices an embedding has; 0 of any other node."""
    parts = node.layer.parts if node.layer is not None else ()
    return parts[0].solved()["index"] if parts and parts[0].cell.name == "embedding" else 0


def _readers(graph: Graph, name: str, through: tuple[type, ...] = _CARRY) -> Iterator[Node]:
    """The nodes that read a value, or what it has become on its way."""
    names = {name}
    for node in graph.nodes:
        if names & set(node.inputs):
            yield node
            if isinstance(node.operation, through):
                names.update(node.outputs)


def make_cases(graph: Graph, seed: int = 0) -> list[Case]:
    """The cases that suit a graph.

    Raises `ConversionError` where the shape of an input is not known, or one is fixed at more than memory is for.
    """
    found = entries(graph)
    _bounded(graph, found)
    short = _least(graph, found)
    steps = max(_STEPS, short + 3)

    def usual(entry: Entry, generator: np.random.Generator) -> Array:
        return _drawn(entry, generator, _BATCH, steps)

    makers: list[tuple[str, Maker]] = [
        ("usual numbers", usual),
        ("batch of one, another length", lambda e, g: _drawn(e, g, 1, short)),
        ("large numbers", lambda e, g: _large(usual(e, g))),
        ("zeros", lambda e, g: _zeros(e, usual(e, g))),
    ]
    if any(None in entry.shape[1:] for entry in found):
        makers.append(("a long sequence", lambda e, g: _drawn(e, g, 2, max(_LONG, steps))))
    if any(entry.masks is not None for entry in found):
        makers.append(("masked: ends, starts, gaps, a whole row", lambda e, g: _masked(e, usual(e, g))))
    if any(entry.indices for entry in found):
        makers.append(("first and last index", lambda e, g: _edges(e, usual(e, g))))
    return [_case(name, make, found, seed) for name, make in makers]


_MOST_BYTES = 2**32
"""What the values of one case may take: all are kept, in float64."""


def _bounded(graph: Graph, found: Sequence[Entry]) -> None:
    """Refuse to draw what a source fixes, where its values would take more than is kept."""
    largest = max(found, key=lambda entry: math.prod(entry.sizes(1, 1)), default=None)
    if largest is None:
        return
    known = [value for value in graph.values.values() if value.shape is not None]
    elements = sum(math.prod(value.filled(value.shape or (), 1, 1)) for value in known)
    bytes_ = 8 * max(elements, math.prod(largest.sizes(1, 1)))
    if bytes_ > _MOST_BYTES:
        raise ConversionError(
            f"{printable(largest.value.name)} is fixed at {list(largest.sizes(1, 1))}: to try that would keep "
            f"{bytes_ / 2**30:.1f} GB of values: state smaller inputs yourself, where the source takes them"
        )


Maker = Callable[[Entry, np.random.Generator], Array]


def _case(name: str, make: Maker, found: Sequence[Entry], seed: int) -> Case:
    return Case(name, tuple(make(entry, np.random.default_rng([seed, k])) for k, entry in enumerate(found)))


_SIZES = (_SHORT, 8, 16, 32, 64, 128, 300)


def _least(graph: Graph, found: Sequence[Entry]) -> int:
    """The smallest open size that the graph takes: many poolings need a large one."""
    if all(None not in entry.shape[1:] for entry in found):
        return _SHORT
    for size in _SIZES:
        try:
            with np.errstate(all="ignore"):
                evaluate(graph, _case("", lambda e, g: _drawn(e, g, 1, size), found, 0).inputs)  # noqa: B023
        except ShapeError:
            continue
        return size
    raise ConversionError("no size of its inputs was found that the source takes: state the inputs yourself")


def _drawn(entry: Entry, generator: np.random.Generator, batch: int, steps: int) -> Array:
    sizes = entry.sizes(batch, steps)
    if entry.lengths:
        return generator.integers(1, steps + 1, sizes).astype(np.int32)
    if entry.indices:
        return generator.integers(min(1, entry.indices - 1), entry.indices, sizes).astype(np.int32)
    if entry.value.dtype == "bool":
        return generator.random(sizes) < 0.7
    if "int" in entry.value.dtype:
        return generator.integers(0, 2, sizes).astype(np.int32)
    kind = np.float64 if entry.value.dtype == "float64" else np.float32
    return generator.normal(size=sizes).astype(kind)


def _large(x: Array) -> Array:
    return x * x.dtype.type(_LARGE) if x.dtype.kind == "f" else x


def _zeros(entry: Entry, x: Array) -> Array:
    return x if entry.lengths or x.dtype == bool else np.zeros_like(x)


def _edges(entry: Entry, x: Array) -> Array:
    if entry.indices:
        x.reshape(-1)[::3], x.reshape(-1)[1::3] = 0, entry.indices - 1
    return x


def _masked(entry: Entry, x: Array) -> Array:
    """Rows whose steps are masked at the end, at the start, in the middle, and all of them; the last one is whole."""
    if entry.masks is None or x.ndim < 2:
        return x
    steps = x.shape[1]
    patterns = [range(steps - 3, steps), range(2), range(1, steps, 3), range(steps)]
    for row, masked in zip(range(len(x)), patterns, strict=False):
        x[row, [step for step in masked if 0 <= step < steps]] = entry.masks
    return x


def given(inputs: Sequence[Any]) -> list[Case]:
    """The one case that a caller states."""
    return [Case("given inputs", tuple(np.asarray(x) for x in inputs))]
