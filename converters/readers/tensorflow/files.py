"""Checkpoints of TensorFlow 1 and of names alone: variables by name, and what the graph beside them tells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.opened import Opened, Request
from converters.readers.source import Source, open_beside, open_source
from converters.readers.tensorflow import bundle, places, saved_slices
from converters.readers.tensorflow.evidence import Evidence, evidence
from converters.readers.tensorflow.graph import Graph
from converters.readers.tensorflow.message import Message
from converters.readers.tensorflow.stored import Stored
from layouts.errors import CheckpointError, NotRepresentable, UnreadableCheckpoint

_FRAMEWORK = "tensorflow"
_GRAPH = 2
"""The field of a MetaGraphDef that holds its graph."""


def read_place(path: Path, request: Request) -> Checkpoint:
    """The checkpoint or SavedModel to which a path leads."""
    found = places.lead(path)
    assert found is not None, path
    if found.is_saved_model:
        raise UnreadableCheckpoint("a SavedModel")
    return read_table(Opened(open_source(found.path)), request)


def read_table(opened: Opened, request: Request) -> Checkpoint:
    """A checkpoint by its index, or in one file."""
    source = opened.source
    stored = bundle.read_bundle(source) if bundle.is_bundle(source.view) else saved_slices.read_saved_slices(source)
    return of_names(stored, request, *_beside(source.path, stored))


def of_names(stored: Stored, request: Request, told: Evidence, problem: str = "") -> Checkpoint:
    """The layers of variables by name, with what a graph tells of them."""
    arrays: dict[str, LazyArray] = {}
    for name, array in stored.arrays.items():
        new = told.names.get(name, name)
        arrays[new if new not in stored.arrays or new == name else name] = array
    framework = request.framework or _framework(arrays)
    found = checkpoint_of(stored.path, stored.container, arrays, framework, request.assume, told=told.stated)
    layers = tuple(_refused(layer, told.refused) for layer in found.layers)
    remarks = (*found.remarks, *filter(None, [problem]))
    unused = (*found.unused, *(f"{name} ({what})" for name, what in stored.others.items()), *stored.texts)
    return replace(found, layers=layers, unused=unused, remarks=remarks)


def _framework(arrays: Mapping[str, LazyArray]) -> str:
    """Whose layers these are: Keras's layers have a kernel for the state, which only one cell of TensorFlow's has."""
    keras = any(name.endswith("/recurrent_kernel") and "nas_cell" not in name for name in arrays)
    return "keras" if keras else _FRAMEWORK


def _refused(layer: Layer, refused: Mapping[str, str]) -> Layer:
    """The layer, or where the graph says that nothing computes it, an unknown one that says why."""
    names = [array.name for array in layer.stored()]
    why = next((refused[name] for name in names if name in refused), None)
    if why is None:
        return layer
    error = NotRepresentable(f"{layer.class_name}: {why}", layer=layer.path)
    return Layer(layer.path, layer.class_name, unknown=error, arrays={array.name: array for array in layer.stored()})


def _beside(path: str, stored: Stored) -> tuple[Evidence, str]:
    """What the graph beside a checkpoint tells, where there is one; or why it could not be read."""
    name = os.path.basename(path)
    stem = saved_slices.stem(name.removesuffix(places.INDEX))
    if not os.path.isfile(os.path.join(os.path.dirname(path), stem + places.META)):
        return Evidence(), ""
    try:
        return of_meta(open_beside(path, stem + places.META), stored.arrays), ""
    except CheckpointError as error:
        return Evidence(), f"the graph beside it could not be read: {error}"


def of_meta(source: Source, arrays: Mapping[str, LazyArray]) -> Evidence:
    """What the graph of a `.meta` file tells of variables."""
    graph = Graph(Message(source.view).message(_GRAPH).messages(1))
    return evidence(graph, arrays, graph.variables())
