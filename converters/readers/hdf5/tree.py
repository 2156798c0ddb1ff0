"""HDF5: the tree of one file with every array located, before a byte of data is read.

pyfive parses structure only, over bytes that bound it; data is taken from the mapped file at the offsets found, and
chunks are decoded in `chunks`. Rules for untrusted files kept here: hard links only, no object under two names, no
byte in two arrays or in an array and the structure, storage complete, numbers only.

Why pyfive and not h5py, both measured on the real and the hostile files: `docs/hdf5-engine.md`.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.hdf5.chunks import decode, place
from converters.readers.limits import Bounded
from converters.readers.source import Source
from layouts.errors import CheckpointError, UnreadableCheckpoint, UnsafeCheckpoint, printable

if TYPE_CHECKING:
    from converters.readers.hdf5.objects import Object, Stored

SIGNATURE = b"\x89HDF\r\n\x1a\n"
USERBLOCKS = (0, *(512 << k for k in range(8)))
"""Where the signature may stand: at the start, or behind a user block."""
_MOST_OBJECTS = 50_000
_DEEPEST = 64
_MOST_MESSAGES = 1_000_000
_MOST_HEADER, _MOST_TREE, _MOST_TEXT = 2 << 20, 16 << 20, 48 << 20
"""Bytes of one object's header, of one index, of the attributes of one object, where a configuration may have 40 MB."""
_UNREAD = {"optimizer_weights", "optimizer", "metrics"}
"""Groups of the root that hold a trainer's state: neither weights nor walked."""
_ATTRIBUTES = ("layer_names", "weight_names", "keras_version", "backend", "model_config", "name")


@dataclass
class Group:
    """One group: its text attributes, and what it holds by name."""

    path: str
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    arrays: dict[str, LazyArray] = field(default_factory=dict)

    def group(self, path: str) -> Group | None:
        """The group below this one at a path of names separated by '/'."""
        found: Group | None = self
        for name in path.split("/"):
            found = found.groups.get(name) if found else None
        return found

    def array(self, path: str) -> LazyArray | None:
        """The array below this group at a path of names separated by '/'."""
        folder, _, name = path.rpartition("/")
        group = self.group(folder) if folder else self
        return group.arrays.get(name) if group else None

    def strings(self, name: str) -> list[str] | None:
        """An attribute that lists names, joined from `name0`, `name1`, … where it was too long for one."""
        parts = sorted((k for k in self.attributes if k.startswith(name) and k[len(name) :].isdigit()), key=_number)
        if name in self.attributes and parts:
            raise UnreadableCheckpoint(f"{self.path or '/'}: the attribute {name} is there both whole and in parts")
        if name in self.attributes:
            return _as_strings(self.attributes[name], f"{self.path}@{name}")
        if not parts:
            return None
        if [_number(part) for part in parts] != list(range(len(parts))):
            raise UnreadableCheckpoint(f"{self.path or '/'}: the attribute {name} has a gap between its parts")
        return [text for part in parts for text in _as_strings(self.attributes[part], f"{self.path}@{part}")]

    def walk(self) -> Iterator[LazyArray]:
        """Every array below this group."""
        yield from self.arrays.values()
        for group in self.groups.values():
            yield from group.walk()


def _number(name: str) -> int:
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if len(digits) < 9 else -1


