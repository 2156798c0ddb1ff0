"""One HDF5 object at a time, as pyfive parses its header, with the checks that pyfive leaves to its caller.

Only pyfive's parsing of headers, trees and heaps is used, over `Bounded` bytes; its data access never. Each fact asked
here is one of the HDF5 File Format Specification, version 3.0: message numbers of IV.A.2, link types of IV.A.2.g.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import bfloat16
from converters.readers.hdf5.chunks import SHUFFLE, Chunk, check_filters
from converters.readers.hdf5.parsers import (
    UNDEFINED_ADDRESS,
    BTreeV1Groups,
    BTreeV1RawDataChunks,
    DataObjects,
    GlobalHeap,
    Heap,
    SuperBlock,
    SymbolTable,
)
from converters.readers.limits import Bounded
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_DATASPACE, _LINK_INFO, _DATATYPE, _EXTERNAL_FILES, _LAYOUT, _SYMBOL_TABLE = 1, 2, 3, 7, 8, 17
_TIMES, _FIRST_BLOCK = (14, 18), 16
"""Messages that tell when an object was changed; where the messages of a header of version 1 begin."""
_SHARED = 2
_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
_INTEGER, _FLOAT, _OPAQUE = 0, 1, 5
_MOST_AXES = 8
_MOST_NAMES = _MOST_CHUNKS = 100_000
_LEAST_TEXT = 32
"""What a string of variable length takes in the file beside its own bytes: a reference of 16, a heap entry of 16."""
_HEAP_ENTRY = 16
_ADDRESS = 8
"""The bytes of an address; the value of another link may be shorter."""
_LINKS = {1: "a soft link", 64: "an external link"}
_ATTRIBUTE_NAME = {1: 8, 3: 9}
"""Version of an attribute message -> where its name begins."""

_FLOATS = {
    (2, 15, 10, 5, 0, 10, 15): "f2",
    (4, 31, 23, 8, 0, 23, 127): "f4",
    (8, 63, 52, 11, 0, 52, 1023): "f8",
    (2, 15, 7, 8, 0, 7, 127): "bfloat16",
}
"""(bytes, sign, exponent at, exponent bits, mantissa at, mantissa bits, bias) of every float that is read."""


class Stored(NamedTuple):
    """Where the bytes of one dataset are: in the header itself, in one range, or in chunks."""

    inline: bytes | None = None
    start: int = 0
    block: tuple[int, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    filters: tuple[int, ...] = ()


def root_address(stream: Bounded, size: int, userblock: int) -> int:
    """The address of the root group of a file that begins behind a user block of so many bytes.

    Raises `UnsafeCheckpoint` when the file is shorter than it says.
    """
    block = SuperBlock(stream, 0)
    if block._contents["base_address"] != userblock:
        raise UnreadableCheckpoint("the superblock of the file is damaged: it says that the file begins elsewhere")
    if block._contents["end_of_file_address"] - block._contents["base_address"] > size:
        raise UnsafeCheckpoint("the file is truncated: it is shorter than its own header says")
    return int(block.offset_to_dataobjects)


class _Collection(GlobalHeap):  # type: ignore[misc]
    """Strings of variable length. Fewer bytes at its end than an entry takes are no entry: pyfive fails on them."""

    @cached_property
    def objects(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at = 0
        while at + _HEAP_ENTRY <= len(self.heap_data):
            index, length = struct.unpack_from("<H6xQ", self.heap_data, at)
            if not index:
                break
            at += _HEAP_ENTRY
            found[index] = self.heap_data[at : at + length]
            at += -(-length // 8) * 8
        return found


class Link(NamedTuple):
    """One name in a group. Only a hard link (`kind` 0) has an address; no other is ever followed."""

    name: str
    address: int = 0
    kind: int = 0


class Object(DataObjects):  # type: ignore[misc]
    """The header of one group or dataset."""

    def __init__(self, stream: Bounded, address: int, path: str) -> None:
        super().__init__(stream, address)
        self._path = path
        self._attribute = ""
        self._wanted: tuple[str, ...] = ()
        self._text_left = stream.seek(0, 2)

    @property
    def where(self) -> str:
        """The object, or the attribute of it that is being parsed, as messages name it."""
        return printable(f"{self._path or '/'}@{self._attribute}" if self._attribute else self._path or "/")

    @property
    def is_array(self) -> bool:
        """A dataset; False for a group. Raises for a named type or something else."""
        kinds = {message["type"] for message in self.msgs}
        if _DATASPACE in kinds:
            return True
        if self.is_group:
            return False
        raise UnreadableCheckpoint(f"{printable(self._path)} is damaged: neither a group nor a dataset")

    @property
    def is_group(self) -> bool:
        return bool({message["type"] for message in self.msgs} & {_SYMBOL_TABLE, _LINK_INFO})

    def times(self) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """The ranges of the file that hold times of changes, which mean nothing here, each with the block around it."""
        if self._header["version"] != 1:
            return
        begin, length = self.offset + _FIRST_BLOCK, self._header["object_header_size"]
        for message in self.msgs:
            start, size = message["offset_to_message"], message["size"]
            if message["type"] in _TIMES and start + size <= length:
                yield (begin + start, begin + start + size), (begin, begin + length)

    def children(self) -> Iterator[Link]:
        """Every link of the group, each name once."""
        seen: set[str] = set()
        for name, target in self.iter_links():
            if name in seen:
                raise UnsafeCheckpoint(f"{printable(self._path or '/')} names {printable(name)} twice")
            seen.add(name)
            yield target if isinstance(target, Link) else Link(name, target)

    def hard(self, link: Link) -> Link:
        """The link itself, where it is a hard one; any other is refused."""
        if link.kind:
            what = _LINKS.get(link.kind, "a user-defined link")
            raise UnsafeCheckpoint(f"{printable(f'{self._path}/{link.name}')} is {what}: only hard links are followed")
        return link

    def _decode_link_msg(self, data: bytes, offset: int) -> Any:
        flags = data[offset + 1]
        kind = data[offset + 2] if flags & 8 else 0
        if not kind:
            return DataObjects._decode_link_msg(data, offset)
        as_hard = bytes(data[offset : offset + 2]) + b"\0" + bytes(data[offset + 3 :]) + bytes(_ADDRESS)
        order, (name, _) = DataObjects._decode_link_msg(as_hard, 0)
        return order, (name, Link(name, 0, kind))

    def _iter_links_btree_v1(self, btree_address: int, heap_address: int) -> Iterator[tuple[str, int | Link]]:
        heap = Heap(self.fh, heap_address)
        for address in BTreeV1Groups(self.fh, btree_address).symbol_table_addresses():
            table = SymbolTable(self.fh, address)
            table.assign_name(heap)
            for entry in table.entries:
                name, kind = entry["link_name"], entry["cache_type"]
                yield name, entry["object_header_address"] if kind in (0, 1) else Link(name, 0, kind - 1)

    def texts(self, wanted: tuple[str, ...]) -> dict[str, Any]:
        """The attributes whose names, without a number at the end, are wanted: str, list of str, or None if no text."""
        self._wanted = wanted
        return {name: _text(value) for name, value in self.get_attributes().items() if self._wants(name)}

    def _wants(self, name: str) -> bool:
        return name.rstrip("0123456789") in self._wanted

    def _parse_attribute_msg(self, buffer: bytes, offset: int) -> tuple[str, Any]:
        start = offset + _ATTRIBUTE_NAME.get(buffer[offset], 8)
        (length,) = struct.unpack_from("<H", buffer, offset + 2)
        name = bytes(buffer[start : start + length]).split(b"\0")[0].decode("utf-8", "replace")
        if not self._wants(name):
            return name, None
        self._attribute = name
        if buffer[offset] not in _ATTRIBUTE_NAME or buffer[offset + 1] & 3:
            raise UnreadableCheckpoint(f"{self.where}: its type is damaged, or shared with other attributes")
        _, value = super()._parse_attribute_msg(buffer, offset)
        self._attribute = ""
        return name, value

    def _attr_value(self, ptype: Any, buf: bytes, count: int, offset: int) -> Any:
        if count > _MOST_NAMES:
            raise UnsafeCheckpoint(f"{self.where}: claims {count} values: too many")
        return super()._attr_value(ptype, buf, count, offset)

    def _vlen_size_and_data(self, buf: bytes, offset: int) -> tuple[int, Any]:
        (address,) = struct.unpack_from("<Q", buf, offset + 4)
        if address and address not in self.fh.kept:
            self.fh.kept[address] = _Collection(self.fh, address)
        self._global_heaps = self.fh.kept
        size, data = super()._vlen_size_and_data(buf, offset)
        if data is not None and len(data) != size:
            raise UnsafeCheckpoint(f"{self.where}: claims a string of {size} bytes, and {len(data)} are stored")
        self._text_left -= size + _LEAST_TEXT
        if self._text_left < 0:
            raise UnsafeCheckpoint(f"{self.where}: names one stored string many times")
        return size, data

    def _message(self, kind: int, what: str) -> int:
        """Where the one message of a kind begins."""
        found = self.find_msg_type(kind)
        if len(found) != 1 or found[0]["flags"] & _SHARED:
            raise UnreadableCheckpoint(f"{printable(self._path)}: its {what} is damaged, or shared with other objects")
        return int(found[0]["offset_to_message"])

    def dimensions(self) -> tuple[int, ...]:
        """The shape of the dataset."""
        self._message(_DATASPACE, "shape")
        shape = self.shape
        if shape is None or len(shape) > _MOST_AXES:
            raise UnreadableCheckpoint(f"{printable(self._path)}: its shape is {'null' if shape is None else shape}")
        return tuple(int(size) for size in shape)

    def element(self) -> np.dtype[Any]:
        """The dtype of the dataset: floating point and integers, bfloat16 also as an opaque pair of bytes."""
        start = self._message(_DATATYPE, "dtype")
        number = self.msg_data[start] & 15
        order, sign, _, size = struct.unpack_from("<BBBI", self.msg_data, start + 1)
        endian = ">" if order & 1 else "<"
        if number == _FLOAT:
            at, bits, exponent, exponents, mantissa, mantissas, bias = struct.unpack_from(
                "<HHBBBBI", self.msg_data, start + 8
            )
            kind = _FLOATS.get((size, sign, exponent, exponents, mantissa, mantissas, bias))
            if kind and not at and bits == 8 * size:
                return bfloat16() if kind == "bfloat16" else np.dtype(endian + kind)
        if number == _INTEGER and size in (1, 2, 4, 8):
            return np.dtype(f"{endian}{'i' if order & 8 else 'u'}{size}")
        if number == _OPAQUE and size == 2 and self.texts(("dtype",)).get("dtype", "bfloat16") == "bfloat16":
            return bfloat16()
        raise UnreadableCheckpoint(f"{printable(self._path)}: its dtype is not one that weights have")

    def stored(self, shape: tuple[int, ...], kind: np.dtype[Any], size: int) -> Stored:
        """Where the data is, checked against the shape and against the `size` of the file in bytes."""
        if self.find_msg_type(_EXTERNAL_FILES):
            raise UnsafeCheckpoint(f"{printable(self._path)} keeps its data in external storage: not followed")
        version, *_ = self._get_data_message_properties(self._message(_LAYOUT, "layout"))
        _, layout, at = self.get_id_storage_params()
        nbytes = math.prod(shape) * kind.itemsize
        if layout == _VIRTUAL:
            raise UnsafeCheckpoint(f"{printable(self._path)} is a virtual dataset: not followed")
        if layout == _COMPACT and version >= 3:
            (length,) = struct.unpack_from("<H", self.msg_data, at)
            self._agree(length, nbytes, shape, kind)
            return Stored(inline=bytes(self.msg_data[at + 2 : at + 2 + length]))
        if layout == _CONTIGUOUS and version >= 3:
            start, length = struct.unpack_from("<QQ", self.msg_data, at)
            if start == UNDEFINED_ADDRESS and nbytes:
                raise UnreadableCheckpoint(f"{printable(self._path)}: its data was never written")
            self._agree(length, nbytes, shape, kind)
            if nbytes and start + nbytes > size:
                raise UnsafeCheckpoint(f"{printable(self._path)}: its data lies beyond the end of the file: truncated?")
            return Stored(start=start)
        if layout == _CHUNKED and version == 3:
            return self._in_chunks(shape, kind, at, size)
        raise UnreadableCheckpoint(
            f"{printable(self._path)}: layout {layout} of version {version} is not read; h5repack the file"
        )

    def _agree(self, length: int, nbytes: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        if length != nbytes:
            raise UnsafeCheckpoint(
                f"{printable(self._path)}: shape {shape} of {kind} makes {nbytes} bytes, and {length} are stored"
            )

    def _in_chunks(self, shape: tuple[int, ...], kind: np.dtype[Any], at: int, size: int) -> Stored:
        name, block = printable(self._path), tuple(int(n) for n in self.chunks)
        (width,) = struct.unpack_from("<I", self.msg_data, at + 9 + 4 * len(block))
        if len(block) != len(shape) or 0 in block or width != kind.itemsize:
            raise UnreadableCheckpoint(f"{name}: chunks of shape {block} do not agree with the shape {shape}")
        filters = tuple(int(entry["filter_id"]) for entry in self.filter_pipeline or ())
        check_filters(list(filters), name)
        self._check_shuffle(kind, name)
        if self._chunk_address == UNDEFINED_ADDRESS:
            raise UnreadableCheckpoint(f"{name}: its data was never written")
        counts = [-(-total // step) for total, step in zip(shape, block, strict=True)]
        if math.prod(counts) > min(_MOST_CHUNKS, size // 32):
            raise UnsafeCheckpoint(f"{name}: {math.prod(counts)} chunks are too many")
        chunks = tuple(self._leaves())
        corners = {chunk.corner for chunk in chunks}
        grid = all(c % step == 0 and c < total for k in corners for c, step, total in zip(k, block, shape, strict=True))
        if len(corners) != len(chunks) or len(chunks) != math.prod(counts) or not grid:
            raise UnreadableCheckpoint(f"{name}: a chunk is missing, duplicated, or off the grid")
        if any(chunk.offset + chunk.size > size for chunk in chunks):
            raise UnsafeCheckpoint(f"{name}: a chunk lies beyond the end of the file: truncated?")
        return Stored(block=block, chunks=chunks, filters=filters)

    def _check_shuffle(self, kind: np.dtype[Any], name: str) -> None:
        for entry in self.filter_pipeline or ():
            values = entry.get("client_data", entry.get("client_data_values"))
            if entry["filter_id"] == SHUFFLE and isinstance(values, tuple | list) and values[0] != kind.itemsize:
                raise UnreadableCheckpoint(f"{name}: the shuffle filter is made for elements of {values[0]} bytes")

    def _leaves(self) -> Iterator[Chunk]:
        tree = BTreeV1RawDataChunks(self.fh, self._chunk_address, self._chunk_dims)
        for node in tree.all_nodes[0]:
            for key, address in zip(node["keys"], node["addresses"], strict=False):
                yield Chunk(tuple(key["chunk_offset"][:-1]), address, key["chunk_size"], key["filter_mask"])


def _text(value: Any) -> str | list[str] | None:
    """A stored text or list of texts; an empty list whatever its type; None for anything else."""
    if isinstance(value, np.ndarray) and value.ndim:
        if value.ndim > 1:
            return None
        if not value.size:
            return []
        texts = [_text(item) for item in value]
        return [text for text in texts if isinstance(text, str)] if all(isinstance(t, str) for t in texts) else None
    if isinstance(value, bytes | np.bytes_):
        return bytes(value).rstrip(b"\0").decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return value
    return _empty(value)


def _empty(value: Any) -> list[str] | None:
    """pyfive's mark for an attribute without a value."""
    return [] if type(value).__name__ == "Empty" else None
