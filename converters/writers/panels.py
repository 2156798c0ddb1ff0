"""Panels of tensors on their way to a file: each is moved, looked at while it is in the cache, and written.

With a second core, two threads carry panels side by side: one moves while the other writes. NumPy and the system let go
of the interpreter for both. A thread ends when there is nothing to carry, so that nobody has to end it.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable
from io import FileIO
from threading import Condition, Thread
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array
from layouts.blocks import move

_AHEAD = 4
"""Panels that wait for a thread."""
_AT_ONCE = 1 << 17
"""Bytes of one write: for larger ones Linux takes large pages for its cache, which it may first have to clear away."""
_EARLY = 1 << 20
"""Bytes that are worth writing out early, so that the sync at the end finds little left to wait for."""
_BEGIN = 2
"""SYNC_FILE_RANGE_WRITE of Linux: begin to write out, and do not wait."""


class Panel(NamedTuple):
    """A part of a source, where it goes in the file, as which dtype, and who looks at it before."""

    at: int
    part: Array
    dtype: np.dtype[Any]
    after: Callable[[Array], None]


class Panels:
    """Carries panels to one open file, which it keeps open: at once, or by `threads` while the caller goes on."""

    def __init__(self, file: FileIO, threads: int) -> None:
        self._file, self._threads = file, threads
        self._waiting: deque[Panel] = deque()
        self._running = 0
        self._changed = Condition()
        self._memory = np.empty(0, np.uint8)
        self._failed: BaseException | None = None

    def put(self, panel: Panel) -> None:
        """Carry a panel, now or soon. Raises what went wrong with one before it."""
        if not self._threads:
            self._memory = self._carry(panel, self._memory)
            return
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _AHEAD or self._failed is not None)
            self._check()
            self._waiting.append(panel)
            if self._running < self._threads:
                Thread(target=self._work, daemon=True).start()
                self._running += 1

    def wait(self) -> None:
        """Wait until every panel is in its place. Raises what went wrong with one of them."""
        self._rest()
        self._check()

    def close(self) -> None:
        """Close the file, when no thread writes to it any more."""
        self._rest()
        self._file.close()

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._running)

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _work(self) -> None:
        memory = np.empty(0, np.uint8)
        with np.errstate(over="ignore", invalid="ignore"):
            while (panel := self._next()) is not None:
                try:
                    memory = self._carry(panel, memory)
                except BaseException as error:  # whoever waits raises it
                    self._failed = error

    def _next(self) -> Panel | None:
        """The next panel; None, and the thread ends, where there is none, or one before it failed."""
        with self._changed:
            if self._failed is not None:
                self._waiting.clear()
            panel = self._waiting.popleft() if self._waiting else None
            self._running -= panel is None
            self._changed.notify_all()
            return panel

    def _carry(self, panel: Panel, memory: Array) -> Array:
        """Move, show and write one panel; the memory that was used for it, for the next one."""
        part, dtype = panel.part, panel.dtype
        if part.dtype != dtype or not part.flags.c_contiguous:
            size = part.size * dtype.itemsize
            memory = memory if len(memory) >= size else np.empty(size, np.uint8)
            moved = memory[:size].view(dtype).reshape(part.shape)
            move(moved, part)
            part = moved
        panel.after(part)
        write(self._file.fileno(), panel.at, part)
        return memory


def write(descriptor: int, at: int, array: Array) -> None:
    """Write the bytes of an array that lies together, and let the system begin to write out what is long."""
    left, start = array.reshape(-1).view(np.uint8).data, at
    while left:
        count = _write_at(descriptor, left[:_AT_ONCE], at)
        left, at = left[count:], at + count
    begin_writing(descriptor, start, at - start)


def _write_at(descriptor: int, data: memoryview, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.write(descriptor, data)


def begin_writing(descriptor: int, start: int, length: int) -> None:
    """Tell the system that these bytes are complete; where it cannot be told, the sync at the end does all of it."""
    if length < _EARLY or os.name != "posix":
        return
    begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if begin is not None:
        begin(descriptor, ctypes.c_int64(start), ctypes.c_int64(length), _BEGIN)
