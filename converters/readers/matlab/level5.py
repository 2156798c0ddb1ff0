"""MATLAB's MAT-files of level 5: variables of numbers, structs and cells, each maybe deflated; objects are left alone.

A header of 128 bytes; then elements: u32 kind, u32 bytes, content, to a multiple of 8; a short one keeps both numbers
in the four bytes of its kind. An array is an element (14) of elements: flags, sizes, name, content by its class;
elements stand column by column. Source: the MathWorks's "MAT-File Format", the section on level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.cursor import Cursor, check_shape
from converters.readers.source import Source
from layouts.errors import UnsafeCheckpoint, printable

_ARRAY, _DEFLATED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _STRUCT, _TEXT = 1, 2, 4
_COMPLEX = 0x0800
_HEADER = 128
_DEEPEST = 64
_MOST = 1_000_000


class Variable(NamedTuple):
    """One leaf by its path: an array of numbers, a text, or None for what is neither."""

    path: str
    value: LazyArray | str | None


class Element(NamedTuple):
    """One element: its kind, and the bytes of its content."""

    kind: int
    cursor: Cursor


def read_variables(source: Source) -> Iterator[Variable]:
    """Every leaf of every variable. Raises `UnreadableCheckpoint` for what is damaged."""
    order = ">" if bytes(source.view[126:128]) == b"MI" else "<"
    yield from _Reading(source).variables(Cursor(source, "MAT-file", _HEADER, order=order))


class _Reading:
    """One file: how much was inflated and found in it, which is bounded by what is stored."""

    def __init__(self, source: Source) -> None:
        self._budget = (64 << 20) + 32 * len(source)
        self._left = _MOST

    def variables(self, cursor: Cursor) -> Iterator[Variable]:
        while cursor.left:
            element = _element(cursor, padded=False)
            if element.kind == _DEFLATED:
                element = _element(self._inflated(element.cursor), padded=False)
            if element.kind == _ARRAY:
                yield from self._array(element.cursor, "", 0)

    def _inflated(self, cursor: Cursor) -> Cursor:
        """What a deflated element holds, which is one element."""
        inflater = zlib.decompressobj()
        start = cursor.skip(cursor.left)
        try:
            data = inflater.decompress(cursor.source.view[start : cursor.at], self._budget)
        except zlib.error:
            raise cursor.damaged("a deflated variable", start) from None
        self._budget -= len(data)
        if not inflater.eof:
            if self._budget <= 0:
                raise UnsafeCheckpoint("its variables inflate to too many bytes", path=cursor.source.path)
            raise cursor.damaged("a deflated variable that does not end", start)
        return Cursor(Source(cursor.source.path, memoryview(data)), cursor.what, order=cursor.order)

    def _array(self, cursor: Cursor, path: str, depth: int) -> Iterator[Variable]:
        """The leaves of one array; `path` is that of what holds it."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise UnsafeCheckpoint("its variables are nested too deeply, or too many", path=cursor.source.path)
        if not cursor.left:
            return
        flags = _element(cursor).cursor.number("I")
        kind, sizes = flags & 0xFF, flags
        if kind not in {*_CLASSES, _CELL, _STRUCT, _TEXT}:
            yield Variable(path, None)
            return
        shape = _whole(_element(cursor))
        check_shape(path, shape, cursor.source.path)
        name = cursor_text(_element(cursor))
        path = "/".join(filter(None, (path, name)))
        if kind in _CLASSES:
            yield Variable(path, None if sizes & _COMPLEX else _numbers(cursor, path, shape, kind))
        elif kind == _TEXT:
            yield Variable(path, _text(_element(cursor)))
        elif kind == _CELL:
            yield from self._members(cursor, path, [""], math.prod(shape), depth)
        else:
            yield from self._members(cursor, path, _field_names(cursor), math.prod(shape), depth)

    def _members(self, cursor: Cursor, path: str, names: list[str], count: int, depth: int) -> Iterator[Variable]:
        """The members of a struct or cell array, numbered where there are several."""
        if count > self._left:
            raise UnsafeCheckpoint("its variables are too many", path=cursor.source.path)
        for number in range(count):
            own = str(number) if count > 1 or names == [""] else ""
            for name in names:
                member = _element(cursor)
                if member.kind != _ARRAY:
                    raise member.cursor.damaged("a member that is no array")
                yield from self._array(member.cursor, "/".join(filter(None, (path, own, name))), depth + 1)


def _element(cursor: Cursor, padded: bool = True) -> Element:
    """The next element. Within arrays all are padded to a multiple of 8 bytes, at the top deflated ones are not."""
    kind = cursor.number("I")
    if kind >> 16:
        start, size, kind = cursor.at, kind >> 16, kind & 0xFFFF
        if size > 4:
            raise cursor.damaged(f"a short element of {size} bytes")
        cursor.skip(4)
    else:
        size = cursor.number("I")
        start = cursor.skip(size)
        if padded or kind != _DEFLATED:
            cursor.skip(min(-size % 8, cursor.left))
    return Element(kind, Cursor(cursor.source, cursor.what, start, start + size, cursor.order))


def _whole(element: Element) -> tuple[int, ...]:
    """The numbers of an element of sizes."""
    return element.cursor.numbers("i", min(element.cursor.left // 4, 33))


def cursor_text(element: Element) -> str:
    """A name: bytes of ASCII."""
    return element.cursor.take(element.cursor.left).decode("ascii", "backslashreplace")


def _text(element: Element) -> str:
    data = element.cursor.take(element.cursor.left)
    order = {"<": "-le", ">": "-be"}[element.cursor.order]
    encoding = _TEXTS.get(element.kind, "latin-1")
    return data.decode(encoding + order if encoding in ("utf-16", "utf-32") else encoding, "backslashreplace")


def _field_names(cursor: Cursor) -> list[str]:
    """The names of the fields of a struct, each in so many bytes as the first element says."""
    (length,) = _whole(_element(cursor)) or (0,)
    names = _element(cursor).cursor
    if length < 1:
        raise cursor.damaged("a struct whose names have no length")
    found = [names.take(length).partition(b"\0")[0] for _ in range(names.left // length)]
    return [name.decode("ascii", "backslashreplace") for name in found]


def _numbers(cursor: Cursor, path: str, shape: tuple[int, ...], kind: int) -> LazyArray:
    """The numbers of an array, which may be stored in a smaller type than that of its class."""
    element = _element(cursor)
    stored, wanted = _NUMBERS.get(element.kind), np.dtype(_CLASSES[kind])
    if stored is None:
        raise cursor.damaged(f"{printable(path)} holds elements of the unknown type {element.kind}")
    array = element.cursor.array(path, shape, np.dtype(cursor.order + stored), fortran=True)
    if element.cursor.left:
        raise cursor.damaged(f"{printable(path)} has more elements than its sizes claim")

    def read() -> Array:
        found: Array = array.read().astype(wanted, copy=False)
        return found

    return LazyArray(path, shape, wanted, read, array.release)
