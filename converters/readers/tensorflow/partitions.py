"""Variables that a partitioner cut into parts: where a graph joins them, and how it deals out the rows of a table.

Source: `PartitionedVariable` in variables.py, and `_embedding_lookup_and_transform` in embedding_ops.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.tensorflow.graph import Edge, Graph, Node
from layouts.errors import ShapeError

_PART = re.compile(r"(.+)/part_(\d{1,6})")
_JOINS = {"ConcatV2", "Concat"}
_DEALT = "its rows are dealt out to its parts in turn (partition_strategy='mod'), an order that no module has"


class Partitioned(NamedTuple):
    """One variable in parts: its own name, those of its parts in order, and the node that joins them, if one does."""

    name: str
    parts: tuple[str, ...]
    joint: Node | None


def partitioned(graph: Graph, names: Iterable[str]) -> Iterator[Partitioned]:
    """The variables of which all these parts are there."""
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        match = _PART.fullmatch(name)
        if match:
            groups.setdefault(match[1], {})[int(match[2])] = name
    for whole, parts in groups.items():
        if sorted(parts) == [*range(len(parts))] and whole not in names:
            ordered = tuple(parts[number] for number in range(len(parts)))
            yield Partitioned(whole, ordered, _joint(graph, ordered))


def _joint(graph: Graph, parts: tuple[str, ...]) -> Node | None:
    """The node that joins all parts in their order, and nothing else."""
    wanted = [Edge(name, 0) for name in parts]
    for use in graph.uses_of(wanted[0]):
        if use.node.op in _JOINS and [graph.source(edge) for edge in use.node.inputs[: len(wanted)]] == wanted:
            return use.node
    return None


def known_as(graph: Graph, nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes by name, and for each partitioned variable the one that has all of it, or its first part."""
    found = dict(nodes)
    for one in partitioned(graph, nodes):
        found[one.name] = one.joint or nodes[one.parts[0]]
    return found


def dealt(graph: Graph, nodes: Mapping[str, Node]) -> dict[str, str]:
    """The tables whose rows a lookup deals out in turn, and why they are refused."""
    apart = (one for one in partitioned(graph, nodes) if one.joint is None and len(one.parts) > 1)
    return {one.name: _DEALT for one in apart if _is_dealt(graph, one.parts[0])}


def _is_dealt(graph: Graph, part: str) -> bool:
    """Whether a lookup chooses the part by a remainder."""
    for use in graph.uses_of(Edge(part, 0)):
        indices = graph.origin(use.node.inputs[1]) if len(use.node.inputs) > 1 and use.position == 0 else None
        if indices is not None and indices.op == "DynamicPartition" and len(indices.inputs) > 1:
            chosen = graph.origin(indices.inputs[1])
            chosen = graph.origin(chosen.inputs[0]) if chosen is not None and chosen.op == "Cast" else chosen
            if chosen is not None and chosen.op in ("FloorMod", "Mod"):
                return True
    return False


def put_together(graph: Graph, arrays: Mapping[str, LazyArray]) -> dict[str, LazyArray]:
    """Constants, those that were the parts of one variable as one. Raises `ShapeError` where they do not fit."""
    found = dict(arrays)
    for one in partitioned(graph, arrays):
        parts = [found.pop(name) for name in one.parts]
        axis = int(graph.number(one.joint.inputs[-1]) or 0) if one.joint is not None and len(parts) > 1 else 0
        found[one.name] = _whole(one.name, parts, axis)
    return found


def _whole(name: str, parts: list[LazyArray], axis: int) -> LazyArray:
    first = parts[0].shape
    others = {(*part.shape[:axis], *part.shape[axis + 1 :], str(part.dtype)) for part in parts}
    if not 0 <= axis < len(first) or len({len(part.shape) for part in parts}) > 1 or len(others) > 1:
        raise ShapeError(f"{name}: its parts {[part.shape for part in parts]} are none of one array", array=name)
    shape = (*first[:axis], sum(part.shape[axis] for part in parts), *first[axis + 1 :])

    def release() -> None:
        for part in parts:
            part.release()

    return LazyArray(
        name, shape, parts[0].dtype, lambda: np.concatenate([part.read() for part in parts], axis), release
    )
