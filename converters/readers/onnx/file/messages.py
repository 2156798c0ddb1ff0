"""The messages of a model, by the names that onnx.proto gives their fields.

A `Message` reads its own bytes, so that weights are found without the onnx package, whose import takes longer than a
small conversion. It has the attributes and the `HasField` of onnx's classes; `as_onnx` makes one of these where the
package has to compute with it. Which fields there are and how they are written: onnx.proto of IR version 14, and
protobuf.dev/programming-guides/encoding. What is not declared here is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from converters.readers.protobuf import BYTES, FIXED32, FIXED64, VARINT, damaged, fields, varint

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

_Proto = TypeVar("_Proto")
TEXT, PLACE = "text", "place"
NOTES = "metadata_props"
_DECLARED = {
    "ModelProto": """1 ir_version int64, 2 producer_name text, 3 producer_version text, 4 domain text,
        5 model_version int64, 7 graph GraphProto, 8 opset_import OperatorSetIdProto*,
        14 metadata_props StringStringEntryProto*, 25 functions FunctionProto*""",
    "GraphProto": """1 node NodeProto*, 2 name text, 5 initializer TensorProto*, 11 input ValueInfoProto*,
        12 output ValueInfoProto*, 13 value_info ValueInfoProto*, 15 sparse_initializer SparseTensorProto*,
        16 metadata_props StringStringEntryProto*""",
    "FunctionProto": """1 name text, 4 input text*, 5 output text*, 6 attribute text*, 7 node NodeProto*,
        9 opset_import OperatorSetIdProto*, 10 domain text, 11 attribute_proto AttributeProto*,
        12 value_info ValueInfoProto*, 13 overload text, 14 metadata_props StringStringEntryProto*""",
    "NodeProto": """1 input text*, 2 output text*, 3 name text, 4 op_type text, 5 attribute AttributeProto*,
        7 domain text, 8 overload text, 9 metadata_props StringStringEntryProto*""",
    "AttributeProto": """1 name text, 2 f float, 3 i int64, 4 s bytes, 5 t TensorProto, 6 g GraphProto,
        7 floats float*, 8 ints int64*, 9 strings bytes*, 10 tensors TensorProto*, 11 graphs GraphProto*,
        20 type int32, 21 ref_attr_name text, 22 sparse_tensor SparseTensorProto,
        23 sparse_tensors SparseTensorProto*""",
    "TensorProto": """1 dims int64*, 2 data_type int32, 3 segment TensorProto.Segment, 4 float_data float*,
        5 int32_data int32*, 7 int64_data int64*, 8 name text, 9 raw_data bytes, 10 double_data double*,
        11 uint64_data uint64*, 12 doc_string place, 13 external_data StringStringEntryProto*, 14 data_location int32,
        16 metadata_props StringStringEntryProto*""",
    "SparseTensorProto": "1 values TensorProto, 2 indices TensorProto, 3 dims int64*",
    "TensorProto.Segment": "1 begin int64, 2 end int64",
    "ValueInfoProto": "1 name text, 2 type TypeProto, 4 metadata_props StringStringEntryProto*",
    "TypeProto": "1 tensor_type TypeProto.Tensor",
    "TypeProto.Tensor": "1 elem_type int32, 2 shape TensorShapeProto",
    "TensorShapeProto": "1 dim TensorShapeProto.Dimension*",
    "TensorShapeProto.Dimension": "1 dim_value int64, 2 dim_param text",
    "OperatorSetIdProto": "1 domain text, 2 version int64",
    "StringStringEntryProto": "1 key text, 2 value text",
}
_EITHER = {"dim_value": "dim_param", "dim_param": "dim_value"}
"""The fields of which a message has the one that stands last (`oneof`)."""
_DATA = ("float_data", "int32_data", "int64_data", "raw_data", "double_data", "uint64_data")
_FIXED = {"float": (FIXED32, struct.Struct("<f")), "double": (FIXED64, struct.Struct("<d"))}
_BITS = {"int32": 32, "int64": 64, "uint64": 64}
_EMPTY = {"text": "", "place": "", "bytes": b"", "float": 0.0, "double": 0.0, "int32": 0, "int64": 0, "uint64": 0}


class Field(NamedTuple):
    """One field: its name, what it holds (a message by its name), whether it may stand several times, its wire type."""

    name: str
    holds: str
    repeated: bool
    wire: int
    is_message: bool
    is_packed: bool
    """Whether several numbers may stand in one piece of bytes."""
    is_data: bool
    """Whether it holds the numbers of a tensor."""


@cache
def declared(kind: str) -> dict[int, Field]:
    """The fields of a message by their numbers."""
    words = (entry.split() for entry in _DECLARED[kind].split(","))
    return {int(number): _field(name, holds.rstrip("*"), holds.endswith("*")) for number, name, holds in words}


def _field(name: str, holds: str, repeated: bool) -> Field:
    wire = VARINT if holds in _BITS else _FIXED[holds][0] if holds in _FIXED else BYTES
    return Field(name, holds, repeated, wire, holds in _DECLARED, repeated and wire != BYTES, name in _DATA)


class Message:
    """One message, decoded when a field of it is asked for; a field that is absent gives what protobuf gives."""

    __slots__ = ("_found", "_kind", "_start", "_stop", "_view")

    def __init__(self, kind: str, view: memoryview, start: int, stop: int) -> None:
        self._kind, self._view, self._start, self._stop = kind, view, start, stop
        self._found: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        found = self._values()
        if name in found:
            return found[name]
        try:
            return _defaults(self._kind)[name]
        except KeyError:
            raise AttributeError(f"{self._kind} has no field {name!r} that is read") from None

    def HasField(self, name: str) -> bool:
        """Whether a field that does not repeat is there."""
        return name in self._values()

    def SerializeToString(self) -> bytes:
        """The bytes of the message."""
        return bytes(self._view[self._start : self._stop])

    def _values(self) -> dict[str, Any]:
        if self._found is None:
            self._found = _decoded(self._kind, self._view, self._start, self._stop)
        return self._found

    def as_onnx(self) -> Any:
        """The same message of onnx's own class."""
        import onnx

        kind: Any = onnx
        for name in self._kind.split("."):
            kind = getattr(kind, name)
        return kind.FromString(self.SerializeToString())


