"""HDF5: the tree of one file with every array located, before a byte of data is read.

pyfive parses structure only, over bytes that bound it; data is taken from the mapped file at the offsets found, and
chunks are decoded in `chunks`. Rules for untrusted files kept here: hard links only, no object under two names, no
byte in two arrays or in an array and the structure, storage complete, numbers only. What a file holds beside the
groups that the caller chooses may be of any kind: it is named and never looked into.

Why pyfive and not h5py, both measured on the real and the hostile files: `docs/hdf5-engine.md`.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.hdf5.chunks import decode, place
from converters.readers.hdf5.group import Group
from converters.readers.hdf5.signature import beginning
from converters.readers.limits import Bounded
from converters.readers.source import Source
from layouts.errors import CheckpointError, UnreadableCheckpoint, UnsafeCheckpoint, printable

if TYPE_CHECKING:
    from converters.readers.hdf5.objects import Link, Object, Stored

_MOST_OBJECTS = 50_000
_DEEPEST = 64
_MOST_MESSAGES = 1_000_000
_MOST_COMPARED = 1_000_000
_MOST_HEADER, _MOST_TREE, _MOST_TEXT = 2 << 20, 16 << 20, 48 << 20
"""Bytes of one object's header, of one index, of the attributes of one object, where a configuration may have 40 MB."""
_ATTRIBUTES = ("layer_names", "weight_names", "keras_version", "backend", "model_config", "name")
_CHOSEN_DEPTH = 1
"""How deep a caller may choose among the members of a group: of the root, and of the groups in it."""

Choose = Callable[[Group, "Members"], Container[str] | None]
"""Which members of a group belong to the model; None for all of them."""


def read_tree(source: Source, choose: Choose, what: str = "this") -> Group:
    """Parse the structure of an HDF5 file, of the members that `choose` picks. `what` names the file in errors.

    Raises `UnreadableCheckpoint` or `UnsafeCheckpoint`.
    """
    start = beginning(source.view)
    if start is None:
        raise UnreadableCheckpoint(f"{what} is not an HDF5 file: its signature is missing", path=source.path)
    walk = Walk(source.part(start, len(source) - start), choose)
    noted = _NOTED.get()
    if noted is not None:
        noted.append(walk)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return walk.root(start)
    except CheckpointError as error:
        error.path = error.path or source.path
        raise
    except MemoryError:
        raise UnsafeCheckpoint("its structure claims more than the file stores", path=source.path) from None
    except NotImplementedError as error:
        text = printable(error) or "its storage"
        raise UnreadableCheckpoint(
            f"{walk.where}: a form of HDF5 that is not read ({text}): rewrite the file with h5repack", path=source.path
        ) from None
    except Exception as error:  # a parser on a stranger's bytes: whatever it stumbles over, the file is damaged
        text = printable(f"{type(error).__name__} {error}".strip())
        raise UnreadableCheckpoint(f"{walk.where}: the HDF5 structure is damaged: {text}", path=source.path) from None


_NOTED: ContextVar[list[Walk] | None] = ContextVar("_NOTED", default=None)


@contextmanager
def walks() -> Iterator[list[Walk]]:
    """The walks over all files of HDF5 that are read within this."""
    found: list[Walk] = []
    token = _NOTED.set(found)
    try:
        yield found
    finally:
        _NOTED.reset(token)


