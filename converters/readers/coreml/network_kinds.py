"""The kinds of layers of a Core ML neural network that have weights, by the numbers of their fields.

Source: NeuralNetwork.proto of coremltools.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.model.settings import Call
from converters.readers.coreml.weights import flat, parameters
from converters.readers.message import Message
from layouts.errors import NotRepresentable, printable
from layouts.frameworks import coreml
from layouts.layout import Layout
from layouts.options import Convolution, Normalization, Options, Recurrence


class Place(NamedTuple):
    """The file of a layer, and its path in it."""

    file: str
    layer: str


class Field(NamedTuple):
    """One array of a layer: the field of its message, its name in the layout, its sizes."""

    number: int
    name: str
    shape: tuple[int, ...]
    axis: int = 0
    """That of the scales, where it is quantized."""


class Made(NamedTuple):
    """What a message of parameters tells of its layer, and what has to be said of it."""

    class_name: str
    layout: Layout
    arrays: dict[str, LazyArray]
    options: Options | None = None
    call: Call = Call()
    directions: tuple[str, ...] = ()
    remark: str = ""


def _arrays(place: Place, message: Message, fields: list[Field]) -> dict[str, LazyArray]:
    """Those of the fields that are there."""
    return {
        field.name: parameters(
            message.message(field.number), f"{place.layer}/{field.name}", field.shape, place.file, field.axis
        )
        for field in fields
        if field.number in message
    }


def _lstm(place: Place, message: Message) -> Made:
    inputs, units, settings = message.integer(1), message.integer(2), message.message(15)
    options = Recurrence(input_forget=bool(settings.integer(50)))
    names = [_activation(one) for one in message.messages(10)]
    gates, candidate, output = (
        (*names, "sigmoid", "tanh", "tanh")[:3] if len(names) == 3 else ("sigmoid", "tanh", "tanh")
    )
    back = [_activation(one) for one in message.messages(11)]
    if back and back != names:
        raise NotRepresentable("the two directions have different activations: convert them one by one by hand")
    options = replace(options, activation=candidate, recurrent_activation=gates, output_activation=output)
    ways = list(message.messages(20))
    fields = [
        *(Field(1 + k, f"{gate}WeightMatrix", (units, inputs)) for k, gate in enumerate(_GATES)),
        *(Field(20 + k, f"{gate}RecursionMatrix", (units, units)) for k, gate in enumerate(_GATES)),
        *(Field(40 + k, f"{gate}BiasVector", (units,)) for k, gate in enumerate(_GATES)),
        *(Field(60 + k, f"{gate}PeepholeVector", (units,)) for k, gate in enumerate(_PEEPING)),
    ]
    arrays: dict[str, LazyArray] = {}
    for way, prefix in zip(ways, ("", "backward/"), strict=False):
        arrays |= {prefix + name: array for name, array in _arrays(place, way, fields).items()}
    layout = coreml.NETWORK_LSTM_OFFSET if settings.integer(30) else coreml.NETWORK_LSTM
    both = len(ways) == 2
    call = _call(bool(settings.integer(10)), bool(message.integer(100)), both)
    name = "biDirectionalLSTM" if both else "uniDirectionalLSTM"
    return Made(name, layout, arrays, options, call, ("forward", "backward") if both else (), _clipped(place, settings))


def _clipped(place: Place, settings: Message) -> str:
    """What is said of the limit that every cell has."""
    limit = settings.real(60) if 60 in settings else 50.0
    return (
        f"{printable(place.layer)} limits its cell to ±{limit:g}, which no module does: the outputs are the same while "
        "no cell grows beyond, and a cell grows by at most 1 a step"
    )


def _gru(place: Place, message: Message) -> Made:
    inputs, units = message.integer(1), message.integer(2)
    fields = [
        *(Field(30 + k, f"{gate}WeightMatrix", (units, inputs)) for k, gate in enumerate(_GRU)),
        *(Field(50 + k, f"{gate}RecursionMatrix", (units, units)) for k, gate in enumerate(_GRU)),
        *(Field(70 + k, f"{gate}BiasVector", (units,)) for k, gate in enumerate(_GRU)),
    ]
    names = [_activation(one) for one in message.messages(10)]
    gates, candidate = names if len(names) == 2 else ("sigmoid", "tanh")
    options = Recurrence(activation=candidate, recurrent_activation=gates)
    call = _call(bool(message.integer(15)), bool(message.integer(100)), False)
    return Made("GRU", coreml.NETWORK_GRU, _arrays(place, message, fields), options, call)


def _rnn(place: Place, message: Message) -> Made:
    inputs, units = message.integer(1), message.integer(2)
    fields = [
        Field(30, "weightMatrix", (units, inputs)),
        Field(31, "recursionMatrix", (units, units)),
        Field(32, "biasVector", (units,)),
    ]
    options = Recurrence(activation=_activation(message.message(10)) if 10 in message else "tanh")
    call = _call(bool(message.integer(15)), bool(message.integer(100)), False)
    return Made("simpleRecurrent", coreml.NETWORK_RNN, _arrays(place, message, fields), options, call)


def _linear(place: Place, message: Message) -> Made:
    inputs, outputs = message.integer(1), message.integer(2)
    fields = [Field(20, "weight", (outputs, inputs)), Field(21, "bias", (outputs,))]
    return Made("innerProduct", coreml.LINEAR, _arrays(place, message, fields))


def _embedding(place: Place, message: Message) -> Made:
    indices, features = message.integer(1), message.integer(2)
    arrays = _arrays(place, message, [Field(20, "weights", (features, indices))])
    if 21 in message:
        raise NotRepresentable("an embedding with a bias, which no module computes")
    return Made("embedding", coreml.NETWORK_EMBEDDING, arrays)


def _convolution(place: Place, message: Message) -> Made:
    outputs, inputs, groups = message.integer(1), message.integer(2), message.integer(10, 1)
    sizes = tuple(message.integers(20)) or (3, 3)
    turned = bool(message.integer(60))
    shape = (inputs, outputs // max(groups, 1), *sizes) if turned else (outputs, inputs, *sizes)
    fields = [Field(90, "weight", shape, 1 if turned else 0), Field(91, "bias", (outputs,))]
    strides, dilation = tuple(message.integers(30)), tuple(message.integers(40))
    options = Convolution(strides, dilation, groups, *_padding(message))
    layout = coreml.CONV_TRANSPOSE2D if turned else coreml.CONV2D
    return Made("convolution", layout, _arrays(place, message, fields), options)


def _batch_norm(place: Place, message: Message) -> Made:
    size = (message.integer(1),)
    fields = [Field(15 + k, name, size) for k, name in enumerate(("gamma", "beta", "mean", "variance"))]
    options = Normalization(epsilon=message.real(10) if 10 in message else 1e-5)
    return Made("batchnorm", coreml.BATCH_NORM, _arrays(place, message, fields), options)


def _layer_norm(place: Place, message: Message) -> Made:
    shape = tuple(message.integers(1))
    fields = [Field(3, "gamma", shape), Field(4, "beta", shape)]
    options = Normalization(epsilon=message.real(2) if 2 in message else 1e-5)
    return Made("layerNormalization", coreml.LAYER_NORM, _arrays(place, message, fields), options)


def prelu(place: Place, message: Message) -> Made:
    """An activation with a slope for each channel, or one for all."""
    return Made("PReLU", coreml.PRELU, {"alpha": flat(message.message(1), f"{place.layer}/alpha", place.file)})


_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
_PEEPING = ("inputGate", "forgetGate", "outputGate")
_GRU = ("updateGate", "resetGate", "outputGate")
KINDS: dict[int, Callable[[Place, Message], Made]] = {
    100: _convolution,
    140: _linear,
    150: _embedding,
    160: _batch_norm,
    400: _rnn,
    410: _gru,
    420: _lstm,
    430: _lstm,
    1040: _embedding,
    1350: _layer_norm,
}
_FUNCTIONS = {10: "relu", 30: "tanh", 40: "sigmoid", 60: "softsign", 70: "softplus"}
_HARD = 41
_SCALED = {5: "linear", 31: "scaled tanh"}


def _activation(message: Message) -> str:
    """The name of an activation; with its constants where it has them."""
    number = next(iter(message.numbers_of_fields()), 0)
    if number in _FUNCTIONS:
        return _FUNCTIONS[number]
    own = message.message(number)
    alpha, beta = own.real(1), own.real(2)
    if number == _HARD and abs(alpha - 0.2) < 1e-7 and beta == 0.5:
        return "hard_sigmoid_0.2"
    if number == 5 and (alpha, beta) == (1.0, 0.0):
        return "linear"
    return f"{_SCALED.get(number, f'activation {number}')} of {alpha:g} and {beta:g}"


def _padding(message: Message) -> tuple[str, tuple[int, ...]]:
    """The padding of a convolution: what stands before and behind each axis, or 'same'."""
    if 51 in message:
        return ("same_lower" if message.message(51).integer(1) else "same"), ()
    edges = list(message.message(50).message(1).messages(10))
    begins, ends = tuple(edge.integer(1) for edge in edges), tuple(edge.integer(2) for edge in edges)
    return ("explicit", (*begins, *ends)) if any((*begins, *ends)) else ("valid", ())


def _call(sequences: bool, backward: bool, both: bool) -> Call:
    return Call(
        sequences=sequences,
        direction="backward" if backward else "forward",
        merge="concat" if both else "",
        time_axis=0,
    )
