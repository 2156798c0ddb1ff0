"""The codecs of a zarr array: what stands between the bytes of a chunk and its elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.crc32c import crc32c
from converters.readers.orbax.compression import unpack_gzip, unpack_zstd
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_ABSENT = (1 << 64) - 1
_MOST_PARTS = 1_000_000
_ENTRY = 16
_CHECKSUM = 4


class Codec(NamedTuple):
    """One codec of a chain, in the order of writing: its name, and what its configuration says."""

    name: str
    setting: Any = None


class Shards(NamedTuple):
    """A chunk that is cut into chunks of its own, behind or before an index of them."""

    chunk: tuple[int, ...]
    inner: tuple[Codec, ...]
    table: tuple[Codec, ...]
    last: bool


class Grid(NamedTuple):
    """How an array is cut into chunks, of which the last ones reach beyond it."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    counts: tuple[int, ...]
    dtype: np.dtype[Any]

    @staticmethod
    def of(name: str, shape: tuple[int, ...], chunk: tuple[int, ...], dtype: np.dtype[Any]) -> Grid:
        if len(shape) != len(chunk) or 0 in chunk or any(c > max(n, 1) for n, c in zip(shape, chunk, strict=True)):
            raise UnsafeCheckpoint(f"{printable(name)}: chunks of {chunk} do not fit the shape {shape}")
        return Grid(shape, chunk, tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True)), dtype)

    def slices(self, place: Sequence[int]) -> tuple[slice, ...]:
        """The part of the array that a chunk fills."""
        parts = zip(place, self.chunk, self.shape, strict=True)
        return tuple(slice(k * c, min((k + 1) * c, n)) for k, c, n in parts)


def chain(name: str, told: Any, rank: int) -> tuple[Codec, ...]:
    """The codecs of zarr 3, checked: those of arrays, one that makes bytes, those of bytes."""
    if not isinstance(told, list) or len(told) > 10 or not all(isinstance(one, dict) for one in told):
        raise damaged(name, "metadata")
    found = tuple(_codec(name, one, rank) for one in told)
    kinds = [_ROLE[codec.name] for codec in found]
    if kinds != sorted(kinds) or kinds.count(1) != 1:
        raise damaged(name, "codecs")
    return found


_ROLE = {"transpose": 0, "bytes": 1, "sharding_indexed": 1, "zstd": 2, "gzip": 2, "crc32c": 2}


def _codec(name: str, told: Mapping[str, Any], rank: int) -> Codec:
    kind, setting = told.get("name"), told.get("configuration", {})
    if not isinstance(kind, str) or kind not in _ROLE or not isinstance(setting, dict):
        raise UnreadableCheckpoint(f"{printable(name)} is stored by the codec {printable(repr(kind))}, not read here")
    if kind == "transpose":
        order = setting.get("order")
        if not isinstance(order, list) or sorted(map(str, order)) != sorted(map(str, range(rank))):
            raise damaged(name, "metadata")
        return Codec(kind, tuple(order))
    if kind == "bytes":
        return Codec(kind, setting.get("endian", "little"))
    return Codec(kind, _shards(name, setting, rank) if kind == "sharding_indexed" else None)


def _shards(name: str, setting: Mapping[str, Any], rank: int) -> Shards:
    chunk, where = setting.get("chunk_shape"), setting.get("index_location", "end")
    cut = tuple(chunk) if isinstance(chunk, list) else ()
    if len(cut) != rank or any(type(n) is not int or n <= 0 for n in cut) or where not in ("start", "end"):
        raise damaged(name, "metadata")
    told = [one for one in (setting.get("codecs"), setting.get("index_codecs")) if "sharding_indexed" not in str(one)]
    if len(told) < 2:
        raise damaged(name, "codecs")
    return Shards(cut, chain(name, told[0], rank), chain(name, told[1], rank + 1), where == "end")


