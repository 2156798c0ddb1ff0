"""What a checkpoint tells of a model as a whole: its graph, or why there is none; which of its layers are code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from converters.model.graph import Graph
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.readers.keras.config import Container
from converters.readers.keras.legacy import Weights
from converters.readers.keras.network import network
from converters.readers.keras.numbered import Folders
from converters.readers.keras.semantics import Version
from layouts.errors import CheckpointError

_CODE = {"Lambda", "TFOpLambda"}


def graph_of(
    model: Container | None, layers: Iterable[Layer], version: Version
) -> tuple[Graph | None, tuple[str, ...]]:
    """The graph of a model, or why there is none: weights are read without it."""
    if model is None:
        return None, ()
    try:
        return network(model, layers, version), ()
    except CheckpointError as error:
        return None, (f"the graph of the model could not be read: {error}",)


def as_called(layers: Sequence[Layer], graph: Graph | None) -> tuple[tuple[Layer, ...], Graph | None]:
    """The layers, and the graph of them, with what their nodes tell: how many axes they read, and of recurrent ones a
    mask, and initial states."""
    if graph is None:
        return tuple(layers), None
    ranks = _ranks(graph)
    masked = {node.layer.path for node in graph.nodes if node.layer is not None and node.mask}
    called = {node.layer.path for node in graph.nodes if node.layer is not None}
    given = {node.layer.path for node in graph.nodes if node.layer is not None and len(node.inputs) > 1}
    found = {
        layer.path: replace(layer, wiring=replace(layer.wiring, rank=ranks.get(layer.path, layer.wiring.rank)))
        for layer in layers
        if layer.path in called
    }
    found |= {
        path: replace(layer, call=_called(layer, path in masked, path in given))
        for path, layer in found.items()
        if layer.recurrent
    }
    nodes = (
        replace(node, layer=found.get(node.layer.path, node.layer)) if node.layer else node for node in graph.nodes
    )
    return tuple(found.get(layer.path, layer) for layer in layers), replace(graph, nodes=tuple(nodes))


def _ranks(graph: Graph) -> dict[str, int]:
    """The axes of what each layer reads, batch included, where the graph tells."""
    read = ((node.layer.path, graph.values.get(node.inputs[0])) for node in graph.nodes if node.layer and node.inputs)
    return {path: len(value.shape) for path, value in read if value is not None and value.shape is not None}


def _called(layer: Layer, masked: bool, given: bool) -> Call:
    """How a recurrent layer is called, with what the graph tells."""
    if not given:
        return replace(layer.call, masked=masked)
    two = any(part.cell.name.startswith("lstm") for part in layer.parts)
    return replace(layer.call, masked=masked, initial_h="input", initial_c="input" if two else "")


def code(model: Container | None, layers: Iterable[Layer], graph: Graph | None) -> tuple[str, ...]:
    """Layers without weights whose computation no configuration tells: Lambda, and registered classes."""
    with_weights = {layer.path for layer in layers}
    known = {node.name for node in graph.nodes} - {node.name for node in graph.unknown} if graph else set()
    leaves = model.leaves() if model else ()
    own = [leaf for leaf in leaves if leaf.class_name in _CODE or ">" in leaf.class_name]
    return tuple(f"{leaf.path} ({leaf.class_name})" for leaf in own if leaf.path not in with_weights | known)


def without_weights(groups: Iterable[tuple[str, Weights]]) -> tuple[str, ...]:
    """The layers that a file of weights alone lists without any."""
    return tuple(name for name, weights in groups if not weights)


def empty_folders(names: Mapping[str, str], stored: Folders) -> tuple[str, ...]:
    """The same of a file that keeps its arrays in folders and tells the names of layers."""
    full = {
        "/".join(words[:end]) for words in (f.split("/") for f in stored if stored[f]) for end in range(len(words) + 1)
    }
    return tuple(name for folder, name in names.items() if folder and folder not in full)
