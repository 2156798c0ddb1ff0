"""What `torch.save` wrote before PyTorch 1.6, and writes when it is asked to: pickles, and storages behind them.

In order: a magic number, a protocol version of 1001, facts of the system, the object, the list of the storages' keys;
then of each storage its number of elements, eight bytes little-endian, and its elements, little-endian as well.
Source: `_legacy_save` and `_legacy_load` in torch/serialization.py; THPStorage_writeFileRaw.
"""

from __future__ import annotations

from converters.model.checkpoint import Checkpoint
from converters.readers.opened import Opened, Request
from converters.readers.pickled import machine
from converters.readers.pickled.known import ARRAYS, table
from converters.readers.pytorch.layers import checkpoint
from converters.readers.pytorch.rebuilding import GROUPS, Persistent
from converters.readers.pytorch.states import choose
from converters.readers.pytorch.tensors import Storage
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_PROTOCOL = 1001


def read(opened: Opened, request: Request) -> Checkpoint:
    """The state_dict of such a file. Raises `CheckpointError` and its kinds."""
    view, places = opened.source.view, _Places(opened.source)
    position = machine.load(view, ARRAYS).end
    protocol, position = machine.load(view, ARRAYS, start=position)
    if protocol != _PROTOCOL:
        raise UnreadableCheckpoint(f"the protocol of the file is {printable(protocol)}; {_PROTOCOL} is read")
    _, position = machine.load(view, ARRAYS, start=position)
    persistent = Persistent(places.bytes)
    value, position = machine.load(view, table(*GROUPS), persistent, position)
    keys, position = machine.load(view, ARRAYS, start=position)
    places.locate(keys, persistent.storages, position)
    state = choose(value, opened.source, request.assume)
    return checkpoint(opened.path, "PyTorch (legacy)", state, request.assume, stored=len(opened.source))


class _Places:
    """Where every storage stands in the file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: dict[str, Source] = {}

    def locate(self, keys: object, storages: dict[str, Storage], position: int) -> None:
        """Walk over the storages in the order of their keys; all of them have to be there."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len({*keys}) != len(keys):
            raise UnreadableCheckpoint("the file is damaged: its list of storages is none")
        for key in keys:
            storage = storages.get(key)
            if storage is None or storage.dtype is None:
                raise UnreadableCheckpoint(f"the file is damaged: nothing describes storage {printable(key)}")
            count = int.from_bytes(self._source.view[position : position + 8], "little", signed=True)
            length = count * storage.dtype.itemsize
            if count != storage.count:
                raise UnsafeCheckpoint(
                    f"storage {printable(key)} is declared with {storage.count} elements, and {count} are stored"
                )
            if position + 8 + length > len(self._source):
                raise UnreadableCheckpoint(f"the file is truncated: storage {printable(key)} reaches beyond its end")
            self._parts[key] = self._source.part(position + 8, length)
            position += 8 + length
        missing = [key for key in storages if key not in self._parts]
        if missing:
            raise UnreadableCheckpoint(f"the file is damaged: storage {printable(missing[0])} is not in it")

    def bytes(self, key: str, wanted: int) -> Source:
        found = self._parts[key]
        if len(found) < wanted:
            raise UnsafeCheckpoint(f"storage {printable(key)} is shorter than it is described")
        return found
