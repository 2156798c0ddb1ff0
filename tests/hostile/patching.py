"""Lies that no HDF5 library writes: find a structure in a finished file, change its bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py

DATASPACE, DATATYPE, LAYOUT, FILTERS, ATTRIBUTE = 0x01, 0x03, 0x08, 0x0B, 0x0C
LINK_INFO, CONTINUATION, SYMBOL_TABLE = 0x02, 0x10, 0x11
ROOT_V0, END_OF_FILE_V0 = 64, 40  # in a version 0 superblock: root entry's header, file's end
END_OF_FILE_V2, ROOT_V2 = 28, 36  # in a version 2 or 3 superblock
NOWHERE = 2**40  # an address far beyond every file here
MASK = 0xFFFFFFFF


def put(path: Path, offset: int, layout: str, *numbers: int | bytes) -> Path:
    """Overwrite bytes of a file in place, packed little-endian."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack("<" + layout, *numbers))
    return path


def get(path: Path, offset: int, layout: str) -> tuple[int, ...]:
    """Unpack little-endian numbers of a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))


def append(path: Path, content: bytes) -> int:
    """Add bytes at an eight-byte boundary after the end and count them in the superblock."""
    data = path.read_bytes()
    start = -(-len(data) // 8) * 8
    path.write_bytes(data.ljust(start, b"\0") + content)
    if data[8] == 0:
        put(path, END_OF_FILE_V0, "Q", start + len(content))
    else:
        put(path, END_OF_FILE_V2, "Q", start + len(content))
        seal(path, 0, 44)
    return start


def header(path: Path, name: str) -> int:
    """The address of an object's header."""
    with h5py.File(path, "r") as file:
        return int(h5py.h5o.get_info(file[name].id).addr)


def messages(path: Path, address: int) -> Iterator[tuple[int, int, int]]:
    """(type, offset of the body, size) of each message in an object header, continuations too."""
    data = path.read_bytes()
    if new := data[address : address + 4] == b"OHDR":
        flags = data[address + 5]
        width = 1 << (flags & 3)
        at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0) + width
        form, head = "<BH", 6 if flags & 4 else 4
        blocks = [(at, at + int.from_bytes(data[at - width : at], "little"))]
    else:
        form, head = "<HH", 8
        blocks = [(address + 16, address + 16 + struct.unpack_from("<I", data, address + 8)[0])]
    for at, end in blocks:
        while at + head <= end:
            kind, size = struct.unpack_from(form, data, at)
            yield kind, at + head, size
            if kind == CONTINUATION:
                more, length = struct.unpack_from("<QQ", data, at + head)
                blocks.append((more + 4, more + length - 4) if new else (more, more + length))
            at += head + size


def message(path: Path, name: str, kind: int) -> int:
    """Where the body of an object's first message of this type begins."""
    return next(body for found, body, _ in messages(path, header(path, name)) if found == kind)


def set_dims(path: Path, name: str, *sizes: int) -> Path:
    """Change a dataset's dimensions and its maximal ones (dataspace version 1)."""
    return put(path, message(path, name, DATASPACE) + 8, f"{2 * len(sizes)}Q", *sizes, *sizes)


def layout_address(path: Path, name: str) -> int:
    """Where a contiguous dataset's address stands; its stored size follows."""
    return message(path, name, LAYOUT) + 2


def group_tree(path: Path, name: str) -> tuple[int, int]:
    """Addresses of an old-style group's B-tree and of its local heap."""
    tree, heap = get(path, message(path, name, SYMBOL_TABLE), "QQ")
    return tree, heap


def chunk_tree(path: Path, name: str) -> int:
    """The address of a chunked dataset's version 1 B-tree."""
    return get(path, message(path, name, LAYOUT) + 3, "Q")[0]


def find(path: Path, pattern: bytes, start: int = 0) -> int:
    """The first offset of a byte pattern; fails when there is none."""
    return path.read_bytes().index(pattern, start)


def seal(path: Path, start: int, end: int) -> Path:
    """Write the checksum of the block [start, end) at its end, as newer HDF5 structures have."""
    data = path.read_bytes()
    return put(path, end, "I", lookup3(data[start:end]))


def seal_header(path: Path, address: int) -> Path:
    """Seal the first block of a version 2 object header after a change."""
    (flags,) = get(path, address + 5, "B")
    width = 1 << (flags & 3)
    at = address + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
    return seal(path, address, at + width + get(path, at, "BHIQ"[flags & 3])[0])


def lookup3(data: bytes) -> int:
    """Bob Jenkins's lookup3, the metadata checksum of HDF5 (of one byte or more)."""
    words = [(0xDEADBEEF + len(data)) & MASK] * 3
    for start in range(0, len(data), 12):
        added = struct.unpack("<III", data[start : start + 12].ljust(12, b"\0"))
        words = [(word + more) & MASK for word, more in zip(words, added, strict=True)]
        words = _mixed(*words) if start + 12 < len(data) else words
    return _final(*words)


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & MASK


def _mixed(a: int, b: int, c: int) -> list[int]:
    """Mix three words between blocks of twelve bytes."""
    for by in (4, 6, 8, 16, 19, 4):
        a, b, c = b, (c + b) & MASK, ((a - c) & MASK) ^ _rotate(c, by)
    return [a, b, c]


def _final(a: int, b: int, c: int) -> int:
    """Mix three words for the last time, giving the checksum."""
    for by in (14, 11, 25, 16, 4, 14, 24):
        a, b, c = b, ((c ^ b) - _rotate(b, by)) & MASK, a
    return b


def deflated_zeros(size: int) -> bytes:
    """A zlib stream of `size` zero bytes (whole MiB), made without inflating memory or time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (size % 65521) << 16 | 1
    return b"\x78\xda" + block * (size >> 20) + b"\x03\0" + checksum.to_bytes(4, "big")
