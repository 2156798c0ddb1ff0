"""Every container that is read, in the order in which they are told apart: by content, never by a file's name.

A row costs nothing until it tells: the module of its reader is imported then.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from converters.model.checkpoint import Checkpoint
from converters.readers.opened import Opened, Request
from converters.readers.pytorch import telling
from converters.readers.strangers import is_stranger

ANY = "any"
"""Of a container in which every framework's arrays may stand: `framework=` says whose they are."""


_MOST_HEADER = 40 << 20
"""The longest header of safetensors that is read."""


class Container(NamedTuple):
    """One kind of file. `reader` is 'module:function' of this room, `(Opened, Request) -> Checkpoint`."""

    title: str
    names: str
    """What such files are usually called."""
    framework: str
    """Whose they are, or `ANY`."""
    reader: str
    tells: Callable[[Opened], bool]
    """Whether an opened file is one, from as few bytes as tell it."""

    def read(self, opened: Opened, request: Request) -> Checkpoint:
        found: Checkpoint = _found(self.reader)(opened, request)
        return found


class Place(NamedTuple):
    """One kind of folder, or of files with one prefix. `reader` is such a function, `(Path, Request) -> Checkpoint`."""

    title: str
    names: str
    framework: str
    reader: str
    tells: Callable[[Path], bool]

    def read(self, path: Path, request: Request) -> Checkpoint:
        found: Checkpoint = _found(self.reader)(path, request)
        return found


def _found(name: str) -> Callable[..., Any]:
    """The function 'module:function' of this room."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"converters.readers.{module}"), function)
    return found


def _is_npz(opened: Opened) -> bool:
    return bool(opened.members) and all(name.endswith(".npy") for name in opened.members)


def _is_leaves(opened: Opened) -> bool:
    return opened.head[:1] in (b"\x93", b"{") and bool(_found("arrays.leaves:is_leaves")(opened))


def _is_part_of_orbax(opened: Opened) -> bool:
    """Whether this is the list of a tree's names, or a block of a database: never the whole of a checkpoint."""
    return opened.head[:2] == b"\x0c\xdb" or (isinstance(opened.json, dict) and "tree_metadata" in opened.json)


def _is_flax(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("flax.files:is_tree")(opened))


def _is_onnx(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("onnx:is_model")(opened.source.view))


def _is_safetensors(opened: Opened) -> bool:
    """Whether the length of a header stands first, and then a header, which is JSON."""
    length = int.from_bytes(opened.head[:8], "little")
    return opened.head[8:9] == b"{" and length + 8 <= max(len(opened.source), _MOST_HEADER)


def _is_index(opened: Opened) -> bool:
    """Whether a JSON text maps the names of arrays to files; those of Keras map groups, '/layers/…', to lists."""
    named = opened.json.get("weight_map") if isinstance(opened.json, dict) else None
    if not isinstance(named, dict) or not named or any(name.startswith("/") for name in named):
        return False
    return all(isinstance(file, str) for file in named.values())


def _is_orbax(path: Path) -> bool:
    return path.is_dir() and bool(_found("orbax.folders:is_checkpoint")(path))


def _is_coreml(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("coreml:is_model")(opened.source.view))


def _is_cntk(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("cntk:is_model")(opened.source.view))