def _as_strings(value: Any, where: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise UnreadableCheckpoint(f"{where}: expected a list of names")


def read_tree(source: Source, what: str = "this") -> Group:
    """Parse the structure of an HDF5 file. Raises `UnreadableCheckpoint` or `UnsafeCheckpoint`."""
    start = next((k for k in USERBLOCKS if source.view[k : k + 8] == SIGNATURE), None)
    if start is None:
        raise UnreadableCheckpoint(f"{what} is no HDF5 file: its signature is missing", path=source.path)
    walk = _Walk(source.part(start, len(source) - start))
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


class _Walk:
    """One pass over the objects of a file, counting and locating them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = Bounded(source.view, _MOST_HEADER, exact=True)
        self._seen: dict[int, str] = {}
        self._at = ""
        self._current: Object | None = None
        self._regions: list[tuple[int, int, str]] = []
        self._declared = self._messages = 0

    @property
    def where(self) -> str:
        """The object, or its attribute, that is being parsed."""
        return self._current.where if self._current else printable(self._at or "/")

    def root(self, userblock: int) -> Group:
        from converters.readers.hdf5.objects import root_address

        tree = self._group(self._object(root_address(self._stream, len(self._source), userblock), ""), "", 0)
        self._check_regions()
        return tree

    def _object(self, address: int, path: str) -> Object:
        from converters.readers.hdf5.objects import Object

        if address in self._seen:
            raise UnsafeCheckpoint(
                f"{printable(path)} and {printable(self._seen[address] or '/')} are the same object twice: an alias"
            )
        self._seen[address] = path
        if len(self._seen) > _MOST_OBJECTS:
            raise UnsafeCheckpoint(f"it holds more than {_MOST_OBJECTS} objects: too large")
        self._at, self._current = path, None
        self._stream.limit(_MOST_HEADER)
        self._current = Object(self._stream, address, path)
        self._messages += len(self._current.msgs)
        if self._messages > _MOST_MESSAGES:
            raise UnsafeCheckpoint(f"its objects have more than {_MOST_MESSAGES} messages: too large")
        return self._current

    def _group(self, found: Object, path: str, depth: int) -> Group:
        if depth > _DEEPEST:
            raise UnsafeCheckpoint(f"groups are nested too deep: more than {_DEEPEST} levels")
        self._stream.limit(_MOST_TEXT)
        group = Group(path, found.texts(_ATTRIBUTES))
        self._stream.limit(_MOST_TREE)
        unread = _UNREAD - set(() if path else group.strings("layer_names") or ())  # but for layers of such a name
        for name, address in list(found.children()):
            if not path and name.replace("\\", "/").split("/")[0] in unread:
                continue
            below = f"{path}/{name}" if path else name
            child = self._object(address, below)
            if child.is_array:
                group.arrays[name] = self._array(child, below)
            else:
                group.groups[name] = self._group(child, below, depth + 1)
        return group

    def _array(self, found: Object, path: str) -> LazyArray:
        self._stream.limit(_MOST_TREE)
        shape, kind = found.dimensions(), found.element()
        nbytes = math.prod(shape) * kind.itemsize
        self._claim(nbytes, path, shape)
        stored = found.stored(shape, kind, len(self._source))
        self._claim(len(stored.chunks) * math.prod(stored.block) * kind.itemsize - nbytes, path, stored.block)
        if not stored.chunks and stored.inline is None and nbytes:
            self._regions.append((stored.start, stored.start + nbytes, path))
        self._regions += [(chunk.offset, chunk.offset + chunk.size, path) for chunk in stored.chunks if chunk.size]
        return LazyArray(path, shape, kind, self._reader(stored, path, shape, kind), self._source.release)

    def _claim(self, nbytes: int, path: str, shape: tuple[int, ...]) -> None:
        """Count what arrays, and chunks beyond the edge of their array, would take in memory."""
        self._declared += max(0, nbytes)
        if self._declared > (64 << 20) + 32 * len(self._source):
            raise UnsafeCheckpoint(
                f"{printable(path)}: too large: shape {shape} with the arrays before it claims {self._declared} bytes, "
                f"and the file stores {len(self._source)}"
            )

    def _reader(self, stored: Stored, path: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Callable[[], Array]:
        view, inline, count = self._source.view, stored.inline, math.prod(shape)
        if not count:
            return lambda: np.empty(shape, kind)
        if inline is not None:
            return lambda: np.frombuffer(inline, kind, count).reshape(shape)
        if not stored.chunks:
            return lambda: np.frombuffer(view, kind, count, stored.start).reshape(shape)
        return lambda: self._read_chunks(stored, path, shape, kind)

    def _read_chunks(self, stored: Stored, path: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
        array, size = np.empty(shape, kind), math.prod(stored.block) * kind.itemsize
        try:
            for chunk in stored.chunks:
                data = self._source.view[chunk.offset : chunk.offset + chunk.size]
                plain = decode(data, list(stored.filters), chunk.mask, size, kind.itemsize, printable(path))
                place(array, np.frombuffer(plain, kind).reshape(stored.block), chunk.corner)
        except CheckpointError as error:
            error.path = self._source.path
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
