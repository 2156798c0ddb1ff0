"""Parts of a partitioned variable: where each stands in the whole, and the key under which it is stored.

Source: tensor_slice.proto, tensorflow/core/util/saved_tensor_slice_util.cc (`EncodeTensorNameSlice`) and
tensorflow/core/lib/strings/ordered_code.cc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.message import Message
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

Extent = tuple[int, int]
"""Start and length on one axis; a length of -1 is the whole axis."""
Extents = tuple[Extent, ...]

_WHOLE = -1
_START, _LENGTH = 1, 2
_MOST_PARTS = 1000


def extents(message: Message) -> Extents:
    """The extents of a TensorSliceProto."""
    return tuple(
        (each.integer(_START), each.integer(_LENGTH) if _LENGTH in each else _WHOLE) for each in message.messages(1)
    )


def is_whole(parts: Sequence[Extents]) -> bool:
    """Whether these are one part that is the whole."""
    return len(parts) == 1 and all(length == _WHOLE for _, length in parts[0])


def shape_of(part: Extents, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a part. Raises `UnreadableCheckpoint` where it does not lie within the whole."""
    if len(part) != len(shape):
        raise UnreadableCheckpoint(f"a part of {len(part)} axes, of an array of the shape {shape}")
    found = tuple(size if length == _WHOLE else length for (_, length), size in zip(part, shape, strict=True))
    if any(
        start < 0 or length < 0 or start + length > size
        for (start, _), length, size in zip(part, found, shape, strict=True)
    ):
        raise UnreadableCheckpoint(f"a part that does not lie within an array of the shape {shape}")
    return found


def joined(name: str, shape: tuple[int, ...], parts: Sequence[tuple[Extents, LazyArray]]) -> LazyArray:
    """The whole of a partitioned array; reading it copies each part to its place.

    Raises `UnreadableCheckpoint` where the parts do not cover it, each element once.
    """
    if not 0 < len(parts) <= _MOST_PARTS:
        raise UnsafeCheckpoint(f"an array in {len(parts)} parts; the limit is {_MOST_PARTS}", array=name)
    places = [_place(extent, part.shape) for extent, part in parts]
    if sum(part.size for _, part in parts) != math.prod(shape) or _overlap(places):
        raise UnreadableCheckpoint(f"the {len(parts)} parts do not make up the array", array=name)
    dtype = parts[0][1].dtype

    def read() -> Array:
        whole = np.empty(shape, dtype)
        for place, (_, part) in zip(places, parts, strict=True):
            whole[place] = part.read()
        return whole

    return LazyArray(name, shape, dtype, read, parts[0][1].release)


def _place(part: Extents, sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for (start, _), size in zip(part, sizes, strict=True))


def _overlap(places: Sequence[tuple[slice, ...]]) -> bool:
    """Whether two of these boxes share an element; empty ones share none."""
    bounds = np.array([[(axis.start, axis.stop) for axis in place] for place in places], np.int64)
    if bounds.ndim < 3:
        return len(places) > 1
    starts, stops = bounds[..., 0], bounds[..., 1]
    for k in range(len(places) - 1):
        low, high = np.maximum(starts[k], starts[k + 1 :]), np.minimum(stops[k], stops[k + 1 :])
        if (low < high).all(axis=1).any():
            return True
    return False


def key(name: str, part: Extents) -> bytes:
    """The key of a part in a table, which sorts by name and place."""
    escaped = name.encode().replace(b"\x00", b"\x00\xff")
    numbers = (number for extent in part for number in extent)
    return b"\x00" + escaped + b"\x00\x01" + _count(len(part)) + b"".join(map(_signed, numbers))


def _count(value: int) -> bytes:
    """An unsigned number: how many bytes, and these, the highest first."""
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def _signed(value: int) -> bytes:
    """A signed number whose first bits tell how long it is: of n bytes, 7 n - 1 bits are the number."""
    bits = (~value if value < 0 else value).bit_length()
    length = bits // 7 + 1
    data = bytearray(value.to_bytes(max(length, 2) + 1, "big", signed=True)[-length:])
    header = ((1 << length) - 1) << (16 - length) if length <= 16 else 0
    data[0] ^= header >> 8
    if length > 1:
        data[1] ^= header & 255
    return bytes(data)
