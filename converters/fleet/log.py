"""The log of a fleet: JSON Lines, a line a file, each written whole, as it comes.

A run that is stopped leaves whole lines but for the last, perhaps; the next run cuts off what is not one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from converters.fleet.outcome import DONE, Outcome
from layouts.errors import ConversionError, printable

_PIECE = 1 << 16


class Log:
    """A log that is open for new lines; `earlier` are the lines of files that a run before this one has done."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.earlier: dict[str, Mapping[str, Any]] = dict(_done(path)) if resume and path.exists() else {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if resume else os.O_TRUNC)
            self._file = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
            os.ftruncate(self._file, _end_of_lines(self._file))
        except OSError as error:
            raise ConversionError(f"cannot write the log: {error.strerror}", path=os.fspath(path)) from None

    def write(self, outcome: Outcome) -> None:
        """Append a line. Raises `ConversionError` where the disk is full, and leaves no half of it."""
        line = memoryview(json.dumps(outcome.data(), ensure_ascii=False).encode(errors="replace") + b"\n")
        start = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            os.ftruncate(self._file, start)
            raise ConversionError(f"cannot write the log: {error.strerror}", path=os.fspath(self.path)) from None

    def __enter__(self) -> Log:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self._file)


def _end_of_lines(file: int) -> int:
    """The bytes of a file up to its last end of a line."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _PIECE)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _done(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each source's last line says, of the sources that are done. Raises `ConversionError` for no such log."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    found = _line(line, number, path)
                    yield found["source"], found if found["outcome"] == DONE else {}
    except OSError as error:
        raise ConversionError(f"cannot read the log: {error.strerror}", path=os.fspath(path)) from None


def _line(line: bytes, number: int, path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found["source"], str) and isinstance(found["outcome"], str):
            return found
    except (ValueError, KeyError, RecursionError):
        pass
    raise ConversionError(
        f"line {number} is no line of a log of conversions: {printable(line[:40])}. Give another log, or do not resume",
        path=os.fspath(path),
    )
