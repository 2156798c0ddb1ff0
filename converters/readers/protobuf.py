"""The wire format of protobuf: the fields of one message, each with the place where it stands; nothing is copied.

Source: protobuf.dev/programming-guides/encoding. Groups, which ONNX and TensorFlow never had, are refused with all that
is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator

from layouts.errors import UnreadableCheckpoint

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
Field = tuple[int, int, int, int, int]
"""Number, wire type, where its tag starts, where its content starts, where it ends."""


def fields(view: memoryview, at: int, stop: int) -> Iterator[Field]:
    """The fields of the message from `at` to `stop`. Raises `UnreadableCheckpoint` where they do not fit into it."""
    while at < stop:
        start = at
        tag = view[at]
        at += 1
        if tag > 127:
            tag, at = varint(view, start, stop)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise damaged(start, f"a field of the number {number}")
        content, at = _extent(view, wire, at, stop, start)
        yield number, wire, start, content, at


def _extent(view: memoryview, wire: int, at: int, stop: int, start: int) -> tuple[int, int]:
    """Where the content of a field starts and ends."""
    if wire == VARINT:
        return at, varint(view, at, stop)[1]
    if wire == BYTES:
        length, at = varint(view, at, stop)
    elif wire in _FIXED:
        length = _FIXED[wire]
    else:
        raise damaged(start, f"a field of the wire type {wire}")
    if length > stop - at:
        raise damaged(start, f"a field of {length} bytes where {stop - at} follow")
    return at, at + length


def varint(view: memoryview, at: int, stop: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    if at < stop and view[at] < 128:
        return view[at], at + 1
    value = shift = 0
    for place in range(at, min(stop, at + 10)):
        byte = view[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (1 << 64) - 1, place + 1
        shift += 7
    raise damaged(at, "a number that does not end")


def as_varint(value: int) -> bytes:
    """The bytes of an unsigned number."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def damaged(at: int, what: str) -> UnreadableCheckpoint:
    """The error of bytes that are no protobuf."""
    return UnreadableCheckpoint(f"damaged or truncated file: {what} at byte {at}")