def model_message(content: bytes) -> ModelProto:
    """The message of a model's skeleton, which is read as a ModelProto is."""
    return cast("ModelProto", _whole("ModelProto", content))


def tensor_message(content: bytes) -> TensorProto:
    """The message of one tensor, which is read as a TensorProto is."""
    return cast("TensorProto", _whole("TensorProto", content))


def _whole(kind: str, content: bytes) -> Message:
    return Message(kind, memoryview(content), 0, len(content))


def as_onnx(message: _Proto) -> _Proto:
    """A message of onnx's own class, made of one of ours where it is not one already."""
    return cast("_Proto", message.as_onnx()) if isinstance(message, Message) else message


def copied(message: _Proto) -> _Proto:
    """A copy of onnx's own class, which can be changed."""
    if isinstance(message, Message):
        return as_onnx(message)
    copy: Any = type(message)()
    copy.CopyFrom(message)
    return cast("_Proto", copy)


def _decoded(kind: str, view: memoryview, at: int, end: int) -> dict[str, Any]:
    """The fields that are there, by name. What does not repeat is what stands last, messages what all of them say."""
    known = declared(kind)
    found: dict[str, Any] = {}
    parts: dict[str, list[Message]] = {}
    for number, wire, _, start, stop in fields(view, at, end):
        field = known.get(number)
        if field is None:
            continue
        if field.is_packed and wire == BYTES:
            found.setdefault(field.name, []).extend(packed(view, start, stop, field.holds))
        elif wire == field.wire:
            value = _value(field.holds, view, start, stop)
            if field.repeated:
                found.setdefault(field.name, []).append(value)
            else:
                found[field.name] = value
                found.pop(_EITHER.get(field.name, ""), None)
                if field.is_message:
                    parts.setdefault(field.name, []).append(value)
    for name, messages in parts.items():
        if len(messages) > 1:
            found[name] = _whole(found[name]._kind, b"".join(one.SerializeToString() for one in messages))
    return found


def _value(holds: str, view: memoryview, start: int, stop: int) -> Any:
    if holds in _DECLARED:
        return Message(holds, view, start, stop)
    if holds in _BITS:
        return _integer(holds, varint(view, start, stop)[0])
    if holds in _FIXED:
        return _FIXED[holds][1].unpack(view[start:stop])[0]
    return bytes(view[start:stop]) if holds == "bytes" else str(view[start:stop], "utf-8", "replace")


def _integer(holds: str, value: int) -> int:
    """A number of so many bits, in two's complement where it has a sign."""
    bits = _BITS[holds]
    value &= (1 << bits) - 1
    return value - (1 << bits) if holds.startswith("int") and value >> bits - 1 else value


def packed(view: memoryview, start: int, stop: int, holds: str) -> Iterator[Any]:
    """The numbers of a packed field. Raises `UnreadableCheckpoint` where the last one is cut off."""
    if holds in _FIXED:
        form = _FIXED[holds][1]
        if (stop - start) % form.size:
            raise damaged(start, "a number that is cut off")
        yield from (value for (value,) in form.iter_unpack(view[start:stop]))
    at = start if holds in _BITS else stop
    while at < stop:
        value, at = varint(view, at, stop)
        yield _integer(holds, value)


@cache
def _defaults(kind: str) -> dict[str, Any]:
    return {
        field.name: [] if field.repeated else _whole(field.holds, b"") if field.is_message else _EMPTY[field.holds]
        for field in declared(kind).values()
    }