def compressor(name: str, told: Any) -> tuple[Codec, ...]:
    """The compressor of zarr 2, as a codec."""
    if told is None:
        return ()
    kind = told.get("id") if isinstance(told, dict) else None
    if kind not in ("zstd", "gzip"):
        raise UnreadableCheckpoint(f"{printable(name)} is packed by {printable(repr(kind))}, which is not read here")
    return (Codec(kind),)


def decode(
    data: memoryview,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    codecs: Sequence[Codec],
    fill: Any,
    name: str,
) -> Array:
    """The elements of one chunk, as many as its shape says and no others."""
    orders = [codec.setting for codec in codecs if codec.name == "transpose"]
    stored = shape
    for order in orders:
        stored = tuple(stored[axis] for axis in order)
    maker = next(codec for codec in codecs if _ROLE[codec.name] == 1)
    most = math.prod(stored) * dtype.itemsize + _CHECKSUM
    most += 0 if maker.name == "bytes" else len(data) + _ENTRY * math.prod(stored)
    plain = _unpacked(data, [codec for codec in codecs if _ROLE[codec.name] == 2], most, name)
    found = _elements(plain, stored, dtype, maker, fill, name)
    for order in reversed(orders):
        found = found.transpose(np.argsort(order))
    return found


def _unpacked(data: memoryview, codecs: Sequence[Codec], most: int, name: str) -> memoryview:
    """The bytes before compression and checksums."""
    for codec in reversed(codecs):
        if codec.name == "crc32c":
            if len(data) < _CHECKSUM or crc32c(data[:-_CHECKSUM]) != int.from_bytes(data[-_CHECKSUM:], "little"):
                raise UnreadableCheckpoint(f"{printable(name)}: the checksum (CRC-32C) of a chunk is wrong", array=name)
            data = data[:-_CHECKSUM]
        else:
            unpack = unpack_zstd if codec.name == "zstd" else unpack_gzip
            data = memoryview(unpack(data, most, printable(name)))
    return data


def _elements(
    data: memoryview, shape: tuple[int, ...], dtype: np.dtype[Any], maker: Codec, fill: Any, name: str
) -> Array:
    if maker.name == "sharding_indexed":
        return _joined(data, shape, dtype, maker.setting, fill, name)
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise UnreadableCheckpoint(
            f"{printable(name)}: a chunk of {math.prod(shape) * dtype.itemsize} bytes has {len(data)}", array=name
        )
    turned = dtype.newbyteorder(">") if maker.setting == "big" and dtype.itemsize > 1 else dtype
    found = np.frombuffer(data, turned).reshape(shape)
    return found if turned is dtype else found.astype(dtype)


def _joined(
    data: memoryview, shape: tuple[int, ...], dtype: np.dtype[Any], shards: Shards, fill: Any, name: str
) -> Array:
    """The chunks of a shard, put together by its index of places and lengths."""
    grid = Grid.of(name, shape, shards.chunk, dtype)
    counts = math.prod(grid.counts)
    length = _ENTRY * counts + _CHECKSUM * sum(codec.name == "crc32c" for codec in shards.table)
    if counts > _MOST_PARTS or length > len(data) or any(c.name in ("zstd", "gzip") for c in shards.table):
        raise damaged(name, "index of chunks")
    table = data[-length:] if shards.last else data[:length]
    places = decode(table, (*grid.counts, 2), np.dtype("<u8"), shards.table, 0, name).reshape(-1, 2).tolist()
    whole = np.full(shape, fill, dtype)
    for place, (offset, size) in zip(product(*map(range, grid.counts)), places, strict=True):
        if offset == size == _ABSENT:
            continue
        if offset + size > len(data):
            raise damaged(name, "index of chunks")
        piece = decode(data[offset : offset + size], grid.chunk, dtype, shards.inner, fill, name)
        inside = grid.slices(place)
        whole[inside] = piece[tuple(slice(0, part.stop - part.start) for part in inside)]
    return whole


def damaged(name: str, what: str) -> UnreadableCheckpoint:
    """The error of metadata that describe no array."""
    return UnreadableCheckpoint(f"{printable(name)}: its {what} describe no array that is read here", array=name)
