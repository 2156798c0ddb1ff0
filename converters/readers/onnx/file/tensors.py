"""The numbers of one TensorProto: which types there are, how each is stored, and how its bytes become an array.

Source: the comments of TensorProto in onnx.proto, IR version 14. Everything is little endian.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_MOST_AXES = 32
_BLOCK = 1 << 20


class Kind(NamedTuple):
    """One type of numbers: its NumPy or ml_dtypes name, its bits in `raw_data`, the field that holds it otherwise."""

    name: str
    bits: int
    field: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype, ml_dtypes' where NumPy has none."""
        if hasattr(np, self.name):
            return np.dtype(self.name)
        import ml_dtypes

        if not hasattr(ml_dtypes, self.name):
            raise UnreadableCheckpoint(f"numbers of the type {self.name} need a newer version of ml_dtypes")
        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.name))
        return found

    def units(self, size: int) -> int:
        """The bytes of `size` elements in `raw_data`."""
        return -(-size * self.bits // 8)

    def entries(self, size: int) -> int:
        """The entries of `size` elements in a typed field: packed types share one."""
        return self.units(size) if self.bits < 8 else size


_SMALL_FIELD = "int32_data"
_KINDS = {
    1: Kind("float32", 32, "float_data"),
    2: Kind("uint8", 8, _SMALL_FIELD),
    3: Kind("int8", 8, _SMALL_FIELD),
    4: Kind("uint16", 16, _SMALL_FIELD),
    5: Kind("int16", 16, _SMALL_FIELD),
    6: Kind("int32", 32, _SMALL_FIELD),
    7: Kind("int64", 64, "int64_data"),
    9: Kind("bool", 8, _SMALL_FIELD),
    10: Kind("float16", 16, _SMALL_FIELD),
    11: Kind("float64", 64, "double_data"),
    12: Kind("uint32", 32, "uint64_data"),
    13: Kind("uint64", 64, "uint64_data"),
    16: Kind("bfloat16", 16, _SMALL_FIELD),
    17: Kind("float8_e4m3fn", 8, _SMALL_FIELD),
    18: Kind("float8_e4m3fnuz", 8, _SMALL_FIELD),
    19: Kind("float8_e5m2", 8, _SMALL_FIELD),
    20: Kind("float8_e5m2fnuz", 8, _SMALL_FIELD),
    21: Kind("uint4", 4, _SMALL_FIELD),
    22: Kind("int4", 4, _SMALL_FIELD),
    23: Kind("float4_e2m1fn", 4, _SMALL_FIELD),
    24: Kind("float8_e8m0fnu", 8, _SMALL_FIELD),
    25: Kind("uint2", 2, _SMALL_FIELD),
    26: Kind("int2", 2, _SMALL_FIELD),
}
_OTHERS = {8: "object", 14: "complex64", 15: "complex128"}
_REFUSED = {0: "no type", 8: "text", 14: "complex numbers", 15: "complex numbers", 27: "6 bits", 28: "6 bits"}


def kind_of(code: int) -> Kind:
    """The type of a number in `data_type`. Raises `UnreadableCheckpoint` for text, complex and unknown ones."""
    if code not in _KINDS:
        what = _REFUSED.get(code, "an unknown type")
        raise UnreadableCheckpoint(f"its data type {code} is {what}; weights are real numbers")
    return _KINDS[code]


def code_of(dtype: np.dtype[Any]) -> int:
    """The number in `data_type` for numbers of this dtype. Raises `UnreadableCheckpoint` where ONNX has none."""
    names = {kind.name: code for code, kind in _KINDS.items()} | {name: code for code, name in _OTHERS.items()}
    found = names.get(dtype.name)
    if found is None:
        raise UnreadableCheckpoint(f"ONNX has no numbers of the type {dtype}")
    return found


def dtype_of(code: int) -> str:
    """The name of the dtype of a value that is of no weight: text is an object, and what is not told float32."""
    return _KINDS[code].name if code in _KINDS else _OTHERS.get(code, "float32")


def checked_shape(dims: list[int], kind: Kind) -> tuple[int, ...]:
    """The shape, where it can be that of an array. Raises `UnsafeCheckpoint`."""
    if len(dims) > _MOST_AXES:
        raise UnsafeCheckpoint(f"it has {len(dims)} axes; the limit is {_MOST_AXES}")
    if any(dim < 0 for dim in dims):
        raise UnsafeCheckpoint(f"its shape {tuple(dims)} has a negative size")
    if math.prod(max(dim, 1) for dim in dims) * max(kind.bits // 8, 1) >= 1 << 62:
        raise UnsafeCheckpoint(f"its shape {tuple(dims)} is too large for any file")
    return tuple(dims)


def from_raw(view: memoryview, shape: tuple[int, ...], kind: Kind) -> Array:
    """The array of `raw_data`, without a copy where the numbers take whole bytes."""
    if kind.bits < 8:
        return _unpacked(np.frombuffer(view, np.uint8), shape, kind)
    if kind.name == "bool" and np.frombuffer(view, np.uint8).max(initial=0) > 1:
        raise UnreadableCheckpoint("its truth values are neither 0 nor 1")
    return np.frombuffer(view, kind.dtype).reshape(shape)


def from_entries(entries: Array, shape: tuple[int, ...], kind: Kind) -> Array:
    """The array of a typed field: bit patterns of 16 bits and fewer stand in it as integers."""
    if kind.field != _SMALL_FIELD and kind.name != "uint32":
        return entries.astype(kind.dtype, copy=False).reshape(shape)
    numbers = np.dtype(kind.name) if kind.name.startswith(("int", "uint")) and kind.bits >= 8 else None
    stored = numbers or np.dtype(f"u{max(kind.bits, 8) // 8}")
    lowest, highest = (0, 1) if kind.name == "bool" else (np.iinfo(stored).min, np.iinfo(stored).max)
    if entries.size and not lowest <= int(entries.min()) <= int(entries.max()) <= highest:
        raise UnreadableCheckpoint(f"a number of its {kind.field} does not fit {kind.name}")
    exact = entries.astype(stored)
    return _unpacked(exact, shape, kind) if kind.bits < 8 else exact.view(kind.dtype).reshape(shape)


def _unpacked(packed: Array, shape: tuple[int, ...], kind: Kind) -> Array:
    """Elements of less than a byte, the first in the lowest bits, spread to a byte each."""
    parts = packed[:, None] >> np.arange(0, 8, kind.bits, dtype=np.uint8) & ((1 << kind.bits) - 1)
    bits = parts.reshape(-1)[: math.prod(shape)]
    if kind.name.startswith("int"):
        half = 1 << kind.bits - 1
        return ((bits ^ half).astype(np.int8) - half).astype(kind.dtype).reshape(shape)
    return (bits.astype(kind.dtype) if kind.name.startswith("uint") else bits.view(kind.dtype)).reshape(shape)


def count_varints(view: memoryview) -> int:
    """How many numbers stand in a packed field."""
    blocks = (view[at : at + _BLOCK] for at in range(0, len(view), _BLOCK))
    return sum(int(np.count_nonzero(np.frombuffer(block, np.uint8) < 128)) for block in blocks)


def varints(view: memoryview, count: int, dtype: np.dtype[Any]) -> Array:
    """The `count` numbers of a packed field, in two's complement. Raises `UnreadableCheckpoint` for damaged ones."""
    found = np.empty(count, dtype)
    done = at = 0
    while at < len(view):
        block = np.frombuffer(view[at : at + _BLOCK], np.uint8)
        ends = np.flatnonzero(block < 128)
        if not ends.size:
            raise UnreadableCheckpoint("damaged or truncated ONNX file: a number that does not end")
        found[done : done + ends.size] = _decoded(block, ends).astype(dtype)
        done, at = done + ends.size, at + int(ends[-1]) + 1
    return found


def _decoded(block: Array, ends: Array) -> Array:
    """The numbers that end at these places of a block."""
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise UnreadableCheckpoint("damaged or truncated ONNX file: a number that does not end")
    values = np.zeros(ends.size, np.uint64)
    for place in range(int(lengths.max())):
        there = np.flatnonzero(lengths > place)
        values[there] |= (block[starts[there] + place] & np.uint64(127)) << np.uint64(7 * place)
    return values