class Walk:
    """One pass over the objects of a file, counting and locating them."""

    def __init__(self, source: Source, choose: Choose) -> None:
        self.source, self._choose = source, choose
        self._stream = Bounded(source.view, _MOST_HEADER, exact=True)
        self._seen: dict[int, str] = {}
        self._at = ""
        self._current: Object | None = None
        self._regions: list[tuple[int, int, str]] = []
        self._times: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._declared = self._messages = self._objects = 0

    @property
    def where(self) -> str:
        """The object, or its attribute, that is being parsed."""
        return self._current.where if self._current else printable(self._at or "/")

    @property
    def read(self) -> list[tuple[int, int]]:
        """The ranges of bytes that were read, those that mean nothing here among them."""
        return self._stream.regions

    @property
    def meaningless(self) -> list[tuple[int, int]]:
        """Ranges of bytes of which nothing follows: when an object was changed, and nothing else was read there."""
        regions = {*self.read}
        if len(regions) * len(self._times) > _MOST_COMPARED:
            return []
        alone = {
            (start, stop)
            for (start, stop), block in self._times
            if not any(begin < stop and start < end for begin, end in regions - {block})
        }
        return sorted(alone)

    def rebase(self, source: Source) -> None:
        """Let the arrays be those of another file, which has them at the same places."""
        self.source = source

    def root(self, userblock: int) -> Group:
        from converters.readers.hdf5.objects import root_address

        tree = self._group(self._object(root_address(self._stream, len(self.source), userblock), ""), "", 0)
        self._check_regions()
        return tree

    def _object(self, address: int, path: str) -> Object:
        if address in self._seen:
            raise UnsafeCheckpoint(
                f"{printable(path)} and {printable(self._seen[address] or '/')} are the same object twice: an alias"
            )
        self._seen[address] = path
        return self.header(address, path)

    def header(self, address: int, path: str) -> Object:
        """Parse the header of one object; there is a limit to their number and size."""
        from converters.readers.hdf5.objects import Object

        self._objects += 1
        if self._objects > _MOST_OBJECTS:
            raise UnsafeCheckpoint(f"it holds more than {_MOST_OBJECTS} objects: too large")
        self._at, self._current = path, None
        self._stream.limit(_MOST_HEADER)
        self._current = Object(self._stream, address, path)
        self._messages += len(self._current.msgs)
        self._times += self._current.times()
        if self._messages > _MOST_MESSAGES:
            raise UnsafeCheckpoint(f"its objects have more than {_MOST_MESSAGES} messages: too large")
        return self._current

    def _group(self, found: Object, path: str, depth: int) -> Group:
        if depth > _DEEPEST:
            raise UnsafeCheckpoint(f"groups are nested too deep: more than {_DEEPEST} levels")
        group, members = Group(path, self.texts(found)), self.members(found, path)
        chosen = self._choose(group, members) if depth <= _CHOSEN_DEPTH else None
        for name, link in members.links.items():
            if chosen is not None and name not in chosen:
                group.outside.append(name)
                continue
            below = f"{path}/{name}" if path else name
            child = self._object(found.hard(link).address, below)
            if child.is_array:
                group.arrays[name] = self._array(child, below)
            else:
                group.groups[name] = self._group(child, below, depth + 1)
        return group

    def texts(self, found: Object) -> dict[str, Any]:
        """The text attributes of an object."""
        self._stream.limit(_MOST_TEXT)
        return found.texts(_ATTRIBUTES)

    def members(self, found: Object, path: str) -> Members:
        """The names in a group, with what can be asked of them before they are looked into."""
        self._stream.limit(_MOST_TREE)
        return Members(self, path, {link.name: link for link in found.children()})

    def _array(self, found: Object, path: str) -> LazyArray:
        self._stream.limit(_MOST_TREE)
        shape, kind = found.dimensions(), found.element()
        nbytes = math.prod(shape) * kind.itemsize
        self._claim(nbytes, path, shape)
        stored = found.stored(shape, kind, len(self.source))
        self._claim(len(stored.chunks) * math.prod(stored.block) * kind.itemsize - nbytes, path, stored.block)
        if not stored.chunks and stored.inline is None and nbytes:
            self._regions.append((stored.start, stored.start + nbytes, path))
        self._regions += [(chunk.offset, chunk.offset + chunk.size, path) for chunk in stored.chunks if chunk.size]
        return LazyArray(path, shape, kind, self._reader(stored, path, shape, kind), self._release)

    def _release(self) -> None:
        self.source.release()

    def _claim(self, nbytes: int, path: str, shape: tuple[int, ...]) -> None:
        """Count what arrays, and chunks beyond the edge of their array, would take in memory."""
        self._declared += max(0, nbytes)
        if self._declared > (64 << 20) + 32 * len(self.source):
            raise UnsafeCheckpoint(
                f"{printable(path)}: too large: shape {shape} with the arrays before it claims {self._declared} bytes, "
                f"and the file stores {len(self.source)}"
            )

    def _reader(self, stored: Stored, path: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Callable[[], Array]:
        inline, count = stored.inline, math.prod(shape)
        if not count:
            return lambda: np.empty(shape, kind)
        if inline is not None:
            return lambda: np.frombuffer(inline, kind, count).reshape(shape)
        if not stored.chunks:
            stop = stored.start + count * kind.itemsize
            return lambda: np.frombuffer(self.source.view[stored.start : stop], kind, count).reshape(shape)
        return lambda: self._read_chunks(stored, path, shape, kind)

    def _read_chunks(self, stored: Stored, path: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
        array, size = np.empty(shape, kind), math.prod(stored.block) * kind.itemsize
        try:
            for chunk in stored.chunks:
                data = self.source.view[chunk.offset : chunk.offset + chunk.size]
                plain = decode(data, list(stored.filters), chunk.mask, size, kind.itemsize, printable(path))
                place(array, np.frombuffer(plain, kind).reshape(stored.block), chunk.corner)
        except CheckpointError as error:
            error.path = self.source.path
            raise
        return array

    def _check_regions(self) -> None:
        """No byte of the file belongs to two arrays, or to an array and to the structure."""
        ordered = sorted(self._regions)
        last_end, last_path = 0, ""
        for start, end, path in ordered:
            if start < last_end:
                raise UnsafeCheckpoint(f"{printable(path)} and {printable(last_path)} overlap in the file: an alias")
            last_end, last_path = end, path
        starts = [start for start, _, _ in ordered]
        for begin, stop in self._stream.regions:
            near = bisect_right(starts, begin)
            for start, end, path in ordered[max(0, near - 1) : near + 1]:
                if begin < end and start < stop:
                    raise UnsafeCheckpoint(f"{printable(path)}: its data would overlap the structure of the file")


class Members:
    """The names in one group, and what a caller may ask of them to choose among them; no array is located for that."""

    def __init__(self, walk: Walk, path: str, links: dict[str, Link]) -> None:
        self._walk, self._path, self.links = walk, path, links

    def is_link(self, name: str) -> bool:
        """Whether a member is a link that is never followed."""
        return name in self.links and bool(self.links[name].kind)

    def attributes(self, name: str) -> dict[str, Any] | None:
        """The text attributes of a member that is a group; None for a dataset, a link, or what is not there."""
        found = self._group(name)
        return self._walk.texts(found) if found else None

    def hold(self, name: str, wanted: str) -> bool:
        """Whether a member is a group of the wanted name, or has one somewhere below it."""
        waiting, seen = [(self, name)], set()
        while waiting:
            members, own = waiting.pop()
            found = members._group(own)
            if not found or found.offset in seen:
                continue
            if own == wanted:
                return True
            seen.add(found.offset)
            below = self._walk.members(found, f"{members._path}/{own}")
            waiting += [(below, inner) for inner in below.links]
        return False

    def _group(self, name: str) -> Object | None:
        link = self.links.get(name)
        if link is None or link.kind:
            return None
        found = self._walk.header(link.address, f"{self._path}/{name}".lstrip("/"))
        return found if found.is_group else None
