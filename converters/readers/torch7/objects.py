"""Torch7's binary serialization: numbers, texts, tables, and objects of classes, of which tensors alone are understood.

An object: i32 kind (0 nil, 1 number, 2 text, 3 table, 4 object of a class, 5 truth, 6 to 8 a function). Tables, objects
and functions have an i32 index first, under which they may stand again. A tensor: i32 axes, i64 sizes, i64 strides, i64
place of its first element from 1, its storage; a storage: i64 length, elements. A function is code: it is passed over.
Source: File.lua and generic/Tensor.c of torch7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.cursor import Cursor
from converters.readers.source import Source
from layouts.errors import UnsafeCheckpoint, printable
from layouts.records import dataclass, field

_NIL, _NUMBER, _TEXT, _TABLE, _OBJECT, _TRUTH = range(6)
_FUNCTIONS = (6, 7, 8)
_DEEPEST, _MOST_OBJECTS, _MOST_AXES = 200, 2_000_000, 32
_KINDS = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4",
    "Long": "<i8", "Cuda": "<f4", "CudaDouble": "<f8", "CudaHalf": "<f2", "CudaLong": "<i8", "CudaInt": "<i4",
    "CudaByte": "u1", "CudaChar": "i1", "CudaShort": "<i2",
}  # fmt: skip
_TYPED = re.compile(r"torch\.(\w+?)(Tensor|Storage)")


@dataclass
class Table:
    """A table of Lua: values by keys that are numbers, texts or truths; others are left out."""

    values: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Thing:
    """An object of a class, and what it holds: for all classes that have no format of their own, a table."""

    class_name: str
    content: Any = None

    def get(self, name: str) -> Any:
        """A field of the object; None where it has none."""
        return self.content.values.get(name) if isinstance(self.content, Table) else None


class Storage(NamedTuple):
    """Where the elements of a storage start, how many there are, and their type."""

    start: int
    size: int
    dtype: np.dtype[Any]


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage | None
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int

    @property
    def place(self) -> tuple[int, ...]:
        """What tells whether two tensors are the same numbers."""
        return (self.storage.start if self.storage else -1, self.first, *self.shape, *self.strides)


def read_object(source: Source) -> Any:
    """The object of a file. Raises `UnreadableCheckpoint` for what is damaged, `UnsafeCheckpoint` for too much."""
    cursor = Cursor(source, "file of Torch7")
    found = _Reading(cursor).value(0)
    if cursor.left:
        raise cursor.damaged(f"{cursor.left} bytes follow its object")
    return found


def lazy(tensor: Tensor, name: str, source: Source) -> LazyArray:
    """The numbers of a tensor as an array that is read when asked."""
    storage = tensor.storage
    assert storage is not None, name
    size = storage.dtype.itemsize

    def read() -> Array:
        flat = np.frombuffer(source.view[storage.start : storage.start + storage.size * size], storage.dtype)
        strides = tuple(stride * size for stride in tensor.strides)
        return np.lib.stride_tricks.as_strided(flat[tensor.first :], tensor.shape, strides, writeable=False)

    return LazyArray(name, tensor.shape, storage.dtype, read, source.release)


class _Reading:
    """One file: what was read under which index."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._known: dict[int, Any] = {}
        self._left = _MOST_OBJECTS

    def value(self, depth: int) -> Any:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise UnsafeCheckpoint("its objects are nested too deeply, or too many", path=self._cursor.source.path)
        kind = self._cursor.number("i")
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return self._cursor.number("d")
        if kind == _TEXT:
            return self._text()
        if kind == _TRUTH:
            return bool(self._cursor.number("i"))
        if kind not in (_TABLE, _OBJECT, *_FUNCTIONS):
            raise self._cursor.damaged(f"an object of the kind {kind}")
        index = self._cursor.number("i")
        if index in self._known:
            return self._known[index]
        if kind in _FUNCTIONS:
            self._known[index] = None
            self._cursor.skip(self._cursor.number("i"))
            self.value(depth + 1)
            return None
        return self._table(index, depth) if kind == _TABLE else self._thing(index, depth)

    def _text(self) -> str:
        return self._cursor.take(self._cursor.number("i")).decode("utf-8", "backslashreplace")

    def _table(self, index: int, depth: int) -> Table:
        found = Table()
        self._known[index] = found
        for _ in range(self._cursor.count("i", 8, "entries")):
            key, value = self.value(depth + 1), self.value(depth + 1)
            if isinstance(key, float | str | bool):
                found.values[int(key) if isinstance(key, float) and key.is_integer() else key] = value
        return found

    def _thing(self, index: int, depth: int) -> Any:
        version = self._text()
        name = self._text() if re.fullmatch(r"V \d+", version) else version
        typed = _TYPED.fullmatch(name)
        if typed is None or typed[1] not in _KINDS:
            found = Thing(name)
            self._known[index] = found
            found.content = self.value(depth + 1)
            return found
        made = self._tensor(depth) if typed[2] == "Tensor" else self._storage(np.dtype(_KINDS[typed[1]]))
        self._known[index] = made
        return made

    def _storage(self, dtype: np.dtype[Any]) -> Storage:
        size = self._cursor.count("q", dtype.itemsize, "elements")
        return Storage(self._cursor.skip(size * dtype.itemsize), size, dtype)

    def _tensor(self, depth: int) -> Tensor:
        axes = self._cursor.number("i")
        if not 0 <= axes <= _MOST_AXES:
            raise self._cursor.damaged(f"a tensor of {axes} axes")
        shape, strides = self._cursor.numbers("q", axes), self._cursor.numbers("q", axes)
        first = self._cursor.number("q") - 1
        storage = self.value(depth + 1)
        found = Tensor(storage if isinstance(storage, Storage) else None, shape, strides, max(first, 0))
        self._check(found)
        return found

    def _check(self, tensor: Tensor) -> None:
        """Raise where a tensor reaches out of its storage."""
        if not tensor.shape or 0 in tensor.shape:
            return
        last = tensor.first + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
        if min(*tensor.shape, *tensor.strides) < 0 or tensor.storage is None or last >= tensor.storage.size:
            raise self._cursor.damaged(f"a tensor of the shape {tensor.shape} reaches out of its storage")


def tensors(thing: Thing) -> Iterator[tuple[str, Tensor]]:
    """The tensors with elements that an object has as its fields."""
    values = thing.content.values if isinstance(thing.content, Table) else {}
    for name, value in values.items():
        if isinstance(value, Tensor) and value.shape and 0 not in value.shape:
            yield printable(name), value