def _holds(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


MXNET = (0x112).to_bytes(8, "little") + bytes(8)
"""The magic number of a list of MXNet's arrays."""

DYNET = (b"#Parameter# ", b"#LookupParameter# ")
"""How the first line of DyNet's parameters begins."""

MATLAB = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")
"""How MAT-files of level 5, and those that are HDF5, begin."""

DL4J = ("configuration.json", "coefficients.bin")
"""The members that DL4J's archives have."""


def _is_torch7(opened: Opened) -> bool:
    """An object of a class with its version, or a table of few entries whose first key is a number or a text."""
    head = opened.head
    if head[:4] == b"\4\0\0\0":
        return head[8:14] == b"\3\0\0\0V "
    entries = int.from_bytes(head[8:12], "little")
    return head[:8] == b"\3\0\0\0\1\0\0\0" and 0 < entries < 1 << 20 and head[12:16] in (b"\1\0\0\0", b"\2\0\0\0")


def _is_symbol(opened: Opened) -> bool:
    return isinstance(opened.json, dict) and {"nodes", "arg_nodes"} <= {*opened.json}


def _is_table(opened: Opened) -> bool:
    return bytes(opened.source.view[-len(TABLE) :]) == TABLE


def _is_graph(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("tensorflow.frozen:is_graph")(opened.source.view))


def _is_meta(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(_found("tensorflow.frozen:is_meta")(opened.source.view))


TABLE = bytes.fromhex("57fb808b247547db")
"""What a sorted table of leveldb ends with."""


FILES = (
    Container("NumPy arrays", "*.npz", ANY, "arrays.npz:read_npz", _is_npz),
    Container("Equinox, leaves", "*.eqx", ANY, "arrays.leaves:read_leaves", _is_leaves),
    Container("MATLAB", "*.mat", "matlab", "matlab:read_file", lambda o: o.head.startswith(MATLAB)),
    Container("PyTorch", "*.pt, *.pth, *.bin, *.ckpt", "pytorch", "pytorch.zipped:read", telling.is_zip),
    Container("TorchScript", "*.pt", "pytorch", "pytorch.scripted:read", telling.is_script),
    Container("PyTorch, exported", "*.pt2", "pytorch", "pytorch.exported:read", telling.is_program),
    Container("PyTorch, before 1.6", "*.pt, *.pth", "pytorch", "pytorch.legacy:read", telling.is_legacy),
    Container("Pickled arrays", "*.pdparams, *.pkl", ANY, "pickled.mapping:read", telling.is_pickle),
    Container("safetensors", "*.safetensors", ANY, "safetensors:read", _is_safetensors),
    Container("Shards", "*.index.json", ANY, "index:read", _is_index),
    Container("Keras, HDF5", "*.h5, *.hdf5, *.weights.h5", "keras", "keras.files:read_hdf5", lambda o: o.is_hdf5),
    Container("HDF5 arrays", "*.h5, *.hdf5", ANY, "arrays.datasets:read_hdf5", lambda o: o.is_hdf5),
    Container("DL4J", "*.zip", "dl4j", "dl4j:read_file", lambda o: {*DL4J} <= {*o.members}),
    Container("Keras, archive", "*.keras", "keras", "keras.files:read_archive", lambda o: o.archive is not None),
    Container("MXNet", "*.params", "mxnet", "mxnet:read_file", lambda o: o.head.startswith(MXNET)),
    Container("MXNet, graph alone", "*-symbol.json", "mxnet", "mxnet:refuse_symbol", _is_symbol),
    Container("DyNet", "*.model, *.data", "dynet", "dynet:read_file", lambda o: o.head.startswith(DYNET)),
    Container("Orbax, a part", "_METADATA, manifest.ocdbt", ANY, "orbax.folders:refuse_part", _is_part_of_orbax),
    Container("Torch7", "*.t7", "torch7", "torch7:read_file", _is_torch7),
    Container("Keras, shards", "*.weights.json", "keras", "keras.files:read_shards", lambda o: o.json is not None),
    Container("CNTK", "*.model", "cntk", "cntk:read_file", _is_cntk),
    Container("Flax, msgpack", "*.msgpack", ANY, "flax.files:read_msgpack", _is_flax),
    Container("TensorFlow, checkpoint", "*.index, *.ckpt", ANY, "tensorflow.files:read_table", _is_table),
    Container("TensorFlow, frozen graph", "*.pb", ANY, "tensorflow.frozen:read_frozen", _is_graph),
    Container("TensorFlow, graph alone", "*.meta", ANY, "tensorflow.frozen:refuse_meta", _is_meta),
    Container("Core ML", "*.mlmodel", "coreml", "coreml:read_file", _is_coreml),
    Container("TensorFlow Lite", "*.tflite", "tflite", "tflite.files:read_file", lambda o: o.head[4:8] == b"TFL3"),
    Container("ONNX", "*.onnx", "onnx", "onnx:read_file", _is_onnx),
)
"""Kinds of files, in the order in which they are asked; protobuf, which has no first bytes of its own, comes last."""


def _is_tensorflow(path: Path) -> bool:
    return bool(_found("tensorflow.places:is_place")(path))


PLACES = (
    Place(
        "Hugging Face, folder", "model.safetensors, pytorch_model.bin", "pytorch", "pytorch.folder:read", telling.is_hub
    ),
    Place(
        "Core ML, package", "*.mlpackage", "coreml", "coreml:read_package", lambda path: _holds(path, "Manifest.json")
    ),
    Place("Keras, folder", "config.json", "keras", "keras.files:read_folder", lambda path: _holds(path, "config.json")),
    Place(
        "TensorFlow, checkpoint or SavedModel",
        "checkpoint, *.index, saved_model.pb",
        ANY,
        "tensorflow.files:read_place",
        _is_tensorflow,
    ),
    Place("Orbax, folder", "_METADATA", ANY, "orbax.folders:read_folder", _is_orbax),
)
"""Kinds of folders, and of files with one prefix."""
