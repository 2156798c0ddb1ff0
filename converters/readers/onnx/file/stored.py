"""The data of one tensor where it stands: its size checked against its shape, its numbers when they are asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.file.tensors import Kind, count_varints, from_entries, from_raw, varints
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint
from layouts.records import dataclass

if TYPE_CHECKING:
    from onnx import TensorProto

RAW = "raw_data"
FIELDS = {4: "float_data", 5: "int32_data", 7: "int64_data", 9: RAW, 10: "double_data", 11: "uint64_data"}
"""The fields of a TensorProto that hold numbers."""
_ENTRIES = {"float_data": "<f4", "int32_data": "<i4", "int64_data": "<i8", "double_data": "<f8", "uint64_data": "<u8"}
"""The dtype of each typed field; packed floats are the same bytes as an array, integers are varints."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The data of a tensor: the field that it stands in, and its bytes; or its entries, where they are few."""

    field: str
    source: Source
    entries: Array | None = None

    def check(self, kind: Kind, shape: tuple[int, ...]) -> None:
        """Raise `UnreadableCheckpoint` unless exactly the data of this shape is there."""
        size = math.prod(shape)
        if self.field == RAW:
            _compare(kind.units(size), len(self.source), "bytes", kind, shape)
        elif self.field != kind.field:
            raise UnreadableCheckpoint(f"{kind.name} in {self.field}, where ONNX has it in raw_data or {kind.field}")
        else:
            _compare(kind.entries(size), self._count(), "numbers", kind, shape)

    def read(self, kind: Kind, shape: tuple[int, ...]) -> Array:
        """The array, read-only, of checked data; a view of the file where it stands there as an array would."""
        if self.field == RAW:
            array = from_raw(self.source.view[:], shape, kind)
        else:
            array = from_entries(self._numbers(kind.entries(math.prod(shape))), shape, kind)
        array.flags.writeable = False
        return array

    def _count(self) -> float:
        """How many entries there are; a fraction where the last one is cut off."""
        if self.entries is not None:
            return self.entries.size
        dtype = np.dtype(_ENTRIES[self.field])
        if dtype.kind == "f":
            return len(self.source) / dtype.itemsize
        found = count_varints(self.source.view[:])
        self.source.release()
        return found

    def _numbers(self, count: int) -> Array:
        if self.entries is not None:
            return self.entries
        dtype = np.dtype(_ENTRIES[self.field])
        view = self.source.view[:]
        return np.frombuffer(view, dtype) if dtype.kind == "f" else varints(view, count, dtype)


def present(proto: TensorProto, name: str) -> bool:
    """Whether the message itself holds data in a field."""
    return proto.HasField(RAW) if name == RAW else bool(getattr(proto, name))


def held_in(proto: TensorProto, name: str) -> Stored:
    """The data that the message itself holds in a field, which may be none."""
    if name == RAW:
        return Stored(RAW, Source("", memoryview(proto.raw_data)))
    return Stored(name, Source("", memoryview(b"")), np.array(getattr(proto, name), _ENTRIES[name]))


def _compare(wanted: int, there: float, of_what: str, kind: Kind, shape: tuple[int, ...]) -> None:
    if there != wanted:
        raise UnreadableCheckpoint(
            f"its shape {shape} of {kind.name} takes {wanted} {of_what}, and {there:.12g} are there"
        )
