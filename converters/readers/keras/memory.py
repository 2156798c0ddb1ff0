"""A Keras model in memory, of any Keras: its own configuration and variables, no framework imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.model.arrays import in_memory
from converters.model.checkpoint import Checkpoint
from converters.readers.keras import files as keras
from converters.readers.keras import legacy as keras_legacy
from converters.readers.keras.semantics import parse_version
from layouts.errors import ConversionError, printable


def read_model(model: Any, assume: Mapping[str, str]) -> Checkpoint:
    """The layers of a built Keras model, under the names its own HDF5 file would have.

    Raises `ConversionError` for an object that is not a Keras model, or a subclassed one, which has no configuration of
    its layers: save it as `.weights.h5` and convert that file.
    """
    name = type(model).__name__
    if not all(hasattr(model, attribute) for attribute in ("to_json", "layers", "weights")):
        raise ConversionError(
            f"a {printable(name)} is not a source: expected a path, a Keras model or a mapping of arrays"
        )
    try:
        text = model.to_json()
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ConversionError(
            f"the {printable(name)} has no configuration of its layers ({printable(error)}): "
            "save it as .weights.h5 and convert that file"
        ) from None
    package = sys.modules.get(type(model).__module__.partition(".")[0])
    version = parse_version(getattr(package, "__version__", ""))
    stored = {layer.name: _weights(layer) for layer in model.layers}
    try:
        return keras.from_memory(text, stored, version, f"{name} in memory", assume)
    except ConversionError as error:
        error.path = error.path or f"{name} in memory"
        raise


def _weights(layer: Any) -> keras_legacy.Weights:
    """Trainable variables first, as a file lists them; seeds of dropout are no weights."""
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    named = [(str(getattr(variable, "path", variable.name)), variable) for variable in variables]
    return [
        (name, in_memory(name, _numpy(variable))) for name, variable in named if not keras_legacy.is_random_state(name)
    ]


def _numpy(variable: Any) -> np.ndarray[Any, Any]:
    return np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)
