"""The format of `mx.nd.save`: a magic number, the arrays, their names.

u64 0x112, u64 0, u64 count, the arrays; u64 count, and for each name u64 length and bytes. An array of today (magic
0xF993FAC9, or …CA under NumPy's semantics of shapes): i32 kind of storage, i32 axes, i64 sizes, i32 device, i32 number
of the device, i32 type, elements. Older ones: 0xF993FAC8, u32 axes, i64 sizes; or u32 axes, u32 sizes, without a magic.
Source: `NDArray::Save`, `NDArray::LegacyLoad` in src/ndarray/ndarray.cc of MXNet 1.9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.model.arrays import LazyArray, bfloat16
from converters.readers.cursor import Cursor
from converters.readers.source import Source
from layouts.errors import CoverageError, UnreadableCheckpoint, printable

MAGIC = (0x112).to_bytes(8, "little") + bytes(8)
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = ("f4", "f8", "f2", "u1", "i4", "i1", "i8", "?", "i2", "u2", "u4", "u8")
_BFLOAT16 = 12
_LEAST = 8
_MOST_AXES = 32


def read_list(source: Source) -> dict[str, LazyArray]:
    """Every array by its full name, none read. Raises `UnreadableCheckpoint` for what is damaged or not dense."""
    cursor = Cursor(source, ".params file of MXNet", len(MAGIC))
    arrays = [_array(cursor, number) for number in range(cursor.count("Q", _LEAST, "arrays"))]
    names = [cursor.text(cursor.number("Q")) for _ in range(cursor.count("Q", _LEAST, "names"))]
    if cursor.left:
        raise cursor.damaged(f"{cursor.left} bytes follow the names")
    if len(names) != len(arrays):
        what = "the arrays have no names: save a dict of them" if not names else f"it has {len(names)} names"
        raise UnreadableCheckpoint(f"this .params file holds {len(arrays)} arrays, and {what}", path=source.path)
    found: dict[str, LazyArray] = {}
    for name, array in zip(names, arrays, strict=True):
        if name in found:
            raise CoverageError(f"two arrays are called {printable(name)}", array=name)
        if array is None:
            raise UnreadableCheckpoint(f"{printable(name)} was saved before it had a value", path=source.path)
        found[name] = LazyArray(name, array.shape, array.dtype, array.read, array.release)
    return found


def _array(cursor: Cursor, number: int) -> LazyArray | None:
    """One array, not yet named; None for one that has no value."""
    magic = cursor.number("I")
    if magic in (_V2, _V3) and cursor.number("i"):
        raise UnreadableCheckpoint(
            f"array {number} is stored sparse, which is not read: save it dense (tostype('default'))",
            path=cursor.source.path,
        )
    shape = _shape(cursor, magic)
    if shape is None:
        return None
    cursor.skip(8)
    return cursor.array(f"array {number}", shape, _dtype(cursor))


def _shape(cursor: Cursor, magic: int) -> tuple[int, ...] | None:
    """The sizes; None where there is no value: no axes, or under NumPy's semantics -1 of them."""
    axes = cursor.number("i") if magic in (_V1, _V2, _V3) else magic
    if axes == (-1 if magic == _V3 else 0):
        return None
    if not 0 <= axes <= _MOST_AXES:
        raise cursor.damaged(f"an array of {axes} axes")
    return cursor.numbers("q" if magic in (_V1, _V2, _V3) else "I", axes)


def _dtype(cursor: Cursor) -> np.dtype[Any]:
    kind = cursor.number("i")
    if kind == _BFLOAT16:
        return bfloat16()
    if not 0 <= kind < len(_DTYPES):
        raise cursor.damaged(f"the unknown type {kind}")
    return np.dtype(f"<{_DTYPES[kind]}" if _DTYPES[kind] != "?" else "?")
