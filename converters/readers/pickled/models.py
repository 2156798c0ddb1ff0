"""Pickled models of Keras: the pickle calls a function that loads bytes, and those are read here by their own reader.

From Keras 3.3 on it is `_unpickle_model` of the model's class, with a stream of a `.keras` archive; from TensorFlow
2.11 on, and in tf_keras, `deserialize_model_from_bytecode` with the archive; in 2.7 to 2.10 the same with an array of
bytes, a tar archive of a SavedModel. joblib writes what pickle does, and arrays in its own way. Source:
saving/pickle_utils.py of those versions, saving/keras_saveable.py of Keras 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.readers import tar, temporary
from converters.readers.keras.files import read_archive
from converters.readers.opened import Opened, Request
from converters.readers.pickled import machine
from converters.readers.pickled.known import table
from converters.readers.pickled.numpy_arrays import NUMPY, NumpyArray, as_bytes
from converters.readers.pickled.records import Arguments, Global
from converters.readers.source import Source
from converters.readers.tensorflow.saved_model import read_saved_model
from layouts.errors import CheckpointError, ConversionError, UnreadableCheckpoint, UnsafeCheckpoint

_DAMAGED = "the pickle is damaged: what it loads is no model of Keras"
_VARIABLES = "variables/"
_SAVED_MODEL = re.compile(r"saved_model\.pb|keras_metadata\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})")
"""The files of a SavedModel that are read."""


@dataclass(eq=False)
class Model:
    """The bytes that a model was made."""

    data: memoryview


@dataclass(eq=False)
class Stream:
    """A stream of bytes, which its state tells."""

    data: Any = None

    def build(self, state: Any) -> None:
        """(bytes, position, attributes)."""
        match state:
            case (memoryview() | str() as data, int(), None):
                self.data = data
            case _:
                raise UnreadableCheckpoint(_DAMAGED)


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a pickled model. Raises `CheckpointError` and its kinds; nothing is loaded or called."""
    value, end = machine.load(opened.source.view, table(NUMPY, _MODELS))
    if end != len(opened.source):
        raise UnsafeCheckpoint(f"{len(opened.source) - end} bytes follow the pickle")
    if not isinstance(value, Model):
        raise CheckpointError("the pickle holds no model of Keras")
    inner = Opened(replace(opened.source, view=value.data))
    if inner.archive is not None:
        found = read_archive(inner, request)
    elif tar.is_tar(value.data):
        found = _saved_model(inner.source, request)
    else:
        raise UnreadableCheckpoint("the pickle holds a model in a form that is not read: no archive of Keras")
    return replace(found, path=opened.path, container=f"pickled model, {found.container}")


def _saved_model(source: Source, request: Request) -> Checkpoint:
    """The SavedModel in a tar archive, of which those files that are read are copied under their known names."""
    files = {name: data for name, data in tar.files(source.view) if _SAVED_MODEL.fullmatch(name)}
    if not any(name.startswith(_VARIABLES) for name in files):
        raise UnreadableCheckpoint(
            "the model was pickled without its weights: the SavedModel in it has no variables, and TensorFlow cannot "
            "load it either"
        )
    folder = temporary.folder()
    (folder / _VARIABLES).mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        return read_saved_model(folder, request)
    except ConversionError as error:
        error.path = source.path  # the pickle that a person gave
        raise


def _model(arguments: Arguments) -> Model:
    """`deserialize_model_from_bytecode(bytes)`, or an array of them; `_unpickle_model(stream)`."""
    match arguments:
        case (
            (NumpyArray(is_bytes=True, data=data),)
            | (Stream(data=memoryview() | str() as data),)
            | (memoryview() | str() as data,)
        ):
            return Model(memoryview(as_bytes(data)))
    raise UnreadableCheckpoint(_DAMAGED)


def _attribute(arguments: Arguments) -> Global:
    """`getattr(class, "_unpickle_model")`, and no other attribute of anything else."""
    match arguments:
        case (Global(call=None, module=module), "_unpickle_model") if module in _CLASSES:
            return Global(module, "_unpickle_model", _model)
    raise UnsafeCheckpoint("the pickle asks for an attribute, which is never looked up here")


_CLASSES = {
    "keras.src.models.sequential": "Sequential",
    "keras.src.models.functional": "Functional",
    "keras.src.models.model": "Model",
}
_UTILITIES = ("keras.saving.pickle_utils", "keras.src.saving.pickle_utils", "tf_keras.src.saving.pickle_utils")
_MODELS = (
    *(Global(module, name) for module, name in _CLASSES.items()),
    *(Global(module, "getattr", _attribute) for module in ("builtins", "__builtin__")),
    *(Global(module, "deserialize_model_from_bytecode", _model) for module in _UTILITIES),
    Global("_io", "BytesIO", lambda _: Stream()),
)
"""What the pickle of a model names, beside the arrays of NumPy."""
