"""A `.tflite` file as a checkpoint."""

from __future__ import annotations

from functools import cache

from converters.model.checkpoint import Checkpoint
from converters.model.graph import Drawn
from converters.model.layers import Layer
from converters.readers.opened import Opened, Request
from converters.readers.tflite.layers import Reading
from converters.readers.tflite.model import open_model
from layouts.errors import ConversionError, UnreadableCheckpoint, printable

_DEQUANTIZED = (
    "weights are stored as whole numbers and scales: they are read as the numbers that these mean, (q - zero point) × "
    "scale; TensorFlow Lite rounds inputs as well, so its outputs differ by that"
)


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a file: fused operations, and recurrences that are proven to be what a layer computes."""
    if request.assume:
        key = printable(next(iter(request.assume)))
        raise ConversionError(f"assume {key}: the file itself tells what its operations compute")
    model = open_model(opened.source)
    reading = Reading(model)
    layers = tuple(reading.layers())
    if not layers:
        raise UnreadableCheckpoint("its operations have no weights that are read here", path=opened.path)
    remarks = (_DEQUANTIZED,) if model.is_quantized else ()
    network = cache(lambda: _network(reading, layers))
    return Checkpoint(opened.path, "tflite", "", "TensorFlow Lite", layers, remarks=remarks, network=network)


def _network(reading: Reading, layers: tuple[Layer, ...]) -> Drawn:
    from converters.readers.tflite.network import drawn

    return drawn(reading, layers)
