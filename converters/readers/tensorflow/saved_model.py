"""SavedModels: of tf.keras with the configuration of its layers, of Keras 3's `export` without, of tf.Module and TF 1.

tf.keras writes the configuration of every layer as JSON, to `keras_metadata.pb` from 2.5 on and into `saved_model.pb`
before, with the place of the layer in the object graph. Source: saved_metadata.proto of Keras;
saved_model.proto, meta_graph.proto and saved_object_graph.proto in tensorflow/core/protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.graph import Drawn
from converters.readers.json_data import parse_json
from converters.readers.keras import files as keras
from converters.readers.keras.config import is_model
from converters.readers.keras.layers import candidates
from converters.readers.keras.legacy import Weights
from converters.readers.keras.semantics import Version, parse_version
from converters.readers.message import Message, text
from converters.readers.opened import Request
from converters.readers.source import open_beside
from converters.readers.tensorflow import bundle, checkpoints, concrete, objects, variables
from converters.readers.tensorflow.objects import Object, Variable
from converters.readers.tensorflow.places import SAVED_MODEL
from layouts.errors import ConversionError, UnreadableCheckpoint
from layouts.records import dataclass, replace

_CONTAINER = "SavedModel"
_INDEX = "variables/variables.index"
_METADATA = "keras_metadata.pb"
_KERAS_OBJECT = "_tf_keras_"
_SKIPPED = frozenset({"keras_api", "optimizer", "root", "loss", "signatures", "train_function", "train_tf_function"})
_MOST_ENTRIES = 100_000
_TUPLES = {"__tuple__", "TensorShape"}


@dataclass(frozen=True)
class Entry:
    """What Keras notes of one object: its place from the root, what it is, and its JSON."""

    path: tuple[str, ...]
    identifier: str
    note: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.note.get("name", ""))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as a model lists it among its layers."""
        config = self.note.get("config")
        return {"class_name": self.note.get("class_name"), "config": config, "name": self.name, "inbound_nodes": []}


def read_saved_model(folder: Path, request: Request) -> Checkpoint:
    """The layers of a SavedModel, with its graph where it tells the configuration of the whole model."""
    owner = str(folder / SAVED_MODEL)
    graphs = list(Message(open_beside(owner, SAVED_MODEL).view).messages(2))
    if not graphs:
        raise UnreadableCheckpoint("its saved_model.pb holds no graph: damaged, or no SavedModel", path=str(folder))
    if not (folder / _INDEX).is_file():
        raise UnreadableCheckpoint(f"it has no variables: {_INDEX} is not there", path=str(folder))
    stored = replace(bundle.read_bundle(open_beside(owner, _INDEX)), path=str(folder), container=_CONTAINER)
    read = stored.texts.get(objects.GRAPH)
    if read is None:
        return variables.of_names(stored, request, variables.of_meta(graphs[0], stored.arrays))
    known = objects.objects(read())
    found, unused = objects.weights(stored, known)
    written = graphs[0].message(1).text(5)
    entries = list(_entries(folder, owner, graphs[0], known))
    if request.framework in (None, "keras") and entries:
        return _with_configuration(str(folder), found, unused, known, entries, request, _version(entries, written))
    version = "3" if any(child.name == "_misc_assets" for child in known[0].children) else ""
    return checkpoints.read_objects(stored, known, request, version, concrete.seen(graphs[0], known, stored.arrays))


def _version(entries: Sequence[Entry], written: str) -> Version:
    """The version of tf.keras: what its root notes, or that of the TensorFlow that wrote the file."""
    noted = next((entry.note.get("keras_version") for entry in entries if not entry.path), None)
    old = written.startswith("1.")
    return parse_version(noted if isinstance(noted, str) else "2.2.4-tf" if old else f"{written}-tf")


