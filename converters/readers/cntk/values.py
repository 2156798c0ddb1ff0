"""CNTK's dictionaries: protobuf messages whose values are numbers, texts, lists, dictionaries and arrays.

Source: CNTK.proto, the messages Dictionary, DictionaryValue and NDArrayView.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.cursor import check_shape, mapped
from converters.readers.message import Message
from converters.readers.source import Source
from layouts.errors import ShapeError, UnknownLayer, UnreadableCheckpoint, UnsafeCheckpoint

_BOOL, _INT, _SIZE, _FLOAT, _DOUBLE, _TEXT, _SHAPE, _VECTOR, _DICTIONARY, _ARRAY = 3, 4, 5, 6, 7, 8, 9, 11, 12, 13
_DENSE = 0
_KINDS = {4: "<f4", 5: "<f8"}
_DEEPEST = 40
_MOST_VALUES = 2_000_000


class Reading:
    """The values of one file, of which there are only so many."""

    def __init__(self, path: str) -> None:
        self._path, self._left = path, _MOST_VALUES

    def dictionary(self, message: Message, depth: int = 0) -> dict[str, Any]:
        """A dictionary by its keys. Raises `UnsafeCheckpoint` for one that is too deep."""
        if depth > _DEEPEST:
            raise UnsafeCheckpoint("its dictionaries are nested too deeply", path=self._path)
        return {entry.text(1): self._value(entry.message(2), depth + 1) for entry in message.messages(2)}

    def _value(self, message: Message, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise UnsafeCheckpoint(f"it holds more than {_MOST_VALUES} values", path=self._path)
        if _DICTIONARY in message:
            return self.dictionary(message.message(_DICTIONARY), depth)
        if _VECTOR in message:
            if depth > _DEEPEST:
                raise UnsafeCheckpoint("its lists are nested too deeply", path=self._path)
            return [self._value(item, depth + 1) for item in message.message(_VECTOR).messages(1)]
        if _ARRAY in message:
            return message.message(_ARRAY)
        if _SHAPE in message:
            return tuple(message.message(_SHAPE).integers(1))
        if _TEXT in message:
            return message.text(_TEXT)
        if _DOUBLE in message:
            return float(np.frombuffer(message.places(_DOUBLE)[-1], "<f8")[0])
        if _FLOAT in message:
            return message.real(_FLOAT)
        return next((message.integer(number) for number in (_BOOL, _INT, _SIZE) if number in message), None)

    def array(self, stored: Mapping[str, Any], name: str) -> LazyArray:
        """The numbers of a parameter or constant, with its axes as Python has them."""
        value = stored.get("value")
        if not isinstance(value, Message):
            raise UnreadableCheckpoint(f"{name} has no value", path=self._path)
        shape = tuple(value.message(3).integers(1))[::-1]
        check_shape(name, shape, self._path)
        number = next((number for number in _KINDS if number in value), None)
        if number is None or value.integer(2) != _DENSE:
            raise UnknownLayer(f"{name} is no dense array of floats or doubles")
        places = value.message(number).places(1)
        data = places[0] if len(places) == 1 else memoryview(b"".join(places))
        dtype = np.dtype(_KINDS[number])
        if len(data) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ShapeError(f"{name}: {shape} is not what {len(data)} bytes are", array=name)
        return mapped(Source(self._path, data), name, 0, shape, dtype)
