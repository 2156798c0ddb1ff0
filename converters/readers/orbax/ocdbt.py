"""OCDBT, the database in which TensorStore keeps many small values in few files: a manifest, and a tree of nodes.

Every block, manifest or node, begins with a magic number, its length, a version and a compression, and ends in its
CRC-32C. A node names the files that its entries point into; keys are stored as what they do not share with the one
before. Source: "Storage format" of google.github.io/tensorstore/kvstore/ocdbt. Numbers are varints unless said.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from converters.readers.crc32c import crc32c
from converters.readers.orbax.compression import unpack_zstd
from converters.readers.source import Source, open_beside, open_source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass, field

MANIFEST = "manifest.ocdbt"
_MANIFEST, _NODE = 0x0CDB3A2A, 0x0CDB20DE
_HEADER = struct.Struct("<Q")
_MOST_BLOCK = 100_000_000
_MOST_ENTRIES = 1_000_000
_MOST_FILES = 10_000
_ABSENT = (1 << 64) - 1


class Location(NamedTuple):
    """Where a block or a value stands: the folder that paths in it begin from, a file, and the bytes."""

    base: str
    file: str
    offset: int
    length: int


@dataclass
class Fields:
    """The decoded body of a block, read one field after another; nothing is read beyond it."""

    data: memoryview
    what: str
    at: int = 0

    def number(self) -> int:
        """A varint of at most 64 bits."""
        value = 0
        for shift in range(0, 64, 7):
            byte = self.bytes(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value & _ABSENT
        raise UnreadableCheckpoint(f"{self.what} is damaged: a number that does not end")

    def numbers(self, count: int) -> list[int]:
        """So many varints; each takes a byte at least."""
        self.room(count)
        return [self.number() for _ in range(count)]

    def room(self, count: int) -> None:
        """Raise unless so many bytes follow."""
        if count > len(self.data) - self.at:
            raise UnreadableCheckpoint(f"{self.what} is damaged: it announces {count} of what does not follow")

    def bytes(self, count: int) -> memoryview:
        self.room(count)
        self.at += count
        return self.data[self.at - count : self.at]


def values(folder: Path) -> dict[str, memoryview]:
    """Every key of the newest version, and the bytes of its value, mapped where they stand or decoded with their node.

    Raises `CheckpointError` for what is damaged, has one key twice, or leads out of the folder.
    """
    return dict(_Database(folder).entries())


@dataclass
class _Database:
    """The files of a database, each opened once, and the nodes that have been read."""

    folder: Path
    files: dict[str, Source] = field(default_factory=dict)
    nodes: set[tuple[str, int]] = field(default_factory=set)
    left: int = _MOST_ENTRIES

    def entries(self) -> Iterator[tuple[str, memoryview]]:
        root, height = self._root()
        seen: set[str] = set()
        for key, value in self._below(root, height, b"") if root.length != _ABSENT else ():
            name = _text(key)
            if name in seen:
                raise UnsafeCheckpoint(f"the database has the key {printable(repr(name))} twice")
            seen.add(name)
            yield name, value

    def _root(self) -> tuple[Location, int]:
        """The root of the newest version."""
        source = open_source(self.folder / MANIFEST)
        body = Fields(_body(source.view, _MANIFEST, "the manifest"), "the manifest")
        body.bytes(16)
        if body.number():
            raise UnreadableCheckpoint("the manifest is spread over numbered files, which are not read here")
        body.number()
        body.number()
        body.bytes(1)
        if body.number():
            body.bytes(4)
        files = _files(body, "")
        count = body.number()
        columns = [body.numbers(count), list(body.bytes(count)), *(body.numbers(count) for _ in range(3))]
        if not count:
            raise UnreadableCheckpoint("the manifest lists no version of the database")
        _, heights, numbers, offsets, lengths = columns
        return _at(files, numbers[-1], offsets[-1], lengths[-1], body.what), heights[-1]

    def _below(self, place: Location, height: int, prefix: bytes) -> Iterator[tuple[bytes, memoryview]]:
        """The entries of the leaves below a node."""
        what = f"the node at byte {place.offset} of {printable(place.file)}"
        if (place.file, place.offset) in self.nodes:
            raise UnsafeCheckpoint(f"{what} is reached twice: cyclic structure")
        self.nodes.add((place.file, place.offset))
        body = Fields(_body(self.read(place, what), _NODE, what), what)
        if body.bytes(1)[0] != height:
            raise UnreadableCheckpoint(f"{what} is not of the height {height} that leads to it")
        files = _files(body, place.base)
        count = body.number()
        self.left -= count
        if self.left < 0:
            raise UnsafeCheckpoint(f"the database lists more than {_MOST_ENTRIES} entries")
        yield from (
            self._leaf(body, files, count, prefix) if not height else self._inner(body, files, count, height, prefix)
        )

    def _inner(
        self, body: Fields, files: Sequence[Location], count: int, height: int, prefix: bytes
    ) -> Iterator[tuple[bytes, memoryview]]:
        shared, rest, common = body.numbers(max(count - 1, 0)), body.numbers(count), body.numbers(count)
        keys = list(_keys(body, shared, rest))
        numbers, offsets, lengths = (body.numbers(count) for _ in range(3))
        for key, kept, number, offset, length in zip(keys, common, numbers, offsets, lengths, strict=True):
            yield from self._below(_at(files, number, offset, length, body.what), height - 1, prefix + key[:kept])

    def _leaf(
        self, body: Fields, files: Sequence[Location], count: int, prefix: bytes
    ) -> Iterator[tuple[bytes, memoryview]]:
        shared, rest = body.numbers(max(count - 1, 0)), body.numbers(count)
        keys = list(_keys(body, shared, rest))
        lengths, kinds = body.numbers(count), body.numbers(count)
        if any(kind > 1 for kind in kinds):
            raise UnreadableCheckpoint(f"{body.what} is damaged: a value that is neither here nor elsewhere")
        outside = sum(kinds)
        places = iter(list(zip(body.numbers(outside), body.numbers(outside), strict=True)))
        for key, length, kind in zip(keys, lengths, kinds, strict=True):
            if kind:
                place = _at(files, *next(places), length, body.what)
                yield prefix + key, self.read(place, f"the value of {printable(repr(_text(prefix + key)))}")
            else:
                yield prefix + key, body.bytes(length)

    def read(self, place: Location, what: str) -> memoryview:
        """The bytes at a place, which have to be there."""
        source = self.files.get(place.file)
        if source is None:
            if len(self.files) >= _MOST_FILES:
                raise UnsafeCheckpoint(f"the database spreads over more than {_MOST_FILES} files")
            source = self.files[place.file] = open_beside(str(self.folder / MANIFEST), place.file)
        if place.offset + place.length > len(source):
            raise UnreadableCheckpoint(
                f"{what} stands in bytes {place.offset} to {place.offset + place.length} of {printable(place.file)}, "
                f"which has {len(source)}"
            )
        return source.view[place.offset : place.offset + place.length]


def _body(block: memoryview, magic: int, what: str) -> memoryview:
    """The body of a block, its checksum verified before anything in it is believed."""
    if len(block) < 18 or int.from_bytes(block[:4], "big") != magic:
        raise UnreadableCheckpoint(f"{what} is damaged: it does not begin as one")
    if _HEADER.unpack(block[4:12])[0] != len(block):
        raise UnreadableCheckpoint(f"{what} is truncated, or its length is wrong")
    if crc32c(block[:-4]) != int.from_bytes(block[-4:], "little"):
        raise UnreadableCheckpoint(f"{what}: the checksum (CRC-32C) is wrong")
    head = Fields(block[12:-4], what)
    version, compression = head.number(), head.number()
    if version or compression > 1:
        raise UnreadableCheckpoint(f"{what} is of version {version}, compression {compression}: not known")
    rest = head.data[head.at :]
    return memoryview(unpack_zstd(rest, _MOST_BLOCK, what)) if compression else rest


def _files(body: Fields, base: str) -> list[Location]:
    """The table of the files that a block points into; each is named by what it does not share with the one before."""
    count = body.number()
    if count > _MOST_FILES:
        raise UnsafeCheckpoint(f"{body.what} names {count} files")
    shared, rest, bases = body.numbers(max(count - 1, 0)), body.numbers(count), body.numbers(count)
    paths = [_text(path) for path in _keys(body, shared, rest)]
    return [Location(base + path[:end], base + path, 0, 0) for path, end in zip(paths, bases, strict=True)]


def _keys(body: Fields, shared: Sequence[int], rest: Sequence[int]) -> Iterator[bytes]:
    """Byte strings that are stored without the beginning that each shares with the one before it."""
    before = b""
    for kept, length in zip((0, *shared), rest, strict=False):
        if kept > len(before) or length + kept > 1 << 16:
            raise UnreadableCheckpoint(f"{body.what} is damaged: a name that begins like none")
        before = before[:kept] + bytes(body.bytes(length))
        yield before


def _at(files: Sequence[Location], number: int, offset: int, length: int, what: str) -> Location:
    if number >= len(files):
        raise UnreadableCheckpoint(f"{what} is damaged: it points into the file {number} of {len(files)}")
    return files[number]._replace(offset=offset, length=length)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise UnreadableCheckpoint("the database has a name that is not UTF-8") from None
