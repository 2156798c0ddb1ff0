"""What `flax.serialization.to_bytes` writes: a tree in MessagePack, with arrays as extensions, mapped where they stand.

An array is the extension 1, a scalar of NumPy the extension 3; either is a list of its shape, the name of its dtype and
its bytes, row by row. A complex number is the extension 2. Source: flax.serialization, `_msgpack_ext_pack`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray, in_memory
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.flax.msgpack import Extension, Raw, Reader, damaged, leaves
from converters.readers.opened import Opened, Request
from converters.readers.source import Source
from layouts.errors import CheckpointError, CoverageError, ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_MOST_AXES = 32
_SAMPLE = 1 << 16
_PLAIN = {
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
}
_BEYOND_NUMPY = {"bfloat16", "float8_e4m3fn", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"}


def is_tree(opened: Opened) -> bool:
    """Whether the first array of a map, found by its start alone, is one of Flax's extensions."""
    return _first_extension(opened.source.view[:_SAMPLE])


def _first_extension(view: memoryview) -> bool:
    """Whether the first value that is neither map nor name, nor a plain number, is an extension of Flax."""
    reader = Reader(view, 0, len(view))
    try:
        for _ in range(1000):
            found = reader.step()
            if isinstance(found, Extension):
                return found.code in (_ARRAY, _SCALAR)
    except CheckpointError:
        return False
    return False


def read_msgpack(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a tree; `framework` where its arrays are not Flax's own, as Haiku's may stand in such a file."""
    arrays, others = arrays_of(opened.source)
    return checkpoint_of(opened.path, "msgpack", arrays, request.framework or "flax", request.assume, others)


def arrays_of(source: Source) -> tuple[dict[str, LazyArray], tuple[str, ...]]:
    """Every array, and every number, of the tree by its full name; and the names of what is neither, such as text.

    Raises `CheckpointError` for a damaged file.
    """
    reader = Reader(source.view, 0, len(source))
    tree = reader.value()
    if reader.at != len(source):
        raise UnreadableCheckpoint(f"{len(source) - reader.at} bytes follow behind the tree", path=source.path)
    if not isinstance(tree, dict):
        raise UnreadableCheckpoint("this msgpack file is no tree of names", path=source.path)
    found: dict[str, LazyArray] = {}
    others: list[str] = []
    for name, value in leaves(tree):
        array = _leaf(source, name, value)
        if array is not None and found.setdefault(name, array) is not array:
            raise CoverageError(f"two arrays are called {printable(name)}", array=name, path=source.path)
        others += [name] if array is None and value is not None else []
    return found, tuple(others)


def _leaf(source: Source, name: str, value: Any) -> LazyArray | None:
    """One leaf as an array; None for an absent one, for text, and for a complex number."""
    if isinstance(value, dict):
        return _chunked(source, name, value)
    if isinstance(value, Extension) and value.code in (_ARRAY, _SCALAR):
        return _array(source, name, value)
    if isinstance(value, Extension) and value.code != _COMPLEX:
        raise UnsafeCheckpoint(f"{printable(name)} is of the extension {value.code}, which Flax does not write")
    if isinstance(value, bool | int | float):
        return in_memory(name, np.asarray(value, None if abs(value) < 1 << 63 else np.float64))
    return None


def _array(source: Source, name: str, value: Extension) -> LazyArray:
    """An array whose declared size is exactly the size of its bytes."""
    reader = Reader(source.view, value.start, value.end, left=100)
    content = reader.value()
    if reader.at != value.end or not isinstance(content, list) or len(content) != 3:
        raise damaged(value.start, f"an array of another form ({printable(name)})")
    sizes, dtype_name, data = content
    shape, dtype = _shape(name, sizes), _dtype(source, name, dtype_name)
    if not isinstance(data, Raw) or math.prod(shape) * dtype.itemsize != data.end - data.start:
        raise UnsafeCheckpoint(
            f"{printable(name)}: {dtype.name} of the shape {shape} are {math.prod(shape) * dtype.itemsize} bytes, and "
            f"{data.end - data.start if isinstance(data, Raw) else 'none'} are stored"
        )

    def read() -> Array:
        return np.frombuffer(source.view[data.start : data.end], dtype).reshape(shape)

    return LazyArray(name, shape, dtype, read, source.release)


def _shape(name: str, sizes: Any) -> tuple[int, ...]:
    plain = isinstance(sizes, list) and all(type(size) is int and size >= 0 for size in sizes)
    if not plain or len(sizes) > _MOST_AXES:
        raise UnsafeCheckpoint(f"{printable(name)} declares an impossible shape")
    return tuple(sizes)


def _dtype(source: Source, name: str, given: Any) -> np.dtype[Any]:
    """The dtype of a name, from a fixed table."""
    text = bytes(source.view[given.start : given.end]).decode("latin-1") if isinstance(given, Raw) else given
    if text in _BEYOND_NUMPY:
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(getattr(ml_dtypes, text))
        return kind
    if text not in _PLAIN:
        raise ShapeError(f"{printable(name)} holds {printable(repr(text))}, which are no numbers", array=name)
    return np.dtype(text)


def _chunked(source: Source, name: str, value: Mapping[str, Any]) -> LazyArray:
    """An array in pieces, which are one after another its elements row by row."""
    shape = _shape(name, _listed(name, value.get("shape")))
    pieces = [_leaf(source, name, piece) for piece in _listed(name, value.get("chunks"))]
    whole = [piece for piece in pieces if piece is not None and len(piece.shape) == 1]
    if len(whole) != len(pieces) or not whole or len({piece.dtype for piece in whole}) != 1:
        raise UnsafeCheckpoint(f"{printable(name)}: its pieces are not alike")
    if sum(piece.size for piece in whole) != math.prod(shape):
        raise UnsafeCheckpoint(f"{printable(name)}: its pieces do not make up the shape {shape}")

    def read() -> Array:
        return np.concatenate([piece.read() for piece in whole]).reshape(shape)

    return LazyArray(name, shape, whole[0].dtype, read, source.release)


def _listed(name: str, value: Any) -> list[Any]:
    """The items of a tuple, which Flax keeps as a map of their numbers."""
    if not isinstance(value, dict) or {*value} != {*map(str, range(len(value)))}:
        raise UnsafeCheckpoint(f"{printable(name)}: its pieces are not numbered")
    return [value[str(number)] for number in range(len(value))]
