"""How each kind of file and folder is told, by as few bytes as tell it. Modules are imported when they are asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.readers.message import Message
from converters.readers.opened import Opened
from converters.readers.strangers import is_stranger
from layouts.errors import ConversionError

_MOST_HEADER = 40 << 20
"""The longest header of safetensors that is read."""


def function_of(name: str) -> Callable[..., Any]:
    """The function 'module:function' of this room."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"converters.readers.{module}"), function)
    return found


def is_npz(opened: Opened) -> bool:
    return bool(opened.members) and all(name.endswith(".npy") for name in opened.members)


def is_leaves(opened: Opened) -> bool:
    return opened.head[:1] in (b"\x93", b"{") and bool(function_of("arrays.leaves:is_leaves")(opened))


def is_part_of_orbax(opened: Opened) -> bool:
    """Whether this is the list of a tree's names, or a block of a database: never the whole of a checkpoint."""
    if _in_orbax(opened.head):
        return True
    return opened.head[:2] == b"\x0c\xdb" or (isinstance(opened.json, dict) and "tree_metadata" in opened.json)


def _in_orbax(head: bytes) -> bool:
    """Whether a file begins as a map of names whose arrays stand beside it, as Orbax wrote it in 2023."""
    return head[:1] >= b"\x81" and b"PLACEHOLDER://" in head


def is_flax(opened: Opened) -> bool:
    first = opened.head[:1]
    is_map = b"\x81" <= first <= b"\x8f" or first in (b"\xde", b"\xdf")
    return is_map and not is_stranger(opened) and bool(function_of("flax.files:is_tree")(opened))


def is_onnx(opened: Opened) -> bool:
    return not is_stranger(opened) and bool(function_of("onnx:is_model")(opened.source.view))


def is_safetensors(opened: Opened) -> bool:
    """Whether the length of a header stands first, and then a header, which is JSON."""
    length = int.from_bytes(opened.head[:8], "little")
    return opened.head[8:9] == b"{" and length + 8 <= max(len(opened.source), _MOST_HEADER)


def is_index(opened: Opened) -> bool:
    """Whether a JSON text maps the names of arrays to files; those of Keras map groups, '/layers/…', to lists."""
    named = opened.json.get("weight_map") if isinstance(opened.json, dict) else None
    if not isinstance(named, dict) or not named or any(name.startswith("/") for name in named):
        return False
    return all(isinstance(file, str) for file in named.values())


LOADERS_OF_KERAS = (b"keras.saving.pickle_utils", b"keras.src.saving.pickle_utils", b"keras.src.models.")
"""The modules of what loads a pickled model, one of which its pickle names first."""


def is_pickled_model(opened: Opened) -> bool:
    return opened.head[:1] == b"\x80" and any(module in opened.head for module in LOADERS_OF_KERAS)


TFJS_MODEL = "model.json"
"""What TensorFlow.js calls the file that stands for a model."""


def is_tfjs(opened: Opened) -> bool:
    """Whether a JSON text holds the topology of a model of TensorFlow.js, or says so."""
    if not isinstance(opened.json, dict):
        return False
    return "modelTopology" in opened.json or opened.json.get("format") in ("layers-model", "graph-model")


def is_orbax(path: Path) -> bool:
    return path.is_dir() and bool(function_of("orbax.folders:is_checkpoint")(path))


_MOST_VERSION = 1000
KINDS_OF_COREML = range(200, 3001)
"""The numbers of the fields that are the one kind of model which a Core ML model is."""


def is_coreml(opened: Opened) -> bool:
    """Whether bytes begin as a Core ML model: a version, a description, and then one kind of model."""
    if is_stranger(opened):
        return False
    try:
        found = Message(opened.source.view)
        kinds = {number for number in found.numbers_of_fields() if number in KINDS_OF_COREML}
        return found.holds_number(1) and 0 < found.integer(1) < _MOST_VERSION and len(kinds) == 1
    except ConversionError:
        return False


_KEYS_OF_CNTK = {"type", "inputs", "primitive_functions", "root"}


def is_cntk(opened: Opened) -> bool:
    """Whether bytes are a dictionary with the keys of a function."""
    if is_stranger(opened):
        return False
    try:
        message = Message(opened.source.view)
        if not message.holds_number(1) or not message.numbers_of_fields() <= {1, 2}:
            return False
        return {entry.text(1) for entry in message.messages(2)} >= _KEYS_OF_CNTK
    except ConversionError:
        return False


def holds(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


MXNET = (0x112).to_bytes(8, "little") + bytes(8)
"""The magic number of a list of MXNet's arrays."""

DYNET = (b"#Parameter# ", b"#LookupParameter# ")
"""How the first line of DyNet's parameters begins."""

MATLAB = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")
"""How MAT-files of level 5, and those that are HDF5, begin."""

DL4J = ("configuration.json", "coefficients.bin")
"""The members that DL4J's archives have."""


def is_torch7(opened: Opened) -> bool:
    """An object of a class with its version, or a table of few entries whose first key is a number or a text."""
    head = opened.head
    if head[:4] == b"\4\0\0\0":
        return head[8:14] == b"\3\0\0\0V "
    entries = int.from_bytes(head[8:12], "little")
    return head[:8] == b"\3\0\0\0\1\0\0\0" and 0 < entries < 1 << 20 and head[12:16] in (b"\1\0\0\0", b"\2\0\0\0")


def is_symbol(opened: Opened) -> bool:
    return isinstance(opened.json, dict) and {"nodes", "arg_nodes"} <= {*opened.json}


def is_table(opened: Opened) -> bool:
    return bytes(opened.source.view[-len(TABLE) :]) == TABLE


def is_graph(opened: Opened) -> bool:
    return _may_be_graph(opened) and bool(function_of("tensorflow.frozen:is_graph")(opened.source.view))


def is_meta(opened: Opened) -> bool:
    return _may_be_graph(opened) and bool(function_of("tensorflow.frozen:is_meta")(opened.source.view))


def _may_be_graph(opened: Opened) -> bool:
    """Whether the first byte is the tag of a field that TensorFlow's graphs have, and not ONNX's `ir_version`."""
    return opened.head[:1] in (b"\x0a", b"\x12", b"\x18", b"\x22") and not is_stranger(opened)


TABLE = bytes.fromhex("57fb808b247547db")
"""What a sorted table of leveldb ends with."""


def is_tensorflow(path: Path) -> bool:
    return bool(function_of("tensorflow.places:is_place")(path))
