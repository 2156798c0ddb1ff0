"""Tensors written one after the other into their own places of a file that is laid out already.

A conversion of any size so stays within some megabytes: what a tensor is made of goes to its place in panels, those
that are moved as they stand from the mapped source itself.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.writers.panels import Panel, Panels, begin_writing, write
from layouts.blocks import assign_blocks, check_shapes, panels

_BUFFER = 1 << 25
"""Bytes of the largest tensor that is filled in memory: a write costs less than faults on a mapping."""
_DIRECT = 1 << 18
"""Bytes of a piece that goes to its place at once, and not by way of the memory of its tensor."""
_MANY = 1 << 25
"""Bytes of all tensors from which a second core is used: two threads move and write panels."""
_THREADS = 2


class InPlace:
    """Hands out the memory of each tensor, one after the other, and takes the pieces that fill it.

    What is assigned in memory is written when the next tensor is asked for; a tensor that is larger than the buffer has
    its memory in a mapping of the file. A large piece that lies together goes straight to its place in the file.
    """

    def __init__(self, path: Path, offsets: Mapping[str, int], sizes: Iterable[int]) -> None:
        self._offsets = offsets
        self._file = path.open("rb+", buffering=0)
        self._mapping: mmap.mmap | None = None
        self._start = 0
        self._memory: Array = np.empty(0, np.uint8)
        self._placed: list[tuple[int, int]] = []
        """Of the tensor at hand: where its first byte is in the file, its memory, and what is in its place already."""
        sizes = [*sizes]
        self._buffer = np.empty(max((size for size in sizes if size <= _BUFFER), default=0), np.uint8)
        several = sum(sizes) >= _MANY and (os.cpu_count() or 1) > 1 and hasattr(os, "pwrite")
        self._panels = Panels(self._file, _THREADS if several else 0)

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor; the one before it is complete."""
        self._complete()
        if key not in self._offsets:  # a constant that the file goes without
            return np.empty(shape, dtype)
        self._start, length = self._offsets[key], math.prod(shape) * dtype.itemsize
        if length <= _BUFFER:
            self._memory = self._buffer[:length]
        else:
            self._mapping = self._mapping or mmap.mmap(self._file.fileno(), 0)
            self._memory = np.frombuffer(self._mapping, np.uint8, length, self._start)
        return self._memory.view(dtype).reshape(shape)

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        """Fill a place of the tensor at hand; `after` is given every panel of it while it is in the cache."""
        at = self._offset_of(target)
        if at is None:
            return assign_blocks(target, source, after)
        check_shapes(target, source)
        self._placed.append((at, at + target.nbytes))
        for rows in panels(source, target.dtype.itemsize):
            part = source[rows]
            self._panels.put(Panel(self._start + at, part, target.dtype, after))
            at += part.size * target.dtype.itemsize

    def _offset_of(self, target: Array) -> int | None:
        """Where a place begins in its tensor; None for one that is small, does not lie together, or is elsewhere."""
        at = _address(target) - _address(self._memory)
        inside = at >= 0 and at + target.nbytes <= self._memory.nbytes
        return at if inside and target.nbytes >= _DIRECT and target.flags.c_contiguous else None

    def filled(self) -> None:
        """Wait for what is being written, and let go of the mapped pages written so far; they stay in the file."""
        self._panels.wait()
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Write what is left."""
        try:
            self._complete()
            self._panels.wait()
            if self._mapping is not None:
                self._mapping.flush()
        finally:
            self._panels.close()

    def _complete(self) -> None:
        """Write what of the tensor at hand is in memory alone."""
        size = self._memory.nbytes
        if size <= _BUFFER:
            at = 0
            for start, stop in [*sorted(self._placed), (size, size)]:
                write(self._file.fileno(), self._start + at, self._memory[at:start])
                at = max(at, stop)
        else:
            begin_writing(self._file.fileno(), self._start, size)
        self._memory, self._placed = np.empty(0, np.uint8), []


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def reserve(path: Path, size: int) -> None:
    """Take the space now, so that a full disk is an error here and not a signal in the middle of a mapping."""
    with path.open("rb+") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)
