"""Tensors written one after the other into their own places of a file that is laid out already.

A conversion of any size so stays within some megabytes: what a tensor is made of goes to its place in panels, those
that are moved as they stand from the mapped source itself.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from converters.model.arrays import Array
from layouts.blocks import assign_blocks, check_shapes, move, panels

_BUFFER = 1 << 25
"""Bytes of the largest tensor that is filled in memory: a write costs less than faults on a mapping."""
_DIRECT = 1 << 18
"""Bytes of a piece that goes to its place at once, and not by way of the memory of its tensor."""
_MANY = 1 << 28
"""Bytes of all tensors from which a second thread writes one panel while the next one is moved."""
_AT_ONCE = 1 << 17
"""Bytes of one write: for larger ones Linux takes large pages for its cache, which it may first have to clear away."""
_EARLY = 1 << 23
"""Bytes that are worth writing out early, so that the sync at the end finds little left to wait for."""
_BEGIN = 2
"""SYNC_FILE_RANGE_WRITE of Linux: begin to write out, and do not wait."""


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
        self._panels: list[Array] = [np.empty(0, np.uint8)] * 2
        self._begun = self._reached = 0
        self._beside = sum(sizes) >= _MANY and (os.cpu_count() or 1) > 1
        self._thread: Thread | None = None
        self._failed: OSError | None = None

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
            panel = self._as_stored(source[rows], target.dtype)
            after(panel)
            self._write_behind(self._start + at, panel)
            at += panel.nbytes

    def _offset_of(self, target: Array) -> int | None:
        """Where a place begins in its tensor; None for one that is small, does not lie together, or is elsewhere."""
        at = _address(target) - _address(self._memory)
        inside = at >= 0 and at + target.nbytes <= self._memory.nbytes
        return at if inside and target.nbytes >= _DIRECT and target.flags.c_contiguous else None

    def _as_stored(self, part: Array, dtype: np.dtype[Any]) -> Array:
        """A part of the source as it is to stand in the file: itself, or moved into the panel."""
        if part.dtype == dtype and part.flags.c_contiguous:
            return part
        size = part.size * dtype.itemsize
        writing, memory = self._panels
        self._panels = [memory if len(memory) >= size else np.empty(size, np.uint8), writing]
        panel = self._panels[0][:size].view(dtype).reshape(part.shape)
        move(panel, part)
        return panel

    def _write_behind(self, at: int, panel: Array) -> None:
        """Write a panel while the next one is moved; where that does not pay, now."""
        if not self._beside:
            return self._write(at, panel)
        self._wait()
        self._thread = Thread(target=self._try_to_write, args=(at, panel))
        self._thread.start()

    def _try_to_write(self, at: int, panel: Array) -> None:
        try:
            self._write(at, panel)
        except OSError as error:
            self._failed = error

    def _wait(self) -> None:
        """Wait for what is being written. Raises what went wrong with it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failed is not None:
            raise self._failed

    def filled(self) -> None:
        """Let go of the mapped pages written so far; they stay in the file."""
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Write what is left."""
        self._complete()
        if self._mapping is not None:
            self._mapping.flush()
        self._file.close()

    def _complete(self) -> None:
        """Write what of the tensor at hand is in memory alone."""
        self._wait()
        size = self._memory.nbytes
        if size <= _BUFFER:
            at = 0
            for start, stop in [*sorted(self._placed), (size, size)]:
                self._write(self._start + at, self._memory[at:start])
                at = max(at, stop)
        else:
            self._written(self._start, self._start + size)
        self._memory, self._placed = np.empty(0, np.uint8), []

    def _write(self, at: int, array: Array) -> None:
        """Write the bytes of an array that lies together."""
        left = array.reshape(-1).view(np.uint8).data
        start = at
        self._file.seek(at)
        while left:
            count = self._file.write(left[:_AT_ONCE])
            left, at = left[count:], at + count
        self._written(start, at)

    def _written(self, start: int, stop: int) -> None:
        """Let the system begin to write out what stands together, some megabytes at a time."""
        if start != self._reached:
            self._begun = start
        self._reached = stop
        if stop - self._begun >= _EARLY:
            _begin_writing(self._file.fileno(), self._begun, stop - self._begun)
            self._begun = stop


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _begin_writing(descriptor: int, start: int, length: int) -> None:
    """Tell the system that these bytes are complete; where it cannot be told, the sync at the end does all of it."""
    begin = getattr(ctypes.CDLL(None), "sync_file_range", None) if os.name == "posix" else None
    if begin is not None:
        begin(descriptor, ctypes.c_int64(start), ctypes.c_int64(length), _BEGIN)


def reserve(path: Path, size: int) -> None:
    """Take the space now, so that a full disk is an error here and not a signal in the middle of a mapping."""
    with path.open("rb+") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)
