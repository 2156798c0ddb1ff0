"""Every container that is read, in the order in which they are told apart: by content, never by a file's name.

A row costs nothing until it tells: the module of its reader is imported then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from converters.model.checkpoint import Checkpoint
from converters.readers import signatures
from converters.readers.opened import Opened, Request
from converters.readers.pytorch import telling
from converters.readers.signatures import function_of

ANY = "any"
"""Of a container in which every framework's arrays may stand: `framework=` says whose they are."""


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
    ranged: bool = False
    """Whether its reader takes slices of the bytes alone, so that of a file at a distance only those are fetched."""

    def read(self, opened: Opened, request: Request) -> Checkpoint:
        found: Checkpoint = function_of(self.reader)(opened, request)
        return found


class Place(NamedTuple):
    """One kind of folder, or of files with one prefix. `reader` is such a function, `(Path, Request) -> Checkpoint`."""

    title: str
    names: str
    framework: str
    reader: str
    tells: Callable[[Path], bool]

    def read(self, path: Path, request: Request) -> Checkpoint:
        found: Checkpoint = function_of(self.reader)(path, request)
        return found


FILES = (
    Container("NumPy arrays", "*.npz", ANY, "arrays.npz:read_npz", signatures.is_npz),
    Container("Equinox, leaves", "*.eqx", ANY, "arrays.leaves:read_leaves", signatures.is_leaves),
    Container("MATLAB", "*.mat", "matlab", "matlab:read_file", lambda o: o.head.startswith(signatures.MATLAB)),
    Container("PyTorch", "*.pt, *.pth, *.bin, *.ckpt", "pytorch", "pytorch.zipped:read", telling.is_zip),
    Container("TorchScript", "*.pt", "pytorch", "pytorch.scripted:read", telling.is_script),
    Container("PyTorch, exported", "*.pt2", "pytorch", "pytorch.exported:read", telling.is_program),
    Container("PyTorch, before 1.6", "*.pt, *.pth", "pytorch", "pytorch.legacy:read", telling.is_legacy),
    Container("Keras, pickled", "*.pkl, *.joblib", "keras", "pickled.models:read", signatures.is_pickled_model),
    Container("Pickled arrays", "*.pdparams, *.pkl", ANY, "pickled.mapping:read", telling.is_pickle),
    Container("safetensors", "*.safetensors", ANY, "safetensors:read", signatures.is_safetensors, ranged=True),
    Container("Shards", "*.index.json", ANY, "index:read", signatures.is_index),
    Container(
        "Keras, HDF5", "*.h5, *.hdf5, *.weights.h5", "keras", "keras.files:read_hdf5", lambda o: o.is_hdf5, ranged=True
    ),
    Container("HDF5 arrays", "*.h5, *.hdf5", ANY, "arrays.datasets:read_hdf5", lambda o: o.is_hdf5, ranged=True),
    Container("DL4J", "*.zip", "dl4j", "dl4j:read_file", lambda o: {*signatures.DL4J} <= {*o.members}),
    Container("Keras, archive", "*.keras", "keras", "keras.files:read_archive", lambda o: o.archive is not None),
    Container("MXNet", "*.params", "mxnet", "mxnet:read_file", lambda o: o.head.startswith(signatures.MXNET)),
    Container("MXNet, graph alone", "*-symbol.json", "mxnet", "mxnet:refuse_symbol", signatures.is_symbol),
    Container("DyNet", "*.model, *.data", "dynet", "dynet:read_file", lambda o: o.head.startswith(signatures.DYNET)),
    Container(
        "Orbax, a part", "_METADATA, manifest.ocdbt", ANY, "orbax.folders:refuse_part", signatures.is_part_of_orbax
    ),
    Container("Torch7", "*.t7", "torch7", "torch7:read_file", signatures.is_torch7),
    Container("TensorFlow.js", "model.json", "keras", "tfjs:read_file", signatures.is_tfjs),
    Container("Keras, shards", "*.weights.json", "keras", "keras.files:read_shards", lambda o: o.json is not None),
    Container("CNTK", "*.model", "cntk", "cntk:read_file", signatures.is_cntk),
    Container("Flax, msgpack", "*.msgpack", ANY, "flax.files:read_msgpack", signatures.is_flax),
    Container("TensorFlow, checkpoint", "*.index, *.ckpt", ANY, "tensorflow.files:read_table", signatures.is_table),
    Container("TensorFlow, frozen graph", "*.pb", ANY, "tensorflow.frozen:read_frozen", signatures.is_graph),
    Container("TensorFlow, graph alone", "*.meta", ANY, "tensorflow.frozen:refuse_meta", signatures.is_meta),
    Container("Core ML", "*.mlmodel", "coreml", "coreml:read_file", signatures.is_coreml),
    Container("TensorFlow Lite", "*.tflite", "tflite", "tflite.files:read_file", lambda o: o.head[4:8] == b"TFL3"),
    Container("ONNX", "*.onnx", "onnx", "onnx:read_file", signatures.is_onnx, ranged=True),
)
"""Kinds of files, in the order in which they are asked; protobuf, which has no first bytes of its own, comes last."""


PLACES = (
    Place(
        "Hugging Face, folder", "model.safetensors, pytorch_model.bin", "pytorch", "pytorch.folder:read", telling.is_hub
    ),
    Place(
        "Core ML, package",
        "*.mlpackage",
        "coreml",
        "coreml:read_package",
        lambda path: signatures.holds(path, "Manifest.json"),
    ),
    Place(
        "Keras, folder",
        "config.json",
        "keras",
        "keras.files:read_folder",
        lambda path: signatures.holds(path, "config.json"),
    ),
    Place(
        "TensorFlow, checkpoint or SavedModel",
        "checkpoint, *.index, saved_model.pb",
        ANY,
        "tensorflow.files:read_place",
        signatures.is_tensorflow,
    ),
    Place("Orbax, folder", "_METADATA", ANY, "orbax.folders:read_folder", signatures.is_orbax),
    Place(
        "TensorFlow.js, folder",
        signatures.TFJS_MODEL,
        "keras",
        "tfjs:read_folder",
        lambda path: signatures.holds(path, signatures.TFJS_MODEL),
    ),
)
"""Kinds of folders, and of files with one prefix."""
