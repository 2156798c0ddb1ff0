"""Snappy, which a table may be compressed by: one block of a length that it tells first, never more than is allowed.

Source: github.com/google/snappy, format_description.txt. TensorFlow itself writes blocks as they are.
"""

from __future__ import annotations

from converters.readers.protobuf import varint
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_LITERAL = 0
_MOST_RATIO = 64
"""A copy of three bytes makes at most 64."""


def unpacked(data: memoryview, most: int) -> bytes:
    """The bytes of a compressed block. Raises `UnsafeCheckpoint` for more than `most`, or than it can hold."""
    length, at = varint(data, 0, len(data))
    if length > min(most, _MOST_RATIO * len(data)):
        raise UnsafeCheckpoint(f"a compressed block of {len(data)} bytes claims {length}")
    found = bytearray()
    while at < len(data):
        kind, at = data[at] & 3, at
        at = _literal(data, at, found) if kind == _LITERAL else _copy(data, at, kind, found)
        if len(found) > length:
            break
    if len(found) != length:
        raise UnreadableCheckpoint("damaged or truncated: a compressed block is not of the length it tells")
    return bytes(found)


def _literal(data: memoryview, at: int, found: bytearray) -> int:
    """Bytes as they are; a length above 60 stands in one to four bytes of its own."""
    length, at = (data[at] >> 2) + 1, at + 1
    if length > 60:
        extra = length - 60
        length, at = int.from_bytes(data[at : at + extra], "little") + 1, at + extra
    if length > len(data) - at:
        raise UnreadableCheckpoint("damaged or truncated: a compressed block ends early")
    found += data[at : at + length]
    return at + length


def _copy(data: memoryview, at: int, kind: int, found: bytearray) -> int:
    """Bytes that came before, maybe over themselves."""
    tag, width = data[at], (1, 2, 4)[kind - 1]
    offset = int.from_bytes(data[at + 1 : at + 1 + width], "little")
    length = (tag >> 2) + 1
    if kind == 1:
        offset, length = offset | tag >> 5 << 8, (tag >> 2 & 7) + 4
    if not 0 < offset <= len(found) or at + 1 + width > len(data):
        raise UnreadableCheckpoint("damaged or truncated: a compressed block copies from before its start")
    period = bytes(found[len(found) - offset :][:length])
    found += (period * (length // len(period) + 1))[:length]
    return at + 1 + width
