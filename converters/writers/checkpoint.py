"""A checkpoint of TensorFlow in two files: `prefix.data-00000-of-00001` holds the numbers, `prefix.index` tells them.

The index is a sorted table of leveldb: blocks of entries, then an index of the blocks, then a footer of 48 bytes. The
key '' holds a BundleHeaderProto, every other one, the name of an array, a BundleEntryProto. Arrays stand in the data
one after another, in the order of their names. Every block and every array has a CRC-32C. Source: leveldb
doc/table_format.md, and tensor_bundle.proto in tensorflow/core/protobuf.

The numbers are complete under their name before the index appears, without which nobody reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from converters.planning.modules import Tensor
from converters.planning.plan import Plan
from converters.readers.crc32c import crc32c, mask, masked
from converters.readers.signatures import TABLE as MAGIC
from converters.writers.atomic import replacing
from converters.writers.in_place import InPlace, reserve
from converters.writers.protobuf import fixed32, integer, message, varint
from layouts.errors import ConversionError

INDEX, DATA = ".index", ".data-00000-of-00001"
_CODES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "float16": 19,
}
"""The numbers of `DataType` in tensorflow/core/framework/types.proto."""
_LARGE_BLOCK = 1 << 16
_HANDLES = 40
"""Bytes of the footer before its magic number."""
_PIECE = 1 << 22
"""Bytes of which a checksum is taken at once."""


@contextmanager
def open_checkpoint(index: Path, prefix: Path, plan: Plan) -> Iterator[InPlace]:
    """Memory for every array within the file of numbers; the index is written to `index` when all are filled."""
    tensors = sorted(plan.tensors, key=lambda tensor: tensor.key.encode())
    kinds = {tensor.key: _code(tensor) for tensor in tensors}
    offsets, size = _offsets(tensors)
    with replacing(prefix.with_name(prefix.name + DATA), plan.checkpoint.path) as data:
        reserve(data, size)
        numbers = InPlace(data, offsets, (tensor.nbytes for tensor in tensors))
        yield numbers
        numbers.close()
        entries = {b"": integer(1, 1) + message(3, integer(1, 1))}  # one file of numbers, written for version 1
        for tensor, checksum in zip(tensors, _checksums(data, tensors), strict=True):
            entries[tensor.key.encode()] = _entry(tensor, kinds[tensor.key], offsets[tensor.key], checksum)
        index.write_bytes(_table(entries))


def _code(tensor: Tensor) -> int:
    """TensorFlow's number of a dtype. Raises `ConversionError` for one that it has not."""
    code = _CODES.get(tensor.dtype.name)
    if code is None:
        raise ConversionError(f"{tensor.key}: TensorFlow has no dtype {tensor.dtype}; choose one with dtype=")
    return code


def _offsets(tensors: list[Tensor]) -> tuple[dict[str, int], int]:
    """Where each array begins in the file of numbers, and its size."""
    found, end = {}, 0
    for tensor in tensors:
        found[tensor.key] = end
        end += tensor.nbytes
    return found, end


def _checksums(data: Path, tensors: list[Tensor]) -> Iterator[int]:
    """The checksum of every array as it stands in the file, some megabytes at a time."""
    with data.open("rb") as file:
        for tensor in tensors:
            value, left = 0, tensor.nbytes
            while left:
                piece = file.read(min(left, _PIECE))
                value, left = crc32c(piece, value), left - len(piece)
            yield mask(value)


def _entry(tensor: Tensor, kind: int, offset: int, checksum: int) -> bytes:
    """A BundleEntryProto: dtype, shape, place, size, checksum; the number of the file is 0."""
    sizes = b"".join(message(2, integer(1, size)) for size in tensor.shape)
    place = integer(4, offset) + integer(5, tensor.nbytes)
    return integer(1, kind) + message(2, sizes) + place + fixed32(6, checksum)


def _table(entries: Mapping[bytes, bytes]) -> bytes:
    """A table of sorted entries. The index of its blocks names each by its last key."""
    file, blocks = bytearray(), {}
    for block in _blocks(entries):
        blocks[next(reversed(block))] = _put(file, block)
    handles = _put(file, {}) + _put(file, blocks)
    return bytes(file) + handles.ljust(_HANDLES, b"\0") + MAGIC


def _blocks(entries: Mapping[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    """The entries in blocks of some size."""
    block: dict[bytes, bytes] = {}
    size = 0
    for key, value in entries.items():
        block[key], size = value, size + len(key) + len(value)
        if size >= _LARGE_BLOCK:
            yield block
            block, size = {}, 0
    if block:
        yield block


def _put(file: bytearray, entries: Mapping[bytes, bytes]) -> bytes:
    """Append a block, every key whole, with the places where keys are so; returns its handle: place and size."""
    block, starts = bytearray(), []
    for key, value in entries.items():
        starts.append(len(block))
        block += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    for start in starts or [0]:
        block += start.to_bytes(4, "little")
    block += max(len(starts), 1).to_bytes(4, "little")
    handle = varint(len(file)) + varint(len(block))
    block += b"\0"  # not compressed
    file += block + masked(bytes(block)).to_bytes(4, "little")
    return handle
