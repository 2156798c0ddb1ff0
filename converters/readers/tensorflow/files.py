"""TensorFlow's files on disk: which of them is read how, and the graph beside a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from converters.model.checkpoint import Checkpoint
from converters.readers.message import Message
from converters.readers.opened import Opened, Request
from converters.readers.source import Source, open_beside, open_source
from converters.readers.tensorflow import bundle, checkpoints, objects, places, saved_slices, variables
from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.saved_model import read_saved_model
from converters.readers.tensorflow.stored import Stored
from layouts.errors import CheckpointError, UnreadableCheckpoint


def read_place(path: Path, request: Request) -> Checkpoint:
    """The checkpoint or SavedModel to which a path leads."""
    found = places.lead(path)
    assert found is not None, path
    if found.is_saved_model:
        return read_saved_model(found.path, request)
    return read_table(Opened(open_source(found.path)), request)


def read_table(opened: Opened, request: Request) -> Checkpoint:
    """A checkpoint by its index, or in one file."""
    source = opened.source
    stored = _stored(source)
    graph = stored.texts.get(objects.GRAPH)
    if graph is not None:
        return checkpoints.read_objects(stored, objects.objects(graph()), request)
    return variables.of_names(stored, request, *_beside(source.path, stored))


def _stored(source: Source) -> Stored:
    """The entries of a checkpoint, in parts or in one file. Raises `UnreadableCheckpoint` for another table."""
    if bundle.is_bundle(source.view):
        return bundle.read_bundle(source)
    if saved_slices.is_saved_slices(source.view):
        return saved_slices.read_saved_slices(source)
    raise UnreadableCheckpoint("this is a sorted table, and no checkpoint of TensorFlow", path=source.path)


def _beside(path: str, stored: Stored) -> tuple[Evidence, str]:
    """What the graph beside a checkpoint tells, where there is one; or why it could not be read."""
    name = os.path.basename(path)
    stem = saved_slices.stem(name.removesuffix(places.INDEX))
    if not os.path.isfile(os.path.join(os.path.dirname(path), stem + places.META)):
        return Evidence(), ""
    try:
        return variables.of_meta(Message(open_beside(path, stem + places.META).view), stored.arrays), ""
    except CheckpointError as error:
        return Evidence(), f"the graph beside it could not be read: {error}"
