"""The whole network of a file: layers where they are called, everything else in the words of ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from converters.model.graph import Drawn
from converters.model.layers import Layer
from converters.model.settings import Wiring
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.found import Found
from converters.readers.onnx.network.drawing import Parameter
from converters.readers.onnx.network.sites import is_parameter
from converters.readers.onnx.network.whole import network
from converters.readers.tflite.layers import Reading
from converters.readers.tflite.model import Operation
from converters.readers.tflite.options import STEPS
from converters.readers.tflite.recurrent import Recurrence
from converters.readers.tflite.words.told import InWords
from layouts.errors import ConversionError


def drawn(reading: Reading, layers: Sequence[Layer]) -> Drawn:
    """The network, or why there is none: weights are read without it."""
    quantized = {kind for tensor in sum(reading.model.ends[0], ()) if (kind := _kind(reading, tensor)) in _QUANTIZED}
    if quantized:
        return Drawn(None, (f"what goes in and comes out are quantized numbers ({', '.join(sorted(quantized))})",))
    try:
        places = _Places(reading.words)
        pairs = [(places.found(told, layer), layer) for told, layer in zip(reading.told, layers, strict=False)]
        known = [(found, layer) for found, layer in pairs if found is not None]
        parameters = {
            name: own
            for told, layer in zip(reading.told, layers, strict=False)
            for name, own in places.parameters(told, layer)
        }
        return Drawn(network(reading.words.scope, [one for one, _ in known], [layer for _, layer in known], parameters))
    except ConversionError as error:
        return Drawn(None, (f"the graph of the model could not be read: {error}",))


_QUANTIZED = ("int8", "uint8", "int16")
"""Numbers that mean others by a scale, at the ends of a model that computes with whole numbers throughout."""


def _kind(reading: Reading, tensor: int) -> str:
    return reading.model.described(0, tensor)[0]


class _Places:
    """Where layers stand: the nodes that each operation was told as."""

    def __init__(self, words: InWords) -> None:
        self._words = words
        self._nodes: dict[int, list[Node]] = {}
        for node in words.scope.nodes:
            maker = words.maker(node.output(0))
            if maker is not None:
                self._nodes.setdefault(id(maker), []).append(node)

    def found(self, told: tuple[Operation, ...] | Recurrence, layer: Layer) -> Found | None:
        """A layer in its place; None for one that makes nothing, and for one of a single step."""
        if isinstance(told, Recurrence):
            return told.found
        nodes = [node for one in told for node in self._nodes.get(id(one), ())]
        if not nodes or told[0].kind in STEPS:
            return None
        own = [node for node in nodes if node.op != "Reshape"] or nodes
        reads = self._turned_before(own[0].input(1 if told[0].kind == "GATHER" else 0), layer)
        gives = self._words.main.makes(told[-1].outputs[0])
        if layer.call.direction == "reverse":
            gives = next(node.output(0) for node in self._words.scope.readers(gives))
        return Found(replace(layer, wiring=Wiring(reads=reads, gives=(gives,))), tuple(own))

    def parameters(self, told: tuple[Operation, ...] | Recurrence, layer: Layer) -> Iterator[tuple[str, Parameter]]:
        """The arrays that arithmetic reads, by their names in the words of ONNX."""
        for one in told if is_parameter(layer) and not isinstance(told, Recurrence) else ():
            for tensor in one.inputs:
                array = self._words.main.constant(tensor)
                if array is not None and array.name in layer.arrays:
                    yield self._words.main.reads(tensor), (layer, array.name)

    def _turned_before(self, name: str, layer: Layer) -> str:
        """What a layer reads, before it was turned for one that reads from the end."""
        node = self._words.scope.producer(name) if layer.call.direction != "forward" else None
        return name if node is None else node.input(0)
