"""Where Core ML keeps numbers: inside a message, as floats, halves or quantized, or in a blob beside the model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray, bfloat16
from converters.readers.cursor import Cursor, mapped
from converters.readers.message import Message
from converters.readers.source import Source, open_beside
from layouts.errors import CheckpointError, ShapeError, UnknownLayer, UnreadableCheckpoint, UnsafeCheckpoint, printable

_FLOATS, _HALVES, _RAW, _INT8, _QUANTIZATION = 1, 2, 30, 31, 40
_LINEAR, _TABLE = 101, 102
_SENTINEL = 0xDEADBEEF
_PREFIX = "@model_path/"
_MOST_AXES = 32


def parameters(message: Message, name: str, shape: tuple[int, ...], path: str, axis: int = 0) -> LazyArray:
    """The numbers of a WeightParams message; where they are quantized, `axis` is that of the scales.

    Raises `UnknownLayer` for those of a layer that quantizes its inputs, `ShapeError`.
    """
    if _INT8 in message:
        raise UnknownLayer(f"{printable(name)} is quantized with its inputs: save the model with its floats")
    if _RAW in message:
        return _quantized(message, name, shape, axis)
    number, dtype = (_HALVES, "<f2") if _HALVES in message else (_FLOATS, "<f4")
    view = _joined(message, number)
    if len(view) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ShapeError(f"{printable(name)}: {shape} are {math.prod(shape)} numbers, and {len(view)} bytes are stored")
    return mapped(Source(path, view), name, 0, shape, np.dtype(dtype))


def _joined(message: Message, number: int) -> memoryview:
    places = message.places(number)
    return places[0] if len(places) == 1 else memoryview(b"".join(places))


def _quantized(message: Message, name: str, shape: tuple[int, ...], axis: int) -> LazyArray:
    """Numbers of 1 to 8 bits, from the highest bit of the first byte on: by scale and bias, or in a table.

    Source: `_dequantize_wp` of coremltools, models.neural_network.quantization_utils.
    """
    told = message.message(_QUANTIZATION)
    bits, count, stored = told.integer(1), math.prod(shape), _joined(message, _RAW)
    if not 1 <= bits <= 8 or len(stored) < -(-count * bits // 8):
        raise ShapeError(f"{printable(name)}: {count} numbers of {bits} bits, and {len(stored)} bytes are stored")
    scale, bias = (_reals(told.message(_LINEAR), number) for number in (1, 2))
    table = _reals(told.message(_TABLE), 1)
    if _TABLE in told and len(table) < 1 << bits:
        raise ShapeError(f"{printable(name)}: numbers of {bits} bits, and a table of {len(table)}")
    along = len(scale) == shape[axis] if len(shape) > 1 else False
    if _TABLE not in told and (len(scale) != len(bias) or not (along or len(scale) == 1)):
        raise ShapeError(f"{printable(name)}: {len(scale)} scales and {len(bias)} biases for the shape {shape}")

    def read() -> Array:
        flags = np.unpackbits(np.frombuffer(stored, np.uint8), count=count * bits).reshape(count, bits)
        found = (flags << np.arange(bits, dtype=np.uint8)[::-1]).sum(-1, dtype=np.uint8).reshape(shape)
        if _TABLE in told:
            looked_up: Array = table[found]
            return looked_up
        sizes = [len(scale) if k == axis else 1 for k in range(len(shape))]
        made: Array = found.astype(np.float64) * scale.reshape(sizes) + bias.reshape(sizes)
        return made.astype(np.float32)

    return LazyArray(name, shape, np.dtype(np.float32), read)


def _reals(message: Message, number: int) -> Array:
    return np.frombuffer(_joined(message, number), "<f4")


def flat(message: Message, name: str, path: str) -> LazyArray:
    """All the numbers of a WeightParams message, in a row; those with a scale for each channel as they are stored."""
    if _RAW in message:
        told, stored = message.message(_QUANTIZATION), np.frombuffer(_joined(message, _RAW), np.uint8)
        if len(_reals(told.message(_LINEAR), 1)) > 1:
            return LazyArray(name, stored.shape, stored.dtype, lambda: stored)
        return _quantized(message, name, (len(stored) * 8 // max(told.integer(1), 1),), 0)
    halves = len(_joined(message, _HALVES)) // 2
    return parameters(message, name, (halves or len(_joined(message, _FLOATS)) // 4,), path)


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
