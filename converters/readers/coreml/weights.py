"""Where Core ML keeps numbers: inside a message, as floats or halves, or in a blob beside the model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray, bfloat16
from converters.readers.cursor import Cursor, mapped
from converters.readers.message import Message
from converters.readers.source import Source, open_beside
from layouts.errors import CheckpointError, ShapeError, UnknownLayer, UnreadableCheckpoint, UnsafeCheckpoint, printable

_FLOATS, _HALVES, _RAW, _INT8 = 1, 2, 30, 31
_SENTINEL = 0xDEADBEEF
_PREFIX = "@model_path/"
_MOST_AXES = 32


def parameters(message: Message, name: str, shape: tuple[int, ...], path: str) -> LazyArray:
    """The numbers of a WeightParams message. Raises `UnknownLayer` for quantized ones, `ShapeError`."""
    if _RAW in message or _INT8 in message:
        raise UnknownLayer(f"{printable(name)} is quantized, which is not read: save the model with its floats")
    number, dtype = (_HALVES, "<f2") if _HALVES in message else (_FLOATS, "<f4")
    places = message.places(number)
    view = places[0] if len(places) == 1 else memoryview(b"".join(places))
    if len(view) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ShapeError(f"{printable(name)}: {shape} are {math.prod(shape)} numbers, and {len(view)} bytes are stored")
    return mapped(Source(path, view), name, 0, shape, np.dtype(dtype))


def flat(message: Message, name: str, path: str) -> LazyArray:
    """All the numbers of a WeightParams message, in a row."""
    halves = sum(len(place) for place in message.places(_HALVES)) // 2
    count = halves or sum(len(place) for place in message.places(_FLOATS)) // 4
    return parameters(message, name, (count,), path)


class Blobs:
    """The files beside a program in which its constants stand, each opened once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: dict[str, Source] = {}

    def _open(self, relative: str) -> Source:
        try:
            return open_beside(self._path, relative)
        except CheckpointError as error:
            raise type(error)(f"{printable(relative)}: {error.args[0]}", path=self._path) from None

    def array(self, message: Message, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> LazyArray:
        """The constant that a BlobFileValue points to: a record of its kind, its bytes and where they stand."""
        file, at = message.text(1), message.integer(2)
        if not file.startswith(_PREFIX):
            raise UnsafeCheckpoint(
                f"{printable(name)} points to {printable(repr(file))}, which is not beside the model"
            )
        source = self._opened.get(file) or self._open(file.removeprefix(_PREFIX))
        self._opened[file] = source
        if not 0 <= at <= len(source) - 24:
            raise UnreadableCheckpoint(
                f"{printable(name)} points beyond the end of {printable(file)}", path=source.path
            )
        cursor = Cursor(source, "weights of Core ML", at)
        sentinel, _ = cursor.numbers("I", 2)
        size, start = cursor.numbers("Q", 2)
        if sentinel != _SENTINEL or size != math.prod(shape) * dtype.itemsize or start + size > len(source):
            raise cursor.damaged(f"{printable(name)}: the record of a constant is not as its type says", at)
        return mapped(source, name, start, shape, dtype)


DTYPES = {1: "?", 10: "<f2", 11: "<f4", 12: "<f8", 21: "i1", 22: "<i2", 23: "<i4", 24: "<i8"} | {
    31: "u1",
    32: "<u2",
    33: "<u4",
    34: "<u8",
}
BFLOAT16 = 13


def dtype_of(kind: int) -> np.dtype[Any] | None:
    """The dtype of MIL's number for it; None for those that NumPy does not have."""
    if kind == BFLOAT16:
        return bfloat16()
    return np.dtype(DTYPES[kind]) if kind in DTYPES else None


def sizes_of(dimensions: list[Message], name: str) -> tuple[int, ...]:
    """The sizes of a constant's type, all of which are told."""
    if len(dimensions) > _MOST_AXES:
        raise UnsafeCheckpoint(f"{printable(name)}: an impossible shape is declared")
    return tuple(dimension.message(1).integer(1) for dimension in dimensions)
