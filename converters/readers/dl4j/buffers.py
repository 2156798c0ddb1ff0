"""ND4J's binary arrays: two buffers, one that tells rank, sizes, strides and order, and one with the elements.

A buffer: a text (u16 length) of how it was allocated, its length (i32, or i64 in later releases), a text of its type,
the elements, big-endian. Source: `BaseDataBuffer.write` and `Nd4j.write`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.cursor import Cursor, check_shape, mapped
from converters.readers.source import Source
from layouts.errors import printable

_SHORT, _LONG = ("DIRECT", "HEAP", "JAVACPP"), ("LONG_SHAPE", "MIXED_DATA_TYPES")
_TYPES = {"FLOAT": ">f4", "DOUBLE": ">f8", "HALF": ">f2", "FLOAT16": ">f2", "INT": ">i4", "LONG": ">i8", "INT64": ">i8"}
_MOST_RANK = 32


class Buffer(NamedTuple):
    """Where the elements of one buffer start, how many there are, and their type."""

    start: int
    length: int
    dtype: np.dtype[Any]


def read_vector(source: Source) -> LazyArray:
    """A file of one array, which is a vector. Raises `UnreadableCheckpoint` for what is damaged or no vector."""
    cursor = Cursor(source, "array of ND4J", order=">")
    header = _buffer(cursor)
    facts = np.frombuffer(
        source.view[header.start : header.start + header.length * header.dtype.itemsize], header.dtype
    )
    rank = int(facts[0]) if header.length else -1
    if not 0 <= rank <= _MOST_RANK or header.length < 2 * rank + 4:
        raise cursor.damaged("its shape is not told")
    shape = tuple(int(size) for size in facts[1 : 1 + rank])
    check_shape("coefficients", shape, source.path)
    data = _buffer(cursor)
    if cursor.left or int(np.prod(shape, dtype=object)) != data.length or sorted(shape)[:-1] != [1] * (rank - 1):
        raise cursor.damaged(f"an array of the shape {shape} with {data.length} elements, which is no vector")
    return mapped(source, "coefficients", data.start, (data.length,), data.dtype)


def _buffer(cursor: Cursor) -> Buffer:
    allocated = cursor.text(cursor.number("H"))
    if allocated not in (*_SHORT, *_LONG):
        raise cursor.damaged(f"{printable(repr(allocated))} is no allocation of ND4J's")
    count = cursor.number("i" if allocated in _SHORT else "q")
    kind = cursor.text(cursor.number("H"))
    if kind not in _TYPES:
        raise cursor.damaged(f"elements of the type {printable(repr(kind))}")
    dtype = np.dtype(_TYPES[kind])
    if not 0 <= count <= cursor.left // dtype.itemsize:
        raise cursor.damaged(f"{count} elements are claimed where {cursor.left} bytes follow")
    return Buffer(cursor.skip(count * dtype.itemsize), count, dtype)
