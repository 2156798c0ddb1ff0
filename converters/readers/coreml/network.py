"""The layers of a Core ML neural network, by the numbers of the fields in NeuralNetwork.proto."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from converters.model.layers import Layer, Part
from converters.readers.coreml.names import Paths
from converters.readers.coreml.network_kinds import KINDS, Made, Place, prelu
from converters.readers.coreml.network_loops import gru_layer
from converters.readers.coreml.weights import flat
from converters.readers.message import Message
from converters.readers.source import Source
from layouts.errors import OF_A_LAYER, NotRepresentable, UnknownLayer, UnsafeCheckpoint

_NAME, _LOOP, _BRANCH = 1, 615, 605
_ACTIVATION, _PRELU, _SOFTPLUS = 130, 25, 71
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
_MOST_LAYERS, _DEEPEST = 100_000, 16


def network_layers(source: Source, network: Message) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers of a network that have weights, and what else has to be said."""
    reading = _Reading(source.path)
    layers = tuple(reading.layers(network))
    return layers, tuple(dict.fromkeys(reading.remarks))


class _Reading:
    """One network on its way to layers."""

    def __init__(self, path: str, depth: int = 0) -> None:
        if depth > _DEEPEST:
            raise UnsafeCheckpoint("its loops and branches are nested too deeply", path=path)
        self._path, self._depth = path, depth
        self.remarks: list[str] = []
        self._paths = Paths()

    def layers(self, network: Message) -> Iterator[Layer]:
        before: list[Message] = []
        for number, layer in enumerate(network.messages(1)):
            if number >= _MOST_LAYERS:
                raise UnknownLayer(f"the network has more than {_MOST_LAYERS} layers")
            path = self._paths.unique(layer.text(_NAME) or f"layer_{number}")
            kind = next((kind for kind in KINDS if kind in layer), None)
            if kind is not None:
                yield self._layer(path, KINDS[kind], layer.message(kind))
            else:
                yield from self._other(path, layer, before)
            before.append(layer)

    def _layer(self, path: str, make: Callable[[Place, Message], Made], message: Message) -> Layer:
        try:
            made = make(Place(self._path, path), message)
            part = Part(made.layout, made.arrays, directions=made.directions)
            part = replace(part, options=made.options) if made.options else part
            part.solved()
            self.remarks += [made.remark] * bool(made.remark)
            return Layer(path, made.class_name, (part,), made.call)
        except OF_A_LAYER as error:
            error.layer = path
            return Layer(path, "unknown", unknown=error)

    def _other(self, path: str, layer: Message, before: Sequence[Message]) -> Iterator[Layer]:
        """A loop with weights, or a layer of another kind that has as many bytes as weights need."""
        found = gru_layer(path, layer, before, self._path) if _LOOP in layer else None
        if found is not None:
            yield found
            return
        bodies = [
            *layer.message(_LOOP).messages(4),
            *layer.message(_BRANCH).messages(1),
            *layer.message(_BRANCH).messages(2),
        ]
        if bodies:
            if any(True for body in bodies for _ in _Reading(self._path, self._depth + 1).layers(body)):
                text = "a loop or a branch with weights in it, such as a GRU becomes: it is not recognised as a layer"
                yield Layer(path, "loop", unknown=NotRepresentable(text, layer=path))
            return
        if _PRELU in layer.message(_ACTIVATION):
            yield self._layer(path, prelu, layer.message(_ACTIVATION).message(_PRELU))
            return
        numbers = {
            name: flat(own.message(number), f"{path}/{name}", self._path)
            for kind, fields in _CONSTANTS.items()
            for own in layer.messages(kind)
            for number, name in fields
            if number in own
        }
        weights = {name: array for name, array in numbers.items() if array.size > 1 and np.any(array.read())}
        if weights or _SOFTPLUS in layer.message(_ACTIVATION):
            text = f"{', '.join(weights) or 'constants'} of a layer that is none of those known here"
            yield Layer(path, "unknown", unknown=UnknownLayer(text, layer=path), arrays=weights)
