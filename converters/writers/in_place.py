"""Tensors written one after the other into their own places of a file that is laid out already.

A conversion of any size so stays within some tens of megabytes.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array

_BUFFER = 1 << 25
"""Bytes of the largest tensor that is filled in memory: a write costs less than faults on a mapping."""
_LARGE = 1 << 20
"""Bytes of a tensor that are worth writing out early, so that the sync at the end finds little left to wait for."""


class InPlace:
    """Hands out the memory of each tensor, one after the other.

    A tensor is filled in a buffer that serves them all, and written when the next one is asked for; one that is larger
    than the buffer is filled in a mapping of the file.
    """

    def __init__(self, path: Path, offsets: Mapping[str, int], sizes: Iterable[int]) -> None:
        self._offsets = offsets
        self._file = path.open("rb+")
        self._mapping: mmap.mmap | None = None
        self._written = (0, 0)
        self._pending: Array | None = None
        self._buffer = np.empty(max((size for size in sizes if size <= _BUFFER), default=0), np.uint8)

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor; the one before it is complete, and the system begins to write that out."""
        self._complete()
        if key not in self._offsets:  # a constant that the file goes without
            return np.empty(shape, dtype)
        count = math.prod(shape)
        start, length = self._offsets[key], count * dtype.itemsize
        self._written = (start, length)
        if length <= _BUFFER:
            self._pending = self._buffer[:length]
            return self._pending.view(dtype).reshape(shape)
        self._mapping = self._mapping or mmap.mmap(self._file.fileno(), 0)
        return np.frombuffer(self._mapping, dtype, count, start).reshape(shape)

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
        start, length = self._written
        if self._pending is not None:
            self._file.seek(start)
            self._file.write(self._pending.data)
            self._file.flush()
            self._pending = None
        self._written = (0, 0)
        if length >= _LARGE:
            _begin_writing(self._file.fileno(), start, length)


def _begin_writing(descriptor: int, start: int, length: int) -> None:
    """Tell the system that these bytes are complete; what it has not written yet stays in its cache."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)


def reserve(path: Path, size: int) -> None:
    """Take the space now, so that a full disk is an error here and not a signal in the middle of a mapping."""
    with path.open("rb+") as file:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)
