"""One file after another of those that are alike outside of their arrays, as a fleet of one model in many trainings is.

What a reader makes of an HDF5 file follows from its length and from the bytes that its parser has read, and these were
noted. Where the next file has the same bytes there, the same was made of it, over the arrays of the next file: nothing
is parsed, and no rule is skipped, for each has been applied to the same bytes.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from converters import readers
from converters.model.checkpoint import Checkpoint
from converters.readers.hdf5.tree import Walk, walks
from converters.readers.source import Source, noting, open_source
from layouts.records import replace

_MOST, _MOST_BYTES = 8, 4 << 20
"""Files that are kept in mind, and bytes of the structure of each."""
_HEAD = 64
"""Bytes at the start that tell what a file is."""
Asked = tuple[str | None, tuple[tuple[str, Any], ...]]


class _Known(NamedTuple):
    """A file that was read: what was asked, what its parser has read, and what was made of it."""

    asked: Asked
    size: int
    read: tuple[tuple[int, bytes], ...]
    walk: Walk
    checkpoint: Checkpoint

    def is_like(self, source: Source, asked: Asked) -> bool:
        """Whether a file has the same bytes wherever this one was read."""
        view = source.view
        same = asked == self.asked and len(source) == self.size
        return same and all(view[start : start + len(content)] == content for start, content in self.read)


class Alike:
    """Reads files for somebody who lets go of one before the next: a checkpoint is good until the next is read."""

    def __init__(self) -> None:
        self._known: deque[_Known] = deque(maxlen=_MOST)

    def read(self, path: str, framework: str | None, assume: Mapping[str, str]) -> Checkpoint:
        """What is in a file; see `converters.read`."""
        asked = framework, tuple(sorted(assume.items()))
        if "://" in path or not os.path.isfile(path):
            return readers.read(path, framework=framework, assume=assume)
        source = open_source(path)
        for known in self._known:
            if known.is_like(source, asked):
                known.walk.rebase(source)
                return replace(known.checkpoint, path=path)
        with walks() as walked, noting() as opened:
            found = readers.read(path, framework=framework, assume=assume)
        if len(walked) == 1 and opened == [path] and _is_plain(found):
            (walk,) = walked
            if len(walk.source) == len(source):  # there is no user block before it
                found = replace(found, plans={})
                self._keep(_Known(asked, len(source), tuple(_contents(walk)), walk, found))
        return found

    def _keep(self, known: _Known) -> None:
        if sum(len(content) for _, content in known.read) <= _MOST_BYTES:
            self._known.append(known)


def _is_plain(found: Checkpoint) -> bool:
    """Whether nothing that was made of a file speaks of its name."""
    spoken = found.remarks or found.custom_layers or found.drawn.problems
    return not spoken and all(layer.unknown is None for layer in found.layers)


def _contents(walk: Walk) -> Iterator[tuple[int, bytes]]:
    """The bytes that were read, those that follow each other together."""
    for start, stop in _without(walk.meaningless, _joined([(0, _HEAD), *walk.read])):
        yield start, bytes(walk.source.view[start:stop])


def _joined(regions: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start = stop = 0
    for begin, end in sorted(regions):
        if begin > stop:
            yield start, stop
            start = begin
        stop = max(stop, end)
    yield start, stop


def _without(holes: Sequence[tuple[int, int]], ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges without holes, both in order; no hole overlaps another."""
    for start, stop in ranges:
        for begin, end in holes[bisect_left(holes, (start, 0)) : bisect_left(holes, (stop, 0))]:
            yield start, begin
            start = end
        yield start, stop
