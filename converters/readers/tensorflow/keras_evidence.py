"""What a graph tells of Keras's layers whose configuration is not stored: functions, strides, epsilon, by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.names import module_name
from converters.readers.tensorflow.directions import reads_backwards
from converters.readers.tensorflow.evidence import evidence
from converters.readers.tensorflow.graph import Graph, Node
from converters.readers.tensorflow.keras_cells import kernel_options

Told = Mapping[str, Mapping[str, Any]]
"""The path of a layer -> option -> its value."""
_SAME = {"dilation": "dilation_rate"}
_TOLD = {"activation", "strides", "dilation", "padding", "epsilon"}


def told(graph: Graph, groups: Mapping[str, Sequence[tuple[str, LazyArray]]], nodes: Mapping[str, Node]) -> Told:
    """What is told of each layer. `nodes` are its arrays in the graph, by the names of the arrays."""
    arrays = {f"{path}/{name.rpartition('/')[2]}": array for path, members in groups.items() for name, array in members}
    known = {name: nodes[array.name] for name, array in arrays.items() if array.name in nodes}
    stated = evidence(graph, {name: arrays[name] for name in known}, known).stated
    found: dict[str, dict[str, Any]] = {}
    for path, members in groups.items():
        own = dict(_of_recurrent(graph, members, nodes))
        found[path] = own | _direction(graph, members, nodes) if own else dict(_of_other(stated, path))
    return found


def _of_recurrent(
    graph: Graph, members: Sequence[tuple[str, LazyArray]], nodes: Mapping[str, Node]
) -> Iterator[tuple[str, Any]]:
    """The options that all recurrent kernels of a layer have."""
    kernels = [a for name, a in members if name.endswith("recurrent_kernel") and a.name in nodes]
    found = [kernel_options(graph, nodes[array.name], array.shape) for array in kernels]
    for option in {option for each in found for option in each}:
        values = [each.get(option) for each in found]
        if all(value == values[0] for value in values):
            yield option, values[0]


def _direction(graph: Graph, members: Sequence[tuple[str, LazyArray]], nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Whether a layer of one direction reads its input from the end."""
    kernels = [a for name, a in members if name.rpartition("/")[2] == "kernel" and a.name in nodes]
    backwards = {reads_backwards(graph, nodes[array.name]) for array in kernels}
    return {"go_backwards": True} if backwards == {True} else {}


def _of_other(stated: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for option in _TOLD:
        value = stated.get(f"{module_name(path)}.{option}")
        if value is not None:
            yield _SAME.get(option, option), value
