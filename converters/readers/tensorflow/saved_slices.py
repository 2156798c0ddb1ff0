"""The checkpoint of early TensorFlow, in one file, or one a shard: a table whose values hold the tensors themselves.

The key '' holds names, shapes, types and parts; every other value is one part. Source: saved_tensor_slice.proto in
tensorflow/core/util.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.message import Message
from converters.readers.source import Source, open_beside
from converters.readers.tensorflow import slices, table
from converters.readers.tensorflow.numbers import dtype_of, kind_name, shape_of, tensor
from converters.readers.tensorflow.stored import Stored
from layouts.errors import UnreadableCheckpoint, printable

_META, _DATA = 1, 2
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")
_MOST_SHARDS = 10_000
Part = tuple[Message, Source]
Parts = dict[str, dict[slices.Extents, Part]]


class _Listed(NamedTuple):
    """What the header says of one tensor."""

    kind: int
    shape: tuple[int, ...]
    parts: tuple[slices.Extents, ...]


def is_saved_slices(view: memoryview) -> bool:
    """Whether a table is a checkpoint in one file: its first value holds the list of its tensors."""
    first = next(table.entries(Source("", view)), None)
    return first is not None and first.key == b"" and not Message(first.value).holds_number(1)


def stem(name: str) -> str:
    """The name of a checkpoint without the number of a shard."""
    return _SHARD.sub("", name)


def read_saved_slices(source: Source) -> Stored:
    """Every tensor of a checkpoint in one file, or in several of which this is one."""
    listed: dict[str, _Listed] = {}
    parts: Parts = {}
    for shard in _shards(source):
        for entry in table.entries(shard):
            message = Message(entry.value)
            if entry.key == b"":
                _add_header(listed, message.message(_META))
            else:
                _add_part(parts, message.message(_DATA), shard)
    if {*parts} - {*listed}:
        stray = printable(min({*parts} - {*listed}))
        raise UnreadableCheckpoint(f"damaged: it holds {stray}, which its header does not list", path=source.path)
    arrays, others = {}, {}
    for name, one in listed.items():
        dtype = dtype_of(one.kind)
        if dtype is None:
            others[name] = kind_name(one.kind)
        else:
            arrays[name] = _array(name, one, dtype, parts.get(name, {}))
    return Stored(source.path, "checkpoint in one file", arrays, others=others)


def _shards(source: Source) -> Iterator[Source]:
    """The file, and those of the other shards where its name tells how many there are."""
    name = os.path.basename(source.path)
    found = _SHARD.search(name)
    count = int(found[1]) if found else 1
    if not found or not 0 < count <= _MOST_SHARDS:
        yield source
        return
    stem = name[: found.start()]
    yield from (open_beside(source.path, f"{stem}-{k:05d}-of-{count:05d}") for k in range(count))


def _add_header(listed: dict[str, _Listed], meta: Message) -> None:
    """What the header of one file lists; the parts of one tensor may be listed in several."""
    for one in meta.messages(1):
        name = one.text(1)
        found = _Listed(one.integer(3), shape_of(one.message(2)), tuple(map(slices.extents, one.messages(4))))
        known = listed.get(name, found._replace(parts=()))
        if known[:2] != found[:2]:
            raise UnreadableCheckpoint(f"damaged: {printable(name)} is listed with two shapes or types")
        listed[name] = known._replace(parts=(*known.parts, *found.parts))


def _add_part(parts: Parts, data: Message, source: Source) -> None:
    """One part: its numbers are left where they are."""
    name, extents = data.text(1), slices.extents(data.message(2))
    if extents in parts.setdefault(name, {}):
        raise UnreadableCheckpoint(f"damaged: a part of {printable(name)} is there twice", path=source.path)
    parts[name][extents] = data.message(3), source


def _array(name: str, listed: _Listed, dtype: np.dtype[Any], parts: dict[slices.Extents, Part]) -> LazyArray:
    """The array of one tensor out of the parts that the header lists."""
    if {*parts} != {*listed.parts} or len(parts) != len(listed.parts):
        raise UnreadableCheckpoint(f"damaged: the parts of {printable(name)} are not those of its header", array=name)
    found = []
    for extents in listed.parts:
        message, source = parts[extents]
        shape = slices.shape_of(extents, listed.shape)
        found.append((extents, LazyArray(name, shape, dtype, tensor(message, shape, dtype), source.release)))
    return found[0][1] if slices.is_whole(listed.parts) else slices.joined(name, listed.shape, found)
