"""The bytes of an ONNX model: structure parsed within bounds, weights located and left in the file.

Rules for untrusted files kept here: what the structure takes is bounded before it is parsed; sizes are checked against
the bytes that are there; external data stays within the model's folder, each file opened once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.file.messages import model_message
from converters.readers.onnx.file.skeleton import place_of, skeleton, what_else
from converters.readers.onnx.file.stored import FIELDS, RAW, Stored, held_in, present
from converters.readers.onnx.file.tensors import checked_shape, kind_of
from converters.readers.source import Source, open_beside
from layouts.errors import ConversionError, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass, field

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

IN_MEMORY = "ModelProto in memory"
_EXTERNAL = 1
_MOST_FILES = 20_000
_NEWEST_IR, _NEWEST_OPSET = 64, 64
"""Beyond any that exists or is near: a larger number is damage, and what it would mean is not known."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model: its structure as a ModelProto, and its tensors on demand."""

    path: str
    proto: ModelProto
    source: Source
    _files: dict[str, Source] = field(default_factory=dict)
    _locations: dict[str, Source] = field(default_factory=dict)
    """External files by their real path, each once, and the same by the names that tensors give them."""

    def tensor(self, proto: TensorProto) -> LazyArray:
        """A stored tensor, located and checked against the bytes that are there; nothing is read.

        Raises `UnreadableCheckpoint` for text, complex numbers and sizes that do not agree, `UnsafeCheckpoint` for
        impossible shapes and for external data outside the model's folder or beyond its file.
        """
        name = proto.name or "a constant"
        with self._naming(name, proto):
            return self._tensor(proto, name)

    def stored(self) -> int:
        """The bytes of the model's file, and of every external file opened so far."""
        return len(self.source) + sum(len(file) for file in self._files.values())

    def _tensor(self, proto: TensorProto, name: str) -> LazyArray:
        kind = kind_of(proto.data_type)
        shape = checked_shape(list(proto.dims), kind)
        if proto.HasField("segment"):
            raise UnreadableCheckpoint("a tensor in segments, which ONNX never put to use")
        stored = self._located(proto, kind.units(math.prod(shape)))
        stored.check(kind, shape)

        def read() -> Array:
            with self._naming(name, proto):
                return stored.read(kind, shape)

        return LazyArray(name, shape, kind.dtype, read, stored.source.release)

    @contextmanager
    def _naming(self, name: str, proto: TensorProto) -> Iterator[None]:
        """Say in an error which tensor it is about."""
        try:
            yield
        except ConversionError as error:
            message = f"the tensor {printable(name)}: {error}"
            raise type(error)(message, array=proto.name or None, path=error.path or self.path) from None

    def _located(self, proto: TensorProto, needed: int) -> Stored:
        """Where the data is: in the model's file, in the message itself, or in another file."""
        found = [held_in(proto, name) for name in FIELDS.values() if present(proto, name)]
        if proto.doc_string:
            number, start, length = place_of(proto.doc_string)
            found.append(Stored(FIELDS[number], self.source.part(start, length)))
        if proto.data_location == _EXTERNAL:
            if found:
                raise UnreadableCheckpoint(f"has data both in another file and in {found[0].field}")
            return Stored(RAW, self._outside(proto, needed))
        if len(found) > 1:
            raise UnreadableCheckpoint(f"has data twice, in {found[0].field} and in {found[1].field}")
        return found[0] if found else held_in(proto, RAW)

    def _outside(self, proto: TensorProto, needed: int) -> Source:
        """The bytes of external data; without a length as many as are needed."""
        keys: dict[str, str] = {}
        for entry in proto.external_data:
            if entry.key in keys:
                raise UnreadableCheckpoint(f"its external data has the key {printable(entry.key)} twice")
            keys[entry.key] = entry.value
        if not keys.get("location"):
            raise UnreadableCheckpoint("its external data has no location")
        start, length = _whole(keys, "offset", 0), _whole(keys, "length", needed)
        file = self._file(keys["location"])
        if length > len(file) - start:
            where = f"bytes {start} to {start + length} of {printable(keys['location'])}"
            raise UnsafeCheckpoint(f"its external data are {where}, which is too short: it has {len(file)}")
        return file.part(start, length)

    def _file(self, location: str) -> Source:
        """An external file beside the model, opened once."""
        if self.source.mapping is None:
            raise UnreadableCheckpoint(
                "its data is in another file, and a ModelProto in memory has no folder: pass the path of the model, or "
                "load the data first (onnx.load, onnx.external_data_helper.load_external_data_for_model)"
            )
        if location not in self._locations:
            if len(self._locations) >= _MOST_FILES:
                raise UnsafeCheckpoint(f"more than {_MOST_FILES} external files: too many")
            file = open_beside(self.path, location, ranged=True)
            real = os.path.realpath(file.path)
            if real == os.path.realpath(self.path):
                raise UnsafeCheckpoint(f"its external data are in {printable(location)}, which is the model itself")
            self._locations[location] = self._files.setdefault(real, file)
        return self._locations[location]


def open_model(source: Source) -> Model:
    """A model from the bytes of its file. Raises `UnreadableCheckpoint` and `UnsafeCheckpoint`."""
    try:
        return Model(source.path, _parsed(source), source)
    except ConversionError as error:
        error.path = error.path or source.path
        raise


def from_memory(model: ModelProto) -> Model:
    """A model that is loaded already; it must hold its data. Raises as `open_model` does."""
    from google.protobuf.message import EncodeError

    try:
        content = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        reason = f"the ModelProto cannot be written as bytes ({printable(error)}): pass the path of its file"
        raise UnreadableCheckpoint(reason, path=IN_MEMORY) from None
    return open_model(Source(IN_MEMORY, memoryview(content)))


def _parsed(source: Source) -> ModelProto:
    """The structure, without bulk."""
    other = what_else(source.view)
    if other:
        raise UnreadableCheckpoint(f"this is {other}")
    proto = model_message(skeleton(source.view))
    source.release()
    if not proto.HasField("graph"):
        raise UnreadableCheckpoint("the file holds no ONNX graph: it is damaged, or a protobuf file of another kind")
    _check_versions(proto)
    return proto


def _check_versions(proto: ModelProto) -> None:
    opsets = [opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")]
    if not 1 <= proto.ir_version <= _NEWEST_IR:
        raise UnreadableCheckpoint(f"the file says it is of ONNX's IR version {proto.ir_version}: damaged")
    if not opsets and proto.ir_version >= 3:
        raise UnreadableCheckpoint(
            "the file names no operator set of ONNX itself (opset_import): its nodes mean nothing"
        )
    if len(set(opsets)) > 1 or not all(1 <= version <= _NEWEST_OPSET for version in opsets):
        raise UnreadableCheckpoint(f"the file says it uses version {opsets} of ONNX's operators: damaged")


def _whole(keys: dict[str, str], key: str, otherwise: int) -> int:
    text = keys.get(key)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UnsafeCheckpoint(f"the {key} of its external data is {printable(repr(text))}: not a number of bytes")
    return int(text)
