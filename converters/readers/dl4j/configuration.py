"""DL4J's configuration: the layers in the order of their parameters, with the names of the parameters of each.

A layer stands under its type, `{"gravesLSTM": {…}}`, or names its class, `{"@class": "….layers.LSTM"}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from layouts.errors import UnknownLayer, UnreadableCheckpoint, printable

_KINDS = {
    "gravesLSTM": "GravesLSTM",
    "gravesBidirectionalLSTM": "GravesBidirectionalLSTM",
    "dense": "DenseLayer",
    "output": "OutputLayer",
    "rnnoutput": "RnnOutputLayer",
    "embedding": "EmbeddingLayer",
    "convolution": "ConvolutionLayer",
    "batchNormalization": "BatchNormalization",
}
_FUNCTIONS = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "identity": "linear",
    "softsign": "softsign",
    "softplus": "softplus",
    "softmax": "softmax",
    "hardsigmoid": "hard_sigmoid_0.2",
    "elu": "elu",
    "selu": "selu",
    "gelu": "gelu",
    "swish": "silu",
}


class Configured(NamedTuple):
    """One layer: its path, its class, its settings, the names of its parameters in order.

    `ways`: the prefixes of its parameters, two where a wrapper runs it in both directions; `merge`: how these are
    joined.
    """

    path: str
    class_name: str
    settings: Mapping[str, Any]
    variables: tuple[str, ...]
    ways: tuple[str, ...] = ("",)
    merge: str = ""
    last: bool = False
    """Whether a wrapper takes its last step alone."""

    def number(self, key: str) -> int:
        """A size of the layer. Raises `UnreadableCheckpoint` where it is none."""
        value = next((v for k, v in self.settings.items() if k.lower() == key), None)
        if type(value) is not int or not 0 < value < 1 << 31:
            raise UnreadableCheckpoint(f"{printable(self.path)}: {key} is no size")
        return value

    def activation(self, key: str, default: str) -> str:
        """The function of a layer or of its gates, in this project's words where it is a known one."""
        value = self.settings.get(key)
        if isinstance(value, dict):
            named = str(value.get("@class", next(iter(value), "")))
            value = named.rpartition(".")[2].removeprefix("Activation")
        if value is None:
            return default
        return _FUNCTIONS.get(str(value).lower(), str(value))


def layers(configuration: Any) -> list[Configured]:
    """The layers with parameters. Raises `UnreadableCheckpoint` for nonsense, `UnknownLayer` for an open order."""
    if isinstance(configuration, dict) and isinstance(configuration.get("confs"), list):
        found = [_layer(str(k), conf) for k, conf in enumerate(configuration["confs"])]
    elif isinstance(configuration, dict) and isinstance(configuration.get("vertices"), dict):
        found = [_layer(name, conf) for name, conf in _vertices(configuration)]
    else:
        raise UnreadableCheckpoint("configuration.json describes neither a MultiLayerNetwork nor a ComputationGraph")
    return [one for one in found if one.variables]


def _layer(name: str, conf: Any) -> Configured:
    layer = conf.get("layer") if isinstance(conf, dict) else None
    if not isinstance(layer, dict):
        raise UnreadableCheckpoint(f"layer {printable(name)} has no settings")
    kind, settings = _kind(layer)
    last, merge = kind == "LastTimeStep", ""
    ways: tuple[str, ...] = ("",)
    if last:
        kind, settings = _within(name, settings, "underlying")
    if kind == "Bidirectional":
        ways, merge = ("f", "b"), str(settings.get("mode"))
        kind, settings = _within(name, settings, "fwd")
    variables = conf.get("variables", [])
    if not isinstance(variables, list) or not all(isinstance(variable, str) for variable in variables):
        raise UnreadableCheckpoint(f"layer {printable(name)} names no parameters")
    own = settings.get("layerName")
    path = own if isinstance(own, str) and own else name
    return Configured(path, kind, settings, tuple(variables), ways, merge, last)


def _within(name: str, settings: Mapping[str, Any], key: str) -> tuple[str, Mapping[str, Any]]:
    """The class and the settings of the layer that a wrapper holds."""
    inner = settings.get(key)
    if not isinstance(inner, dict):
        raise UnreadableCheckpoint(f"layer {printable(name)} wraps no layer")
    return _kind(inner)


def _kind(layer: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The class of a layer and its settings."""
    named = layer.get("@class")
    if isinstance(named, str):
        return named.rpartition(".")[2], layer
    (kind, settings), *others = layer.items() or [("", None)]
    if others or not isinstance(settings, dict):
        raise UnreadableCheckpoint("a layer's settings are not those of one type")
    return _KINDS.get(kind, kind), settings


def _vertices(configuration: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The layers of a graph in the one order that its connections allow.

    Raises `UnknownLayer` where they allow several: DL4J's own order of those is not stored, but in later releases.
    """
    vertices = configuration["vertices"]
    for name in _ordered(configuration, vertices):
        vertex = vertices.get(name)
        if isinstance(vertex, dict):
            inner = vertex.get("LayerVertex", vertex)
            if isinstance(inner, dict) and isinstance(inner.get("layerConf"), dict):
                yield name, inner["layerConf"]


def _ordered(configuration: Mapping[str, Any], vertices: Mapping[str, Any]) -> Sequence[str]:
    stored = configuration.get("topologicalOrderStr")
    if isinstance(stored, list) and {*vertices} <= {*stored}:
        return [str(name) for name in stored]
    inputs = configuration.get("vertexInputs")
    if not isinstance(inputs, dict):
        raise UnreadableCheckpoint("configuration.json does not tell how its vertices are connected")
    done = {str(name) for name in configuration.get("networkInputs") or ()}
    order: list[str] = []
    while len(order) < len(vertices):
        ready = [name for name in vertices if name not in done and {*map(str, inputs.get(name) or ())} <= done]
        if len(ready) != 1:
            raise UnknownLayer("its vertices have no single order, and that of their parameters is not stored")
        order += ready
        done |= {*ready}
    return order
