"""A ModelProto without its bulk: walked and bounded before anything is made of it, the data left where it is.

What is not declared in `messages` is left out: documentation, training, devices, types other than tensors, unknown
fields. Where a tensor's data was taken out, its `doc_string` says the field, the first byte and the length: `place_of`
reads that. Why the walk comes first: protobuf makes 290 MB of 4 MB of empty nodes, and copies all that is stored.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from converters.readers.onnx.file.messages import NOTES, PLACE, TEXT, Field, declared, packed
from converters.readers.protobuf import BYTES, VARINT, as_varint, damaged, fields
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_MOST_NODES = 200_000
_MOST_STRUCTURE = 128 << 20
_DEEPEST = 100
_SMALL = 256
"""Data of a tensor up to so many bytes stays with it, so that the small constants of a graph are whole."""
_LONGEST_NOTE = 2048
"""Bytes of one metadata entry; the exporters' stack traces are longer, and tell nothing that is needed."""
_PER_MESSAGE, _PER_FIELD, _PER_NUMBER = 100, 64, 8
"""What each is charged. In memory an empty node takes 146 bytes, an empty string 16, an integer 8; to walk over a field
that is left out takes time too."""

_DOC_STRING = as_varint(12 << 3 | BYTES)


def skeleton(view: memoryview, kind: str = "ModelProto") -> bytes:
    """The bytes of the same message without its bulk. Raises `UnreadableCheckpoint` or `UnsafeCheckpoint`."""
    return _Walk(view).message(kind, 0, len(view), 0)


def place_of(note: str) -> tuple[int, int, int]:
    """The field, the first byte and the length of data that was taken out, from the `doc_string` of its tensor."""
    field, start, length = note.split(":")
    return int(field), int(start), int(length)


class _Walk:
    """One pass over the messages of a file, counting what they will take."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._left = _MOST_STRUCTURE
        self._nodes = 0

    def message(self, kind: str, start: int, stop: int, depth: int) -> bytes:
        """What is kept of one message."""
        self._count(kind, depth)
        known = declared(kind)
        kept = bytearray()
        bulk = b""
        for number, wire, at, content, end in fields(self._view, start, stop):
            self._take(_PER_FIELD)
            field = known.get(number)
            if field is None or field.holds == PLACE or (field.name == NOTES and end - content > _LONGEST_NOTE):
                continue
            if field.is_data and wire == BYTES and end - content > _SMALL:
                if bulk:
                    raise damaged(at, "a tensor whose data stands twice")
                bulk = f"{number}:{content}:{end - content}".encode()
            elif field.is_message and wire == BYTES:
                inner = self.message(field.holds, content, end, depth + 1)
                kept += as_varint(number << 3 | BYTES) + as_varint(len(inner)) + inner
            else:
                self._check_field(field, wire, at, content, end)
                kept += self._view[at:end]
        return bytes(kept) if not bulk else bytes(kept) + _DOC_STRING + as_varint(len(bulk)) + bulk

    def _check_field(self, field: Field, wire: int, at: int, content: int, end: int) -> None:
        self._take((end - content) * (_PER_NUMBER if field.is_packed else 1))
        if field.is_packed and wire == BYTES:
            deque(packed(self._view, content, end, field.holds), 0)
        elif field.holds == TEXT:
            try:
                str(self._view[content:end], "utf-8")
            except ValueError:
                raise damaged(at, "a name that is not UTF-8") from None

    def _count(self, kind: str, depth: int) -> None:
        self._take(_PER_MESSAGE)
        self._nodes += kind == "NodeProto"
        if self._nodes > _MOST_NODES:
            raise UnsafeCheckpoint(f"the graph has more than {_MOST_NODES} nodes: too large")
        if depth > _DEEPEST:
            raise UnsafeCheckpoint(f"its messages are nested too deep: more than {_DEEPEST} levels")

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise UnsafeCheckpoint(
                f"its structure without the tensors takes more than {_MOST_STRUCTURE} bytes: too large"
            )


def what_else(view: memoryview) -> str:
    """What a protobuf file is, where the fields of its outermost message cannot be those of a ModelProto, or ''."""
    found: dict[int, set[int]] = {}
    first = 0, 0
    try:
        for number, wire, _, content, end in islice(fields(view, 0, len(view)), 1000):
            found.setdefault(number, set()).add(wire)
            if number == 1 and wire == BYTES:
                first = content, end
    except UnreadableCheckpoint:
        pass  # what came before the damage tells enough
    if VARINT in found.get(2, ()):
        return "a single tensor of ONNX (TensorProto), not a model"
    if _names_an_operator(view, *first):
        return "no ONNX model but perhaps a graph of TensorFlow (GraphDef): export it to ONNX with tf2onnx"
    if found.keys() == {1, 2} and found[2] == {BYTES}:
        return "no ONNX model but perhaps a SavedModel of TensorFlow: give its folder, with the variables in it"
    return ""


def _names_an_operator(view: memoryview, start: int, stop: int) -> bool:
    """Whether a message has a name and an operator, as a node of TensorFlow's GraphDef."""
    try:
        found = {number for number, wire, *_ in islice(fields(view, start, stop), 100) if wire == BYTES}
    except UnreadableCheckpoint:
        return False
    return {1, 2} <= found
