"""The layers of a Core ML neural network, by the numbers of the fields in NeuralNetwork.proto."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.readers.coreml.weights import flat, parameters
from converters.readers.message import Message
from converters.readers.source import Source
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer, printable
from layouts.frameworks import coreml
from layouts.layout import Layout
from layouts.options import Convolution, Normalization, Recurrence

_NAME, _LOOP, _BRANCH = 1, 615, 605
_ACTIVATION, _WITH_WEIGHTS = 130, (25, 71)
"""Activations with weights of their own: PReLU, and a softplus with parameters."""
_CONSTANTS = {
    245: ((2, "scale"), (5, "bias")),
    250: ((2, "bias"),),
    290: ((2, "data"),),
    500: ((20, "weights"),),
    1045: ((8, "weights"), (9, "bias")),
    1070: ((2, "data"),),
    1471: ((60, "weights"), (61, "bias")),
}
"""Layers of other kinds that hold numbers, and the fields in which they do."""
_MOST_LAYERS = 100_000


class Field(NamedTuple):
    """One array of a layer: the field of its message, its name in the layout, its sizes."""

    number: int
    name: str
    shape: tuple[int, ...]


def network_layers(source: Source, network: Message) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers of a network that have weights, and what else has to be said."""
    reading = _Reading(source.path)
    layers = tuple(reading.layers(network))
    return layers, tuple(dict.fromkeys(reading.remarks))


@dataclass
class _Made:
    """What a message of parameters tells of its layer."""

    class_name: str
    layout: Layout
    arrays: dict[str, LazyArray]
    options: Recurrence | Convolution | Normalization | None = None
    call: Call = Call()
    directions: tuple[str, ...] = ()


