"""The sorted table of leveldb, in which TensorFlow keeps the index of a checkpoint, or a whole old checkpoint.

A footer of 48 bytes names the index block; its entries name the data blocks; an entry shares the beginning of its key
with the one before. Every block has a checksum, and keys grow. Source: leveldb doc/table_format.md, and
tensorflow/core/lib/io/table_format.txt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from converters.readers.crc32c import masked
from converters.readers.protobuf import varint
from converters.readers.signatures import TABLE as MAGIC
from converters.readers.source import Source
from converters.readers.tensorflow import snappy
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_FOOTER, _TRAILER = 48, 5
_PLAIN, _SNAPPY = 0, 1
_MOST_ENTRIES = 1_000_000
_LONGEST_KEY = 64 << 10
_MOST_UNPACKED = 64 << 20
_PER_ENTRY = 16


class Entry(NamedTuple):
    """One key, and the bytes of its value where they stand."""

    key: bytes
    value: memoryview


def is_table(view: memoryview) -> bool:
    """Whether bytes end as a table does."""
    return len(view) >= _FOOTER and view[-len(MAGIC) :] == MAGIC


def entries(source: Source) -> Iterator[Entry]:
    """Every entry of a table, in order. Raises `CheckpointError` for what is damaged, repeated, or out of bounds."""
    budget = _Budget(len(source))
    last: bytes | None = None
    for _, place in _block(source, *_handle(_footer(source)), budget):
        for entry in _block(source, *_handle(place), budget):
            if last is not None and entry.key <= last:
                raise UnreadableCheckpoint("damaged: the keys of its table do not grow", path=source.path)
            yield entry
            last = entry.key


class _Budget:
    """What a table may cost: keys share their beginnings, so few bytes can claim very long keys very often."""

    def __init__(self, size: int) -> None:
        self._left, self._entries, self._unpacked = 8 * size + (1 << 20), _MOST_ENTRIES, _MOST_UNPACKED

    def spend(self, key: int) -> None:
        self._left -= key + _PER_ENTRY
        self._entries -= 1
        if key > _LONGEST_KEY or self._left < 0 or self._entries < 0:
            raise UnsafeCheckpoint("its table claims more keys, or longer ones, than it can hold")

    def unpack(self, data: memoryview) -> memoryview:
        found = snappy.unpacked(data, self._unpacked)
        self._unpacked -= len(found)
        return memoryview(found)


def _footer(source: Source) -> memoryview:
    """The handle of the index block; that of the block of filters, which TensorFlow never had, stands before it."""
    if not is_table(source.view):
        raise UnreadableCheckpoint(
            "this does not end as a table of TensorFlow does: truncated, or no such file", path=source.path
        )
    footer = source.view[-_FOOTER : -len(MAGIC)]
    at = 0
    for _ in range(2):
        _, at = varint(footer, at, len(footer))
    return footer[at:]


def _handle(data: memoryview) -> tuple[int, int]:
    offset, at = varint(data, 0, len(data))
    return offset, varint(data, at, len(data))[0]


def _block(source: Source, offset: int, size: int, budget: _Budget) -> Iterator[Entry]:
    """The entries of one block, its checksum checked first."""
    stop = len(source) - _FOOTER
    if offset + size + _TRAILER > stop:
        raise UnreadableCheckpoint(
            f"damaged or truncated: a block of {size} bytes at byte {offset}, and the file has {len(source)}",
            path=source.path,
        )
    whole = source.view[offset : offset + size + _TRAILER]
    if int.from_bytes(whole[-4:], "little") != masked(whole[:-4]):
        raise UnreadableCheckpoint(f"damaged: the checksum of the block at byte {offset} is wrong", path=source.path)
    kind, data = whole[size], whole[:size]
    if kind not in (_PLAIN, _SNAPPY):
        raise UnreadableCheckpoint(f"a block is compressed in a way that is not known ({kind})", path=source.path)
    yield from _entries(budget.unpack(data) if kind == _SNAPPY else data, budget)


def _entries(data: memoryview, budget: _Budget) -> Iterator[Entry]:
    """Keys by what they share with the one before, up to the list of places where nothing is shared."""
    restarts = int.from_bytes(data[-4:], "little") if len(data) >= 4 else len(data)
    stop = len(data) - 4 - 4 * restarts
    if stop < 0:
        raise UnreadableCheckpoint("damaged: a block of the table is shorter than its own index")
    key, at = b"", 0
    while at < stop:
        shared, at = varint(data, at, stop)
        added, at = varint(data, at, stop)
        length, at = varint(data, at, stop)
        if shared > len(key) or added + length > stop - at:
            raise UnreadableCheckpoint("damaged: an entry of the table is longer than its block")
        budget.spend(shared + added)
        key = key[:shared] + bytes(data[at : at + added])
        yield Entry(key, data[at + added : at + added + length])
        at += added + length
