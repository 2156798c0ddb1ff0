"""A place in mapped bytes from which a binary format is read in order: whatever does not fit is an error at once."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_MOST_AXES = 32


class Cursor:
    """Reads numbers, texts and runs of bytes one after the other; `what` names the file in errors."""

    def __init__(self, source: Source, what: str, at: int = 0, stop: int | None = None, order: str = "<") -> None:
        self.source, self.what, self.at = source, what, at
        self.stop = len(source) if stop is None else stop
        self.order = order

    @property
    def left(self) -> int:
        """How many bytes follow."""
        return self.stop - self.at

    def skip(self, count: int) -> int:
        """Pass over so many bytes; where they started."""
        if not 0 <= count <= self.left:
            raise self.damaged(f"{count} bytes are claimed where {self.left} follow")
        start, self.at = self.at, self.at + count
        return start

    def take(self, count: int) -> bytes:
        """So many bytes."""
        start = self.skip(count)
        return bytes(self.source.view[start : self.at])

    def number(self, kind: str) -> Any:
        """One number of this kind of `struct`: 'I', 'i', 'Q', 'q', 'f', 'd', …"""
        return self.numbers(kind, 1)[0]

    def numbers(self, kind: str, count: int) -> tuple[Any, ...]:
        """So many numbers."""
        size = struct.calcsize(f"<{kind}")
        return struct.unpack(f"{self.order}{count}{kind}", self.take(count * size))

    def count(self, kind: str, least: int, what: str) -> int:
        """A number of things, of which each takes at least so many bytes of those that follow."""
        found = int(self.number(kind))
        if not 0 <= found <= self.left // least:
            raise self.damaged(f"{found} {what} are claimed where {self.left} bytes follow")
        return found

    def text(self, count: int) -> str:
        """So many bytes of UTF-8."""
        start = self.at
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise self.damaged("a text is not UTF-8", start) from None

    def damaged(self, why: str, at: int | None = None) -> UnreadableCheckpoint:
        """The error of bytes that are none of this format."""
        place = self.at if at is None else at
        return UnreadableCheckpoint(f"damaged or truncated {self.what}: {why} at byte {place}", path=self.source.path)

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool = False) -> LazyArray:
        """The elements that stand here, as an array that is read when asked."""
        check_shape(name, shape, self.source.path)
        start = self.skip(math.prod(shape) * dtype.itemsize)
        return mapped(self.source, name, start, shape, dtype, fortran)


def check_shape(name: str, shape: tuple[int, ...], path: str) -> None:
    """Raise `UnsafeCheckpoint` for a shape that no array has."""
    if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
        raise UnsafeCheckpoint(f"{printable(name)}: an impossible shape is declared", path=path)


def mapped(
    source: Source, name: str, start: int, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool = False
) -> LazyArray:
    """The array whose elements stand from `start` on; with `fortran` the first axis runs fastest."""
    size = math.prod(shape)

    def read() -> Array:
        flat = np.frombuffer(source.view[start : start + size * dtype.itemsize], dtype) if size else np.empty(0, dtype)
        array = flat.reshape(shape, order="F" if fortran else "C")
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))

    return LazyArray(name, shape, dtype.newbyteorder("="), read, source.release)


def cut(array: LazyArray, name: str, start: int, shape: tuple[int, ...]) -> LazyArray:
    """A run of the elements of a vector, as an array of its own."""
    stop = start + math.prod(shape)
    return LazyArray(name, shape, array.dtype, lambda: array.read()[start:stop].reshape(shape), array.release)