class _Reading:
    """One network on its way to layers."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.remarks: list[str] = []
        self._names: set[str] = set()

    def layers(self, network: Message) -> Iterator[Layer]:
        for number, layer in enumerate(network.messages(1)):
            if number >= _MOST_LAYERS:
                raise UnknownLayer(f"the network has more than {_MOST_LAYERS} layers")
            path = self._unique(layer.text(_NAME) or f"layer_{number}")
            kind = next((kind for kind in _KINDS if kind in layer), None)
            if kind is not None:
                yield self._layer(path, _KINDS[kind], layer.message(kind))
            else:
                yield from self._other(path, layer)

    def _unique(self, name: str) -> str:
        path, count = name, 1
        while path in self._names:
            path, count = f"{name}_{count}", count + 1
        self._names.add(path)
        return path

    def _layer(self, path: str, make: Callable[[_Reading, str, Message], _Made], message: Message) -> Layer:
        try:
            made = make(self, path, message)
            part = Part(made.layout, made.arrays, directions=made.directions)
            part = replace(part, options=made.options) if made.options else part
            part.solved()
            return Layer(path, made.class_name, (part,), made.call)
        except ConversionError as error:
            error.layer = path
            return Layer(path, "unknown", unknown=error)

    def _other(self, path: str, layer: Message) -> Iterator[Layer]:
        """A loop with weights, or a layer of another kind that has as many bytes as weights need."""
        bodies = [
            *layer.message(_LOOP).messages(4),
            *layer.message(_BRANCH).messages(1),
            *layer.message(_BRANCH).messages(2),
        ]
        if bodies:
            if any(True for body in bodies for _ in _Reading(self._path).layers(body)):
                text = "a loop or a branch with weights in it, such as a GRU becomes: it is not recognised as a layer"
                yield Layer(path, "loop", unknown=NotRepresentable(text, layer=path))
            return
        found = {
            name: flat(own.message(number), f"{path}/{name}", self._path)
            for kind, fields in _CONSTANTS.items()
            for own in layer.messages(kind)
            for number, name in fields
            if number in own
        }
        weights = {name: array for name, array in found.items() if array.size > 1 and np.any(array.read())}
        if weights or any(kind in layer.message(_ACTIVATION) for kind in _WITH_WEIGHTS):
            text = f"{', '.join(weights) or 'constants'} of a layer that is none of those known here"
            yield Layer(path, "unknown", unknown=UnknownLayer(text, layer=path), arrays=weights)

    def arrays(self, path: str, message: Message, fields: list[Field]) -> dict[str, LazyArray]:
        """Those of the fields that are there."""
        return {
            field.name: parameters(message.message(field.number), f"{path}/{field.name}", field.shape, self._path)
            for field in fields
            if field.number in message
        }

    def lstm(self, path: str, message: Message) -> _Made:
        inputs, units, settings = message.integer(1), message.integer(2), message.message(15)
        if settings.integer(50):
            options = Recurrence(input_forget=True)
        else:
            options = Recurrence()
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
        arrays = {}
        for way, prefix in zip(ways, ("", "backward/"), strict=False):
            arrays |= {prefix + name: array for name, array in self.arrays(path, way, fields).items()}
        self._clipped(path, settings)
        layout = coreml.NETWORK_LSTM_OFFSET if settings.integer(30) else coreml.NETWORK_LSTM
        both = len(ways) == 2
        call = _call(bool(settings.integer(10)), bool(message.integer(100)), both)
        name = "biDirectionalLSTM" if both else "uniDirectionalLSTM"
        return _Made(name, layout, arrays, options, call, ("forward", "backward") if both else ())

    def _clipped(self, path: str, settings: Message) -> None:
        limit = settings.real(60) if 60 in settings else 50.0
        self.remarks.append(
            f"{printable(path)} limits its cell to ±{limit:g}, which no module does: the outputs are the same while no cell "
            "grows beyond, and a cell grows by at most 1 a step"
        )

    def gru(self, path: str, message: Message) -> _Made:
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
        return _Made("GRU", coreml.NETWORK_GRU, self.arrays(path, message, fields), options, call)

    def rnn(self, path: str, message: Message) -> _Made:
        inputs, units = message.integer(1), message.integer(2)
        fields = [
            Field(30, "weightMatrix", (units, inputs)),
            Field(31, "recursionMatrix", (units, units)),
            Field(32, "biasVector", (units,)),
        ]
        options = Recurrence(activation=_activation(message.message(10)) if 10 in message else "tanh")
        call = _call(bool(message.integer(15)), bool(message.integer(100)), False)
        return _Made("simpleRecurrent", coreml.NETWORK_RNN, self.arrays(path, message, fields), options, call)

    def linear(self, path: str, message: Message) -> _Made:
        inputs, outputs = message.integer(1), message.integer(2)
        fields = [Field(20, "weight", (outputs, inputs)), Field(21, "bias", (outputs,))]
        return _Made("innerProduct", coreml.LINEAR, self.arrays(path, message, fields))

    def embedding(self, path: str, message: Message) -> _Made:
        indices, features = message.integer(1), message.integer(2)
        arrays = self.arrays(path, message, [Field(20, "weights", (features, indices))])
        if 21 in message:
            raise NotRepresentable("an embedding with a bias, which no module computes")
        return _Made("embedding", coreml.NETWORK_EMBEDDING, arrays)

    def convolution(self, path: str, message: Message) -> _Made:
        outputs, inputs, groups = message.integer(1), message.integer(2), message.integer(10, 1)
        sizes = tuple(message.integers(20)) or (3, 3)
        turned = bool(message.integer(60))
        shape = (inputs, outputs // max(groups, 1), *sizes) if turned else (outputs, inputs, *sizes)
        fields = [Field(90, "weight", shape), Field(91, "bias", (outputs,))]
        strides, dilation = tuple(message.integers(30)), tuple(message.integers(40))
        options = Convolution(strides, dilation, groups, *_padding(message))
        layout = coreml.CONV_TRANSPOSE2D if turned else coreml.CONV2D
        return _Made("convolution", layout, self.arrays(path, message, fields), options)

    def batch_norm(self, path: str, message: Message) -> _Made:
        size = (message.integer(1),)
        fields = [Field(15 + k, name, size) for k, name in enumerate(("gamma", "beta", "mean", "variance"))]
        options = Normalization(epsilon=message.real(10) if 10 in message else 1e-5)
        return _Made("batchnorm", coreml.BATCH_NORM, self.arrays(path, message, fields), options)

    def layer_norm(self, path: str, message: Message) -> _Made:
        shape = tuple(message.integers(1))
        fields = [Field(3, "gamma", shape), Field(4, "beta", shape)]
        options = Normalization(epsilon=message.real(2) if 2 in message else 1e-5)
        return _Made("layerNormalization", coreml.LAYER_NORM, self.arrays(path, message, fields), options)


_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
_PEEPING = ("inputGate", "forgetGate", "outputGate")
_GRU = ("updateGate", "resetGate", "outputGate")
_KINDS: dict[int, Callable[[_Reading, str, Message], _Made]] = {
    100: _Reading.convolution,
    140: _Reading.linear,
    150: _Reading.embedding,
    160: _Reading.batch_norm,
    400: _Reading.rnn,
    410: _Reading.gru,
    420: _Reading.lstm,
    430: _Reading.lstm,
    1040: _Reading.embedding,
    1350: _Reading.layer_norm,
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