def _entries(folder: Path, owner: str, graph: Message, known: Sequence[Object]) -> Iterator[Entry]:
    """What Keras notes of objects, in a file of its own or in the graph's objects."""
    if (folder / _METADATA).is_file():
        nodes = Message(open_beside(owner, _METADATA).view).messages(1)
        found = ((tuple(node.text(3).split(".")[1:]), node.text(4), node.bytes(5)) for node in nodes)
    else:
        held = enumerate(graph.message(7).messages(1))
        users = ((number, node.message(4)) for number, node in held if 4 in node)
        places = _places(known)
        found = ((places[k], user.text(1), user.bytes(3)) for k, user in users if k in places)
    for count, (path, identifier, note) in enumerate(found):
        if count >= _MOST_ENTRIES:
            raise UnreadableCheckpoint(f"Keras notes more than {_MOST_ENTRIES} objects", path=str(folder))
        if identifier.startswith(_KERAS_OBJECT) and "metric" not in identifier and len(note):
            parsed = _plain(parse_json(text(note), _METADATA, str(folder)))
            if isinstance(parsed, dict):
                yield Entry(path, identifier, parsed)


def _plain(value: Any) -> Any:
    """JSON in which tuples and shapes, which these notes mark as such, are lists, as in every other file of Keras."""
    if isinstance(value, dict):
        if value.get("class_name") in _TUPLES and isinstance(value.get("items"), list):
            return _plain(value["items"])
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _places(known: Sequence[Object]) -> dict[int, tuple[str, ...]]:
    """The first place of every object, nearest to the root."""
    found: dict[int, tuple[str, ...]] = {0: ()}
    waiting = [0]
    for number in waiting:
        for child in known[number].children:
            if child.node not in found and child.name not in _SKIPPED:
                found[child.node] = (*found[number], child.name)
                waiting.append(child.node)
    return found


def _with_configuration(
    path: str,
    found: Sequence[Variable],
    unused: Sequence[str],
    known: Sequence[Object],
    entries: Sequence[Entry],
    request: Request,
    version: Version,
) -> Checkpoint:
    """The layers of a model whose configuration is noted: the whole one's, or that of each layer."""
    root = next((entry for entry in entries if not entry.path), None)
    whole = root.config if root is not None and is_model(root.config) else None
    owners = _owners(entries, known, nested=whole is None)
    stored = _stored(found, known, {entry.name: number for entry, number in owners})
    config = whole or _listed([entry for entry, _ in owners])
    taken = {id(array) for weights in stored.values() for _, array in weights}
    left = [variable.key for variable in found if id(variable.array) not in taken]
    if left:
        raise ConversionError(f"{left[0]} belongs to no layer of the model's configuration", array=left[0], path=path)
    checkpoint = keras.from_config(path, _CONTAINER, config, stored, version, request.assume, tuple(unused))
    return checkpoint if whole is not None else replace(checkpoint, network=Drawn)


def _owners(entries: Sequence[Entry], known: Sequence[Object], *, nested: bool) -> list[tuple[Entry, int]]:
    """The layers and their objects: those directly below the root, or where that is no list, each that has a layout."""
    found: list[tuple[Entry, int]] = []
    for entry in sorted(entries, key=lambda entry: len(entry.path)):
        inside = any(entry.path[: len(owner.path)] == owner.path for owner, _ in found)
        fits = bool(candidates(str(entry.note.get("class_name")))) or entry.note.get("class_name") in _WRAPPERS
        number = objects.at(known, entry.path)
        if entry.path and number is not None and not inside and (fits if nested else len(entry.path) == 1):
            found.append((entry, number))
    return found


_WRAPPERS = {"Bidirectional", "TimeDistributed", "RNN"}


def _stored(found: Sequence[Variable], known: Sequence[Object], layers: Mapping[str, int]) -> dict[str, Weights]:
    """The variables of each layer by its object, under the names that they were given."""
    arrays = {variable.key: variable for variable in found}
    stored: dict[str, Weights] = {}
    for name, number in layers.items():
        held = (arrays.get(one.key) for one in objects.below(known, number, _SKIPPED))
        stored[name] = [(variable.name, variable.array) for variable in held if variable is not None]
    return stored


def _listed(entries: Sequence[Entry]) -> dict[str, Any]:
    """Layers of somebody's own model as if they stood in one list: only their own configurations are read."""
    return {"class_name": "Sequential", "config": {"name": "layers", "layers": [entry.config for entry in entries]}}
