"""Tables of a flatbuffer where they stand: every offset is checked against the file before it is followed.

Source: flatbuffers.dev/internals. A table begins with the distance back to its list of fields; a field that the list
does not reach, or places at 0, is absent.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from converters.model.arrays import Array
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint
from layouts.records import dataclass

_MOST_TABLES = 1_000_000
_OFFSET = 4


class Budget:
    """How many tables a file may be followed to: one named from many places costs each time."""

    def __init__(self) -> None:
        self._left = _MOST_TABLES

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise UnsafeCheckpoint(f"its structure has more than {_MOST_TABLES} tables")


def root(view: memoryview) -> Table:
    """The outermost table."""
    return Table(view, _unsigned(view, 0, 4), Budget())


@dataclass(frozen=True)
class Table:
    """One table, by the numbers of its fields. Raises `UnreadableCheckpoint` where it points outside the file."""

    view: memoryview
    at: int
    budget: Budget

    def _place(self, field: int) -> int:
        """Where a field stands; 0 where it is absent."""
        fields = self.at - struct.unpack("<i", _bytes(self.view, self.at, 4))[0]
        if 4 + 2 * field >= _unsigned(self.view, fields, 2):
            return 0
        offset = _unsigned(self.view, fields + 4 + 2 * field, 2)
        return self.at + offset if offset else 0

    def number(self, field: int, form: str, default: Any = 0) -> Any:
        """A number, by its form as `struct` writes it."""
        place = self._place(field)
        return struct.unpack(f"<{form}", _bytes(self.view, place, struct.calcsize(form)))[0] if place else default

    def table(self, field: int) -> Table | None:
        """A table that this one points to."""
        place = self._place(field)
        self.budget.spend(1)
        return Table(self.view, place + _unsigned(self.view, place, 4), self.budget) if place else None

    def tables(self, field: int) -> list[Table]:
        """A list of tables."""
        start, count = self._list(field, _OFFSET)
        self.budget.spend(count)
        places = (start + _OFFSET * k for k in range(count))
        return [Table(self.view, place + _unsigned(self.view, place, 4), self.budget) for place in places]

    def data(self, field: int) -> memoryview:
        """A list of bytes, where it stands."""
        start, count = self._list(field, 1)
        return self.view[start : start + count]

    def numbers(self, field: int, dtype: str) -> Array:
        """A list of numbers."""
        kind = np.dtype(dtype)
        start, count = self._list(field, kind.itemsize)
        return np.frombuffer(self.view[start : start + count * kind.itemsize], kind)

    def text(self, field: int) -> str:
        """A text; what is no UTF-8 in it is marked."""
        return str(self.data(field), "utf-8", "replace")

    def _list(self, field: int, size: int) -> tuple[int, int]:
        """Where the elements of a list start, and how many there are."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + _unsigned(self.view, place, 4)
        count = _unsigned(self.view, start, 4)
        if count * size > len(self.view) - start - 4:
            raise UnreadableCheckpoint(f"damaged or truncated: a list of {count} elements at byte {start}")
        return start + 4, count


def _bytes(view: memoryview, at: int, count: int) -> memoryview:
    if not 0 <= at <= len(view) - count:
        raise UnreadableCheckpoint(f"damaged or truncated: it points to byte {at} of {len(view)}")
    return view[at : at + count]


def _unsigned(view: memoryview, at: int, count: int) -> int:
    return int.from_bytes(_bytes(view, at, count), "little")
