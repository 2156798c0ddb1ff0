"""The constants of a Core ML program: small ones stand in it, large ones in a file beside it."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.coreml.weights import Blobs, dtype_of, sizes_of
from converters.readers.cursor import mapped
from converters.readers.message import Message
from converters.readers.source import Source
from layouts.errors import ShapeError, UnknownLayer, printable

_STRING = 2
_FIELDS = {1: "<f4", 2: "<i4", 3: "?", 5: "<i8", 6: "<f8", 7: ""}
"""The fields of a TensorValue that hold numbers: floats, whole numbers (of variable length), truths, doubles, bytes."""
_VARINTS = (2, 3, 5)
_PACKED = {25: (4, True), 35: (4, False), 36: (2, False), 37: (1, False), 38: (6, False), 39: (3, False)}
"""MIL's types of less than a byte: how many bits, and whether they have a sign."""


class Constant(Protocol):
    """One constant: an array of numbers, or texts; what it is made of is looked at when asked."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def is_floating(self) -> bool:
        """Whether these are numbers with a fraction."""

    def texts(self) -> list[str]:
        """The texts of a constant of texts; none of any other."""

    def array(self) -> LazyArray:
        """The numbers. Raises `UnknownLayer` where there are none, `ShapeError` where there are others."""

    def numbers(self) -> list[Any]:
        """The numbers of a small constant."""


def unpacked(stored: Array, bits: int, count: int, signed: bool = False) -> Array:
    """Numbers of few bits, of which the first stands in the lowest bits of the first byte.

    Raises `ValueError` where there are fewer.
    """
    if stored.size * 8 < count * bits:
        raise ValueError(count)
    flags = np.unpackbits(stored.reshape(-1).view(np.uint8), bitorder="little", count=count * bits)
    found: Array = (flags.reshape(count, bits) << np.arange(bits, dtype=np.uint8)).sum(-1, dtype=np.uint8)
    return (
        np.where(found >= 1 << (bits - 1), found.astype(np.int16) - (1 << bits), found).astype(np.int8)
        if signed
        else found
    )


class Stored:
    """A constant that stands in the program, or in a file beside it."""

    def __init__(self, value: Message, name: str, blobs: Blobs, path: str) -> None:
        self.name = name
        self._value, self._blobs, self._path = value, blobs, path
        tensor = value.message(2).message(1)
        self._kind = tensor.integer(1)
        self.shape = sizes_of(list(tensor.messages(3)), name)

    @property
    def is_floating(self) -> bool:
        """Whether these are numbers with a fraction."""
        found = dtype_of(self._kind)
        return found is not None and (found.kind == "f" or found.name == "bfloat16")

    def texts(self) -> list[str]:
        """The texts of a constant of texts; none of any other."""
        return self._tensor().message(4).texts(1) if self._kind == _STRING else []

    def array(self) -> LazyArray:
        """The numbers. Raises `UnknownLayer` where there are none, `ShapeError` where there are others."""
        if self._kind in _PACKED:
            return self._of_few_bits(*_PACKED[self._kind])
        dtype = dtype_of(self._kind)
        if dtype is None:
            raise UnknownLayer(f"{printable(self.name)} holds elements of MIL's type {self._kind}")
        return self._plain(self.shape, dtype)

    def _of_few_bits(self, bits: int, signed: bool) -> LazyArray:
        """Numbers that are packed in bytes."""
        count = math.prod(self.shape)
        stored = self._plain((-(-count * bits // 8),), np.dtype(np.uint8))

        def read() -> Array:
            return unpacked(stored.read(), bits, count, signed).reshape(self.shape)

        return LazyArray(self.name, self.shape, np.dtype(np.int8 if signed else np.uint8), read, stored.release)

    def _plain(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> LazyArray:
        if 5 in self._value:
            return self._blobs.array(self._value.message(5), self.name, shape, dtype)
        return self._immediate(shape, dtype)

    def numbers(self) -> list[Any]:
        """The numbers of a small constant."""
        found: list[Any] = self.array().read().reshape(-1).tolist()
        return found

    def _tensor(self) -> Message:
        return self._value.message(3).message(1)

    def _immediate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> LazyArray:
        tensor = self._tensor()
        number = next((number for number in _FIELDS if number in tensor), None)
        count = math.prod(shape)
        if number in _VARINTS:
            data = np.array(tensor.message(number).integers(1)).astype(dtype).tobytes()
        elif number == 7:
            data = bytes(tensor.message(7).bytes(1))
        else:
            data = b"".join(tensor.message(number).places(1)) if number else b""
        if len(data) != count * dtype.itemsize:
            raise ShapeError(f"{printable(self.name)}: {shape} are {count} numbers, and {len(data)} bytes are stored")
        return mapped(Source(self._path, memoryview(data)), self.name, 0, shape, dtype)
