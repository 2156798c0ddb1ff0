"""safetensors: a bounded JSON header, then the numbers, mapped where they stand; and shards by an index.

Eight bytes little-endian give the length of the header; it maps names to dtype, shape and a range of the data, which
the ranges cover without gaps and overlaps. `__metadata__` maps texts to texts; `format` in it says whose arrays they
are ("pt", "mlx", …), where the writer cared to. An index maps the names of arrays to the files beside it. Sources: the
format's own description and its validation (safetensors, README and `Metadata::validate`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.named import Named, checkpoint_of
from converters.readers.dtypes import DTYPES
from converters.readers.json_data import parse_json
from converters.readers.opened import Opened, Request
from converters.readers.shards import refuse_shard
from converters.readers.source import Source
from layouts.errors import ConversionError, ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_LENGTH = 8
_MOST_HEADER = 40 << 20

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
_FORMATS = {"pt": "pytorch", "mlx": "mlx", "flax": "flax", "pd": "paddle"}
"""What writers put as `format`, and whose layouts that means; for any other somebody has to say it."""


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of one file. Raises `CheckpointError` and its kinds; `ConversionError` where a framework is asked."""
    refuse_shard(opened.path)
    found = file_arrays(opened.source)
    if found.framework is None and request.framework is None and found.metadata.get("format"):
        said = printable(found.metadata["format"])
        raise ConversionError(f"the file says that its format is {said}: framework= says whose arrays these are")
    return checkpoint_of(found, "safetensors", request)


def file_arrays(source: Source) -> Named:
    """The arrays of one file by name, checked against its size."""
    length = int.from_bytes(source.view[:_LENGTH], "little")
    start = _LENGTH + length
    if length > _MOST_HEADER:
        raise UnsafeCheckpoint(f"the header is too large: {length} bytes", path=source.path)
    if start > len(source):
        raise UnreadableCheckpoint(f"the file is truncated: its header claims {length} bytes", path=source.path)
    header = parse_json(source.view[_LENGTH:start], "the header", source.path)
    if not isinstance(header, dict):
        raise UnreadableCheckpoint("the header is no dictionary", path=source.path)
    metadata = _metadata(header.pop("__metadata__", None) or {}, source.path)
    data = source.part(start, len(source) - start)
    entries = [_Entry(name, fields, data) for name, fields in header.items()]
    _check_cover([(entry.begin, entry.end, entry.name) for entry in entries], len(data), source.path)
    arrays = {entry.name: entry.lazy() for entry in entries}
    return Named(source.path, arrays, metadata, _FORMATS.get(metadata.get("format", "")))


def _metadata(found: Any, path: str) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UnreadableCheckpoint("the metadata of the header are no texts", path=path)
    return found


class _Entry:
    """One array as the header describes it, checked against itself."""

    def __init__(self, name: str, fields: Any, data: Source) -> None:
        self.name, self._data = name, data
        if not isinstance(fields, dict) or {*fields} != {"dtype", "shape", "data_offsets"}:
            raise self._wrong("is described by other fields than dtype, shape and data_offsets")
        shape, offsets, kind = fields["shape"], fields["data_offsets"], fields["dtype"]
        if not _whole(shape) or len(shape) > 32 or not _whole(offsets) or len(offsets) != 2:
            raise self._wrong("has an impossible shape or range")
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise ShapeError(f"{printable(name)} is of dtype {printable(kind)}, which is not read", path=data.path)
        self.shape, (self.begin, self.end) = tuple(shape), offsets
        self._dtype = DTYPES[_DTYPES[kind]]()
        wanted = math.prod(shape) * self._dtype.itemsize
        if self.end - self.begin != wanted:
            raise self._wrong(f"has {self.end - self.begin} bytes, and its shape makes {wanted}")

    def _wrong(self, what: str) -> UnsafeCheckpoint:
        return UnsafeCheckpoint(f"{printable(self.name)} {what}", path=self._data.path)

    def lazy(self) -> LazyArray:
        part, dtype, shape = self._data.part(self.begin, self.end - self.begin), self._dtype, self.shape

        def read() -> Array:
            flat = np.frombuffer(part.view[:], dtype) if len(part) else np.empty(0, dtype)
            return flat.reshape(shape)

        return LazyArray(self.name, shape, dtype, read, part.release)


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)


def _check_cover(ranges: list[tuple[int, int, str]], size: int, path: str) -> None:
    """The ranges cover the data once, from the first byte to the last."""
    reached = 0
    for begin, end, name in sorted(ranges):
        if begin != reached:
            how = "overlaps with what is before it" if begin < reached else "leaves a gap before it"
            raise UnsafeCheckpoint(f"{printable(name)} {how}", path=path)
        reached = end
    if reached > size:
        raise UnreadableCheckpoint(
            f"the file is truncated: {reached} bytes of data are declared, {size} follow", path=path
        )
    if reached < size:
        raise UnsafeCheckpoint(f"{size - reached} bytes at the end belong to no array", path=path)
