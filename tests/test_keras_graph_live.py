"""Graphs of models built live: shapes are those that the framework works out, and masks those that its layers read."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import pytest
from graph_models import MODELS, parts
from sampling import sampled

import converters
from converters.model import operations as op
from converters.model.graph import Graph, Node

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def built(request: pytest.FixtureRequest) -> SimpleNamespace:
    keras = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    tensorflow = pytest.importorskip("tensorflow", reason="the framework runs on TensorFlow here")
    return SimpleNamespace(keras=keras, tensorflow=tensorflow, parts=parts(keras))


@pytest.mark.parametrize("name", sampled(MODELS, 2))
def test_shapes_and_masks_are_those_of_the_framework(name: str, built: SimpleNamespace) -> None:
    inputs, outputs = MODELS[name](built.parts)
    model = built.keras.Model(inputs, outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = converters.read(model).graph
    assert graph is not None
    assert graph.unknown == ()
    assert [value.shape for value in graph.inputs] == [tuple(each.shape) for each in model.inputs]
    assert [graph.values[each].shape for each in graph.outputs] == [tuple(each.shape) for each in model.outputs]
    shapes_are_equal(graph, model)
    values = [feed(each) for each in model.inputs]
    wanted = masks_read(built, model, values)
    found = [evaluated(graph, values).get(node.mask) for node in readers(graph)]
    assert set(map(told, found)) == set(map(told, wanted))
    if name != "every_step":  # where Keras 3 calls a layer once for every step
        assert len(found) == len(wanted)


def shapes_are_equal(graph: Graph, model: Any) -> None:
    """Raise unless every call of a layer of the outermost model gives values of the framework's shapes."""
    for layer in model.layers:
        nested = hasattr(layer, "layers") or hasattr(getattr(layer, "layer", None), "layers")
        if nested or type(layer).__name__ == "InputLayer":
            continue
        own = {node.name: None for node in graph.nodes if node.name == layer.name}
        ends = [graph.values[node.outputs[0]].shape for node in graph.nodes if node.name in own and ends_call(node)]
        for shape in (first(node.output_tensors).shape for node in layer._inbound_nodes):
            assert tuple(shape) in ends, layer.name


def first(value: Any) -> Any:
    while isinstance(value, list | tuple):
        value = value[0]
    return value


def ends_call(node: Node) -> bool:
    """Whether a node makes a layer's own value, and not one on the way to it."""
    return node.class_name != "mask" and ":" not in node.outputs[0]


def feed(value: Any) -> Array:
    """Numbers for an input: indices with zeros among them, series with steps that are masked."""
    sizes = [2 if size is None else size for size in value.shape]
    chance = np.random.default_rng(len(sizes))
    if "int" in str(value.dtype):
        return chance.integers(0, 3, sizes).astype("int32")
    found = chance.normal(size=sizes).astype("float32")
    if len(sizes) == 3:
        found[0, 1] = found[1, -2:] = 1.5
    return found


RECURRENT = ("LSTM", "GRU")
OTHERS = ("GlobalAveragePooling1D", "Attention")


def readers(graph: Graph) -> Iterator[Node]:
    """The nodes whose masks are compared; one of both directions stands for two layers."""
    for node in graph.nodes:
        recurrent = node.layer is not None and node.layer.recurrent
        if recurrent or (node.class_name in OTHERS and not isinstance(node.operation, op.Masked)):
            yield from [node] * (2 if node.class_name.startswith("Bidirectional") else 1)


def masks_read(built: SimpleNamespace, model: Any, values: Sequence[Array]) -> list[Array | None]:
    """The masks with which the framework calls its layers."""
    seen: list[Array | None] = []
    with spied(built.keras, seen):
        tensors = [built.tensorflow.constant(value) for value in values]
        model(tensors if len(tensors) > 1 else tensors[0], training=False)
    return seen


@contextmanager
def spied(keras: Any, seen: list[Array | None]) -> Iterator[None]:
    """While it lasts, every call of a layer that reads masks notes its own."""
    kinds = [getattr(keras.layers, name) for name in (*RECURRENT, *OTHERS)]
    owners = [next(base for base in kind.__mro__ if "call" in vars(base)) for kind in kinds]
    calls = [owner.call for owner in owners]
    for kind, owner, call in zip(kinds, owners, calls, strict=True):
        owner.call = _noting(kind, call, seen)
    try:
        yield
    finally:
        for owner, call in zip(owners, calls, strict=True):
            owner.call = call


def _noting(kind: Any, call: Any, seen: list[Array | None]) -> Any:
    @functools.wraps(call)
    def noting(self: Any, inputs: Any, *others: Any, mask: Any = None, **named: Any) -> Any:
        if type(self) is kind:
            one = mask[1 if kind.__name__ == "Attention" else 0] if isinstance(mask, list | tuple) else mask
            seen.append(None if one is None else np.asarray(one))
        return call(self, inputs, *others, mask=mask, **named)

    return noting


def evaluated(graph: Graph, values: Sequence[Array]) -> dict[str, Array]:
    """Every value that follows from the inputs by masks alone."""
    found = {value.name: array for value, array in zip(graph.inputs, values, strict=True)}
    for node in graph.nodes:
        if isinstance(node.operation, op.EveryStep):
            found[node.outputs[0]] = np.ones((2, graph.values[node.inputs[0]].shape[1]), bool)
        elif all(name in found for name in node.inputs):
            made = _mask(node, [found[name] for name in node.inputs])
            found |= {node.outputs[0]: made} if made is not None else {}
    return found


def _mask(node: Node, read: Sequence[Array]) -> Array | None:
    operation = node.operation
    if isinstance(operation, op.MaskOf):
        differs = read[0] != operation.value
        return np.asarray(differs if operation.indices else differs.any(-1))
    if isinstance(operation, op.BothMasks):
        return np.logical_and.reduce(read)
    if isinstance(operation, op.EitherMask):
        return np.logical_or.reduce(read)
    if isinstance(operation, op.Concatenate) and node.class_name == "mask":
        return np.concatenate(read, operation.axis)
    return None


def told(mask: Array | None) -> str:
    """A mask as text that sorts; one that leaves nothing out is none."""
    return "none" if mask is None or mask.all() else str(mask.astype(int).tolist())
