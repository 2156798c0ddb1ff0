"""Chunks of an HDF5 dataset, decoded here and not by a library, so that a short chunk is an error and not old memory.

Only deflate, shuffle and fletcher32 exist; each at most once. A chunk inflates to exactly its own size or is refused.
Source: HDF5 File Format Specification, IV.A.2.l (filter pipeline), and the registered filter numbers 1, 2, 3.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np

from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
_KNOWN = {DEFLATE, SHUFFLE, FLETCHER32}


class Chunk(NamedTuple):
    """Where one chunk stands in the array and in the file; a set bit of `mask` skips that filter."""

    corner: tuple[int, ...]
    offset: int
    size: int
    mask: int


def check_filters(filters: list[int], name: str) -> None:
    """Raise `UnsafeCheckpoint` for a filter that is not supported, or applied twice."""
    for number in filters:
        if number not in _KNOWN:
            raise UnsafeCheckpoint(f"{name}: filter {number} is not supported (gzip, shuffle, fletcher32 are)")
    if len(set(filters)) != len(filters):
        raise UnsafeCheckpoint(f"{name}: the same filter is applied twice")


def decode(data: memoryview, filters: list[int], mask: int, size: int, itemsize: int, name: str) -> bytes | memoryview:
    """Undo the filters of one chunk; the result has exactly `size` bytes or this raises `UnreadableCheckpoint`."""
    result: bytes | memoryview = data
    for number in reversed([f for k, f in enumerate(filters) if not mask >> k & 1]):
        if number == FLETCHER32:
            result = _verified(result, name)
        elif number == DEFLATE:
            result = _inflated(result, size + 4, name)
        else:
            result = _unshuffled(result, itemsize)
    if len(result) != size:
        raise UnreadableCheckpoint(f"{name}: a chunk holds {len(result)} bytes where {size} are declared")
    return result


def _inflated(data: bytes | memoryview, limit: int, name: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        result = inflater.decompress(data, limit + 1)
    except zlib.error:
        raise UnreadableCheckpoint(f"{name}: a compressed chunk is damaged") from None
    if len(result) > limit or not inflater.eof or inflater.unused_data:
        raise UnsafeCheckpoint(f"{name}: a compressed chunk does not end where its size says")
    return result


def _unshuffled(data: bytes | memoryview, itemsize: int) -> bytes:
    whole = len(data) // itemsize * itemsize
    block = np.frombuffer(data, np.uint8, whole).reshape(itemsize, -1)
    return block.T.tobytes() + bytes(data[whole:])


def _verified(data: bytes | memoryview, name: str) -> memoryview:
    body, stored = memoryview(data)[:-4], int.from_bytes(data[-4:], "little")
    if not _same_sums(_fletcher32(body), stored):
        raise UnreadableCheckpoint(f"{name}: the checksum of a chunk is wrong")
    return body


def _fletcher32(data: memoryview) -> int:
    padded = bytes(data) + b"\0" * (len(data) % 2)
    words = np.frombuffer(padded, ">u2").astype(np.uint64)
    weights = np.arange(len(words), 0, -1, dtype=np.uint64) % np.uint64(65535)
    first, second = int(words.sum()) % 65535, int((words * weights % np.uint64(65535)).sum()) % 65535
    return second << 16 | first


def _same_sums(one: int, other: int) -> bool:
    """Equal halves modulo 65535: zero has two spellings."""
    return all((one >> shift & 0xFFFF) % 65535 == (other >> shift & 0xFFFF) % 65535 for shift in (0, 16))


def place(target: np.ndarray[Any, Any], block: np.ndarray[Any, Any], corner: tuple[int, ...]) -> None:
    """Put a chunk into the array; what hangs over the array's edge is padding."""
    inside = tuple(slice(c, min(c + n, total)) for c, n, total in zip(corner, block.shape, target.shape, strict=True))
    target[inside] = block[tuple(slice(0, s.stop - s.start) for s in inside)]
