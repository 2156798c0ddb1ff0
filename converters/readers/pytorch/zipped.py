"""PyTorch's zip archives: `{stem}/data.pkl` and a member `{stem}/data/{key}` for every storage, mapped where it stands.

`{stem}/byteorder` says "little" or "big"; older files have none and are little-endian. Source: `_save` and `_load` in
torch/serialization.py.
"""

from __future__ import annotations

from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.readers.archives import Archive
from converters.readers.opened import Opened, Request
from converters.readers.pickled import machine
from converters.readers.pickled.known import table
from converters.readers.pickled.stack import Find
from converters.readers.pytorch.layers import checkpoint
from converters.readers.pytorch.rebuilding import GROUPS, Persistent
from converters.readers.pytorch.states import choose
from converters.readers.pytorch.telling import PICKLE, stem_of
from converters.readers.shards import refuse_shard
from converters.readers.source import Source
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

_MOST_PICKLE = 256 << 20
_MOST_INFLATED = 2048


def read(opened: Opened, request: Request) -> Checkpoint:
    """The state_dict of an archive of `torch.save`. Raises `CheckpointError` and its kinds."""
    stem = stem_of(opened)
    if stem is None or opened.archive is None:
        raise UnreadableCheckpoint("this is no archive of PyTorch", path=opened.path)
    refuse_shard(opened.path)
    state = choose(Members(opened, stem).load(table(*GROUPS)), opened.source, request.assume)
    return checkpoint(opened.path, "PyTorch (zip)", state, request.assume, stored=len(opened.source))


class Members:
    """The storages of an archive by their keys, each read and checked once; of deflated ones the last is at hand."""

    def __init__(self, opened: Opened, stem: str, folder: str = "data/") -> None:
        if opened.archive is None:
            raise UnreadableCheckpoint("this is no archive of PyTorch", path=opened.path)
        self._opened, self._archive, self._stem, self._folder = opened, opened.archive, stem, stem + folder
        self._stored: dict[str, Source] = {}
        self._last: tuple[str, Source] | None = None
        self._inflated = 0

    def load(self, find: Find, name: str = PICKLE) -> Any:
        """What a pickle of the archive holds."""
        data = member(self._archive, self._stem + name, _MOST_PICKLE, self._opened.path)
        return machine.load(data.view, find, Persistent(self.bytes, self._is_big())).value

    def bytes(self, key: str, wanted: int) -> Source:
        """The bytes of one storage. Raises `UnsafeCheckpoint` where they are fewer than described."""
        found = self._stored.get(key) or (self._last[1] if self._last and self._last[0] == key else self._read(key))
        if len(found) < wanted:
            raise UnsafeCheckpoint(
                f"storage {printable(key)} is declared with {wanted} bytes, and {len(found)} are stored",
                path=self._opened.path,
            )
        return found

    def _read(self, key: str) -> Source:
        size = len(self._opened.source)
        found = member(self._archive, self._folder + key, size << 10, self._opened.path)
        if found.mapping is not None:
            self._stored[key] = found
            return found
        self._inflated += len(found)
        if self._inflated > _MOST_INFLATED * size + (1 << 26):
            raise UnsafeCheckpoint("its storages are deflated, and read too often in turn", path=self._opened.path)
        self._last = (key, found)
        return found

    def _is_big(self) -> bool:
        order = self._archive.read(f"{self._stem}byteorder", 16)
        text = bytes(order.view) if order else b"little"
        if text not in (b"little", b"big"):
            raise UnreadableCheckpoint(f"its byteorder is {printable(text)}", path=self._opened.path)
        return text == b"big"


def member(archive: Archive, name: str, limit: int, path: str) -> Source:
    """A member that has to be there."""
    found = archive.read(name, limit)
    if found is None:
        raise UnreadableCheckpoint(f"the archive has no member {printable(name)}", path=path)
    return found
