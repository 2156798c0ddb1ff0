"""Everything Keras ever wrote, told apart by content: whole models, weights alone, archives, folders and shards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.model.checkpoint import Checkpoint
from converters.model.graph import as_drawn
from converters.model.layers import Layer
from converters.model.settings import Wiring
from converters.readers.hdf5.group import Group
from converters.readers.hdf5.tree import read_tree
from converters.readers.json_data import parse_json
from converters.readers.keras import legacy, numbered
from converters.readers.keras.belonging import belonging, strangers
from converters.readers.keras.config import Container, check_object, is_model, read_model
from converters.readers.keras.flattening import reads_flattened, with_flattened
from converters.readers.keras.graph import GraphFacts, graph_facts
from converters.readers.keras.orderings import with_orderings
from converters.readers.keras.semantics import KERAS1, LOCALLY_CONNECTED, Version, not_saved, parse_version
from converters.readers.keras.statements import Statements
from converters.readers.keras.theano import with_padding, with_same_pooling
from converters.readers.keras.whole import as_called, code, empty_folders, graph_of, without_weights
from converters.readers.opened import Opened, Request
from converters.readers.source import Source, open_beside
from layouts.errors import (
    CoverageError,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    printable,
)

if TYPE_CHECKING:
    from converters.readers.archives import Archive

Assume = Mapping[str, str]
"""'layer.option' or 'option' -> value, for what a file without a configuration does not store."""

_MOST_CONFIG = 40 << 20
_WEIGHTS_OF_211 = "variables.h5"
"""What TensorFlow 2.11 calls the weights in the archives that its pickles hold."""


def read_hdf5(opened: Opened, request: Request) -> Checkpoint:
    """Any HDF5 file of Keras, by its content."""
    source, assume = opened.source, request.assume
    root = read_tree(source, belonging)
    if root.group("model_weights") or root.strings("layer_names") is not None:
        return _legacy(source.path, root, assume)
    if numbered.is_numbered(root):
        return from_folders(source.path, "weights (.weights.h5)", [root], None, parse_version(""), assume)
    raise UnreadableCheckpoint(
        "this HDF5 file holds no Keras weights: no layer_names, no numbered variables "
        f"(its root holds {', '.join(map(printable, [*root.groups, *root.arrays, *root.outside][:6])) or 'nothing'}). "
        "Are these arrays of another framework? State framework="
    )


def read_archive(opened: Opened, request: Request) -> Checkpoint:
    """A `.keras` archive."""
    source, archive = opened.source, opened.archive
    assert archive is not None, opened.path
    config = archive.read("config.json", _MOST_CONFIG)
    most = (64 << 20) + 32 * len(source)
    weights = archive.read("model.weights.h5", most) or archive.read(_WEIGHTS_OF_211, most)
    if config is None or weights is None:
        raise UnreadableCheckpoint(
            _what_archive(archive) or f"the archive has no {'config.json' if config is None else 'model.weights.h5'}",
            path=source.path,
        )
    metadata = archive.read("metadata.json", _MOST_CONFIG)
    return _parts(source.path, "archive (.keras)", config, metadata, weights, request.assume)


def read_folder(folder: Path, request: Request) -> Checkpoint:
    """A model saved with `zipped=False`."""
    path, owner = str(folder), str(folder / "config.json")
    config = open_beside(owner, "config.json")
    metadata = open_beside(owner, "metadata.json") if (folder / "metadata.json").exists() else None
    weights = open_beside(owner, "model.weights.h5")
    return _parts(path, "folder (.keras, not zipped)", config, metadata, weights, request.assume)


def read_shards(opened: Opened, request: Request) -> Checkpoint:
    """Weights in shards: the `.weights.json` index and the files it names, which stand beside it."""
    source, index = opened.source, opened.json
    if isinstance(index, dict) and "class_name" in index:
        raise UnreadableCheckpoint("this is a model's configuration alone: it holds no weights", path=source.path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UnreadableCheckpoint("the index has no weight_map of folders to files", path=source.path)
    files: dict[str, None] = {}
    for folder, listed in weight_map.items():
        for name in listed if isinstance(listed, list) else [listed]:
            if not isinstance(name, str):
                raise UnreadableCheckpoint(f"weight_map: {printable(folder)} names no file", path=source.path)
            files[name] = None
    if len(files) > 10_000:
        raise UnsafeCheckpoint(f"the index names {len(files)} files", path=source.path)
    roots = [read_tree(open_beside(source.path, name, ranged=True), belonging) for name in files]
    stored = numbered.folders(*roots)
    for folder in map(str, weight_map):
        if not stored.get(folder.strip("/").removesuffix("vars").rstrip("/")):
            raise CoverageError(f"the index lists {printable(folder)}, and no shard stores its arrays")
    container = f"weights in {len(roots)} shards"
    return from_folders(source.path, container, roots, None, parse_version(""), request.assume)


def _what_archive(archive: Archive) -> str:
    names = list(archive.members)
    if any(name.endswith("data.pkl") for name in names):
        return "this is a PyTorch file already (or TorchScript): there is nothing to convert"
    if names and all(name.endswith(".npy") for name in names):
        return "this is a NumPy .npz archive: load it and pass the arrays with framework="
    return ""


def _parts(
    path: str, container: str, config: Source, metadata: Source | None, weights: Source, assume: Assume
) -> Checkpoint:
    described = parse_json(config.view, "config.json", path)
    check_object(described, "config.json", path)
    facts = parse_json(metadata.view, "metadata.json", path) if metadata else {}
    version = parse_version(facts.get("keras_version") if isinstance(facts, dict) else "")
    root = read_tree(weights, belonging, "model.weights.h5")
    if root.strings("layer_names") is not None:
        return _legacy(path, root, assume, described, version)
    return from_folders(path, container, [root], described, version, assume)


def from_folders(
    path: str, container: str, roots: list[Group], config: Any, version: Version, assume: Assume
) -> Checkpoint:
    """Arrays in the folders of a `.keras` archive, and the configuration of the model, if any."""
    stored = numbered.folders(*roots)
    model = _model(config, path, version) if is_model(config) else None
    if model is not None:
        layers = list(numbered.read_layers(stored, model, version))
        return _checkpoint(path, container, version, layers, model, Statements(assume), strangers(*roots))
    from converters.readers.keras import unconfigured

    names = {folder: name for root in roots for folder, name in numbered.layer_names(root).items()}
    statements = Statements(assume)
    found = list(unconfigured.from_folders(stored, names, version, statements))
    layers = list(with_flattened(found, statements, version))
    container = f"{container}, no configuration of its layers"
    left = strangers(*roots)
    return _checkpoint(path, container, version, layers, None, statements, left, empty_folders(names, stored))


def _legacy(path: str, root: Group, assume: Assume, config: Any = None, version: Version | None = None) -> Checkpoint:
    whole = root.group("model_weights") if root.strings("layer_names") is None else None  # else a layer of that name
    weights = whole or root
    said, backend = ([group.text(name) for group in (root, weights)] for name in ("keras_version", "backend"))
    text = root.attributes.get("model_config")
    config = parse_json(text, "model_config", path) if isinstance(text, str) else config
    if "model_config" in root.attributes:
        check_object(config, "model_config", path)
    stored = list(legacy.groups(weights))
    written = next(filter(None, said), "")
    version = version or (parse_version(written) if written or not _keras1_names(stored) else KERAS1)
    theano = next(filter(None, backend), "") == "theano" or (
        version.major == 1 and not any(n.endswith(":0") for _, w in stored for n, _ in w)
    )
    if is_model(config):
        model = _model(config, path, version)
        layers = list(legacy.read_layers(dict(stored), model, version, theano))
        layers = list(with_padding(layers)) if theano else layers
        found = _checkpoint(path, "whole model (HDF5)", version, layers, model, Statements(assume), strangers(root))
        return with_same_pooling(found) if theano else found
    from converters.readers.keras import unconfigured

    statements = Statements(assume)
    grouped = list(unconfigured.from_groups(stored, version, theano, statements))
    layers = list(with_flattened(grouped, statements, version))
    layers = list(with_padding(layers)) if theano else layers
    left = strangers(root)
    return _checkpoint(path, "weights only (HDF5)", version, layers, None, statements, left, without_weights(stored))


def from_memory(
    config: str, stored: dict[str, legacy.Weights], version: Version, name: str, assume: Assume
) -> Checkpoint:
    """A model in memory: its own JSON, and the arrays of every layer under the names of its file."""
    described = parse_json(config, "the configuration", name)
    model = _model(described, name, version)
    layers = list(legacy.read_layers(stored, model, version, False))
    return _checkpoint(name, "model in memory", version, layers, model, Statements(assume))


def from_groups(
    path: str,
    container: str,
    stored: list[tuple[str, legacy.Weights]],
    version: Version,
    assume: Assume,
    unused: tuple[str, ...] = (),
    told: Mapping[str, Mapping[str, Any]] | None = None,
) -> Checkpoint:
    """Arrays by layer, under the names that layers give them, of a container that tells no configuration.

    `told` is what the container tells of each layer beside its arrays.
    """
    from converters.readers.keras import unconfigured

    statements = Statements(assume, told)
    grouped = list(unconfigured.from_groups(stored, version, False, statements))
    layers = list(with_flattened(grouped, statements, version))
    container = f"{container}, no configuration of its layers"
    return _checkpoint(path, container, version, layers, None, statements, unused)


def from_config(
    path: str,
    container: str,
    config: Any,
    stored: Mapping[str, legacy.Weights],
    version: Version,
    assume: Assume,
    unused: tuple[str, ...] = (),
) -> Checkpoint:
    """Arrays by layer, and the configuration of the model that has them."""
    model = _model(config, path, version)
    layers = list(legacy.read_layers(stored, model, version, False))
    return _checkpoint(path, container, version, layers, model, Statements(assume), unused)


def _model(config: Any, path: str, version: Version) -> Container:
    """The structure of a model, its layers with what only the whole of it tells of them."""
    model = read_model(config, path)
    model = with_orderings(model) if version.major == 1 else model
    if not any(leaf.class_name in LOCALLY_CONNECTED for leaf in model.leaves()):
        return model
    from converters.readers.keras.locally_connected import with_inputs

    return with_inputs(model, version)


def from_names(
    path: str, container: str, config: Any, weights: legacy.Weights, version: Version, assume: Assume
) -> Checkpoint:
    """Arrays of all layers in one list, whose names tell whose they are, and the configuration of the model."""
    model = _model(config, path, version)
    layers = list(legacy.read_layers(legacy.by_group(weights, model), model, version, False))
    return _checkpoint(path, container, version, layers, model, Statements(assume))


def _keras1_names(stored: Iterable[tuple[str, legacy.Weights]]) -> bool:
    """Whether arrays are named as only Keras 1 did: `lstm_1_W_i`, `dense_1_W`, without a folder."""
    names = [name.removesuffix(":0") for _, weights in stored for name, _ in weights]
    return any(name.endswith(("_W", "_b", "_W_i", "_W_z")) and "/" not in name for name in names)


def _checkpoint(
    path: str,
    container: str,
    version: Version,
    layers: Iterable[Layer],
    model: Container | None,
    statements: Statements,
    unused: tuple[str, ...] = (),
    weightless: tuple[str, ...] = (),
) -> Checkpoint:
    facts = graph_facts(model) if model else {}
    layers = tuple(layers)
    statements.check(layers)
    known = tuple(_in_graph(layer, facts.get(layer.path)) for layer in layers)
    graph, remarks = graph_of(model, known, version)
    remarks = (*remarks, *not_saved(known if model else (), version))
    known, graph = as_called(known, graph)
    custom = code(model, known, graph)
    return Checkpoint(
        path, "keras", version.text, container, known, custom, unused, remarks, weightless, as_drawn(graph)
    )


def _in_graph(layer: Layer, facts: GraphFacts | None) -> Layer:
    """The layer with what the graph of its model tells: a mask on its input, a map flattened before it."""
    if facts is None:
        return layer
    flattened = facts.flattened if facts.flattened and reads_flattened(layer, facts.flattened) else ()
    lost = facts.flattened is not None and not flattened and math.prod(facts.flattened[:-1]) > 1
    wiring = Wiring(facts.fed_by, facts.rank, flattened, facts.reshaped or lost)
    parts = tuple(part if part.layer else replace(part, flattened=flattened) for part in layer.parts)
    return replace(layer, call=replace(layer.call, masked=facts.masked), wiring=wiring, parts=parts)
