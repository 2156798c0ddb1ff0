"""The checkpoint in parts, `prefix.index` and `prefix.data-…`: a table of entries, and the raw numbers they locate.

The key '' holds the header; every other one, the name of a tensor, its type, shape, shard, place, size and checksum. A
partitioned variable has an entry without data that lists its parts. Source: tensor_bundle.proto in
tensorflow/core/protobuf, and the comments of tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.crc32c import crc32c, mask, masked
from converters.readers.message import Message, text
from converters.readers.protobuf import varint
from converters.readers.source import Source, open_beside
from converters.readers.tensorflow import slices, table
from converters.readers.tensorflow.numbers import TEXT, dtype_of, kind_name, shape_of
from converters.readers.tensorflow.stored import Stored
from layouts.errors import ConversionError, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass

SUFFIX = ".index"
_HEADER = b""
_BIG = 1
_MOST_SHARDS = 10_000


class _Entry(NamedTuple):
    """A BundleEntryProto."""

    name: str
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    parts: tuple[slices.Extents, ...]


@dataclass(frozen=True)
class _Shards:
    """The files of a checkpoint, each opened once, when the first of its tensors is located."""

    index: Source
    count: int
    big: bool
    opened: dict[int, Source]

    def file(self, number: int) -> Source:
        """One of the files. Raises `CheckpointError` where there is none of that number, or it cannot be opened."""
        if not 0 <= number < self.count:
            raise UnreadableCheckpoint(f"it is in file {number} of {self.count}")
        if number not in self.opened:
            stem = os.path.basename(self.index.path).removesuffix(SUFFIX)
            self.opened[number] = open_beside(self.index.path, f"{stem}.data-{number:05d}-of-{self.count:05d}")
        return self.opened[number]

    def part(self, entry: _Entry) -> Source:
        """The bytes of an entry. Raises `CheckpointError` where they are not there."""
        source = self.file(entry.shard)
        if not 0 <= entry.offset <= entry.offset + entry.size <= len(source):
            raise UnreadableCheckpoint(
                f"damaged or truncated: its {entry.size} bytes at byte {entry.offset} are not all in "
                f"{printable(os.path.basename(source.path))}, which has {len(source)}"
            )
        return source.part(entry.offset, entry.size)


def is_bundle(view: memoryview) -> bool:
    """Whether a table is the index of a checkpoint in parts: its first key holds the number of files."""
    source = Source("", view)
    first = next(table.entries(source), None)
    return first is not None and first.key == _HEADER and Message(first.value).holds_number(1)


def read_bundle(index: Source) -> Stored:
    """Every entry of a checkpoint, located and checked against the bytes that are there; nothing is read."""
    found = list(table.entries(index))
    if not found or found[0].key != _HEADER:
        raise UnreadableCheckpoint("its index has no header")
    shards = _shards(index, Message(found[0].value))
    shards.file(0)
    plain = [_entry(each) for each in found[1:] if not each.key.startswith(b"\x00")]
    apart = {each.key: each for each in found[1:] if each.key.startswith(b"\x00")}
    arrays, texts, others = {}, {}, {}
    for entry in plain:
        with _naming(entry.name):
            if entry.kind == TEXT and entry.shape == () and not entry.parts:
                texts[entry.name] = _text(entry, shards.part(entry))
            elif dtype_of(entry.kind) is None:
                others[entry.name] = kind_name(entry.kind)
            elif entry.parts:
                arrays[entry.name] = _partitioned(entry, apart, shards)
            else:
                arrays[entry.name] = _array(entry, shards)
    if apart:
        raise UnreadableCheckpoint("damaged: its index holds a part of an array that it does not list")
    _check_apart(plain, index.path)
    return Stored(index.path, "checkpoint", arrays, texts, others)


def _shards(index: Source, header: Message) -> _Shards:
    count = header.integer(1)
    if not 0 < count <= _MOST_SHARDS:
        raise UnsafeCheckpoint(f"its index tells of {count} data files")
    return _Shards(index, count, header.integer(2) == _BIG, {})


def _entry(stored: table.Entry, name: str = "") -> _Entry:
    message = Message(stored.value)
    return _Entry(
        name or text(memoryview(stored.key)),
        message.integer(1),
        shape_of(message.message(2)),
        message.integer(3),
        message.integer(4),
        message.integer(5),
        message.integer(6),
        tuple(slices.extents(each) for each in message.messages(7)),
    )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say in an error which entry it is about."""
    try:
        yield
    except ConversionError as error:
        raise type(error)(f"{printable(name)}: {error}", array=name, path=error.path) from None


def _partitioned(entry: _Entry, apart: dict[bytes, table.Entry], shards: _Shards) -> LazyArray:
    """A partitioned variable: its parts are taken out of `apart`."""
    found = []
    for extents in entry.parts:
        stored = apart.pop(slices.key(entry.name, extents), None)
        if stored is None:
            raise UnreadableCheckpoint("damaged: its index lists a part of it that is not there")
        part = _entry(stored, entry.name)
        if part.kind != entry.kind or part.shape != slices.shape_of(extents, entry.shape):
            raise UnreadableCheckpoint("damaged: a part of it has another type or shape than the whole tells")
        found.append((extents, _array(part, shards)))
    return slices.joined(entry.name, entry.shape, found)


def _array(entry: _Entry, shards: _Shards) -> LazyArray:
    """An entry of numbers; its checksum is looked at when it is read."""
    dtype = dtype_of(entry.kind)
    assert dtype is not None, entry
    if entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise UnsafeCheckpoint(f"its shape {entry.shape} of {dtype} is not that of its {entry.size} bytes")
    source = shards.part(entry)

    def read() -> Array:
        if masked(source.view) != entry.checksum:
            raise UnreadableCheckpoint(
                f"damaged: the checksum of {printable(entry.name)} is wrong", array=entry.name, path=source.path
            )
        flat = np.frombuffer(source.view, np.uint8)
        if not shards.big or dtype.itemsize == 1:
            return flat.view(dtype).reshape(entry.shape)
        return flat.reshape(-1, dtype.itemsize)[:, ::-1].copy().view(dtype).reshape(entry.shape)

    return LazyArray(entry.name, entry.shape, dtype, read, source.release)


def _text(entry: _Entry, source: Source) -> Callable[[], bytes]:
    """The one text of an entry: its length, the checksum of the lengths, and its bytes."""

    def read() -> bytes:
        length, at = varint(source.view, 0, len(source))
        lengths = length.to_bytes(4 if length < 1 << 32 else 8, "little")
        whole = crc32c(source.view[at:], crc32c(lengths))
        if length != len(source) - at - 4 or mask(whole) != entry.checksum:
            raise UnreadableCheckpoint(
                f"damaged: the checksum of {printable(entry.name)} is wrong", array=entry.name, path=source.path
            )
        return bytes(source.view[at + 4 :])

    return read


def _check_apart(entries: Iterable[_Entry], path: str) -> None:
    """Raise where two entries claim the same bytes: nobody writes that, and it multiplies what is read."""
    taken = sorted((e.shard, e.offset, e.offset + e.size, e.name) for e in entries if e.size and not e.parts)
    for (shard, _, stop, name), (other_shard, start, _, other) in itertools.pairwise(taken):
        if shard == other_shard and start < stop:
            raise UnsafeCheckpoint(f"{printable(name)} and {printable(other)} are the same bytes", path=path)
