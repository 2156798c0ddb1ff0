"""One protobuf message by the numbers of its fields; what is inside a field is parsed when somebody asks."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from converters.readers.protobuf import BYTES, VARINT, fields, varint
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_MOST_FIELDS = 2_000_000
_SIGN = 1 << 63


class Message:
    """The fields of a message, located. Raises `CheckpointError` where bytes are no message, or have too many."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._places: dict[int, list[tuple[int, int, int]]] = {}
        for count, (number, wire, _, start, stop) in enumerate(fields(view, 0, len(view))):
            if count >= _MOST_FIELDS:
                raise UnsafeCheckpoint(f"a message holds more than {_MOST_FIELDS} fields")
            self._places.setdefault(number, []).append((wire, start, stop))

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def numbers_of_fields(self) -> set[int]:
        """The numbers of the fields that are there."""
        return {*self._places}

    def holds_number(self, number: int) -> bool:
        """Whether a field is there, and holds numbers of variable length."""
        return any(wire == VARINT for wire, _, _ in self._places.get(number, ()))

    def each(self, number: int) -> Iterator[memoryview]:
        """The bytes of a repeated field."""
        for wire, start, stop in self._places.get(number, ()):
            if wire != BYTES:
                raise UnreadableCheckpoint(f"damaged: field {number} of a message is no bytes")
            yield self._view[start:stop]

    def places(self, number: int) -> list[memoryview]:
        """The content of every field of a number, whatever its wire type."""
        return [self._view[start:stop] for _, start, stop in self._places.get(number, ())]

    def messages(self, number: int) -> Iterator[Message]:
        """The messages of a repeated field."""
        return map(Message, self.each(number))

    def message(self, number: int) -> Message:
        """The message of a field, an empty one where it is not there."""
        return Message(self.bytes(number))

    def bytes(self, number: int) -> memoryview:
        """The bytes of a field, the last where it stands more than once; none where it is not there."""
        return [memoryview(b""), *self.each(number)][-1]

    def text(self, number: int) -> str:
        """The text of a field. Raises `UnreadableCheckpoint` where it is none."""
        return text(self.bytes(number))

    def texts(self, number: int) -> list[str]:
        """The texts of a repeated field."""
        return [text(each) for each in self.each(number)]

    def integer(self, number: int, default: int = 0) -> int:
        """The signed number of a field."""
        places = self._places.get(number)
        if not places:
            return default
        wire, start, stop = places[-1]
        if wire == VARINT:
            return signed(varint(self._view, start, stop)[0])
        if wire == BYTES:
            raise UnreadableCheckpoint(f"damaged: field {number} of a message is no number")
        return int.from_bytes(self._view[start:stop], "little")

    def real(self, number: int) -> float:
        """The number of a field of four bytes."""
        return float(struct.unpack("<f", self.integer(number).to_bytes(8, "little")[:4])[0])

    def integers(self, number: int) -> list[int]:
        """The signed numbers of a repeated field, packed or not."""
        found = []
        for wire, start, stop in self._places.get(number, ()):
            at = start
            while at < stop and wire in (VARINT, BYTES):
                value, at = varint(self._view, at, stop)
                found.append(signed(value))
        return found


def text(view: memoryview) -> str:
    """Bytes as text. Raises `UnreadableCheckpoint` for what is not UTF-8."""
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        raise UnreadableCheckpoint("damaged: a name that is no text") from None


def signed(value: int) -> int:
    """A number of 64 bits in two's complement."""
    return value - 2 * _SIGN if value >= _SIGN else value
