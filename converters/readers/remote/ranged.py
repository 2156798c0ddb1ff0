"""Bytes at a distance that read like mapped ones: a sparse file of the same size, filled block by block when asked."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Iterator

_BLOCK = 1 << 15
"""Bytes of the smallest request: a structure is read a little here and a little there."""
_LARGEST = 1 << 24
"""Bytes of the largest request, which stay in memory until they are written."""

Fetch = Callable[[int, int], bytes]
"""The bytes from the first place to the second. Raises `UnreadableCheckpoint`."""


class _Store:
    """The sparse file, and which blocks of it are there."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        import tempfile

        self._fetch, self._size = fetch, size
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as anything looks into it
        self._file.truncate(size)
        self.mapping = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        self.bytes = memoryview(self.mapping)
        self._there = bytearray(-(-size // _BLOCK))
        self._lock = threading.Lock()

    def need(self, start: int, stop: int) -> None:
        """Fetch what is missing between two places, each block once."""
        first, last = start // _BLOCK, -(-stop // _BLOCK)
        if self._there.find(0, first, last) < 0:
            return
        with self._lock:
            for begin, end in self._missing(first, last):
                at, until = begin * _BLOCK, min(end * _BLOCK, self._size)
                data = self._fetch(at, until)
                self._file.seek(at)
                self._file.write(data)
                self._file.flush()
                self._there[begin:end] = bytes([1]) * (end - begin)

    def _missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of blocks that are not there, none longer than the largest request."""
        while (begin := self._there.find(0, first, last)) >= 0:
            known = self._there.find(1, begin, min(last, begin + _LARGEST // _BLOCK))
            first = known if known >= 0 else min(last, begin + _LARGEST // _BLOCK)
            yield begin, first


class Ranged:
    """A range of such bytes. A slice of it is memory that is there; `part` is a range of it, of which nothing is."""

    def __init__(self, store: _Store, start: int, stop: int) -> None:
        self._store, self._start, self._stop = store, start, stop

    @classmethod
    def over(cls, size: int, fetch: Fetch) -> Ranged:
        """All bytes of a file of this size."""
        return cls(_Store(size, fetch), 0, size)

    @property
    def mapping(self) -> mmap.mmap:
        return self._store.mapping

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, key: int | slice) -> int | memoryview:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            start, stop = self._start + start, self._start + max(start, stop)
            self._store.need(start, stop)
            return self._store.bytes[start:stop:step]
        place = self._start + (key if key >= 0 else key + len(self))
        if not self._start <= place < self._stop:
            raise IndexError("index out of range")
        self._store.need(place, place + 1)
        return self._store.bytes[place]

    def part(self, start: int, length: int) -> Ranged:
        """A range of it, cut to what there is, as a slice would be."""
        begin, end, _ = slice(start, start + length).indices(len(self))
        return Ranged(self._store, self._start + begin, self._start + max(begin, end))
