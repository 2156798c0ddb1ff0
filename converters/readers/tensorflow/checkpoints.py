"""Checkpoints of objects: of a Keras model's weights, of `tf.train.Checkpoint`, of modules of somebody's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.keras import files as keras
from converters.readers.keras.semantics import Version, parse_version
from converters.readers.opened import Request
from converters.readers.tensorflow import keras_evidence, objects
from converters.readers.tensorflow.concrete import Seen
from converters.readers.tensorflow.gates import asked
from converters.readers.tensorflow.objects import Object, Variable
from converters.readers.tensorflow.stored import Stored
from layouts import catalogue
from layouts.errors import ConversionError, UnreadableCheckpoint

_KERAS = {"kernel", "embeddings", "gamma", "depthwise_kernel"}
"""Arrays by which a layer of Keras is known; other frameworks on TensorFlow 2 have none of these names."""
_SONNET = {"w", "w_i", "w_h", "_w_i", "_w_h"}
_BOTH = {"embeddings"}
"""What an embedding of either has."""


def read_objects(
    stored: Stored, known: Sequence[Object], request: Request, version: str = "", seen: Seen | None = None
) -> Checkpoint:
    """The layers of a checkpoint of objects, by the names that its variables were given.

    Before TensorFlow 2.2 a layer's variables had no cell in their names; then the gates' function is a question.
    """
    found, unused = objects.weights(stored, known)
    if not found:
        raise UnreadableCheckpoint("this checkpoint holds no variables of a model", path=stored.path)
    framework = request.framework or whose(found)
    if framework == "keras":
        whole = of_keras(stored.path, "checkpoint of objects", found, unused, request, parse_version(version), seen)
        early = not version and not any("_cell" in variable.name for variable in found)
        return replace(whole, layers=tuple(map(asked, whole.layers))) if early else whole
    arrays = {variable.place: variable.array for variable in found}
    ready = checkpoint_of(stored.path, "checkpoint of objects", arrays, framework, request.assume)
    return replace(ready, unused=(*ready.unused, *unused))


def of_keras(
    path: str,
    container: str,
    found: Sequence[Variable],
    unused: Sequence[str],
    request: Request,
    version: Version,
    seen: Seen | None = None,
) -> Checkpoint:
    """The layers of Keras that variables make up, without a configuration, but with what a graph tells of them."""
    groups = objects.by_layer(found)
    told = keras_evidence.told(seen.graph, groups, seen.nodes) if seen is not None else {}
    return keras.from_groups(path, container, list(groups.items()), version, request.assume, tuple(unused), told)


def whose(found: Sequence[Variable]) -> str:
    """Whose layers variables are. Raises `ConversionError` where their names do not tell."""
    last = {variable.place.rpartition("/")[2] for variable in found}
    named = {variable.name.removesuffix(":0").rpartition("/")[2] for variable in found}
    keras_names = (last | named) & _KERAS
    if last & _SONNET and keras_names <= _BOTH and "sonnet" in catalogue.frameworks():
        return "sonnet"
    if keras_names:
        return "keras"
    known = ", ".join(catalogue.frameworks())
    raise ConversionError(
        f"a checkpoint of objects whose names are none of Keras's needs framework=, which tells what they are: {known}"
    )
