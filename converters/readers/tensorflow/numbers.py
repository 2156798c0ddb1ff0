"""The numbers of TensorFlow: its types, its shapes, and the tensors that stand in a graph or in an old checkpoint.

Source: the comments of types.proto, tensor_shape.proto and tensor.proto in tensorflow/core/framework.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.readers.message import Message, signed
from converters.readers.protobuf import varint
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

TEXT = 7
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 11: "int8",
    12: "uint8", 13: "int32", 14: "bfloat16", 15: "int16", 16: "uint16", 17: "uint16", 19: "float16", 22: "uint32",
    23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn",
}  # fmt: skip
_OTHER = {7: "text", 8: "complex numbers", 18: "complex numbers", 20: "a resource", 21: "a variant"}
_MOST_AXES = 32
_MOST_FILLED = 1 << 20
"""Elements of a tensor of which one is told and stands for all."""
_CONTENT = 4
_FIXED = {"float32": 5, "float64": 6}
_VARINTS = {"int64": 10, "bool": 11, "float16": 13, "bfloat16": 13, "uint32": 16, "uint64": 17}
_SMALL = 7


def dtype_of(code: int) -> np.dtype[Any] | None:
    """The dtype of a number in `dtype`; None for what holds no numbers."""
    code = code - 100 if code > 100 else code  # a reference to a variable of the type
    name = _DTYPES.get(code)
    if name is None or hasattr(np, name):
        return None if name is None else np.dtype(name)
    import ml_dtypes

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found


def kind_name(code: int) -> str:
    """What a tensor that holds no numbers holds, in words."""
    return _OTHER.get(code, f"an unknown type ({code})")


def shape_of(message: Message) -> tuple[int, ...]:
    """The shape in a TensorShapeProto. Raises `UnsafeCheckpoint` for an impossible one."""
    sizes = tuple(dim.integer(1) for dim in message.messages(2))
    if message.integer(3) or len(sizes) > _MOST_AXES or any(size < 0 for size in sizes):
        raise UnsafeCheckpoint(f"an impossible shape: {'unknown' if message.integer(3) else sizes[:_MOST_AXES]}")
    if math.prod(max(size, 1) for size in sizes) >= 1 << 60:
        raise UnsafeCheckpoint(f"its shape {sizes} is too large for any file")
    return sizes


def tensor(message: Message, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], Array]:
    """The reader of a TensorProto of this shape and dtype. Raises `UnsafeCheckpoint` for another count of numbers.

    Where fewer are told than there are, the last stands for the others, up to a million elements.
    """
    count = math.prod(shape)
    field = _FIXED.get(dtype.name, 0)
    raw = message.places(_CONTENT) or (message.places(field) if field else [])
    if len(raw) == 1 and (len(raw[0]) == count * dtype.itemsize or _CONTENT in message):
        _check_size(len(raw[0]), count * dtype.itemsize)
        return lambda: np.frombuffer(raw[0], dtype).reshape(shape)
    values = _values(message, dtype, field)
    if len(values) > count or (len(values) < count and count > _MOST_FILLED):
        raise UnsafeCheckpoint(f"a tensor of {count} elements tells {len(values)} of them")
    return lambda: _filled(values, shape)


def _values(message: Message, dtype: np.dtype[Any], field: int) -> Array:
    """The numbers that a typed field tells; those of 16 bits stand as their bits."""
    if field:
        return np.frombuffer(b"".join(message.places(field)), dtype.newbyteorder("<"))
    number = _VARINTS.get(dtype.name, _SMALL)
    found = []
    for view in message.places(number):
        at = 0
        while at < len(view):
            value, at = varint(view, at, len(view))
            found.append(signed(value))
    try:
        bits = np.array(found, np.dtype(f"u{dtype.itemsize}") if number == _VARINTS["float16"] else dtype)
    except OverflowError:
        raise UnreadableCheckpoint(f"damaged: a number of a tensor does not fit {dtype}") from None
    return bits.view(dtype)


def _filled(values: Array, shape: tuple[int, ...]) -> Array:
    """The array, its last number repeated where fewer are told; all are zero where none is."""
    found = np.full(math.prod(shape), values[-1] if len(values) else 0, values.dtype)
    found[: len(values)] = values
    return found.reshape(shape)


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        raise UnsafeCheckpoint(f"a tensor of {expected} bytes has {found}")
