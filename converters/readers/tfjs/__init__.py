"""TensorFlow.js: `model.json` of a layers model, Keras's configuration and a manifest of the weights beside it.

`tensorflowjs_converter` writes what stands in a file of Keras, names of its arrays without `:0`, in one list for all
layers; of a `.keras` archive their places in it. Models that were made in JavaScript say `tfjs-layers` for a version.
Sources: keras_h5_conversion.py of tensorflowjs; container.ts and training.ts of tfjs-layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.readers.hdf5.group import Group
from converters.readers.json_data import parse_json
from converters.readers.keras import files as keras
from converters.readers.keras.belonging import is_training
from converters.readers.keras.config import check_object, is_model
from converters.readers.keras.numbered import is_numbered
from converters.readers.keras.semantics import Version, parse_version
from converters.readers.opened import Opened, Request
from converters.readers.signatures import TFJS_MODEL, is_tfjs
from converters.readers.source import open_source
from converters.readers.tfjs.manifest import Weights, read_manifest
from layouts.errors import NotRepresentable, UnreadableCheckpoint, printable

_CONTAINER = "layers model of TensorFlow.js"
_JAVASCRIPT = "tfjs-layers"
_DEQUANTIZED = (
    "weights are stored as fewer bits: they are read as the numbers that TensorFlow.js makes of them, q × scale + min, "
    "or those of float16; the model before quantization had others"
)


def read_folder(folder: Path, request: Request) -> Checkpoint:
    """The model whose `model.json` stands in a folder."""
    opened = Opened(open_source(folder / TFJS_MODEL))
    if not is_tfjs(opened):
        raise UnreadableCheckpoint(f"this folder is not a model: its {TFJS_MODEL} is none of TensorFlow.js")
    return read_file(opened, request)


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a `model.json` and the shards beside it. Raises `NotRepresentable` for a graph model."""
    described, path = opened.json, opened.path
    topology = described.get("modelTopology")
    if described.get("format") == "graph-model" or (isinstance(topology, dict) and "node" in topology):
        raise NotRepresentable(
            "this is a graph model of TensorFlow.js: operations that its converter has fused, and no layers. "
            "Convert the SavedModel or the file of Keras that it was made of",
            path=path,
        )
    if not isinstance(topology, dict):
        raise UnreadableCheckpoint("its modelTopology is no configuration of a model", path=path)
    config = _config(topology, path)
    return _checkpoint(path, config, read_manifest(opened), _version(topology), request)


def _config(topology: Mapping[str, Any], path: str) -> Any:
    """The configuration as Keras has it: converted files keep it as `model_config`, early ones as a text."""
    config = topology.get("model_config", topology)
    config = parse_json(config, "model_config", path) if isinstance(config, str) else config
    check_object(config, "modelTopology", path)
    if not is_model(config):
        raise UnreadableCheckpoint("its modelTopology lists no layers, as that of a subclassed model", path=path)
    if topology.get("backend") == "theano":
        raise NotRepresentable(
            "the model was made by the Theano backend, which flips the kernels of convolutions; TensorFlow.js computes "
            "with them as they stand. Convert the file of Keras that it was made of",
            path=path,
        )
    return config


def _version(topology: Mapping[str, Any]) -> Version:
    """The version of Keras; layers of JavaScript compute what those of Keras 2.2 do.

    `hardSigmoid` is 0.2 x + 0.5 and the default of gates; at masked steps the last output comes again, in both
    directions. Sources: backend/tfjs_backend.ts, layers/recurrent.ts and layers/wrappers.ts of tfjs-layers.
    """
    written = topology.get("keras_version")
    if isinstance(written, str) and written.startswith(_JAVASCRIPT):
        return Version(printable(written), (2, 2))
    return parse_version(written)


def _checkpoint(path: str, config: Any, weights: Weights, version: Version, request: Request) -> Checkpoint:
    root = _tree(weights)
    if is_numbered(root):
        found = keras.from_folders(path, _CONTAINER, [root], config, version, request.assume)
    else:
        named = [(array.name, array) for array in weights.arrays]
        found = keras.from_names(path, _CONTAINER, config, named, version, request.assume)
    return replace(found, remarks=(*found.remarks, _DEQUANTIZED)) if weights.quantized else found


def _tree(weights: Weights) -> Group:
    """The arrays in the groups that their names tell, as a file of HDF5 has them; without those of a trainer."""
    root = Group("")
    for array in weights.arrays:
        *folders, name = array.name.split("/")
        if folders and is_training(folders[0]):
            continue
        group = root
        for folder in folders:
            group = group.groups.setdefault(folder, Group(f"{group.path}/{folder}".lstrip("/")))
        group.arrays[name] = array
    return root
