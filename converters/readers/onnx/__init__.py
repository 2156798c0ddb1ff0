"""ONNX: recurrent nodes and the layers around them, out of any exporter's graph.

`file` bounds and parses; `graph` knows who makes and reads each value and what is constant, computes constants that
exporters left to be computed, and finds names; `layers` and `arithmetic` read layers and account for every array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from converters.model.arrays import in_memory
from converters.model.checkpoint import Checkpoint
from converters.model.graph import Drawn
from converters.readers.onnx.file.model import IN_MEMORY, Model, from_memory, open_model
from converters.readers.onnx.file.skeleton import what_else
from converters.readers.onnx.graph.branches import settled
from converters.readers.onnx.graph.functions import without_functions
from converters.readers.onnx.graph.scans import as_loops
from converters.readers.onnx.graph.scope import Scope
from converters.readers.onnx.layers.all import Graph, read_graph
from converters.readers.onnx.stated import as_stated
from converters.readers.opened import Opened, Request
from converters.readers.protobuf import BYTES, fields
from layouts.errors import ConversionError, UnreadableCheckpoint, printable

__all__ = ["is_model", "read_file", "read_model"]

_VERSION, _GRAPH = 8, 7
"""The first byte that exporters write, the tag of `ir_version`; and the number of a ModelProto's field `graph`."""


_FIRST = 10_000
"""The graph stands among so many fields of the outermost message."""


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a model file; external data may stand beside it. The request's weights are for its inputs."""
    return _checkpoint(open_model(opened.source), request.weights, request.assume, opened.path)


def read_model(model: Any, weights: Mapping[str, Any], assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of a ModelProto in memory."""
    return _checkpoint(from_memory(model), weights, assume, IN_MEMORY)


def is_model(view: memoryview) -> bool:
    """Whether bytes begin as exporters write a ModelProto, or are a protobuf message with a graph in its place."""
    try:
        known = ((number, wire) for number, wire, *_ in islice(fields(view, 0, len(view)), _FIRST))
        return view[0] == _VERSION or bool(what_else(view)) or (_GRAPH, BYTES) in known
    except UnreadableCheckpoint:
        return False


def _checkpoint(model: Model, weights: Mapping[str, Any], assume: Mapping[str, Any], path: str) -> Checkpoint:
    model, numbers = as_stated(replace(model, proto=without_functions(model.proto)), assume)
    given = {**{name: np.asarray(array) for name, array in weights.items()}, **numbers}
    model = as_loops(settled(model, given))
    root = Scope(model.proto.graph, model)
    unknown = [name for name in weights if name not in root.inputs]
    if unknown:
        listed = ", ".join(map(printable, root.inputs)) or "none"
        raise ConversionError(f"weights: the graph has no input {printable(unknown[0])!r}; its inputs: {listed}")
    root.link({name: in_memory(name, array) for name, array in given.items()})
    graph = read_graph(root)
    if not graph.layers:
        raise UnreadableCheckpoint("the graph has no layer with weights")
    producer = " ".join(filter(None, (model.proto.producer_name.strip(), model.proto.producer_version.strip())))
    container = f"a graph written by {printable(producer)}" if producer else "a graph"
    return Checkpoint(
        path,
        "onnx",
        f"opset {root.opset}",
        container,
        graph.layers,
        unused=graph.unused,
        remarks=(*graph.remarks, *_said(assume)),
        network=cache(lambda: _network(root, graph)),
        given={name: given[name] for name in root.inputs if name in given},
    )


def _said(assume: Mapping[str, Any]) -> Iterator[str]:
    """What the caller states of the inputs, for whoever takes the network for the whole of the file."""
    if assume:
        listed = ", ".join(f"{printable(key)}={printable(value)}" for key, value in assume.items())
        yield f"the network is the one of what was stated, and of no other: {listed}"


def _network(root: Scope, graph: Graph) -> Drawn:
    """The whole network, or why there is none: weights are read without it."""
    from converters.readers.onnx.network.whole import network

    try:
        return Drawn(network(root, graph.found, graph.layers))
    except ConversionError as error:
        return Drawn(None, (f"the graph of the model could not be read: {error}",))
