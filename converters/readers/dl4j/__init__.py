"""DL4J's models: a zip archive of a configuration (JSON) and one flat vector of all parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.readers.cursor import cut
from converters.readers.dl4j.buffers import read_vector
from converters.readers.dl4j.configuration import Configured, layers
from converters.readers.json_data import parse_json
from converters.readers.opened import Opened, Request
from layouts import catalogue
from layouts.errors import OF_A_LAYER, CoverageError, UnknownLayer, UnreadableCheckpoint, printable
from layouts.frameworks.dl4j import UNCOMPARED
from layouts.options import Convolution, Normalization, Options, Recurrence

CONFIGURATION, COEFFICIENTS = "configuration.json", "coefficients.bin"
_MOST_CONFIGURATION = 40 << 20
_RECURRENT = ("LSTM", "GravesLSTM", "GravesBidirectionalLSTM", "SimpleRnn")
_VARIABLES = {
    "LSTM": ("W", "RW", "b"),
    "GravesLSTM": ("W", "RW", "b"),
    "SimpleRnn": ("W", "RW", "b"),
    "GravesBidirectionalLSTM": ("WF", "RWF", "bF", "WB", "RWB", "bB"),
    "BatchNormalization": ("gamma", "beta", "mean", "var"),
}
_MERGES = {"CONCAT": "concat", "ADD": "sum", "MUL": "mul", "AVERAGE": "ave"}
Slots = Iterator[tuple[str, tuple[int, ...], str]]
"""The arrays of a layer in the vector: name, sizes, and the order in which the elements stand, 'F' or 'C'."""


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a model. Raises `CoverageError` where its configuration does not account for all parameters."""
    request.refuse_statements("a model of DL4J")
    archive = opened.archive
    assert archive is not None, opened.path
    limit = (64 << 20) + 32 * len(opened.source)
    configuration, data = archive.read(CONFIGURATION, _MOST_CONFIGURATION), archive.read(COEFFICIENTS, limit)
    if configuration is None or data is None:
        raise UnreadableCheckpoint("the archive has no configuration.json, or no coefficients.bin", path=opened.path)
    vector = read_vector(data)
    described = layers(parse_json(configuration.view, CONFIGURATION, opened.path))
    found, start = [], 0
    for layer in described:
        arrays, start = _arrays(layer, vector, start)
        found.append(_layer(layer, arrays))
    if start != vector.size:
        raise CoverageError(
            f"the layers have {start} parameters, and {vector.size} are stored", path=opened.path, array="coefficients"
        )
    return Checkpoint(opened.path, "dl4j", "", "model (.zip)", tuple(found), remarks=tuple(_remarks(described)))


def _remarks(described: Iterable[Configured]) -> Iterator[str]:
    """Which layers are of classes whose layouts were never compared with what DL4J computes."""
    read = [printable(layer.path) for layer in described if layer.class_name in UNCOMPARED]
    if read:
        yield f"{', '.join(read)}: read by DL4J's sources, and never compared with what it computes"


def _arrays(layer: Configured, vector: LazyArray, start: int) -> tuple[dict[str, LazyArray], int]:
    """The arrays of one layer, cut out of the vector, and where those of the next one start."""
    arrays: dict[str, LazyArray] = {}
    for name, shape, order in _slots(layer):
        if math.prod(shape) > vector.size - start:
            raise CoverageError(f"{printable(layer.path)}/{name} lies beyond the end of the {vector.size} parameters")
        arrays[name] = _turned(
            cut(vector, f"{layer.path}/{name}", start, shape[::-1] if order == "F" else shape), order
        )
        start += math.prod(shape)
    return arrays, start


def _turned(array: LazyArray, order: str) -> LazyArray:
    if order == "C" or len(array.shape) < 2:
        return array
    return LazyArray(array.name, array.shape[::-1], array.dtype, lambda: array.read().T, array.release)


def _slots(layer: Configured) -> Slots:
    """What stands in the vector for a layer. Raises `UnknownLayer` for a class whose parameters are not known."""
    kind = layer.class_name
    _check_variables(layer)
    if kind in _RECURRENT:
        for way in ("", "backward/") if _is_both(layer) else ("",):
            yield from _recurrent(layer, way)
    elif kind == "ConvolutionLayer":
        yield from _convolution(layer)
    elif kind == "BatchNormalization":
        yield from ((name, (layer.number("nout"),), "C") for name in layer.variables)
    elif kind in ("DenseLayer", "OutputLayer", "RnnOutputLayer", "EmbeddingLayer", "EmbeddingSequenceLayer"):
        yield "W", (layer.number("nin"), layer.number("nout")), "F"
        if "b" in layer.variables:
            yield "b", (layer.number("nout"),), "C"
    else:
        raise UnknownLayer(f"{printable(layer.path)} is a {printable(kind)}, whose parameters are not known")


