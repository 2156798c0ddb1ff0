"""The gates of Keras's layers in a checkpoint that tells no version: a question, since defaults changed."""

from __future__ import annotations

from converters.model.layers import Layer
from converters.readers.arrays.recognition import said
from layouts.errors import UnknownLayer


def asked(layer: Layer) -> Layer:
    """A layer of Keras whose gates nothing tells is a question: tf.keras 1 and 2 have different defaults."""
    if layer.assumed.get("recurrent_activation") is None:
        return layer
    ways = (said(layer.path, "recurrent_activation", value) for value in ("hard_sigmoid_0.2", "sigmoid"))
    error = UnknownLayer(
        "nothing tells the gates of this layer: those of tf.keras 1 are hard_sigmoid, those of tf.keras 2 sigmoid, "
        f"unless the model said otherwise. State which: {' or '.join(ways)}",
        layer=layer.path,
    )
    return Layer(layer.path, layer.class_name, unknown=error, arrays={array.name: array for array in layer.stored()})
