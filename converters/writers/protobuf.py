"""The wire format of protobuf, as far as files are written by hand: numbers, and fields of bytes and of numbers.

Source: the page "Encoding" of protobuf's documentation.
"""

from __future__ import annotations

_NUMBER, _BYTES, _FIXED32 = 0, 2, 5
"""How a field's value is stored."""


def varint(value: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def tag(number: int) -> bytes:
    """What stands before the length and the bytes of a field."""
    return varint(number << 3 | _BYTES)


def message(number: int, content: bytes) -> bytes:
    """A field that holds bytes: a text, or another message."""
    return tag(number) + varint(len(content)) + content


def integer(number: int, value: int) -> bytes:
    """A field that holds a number; nothing for 0, which is what a missing one means."""
    return varint(number << 3 | _NUMBER) + varint(value) if value else b""


def fixed32(number: int, value: int) -> bytes:
    """A field of four bytes."""
    return varint(number << 3 | _FIXED32) + value.to_bytes(4, "little")