def _is_both(layer: Configured) -> bool:
    return layer.class_name == "GravesBidirectionalLSTM" or len(layer.ways) > 1


def _check_variables(layer: Configured) -> None:
    """Raise `UnknownLayer` for parameters that the layers of this class do not have, such as the gains of a norm."""
    own = _VARIABLES.get(layer.class_name, ("W", "b"))
    known = {f"{way}{name}" for way in layer.ways for name in own}
    if {*layer.variables} - known or (layer.class_name in _RECURRENT and {*layer.variables} != known):
        listed = ", ".join(map(printable, layer.variables))
        raise UnknownLayer(f"{printable(layer.path)} ({printable(layer.class_name)}) has the parameters {listed}")


def _recurrent(layer: Configured, way: str) -> Slots:
    inputs, units = layer.number("nin"), layer.number("nout")
    gates = 1 if layer.class_name == "SimpleRnn" else 4
    yield f"{way}W", (inputs, gates * units), "F"
    yield f"{way}RW", (units, gates * units), "F"
    if layer.class_name.startswith("Graves"):
        yield from ((f"{way}{name}", (units,), "C") for name in ("wFF", "wOO", "wGG"))
    yield f"{way}b", (gates * units,), "C"


def _convolution(layer: Configured) -> Slots:
    size = layer.settings.get("kernelSize")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 0 < n < 1 << 16 for n in size):
        raise UnknownLayer(f"{printable(layer.path)} is no convolution over maps")
    if "b" in layer.variables:
        yield "b", (layer.number("nout"),), "C"
    yield "W", (layer.number("nout"), layer.number("nin"), *size), "C"


def _layer(layer: Configured, arrays: Mapping[str, LazyArray]) -> Layer:
    try:
        shapes = {name: array.shape for name, array in arrays.items()}
        both = _is_both(layer)
        directions = ("forward", "backward") if both else ("forward",)
        if layer.class_name.startswith("Embedding") and "b" in arrays:
            raise UnknownLayer("an embedding with a bias, which no module computes")
        layout = catalogue.choose("dl4j", layer.class_name, {}, shapes, directions=directions)
        options, call = _settings(layer)
        extra: dict[str, Any] = {"options": options} if options is not None else {}
        part = Part(layout, arrays, directions=directions if both else (), **extra)
        return Layer(layer.path, layer.class_name, (part,), call)
    except OF_A_LAYER as error:
        error.layer = layer.path
        return Layer(layer.path, layer.class_name, unknown=error, arrays=arrays)


def _settings(layer: Configured) -> tuple[Options | None, Call]:
    activation = layer.activation("activationFn", layer.activation("activationFunction", "sigmoid"))
    if layer.class_name in _RECURRENT:
        gates = layer.activation("gateActivationFn", "sigmoid")
        merge = _MERGES.get(layer.merge, "sum" if layer.class_name == "GravesBidirectionalLSTM" else "")
        if _is_both(layer) and not merge:
            raise UnknownLayer(f"its directions are joined by {printable(layer.merge)}, which is not known")
        return Recurrence(activation, gates), Call(sequences=not layer.last, merge=merge)
    if layer.class_name == "ConvolutionLayer":
        return _options(layer), Call(activation=activation)
    if layer.class_name == "BatchNormalization":
        epsilon, decay = layer.settings.get("eps"), layer.settings.get("decay")
        return Normalization(_number(epsilon, 1e-5), _number(decay, 0.9)), Call()
    return None, Call(activation=activation)


def _options(layer: Configured) -> Convolution:
    strides, pads, dilation = (tuple(layer.settings.get(key) or ()) for key in ("stride", "padding", "dilation"))
    if layer.settings.get("convolutionMode") == "Same":
        return Convolution(strides, dilation, padding="same")
    return Convolution(
        strides, dilation, padding="explicit" if any(pads) else "valid", pads=(*pads, *pads) if any(pads) else ()
    )


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and value == value else default
