"""Frozen graphs: a GraphDef in which constants stand in the place of variables, under names that still tell which.

TensorFlow 1 keeps a variable's name, with `{name}/read` behind it; TensorFlow 2 calls a constant after the operation
that read the variable, `{layer}/{operation}/ReadVariableOp/resource`. Source: graph_util_impl.py and
convert_to_constants.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.keras.semantics import parse_version
from converters.readers.message import Message
from converters.readers.opened import Opened, Request
from converters.readers.protobuf import BYTES, fields
from converters.readers.tensorflow import checkpoints, frozen_names, functions, partitions, variables
from converters.readers.tensorflow.concrete import Seen
from converters.readers.tensorflow.evidence import evidence
from converters.readers.tensorflow.graph import Edge, Graph
from converters.readers.tensorflow.stored import Stored
from layouts.errors import UnknownLayer, UnreadableCheckpoint

_CONTAINER = "frozen graph"
_OPERATION = re.compile(r"[A-Z_][A-Za-z0-9_]{1,60}")
_WEIGHTS = dict.fromkeys(("MatMul", "Conv2D", "Conv3D", "BiasAdd"), 1) | dict.fromkeys(("Gather", "GatherV2"), 0)
"""The operations that read weights, and as which of their inputs."""
_READ = re.compile(r"(^|/)ReadVariableOp(_\d{1,4})?$")


def is_graph(view: memoryview) -> bool:
    """Whether a message begins as a GraphDef does: with a node that has a name and an operation."""
    return _starts_with_node(view, 0, len(view))


def is_meta(view: memoryview) -> bool:
    """Whether a message holds a graph as a MetaGraphDef does."""
    try:
        for number, wire, _, start, stop in fields(view, 0, len(view)):
            if number == 2 and wire == BYTES:
                return _starts_with_node(view, start, stop)
            if number > 2:
                return False
    except UnreadableCheckpoint:
        pass
    return False


def _starts_with_node(view: memoryview, start: int, stop: int) -> bool:
    try:
        number, wire, _, start, stop = next(fields(view, start, stop))
        if number != 1 or wire != BYTES:
            return False
        node = Message(view[start:stop])
        return node.numbers_of_fields() <= {1, 2, 3, 4, 5, 6, 7} and bool(_OPERATION.fullmatch(node.text(2)))
    except (UnreadableCheckpoint, StopIteration):
        return False


def refuse_meta(opened: Opened, _: Request) -> Checkpoint:
    """Say which file to give beside a graph that stands alone."""
    raise UnreadableCheckpoint(
        "this is the graph of a TensorFlow model, and the checkpoint with its weights is not beside it",
        path=opened.path,
    )


def read_frozen(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a frozen graph."""
    graph = functions.whole(Message(opened.source.view))
    constants = {array.name: array for array in graph.constants() if array.is_floating}
    if not any(frozen_names.is_resource(name) for name in constants):
        return _of_names(opened.path, graph, constants, request)
    found = list(frozen_names.resources(graph, constants))
    known = {variable.key for variable in found}
    left = [array for array in constants.values() if array.size > 1 and array.name not in known]
    starts = tuple(array.name for array in left if _is_start(graph, array))
    others = [array for array in left if array.name not in starts]
    seen = Seen(graph, graph.nodes)
    whole = checkpoints.of_keras(opened.path, _CONTAINER, found, starts, request, parse_version("2.4-tf"), seen)
    return replace(whole, layers=(*whole.layers, *map(_unknown, others)))


def _of_names(path: str, graph: Graph, constants: Mapping[str, LazyArray], request: Request) -> Checkpoint:
    """The layers of a graph whose constants have the names of variables."""
    read = _read(graph)
    named = {n: a for n, a in constants.items() if f"{n}/read" in graph.nodes or n in read or _is_weight(graph, a)}
    if not named:
        raise UnreadableCheckpoint(
            "this graph of TensorFlow holds no constants that were variables: give its checkpoint or SavedModel"
        )
    nodes = {name: graph.nodes[name] for name in named}
    others = {name: "a constant" for name, array in constants.items() if name not in named and array.size > 1}
    named = partitions.put_together(graph, named)
    told = evidence(graph, named, nodes)
    return variables.of_names(Stored(path, _CONTAINER, named, others=others), request, told)


def _is_weight(graph: Graph, array: LazyArray) -> bool:
    """Whether a constant stands where weights do: on the right of a product, behind one as its bias, in a lookup."""
    uses = graph.uses_of(Edge(array.name, 0))
    return array.size > 1 and any(_WEIGHTS.get(use.node.op, -1) == use.position for use in uses)


def _read(graph: Graph) -> set[str]:
    """The constants that were variables of a layer of Keras in a graph of TensorFlow 1, and kept their names."""
    readers = (node for node in graph.nodes.values() if node.op == "Identity" and _READ.search(node.name))
    read = {graph.source(node.inputs[0]).node for node in readers if node.inputs}
    return {name for name in read if not frozen_names.is_resource(name)}


def _is_start(graph: Graph, array: LazyArray) -> bool:
    """Whether a constant is the state of zeros from which loops start."""
    uses = graph.uses_of(Edge(array.name, 0))
    begins = bool(uses) and all(use.node.op == "Merge" and use.position == 0 for use in uses)
    return begins and not np.any(array.read())


def _unknown(array: LazyArray) -> Layer:
    error = UnknownLayer("no operation that is known reads this constant", layer=array.name, array=array.name)
    return Layer(array.name, "constant", unknown=error, arrays={array.name: array})
