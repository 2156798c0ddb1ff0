"""Readers: one room a container or framework. `read` takes any source, and tells files apart by content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.readers import archives
from converters.readers.hdf5 import tree as hdf5
from converters.readers.json_data import parse_json
from converters.readers.source import Source, open_source
from layouts.errors import ConversionError, UnreadableCheckpoint

_STRANGERS = {
    b"version https://git-lfs": "a git-lfs pointer and not the file itself: run `git lfs pull`",
    b"<": "an HTML or XML page, not a model: the download went wrong",
    b"\x93NUMPY": "a NumPy array: load it and pass the arrays with framework=",
    b"\x80\x02": "a pickle, which is never loaded here",
    b"\x80\x04": "a pickle, which is never loaded here",
    b"\x80\x05": "a pickle, which is never loaded here",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x05\x06": "an empty zip archive",
    b"\x89HDF": "an HDF5 file with a damaged signature: was it transferred as text?",
}


def read(
    source: Any,
    *,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """What is in a source of any kind; see `converters.read`."""
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, str | os.PathLike):
        return open_checkpoint(source, assume or {}, weights or {}, framework)
    if isinstance(source, Mapping):
        from converters.readers.arrays.mapping import read_mapping

        return read_mapping(source, framework, assume or {})
    return _self_telling(_model(source, assume or {}, weights or {}), framework)


def _model(source: Any, assume: Mapping[str, str], weights: Mapping[str, Any]) -> Checkpoint:
    """A model in memory."""
    if type(source).__name__ == "ModelProto":
        from converters.readers import onnx

        return onnx.read_model(source, weights)
    from converters.readers.keras.memory import read_model

    return read_model(source, assume)


def _self_telling(found: Checkpoint, framework: str | None) -> Checkpoint:
    """What was read from a source that tells its framework itself; no other may be stated."""
    if framework is not None:
        raise ConversionError(
            f"framework= says whose arrays of an .npz file or a mapping are; this source tells it itself: "
            f"{found.framework}"
        )
    return found


def open_checkpoint(
    path: str | os.PathLike[str], assume: Mapping[str, str], weights: Mapping[str, Any], framework: str | None = None
) -> Checkpoint:
    """Read what is in a model file, without its data. Raises `CheckpointError` and its kinds."""
    try:
        return _opened(path, assume, weights, framework)
    except ConversionError as error:
        error.path = error.path or os.fspath(path)
        raise


def _opened(
    path: str | os.PathLike[str], assume: Mapping[str, str], weights: Mapping[str, Any], framework: str | None
) -> Checkpoint:
    if os.path.isdir(path):
        from converters.readers.keras import files as keras

        return _self_telling(keras.read_folder(os.fspath(path), assume), framework)
    source = open_source(path)
    if source.view[:4] == archives.SIGNATURE and not _is_hdf5(source):
        from converters.readers.arrays import npz

        archive = archives.Archive(source)
        if npz.is_npz(archive):
            return npz.read_npz(source, archive, framework, assume)
    return _self_telling(_file(source, assume, weights), framework)


def _file(source: Source, assume: Mapping[str, str], weights: Mapping[str, Any]) -> Checkpoint:
    """A file of a framework that its first bytes tell."""
    from converters.readers.keras import files as keras

    if _is_hdf5(source):
        return keras.read_hdf5(source, assume)
    if source.view[:4] == archives.SIGNATURE:
        return keras.read_archive(source, assume)
    head = bytes(source.view[:64]).lstrip()
    if head[:1] in (b"{", b"["):
        index = parse_json(source.view, "the file", source.path)
        if isinstance(index, dict) and "class_name" in index:
            raise UnreadableCheckpoint("this is a model's configuration alone: it holds no weights", path=source.path)
        return keras.read_shards(source, index, assume)
    from converters.readers import onnx

    if not _is_stranger(head) and onnx.is_model(source.view):
        return onnx.read_file(source, weights)
    raise UnreadableCheckpoint(_stranger(head, source), path=source.path)


def _is_hdf5(source: Source) -> bool:
    """Whether an HDF5 file begins here, maybe behind a block of bytes of its user's own, whatever those look like."""
    return any(source.view[start : start + 8] == hdf5.SIGNATURE for start in hdf5.USERBLOCKS)


def _is_stranger(head: bytes) -> bool:
    return head.startswith(tuple(_STRANGERS))


def _stranger(head: bytes, source: Source) -> str:
    what = next((text for start, text in _STRANGERS.items() if head.startswith(start)), None)
    if what:
        return f"this is {what}"
    return f"unrecognised format ({len(source)} bytes, beginning {bytes(source.view[:8]).hex(' ')})"
