"""Opening what a stranger sent: regular files only, mapped read-only, never more than is really there.

Rules 2 and 11 of the project for untrusted files: `fstat` after opening without blocking, so that a FIFO, a device or a
folder is refused and not waited for; files named inside a file stay within its folder.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, cast

from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass

if TYPE_CHECKING:
    from converters.readers.remote.ranged import Ranged


@dataclass(frozen=True, eq=False)
class Source:
    """The bytes of one file, or of one stored member of an archive, mapped and not yet read."""

    path: str
    view: memoryview
    mapping: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.view)

    def part(self, start: int, length: int) -> Source:
        """A range of the same mapping; of bytes at a distance, none is fetched for it."""
        if not isinstance(self.view, memoryview):
            return Source(self.path, cast(memoryview, cast("Ranged", self.view).part(start, length)), self.mapping)
        return Source(self.path, self.view[start : start + length], self.mapping)

    def whole(self) -> Source:
        """The same with all of its bytes there, for readers that take more than slices of it."""
        return self if isinstance(self.view, memoryview) else _fetched(self.path)

    def release(self) -> None:
        """Tell the system that the pages read so far are not needed, so that memory in use stays small."""
        if self.mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)


_NOTED: ContextVar[list[str] | None] = ContextVar("_NOTED", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """The names of all files that are opened within this, in their order."""
    names: list[str] = []
    around = _NOTED.get()
    token = _NOTED.set(names)
    try:
        yield names
    finally:
        _NOTED.reset(token)
        if around is not None:
            around += names


def open_source(path: str | os.PathLike[str], *, ranged: bool = False) -> Source:
    """Map a regular file, or fetch what a URL names. Raises `UnreadableCheckpoint` for what is missing or empty.

    `ranged`: the view of a URL is no memory but `Ranged`, of which slices are; only what is sliced is fetched.
    """
    name = os.fspath(path)
    noted = _NOTED.get()
    if noted is not None:
        noted.append(name)
    if "://" in name:
        return _distant(name, ranged)
    return _mapped(name)


def _distant(url: str, ranged: bool) -> Source:
    from converters.readers.remote.urls import is_url, local_path

    path = local_path(url) if is_url(url) else url
    if path is not None:
        return _mapped(path)
    from converters.readers.remote.fetching import open_ranges

    found = open_ranges(url) if ranged else None
    return Source(url, cast(memoryview, found), found.mapping) if found else _fetched(url)


def _fetched(url: str) -> Source:
    from converters.readers.remote.fetching import fetch_whole

    mapping = fetch_whole(url)
    return Source(url, memoryview(mapping), mapping)


def _mapped(name: str) -> Source:
    try:
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableCheckpoint(f"cannot open the file: {reason}", path=name) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableCheckpoint("this is not a regular file", path=name)
        if not status.st_size:
            raise UnreadableCheckpoint("the file is empty", path=name)
        mapping = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except OSError as error:
        if isinstance(error, UnreadableCheckpoint):
            raise
        raise UnreadableCheckpoint(f"cannot read the file: {error.strerror}", path=name) from None
    finally:
        os.close(descriptor)
    return Source(name, memoryview(mapping), mapping)


def open_beside(owner: str, relative: str, *, ranged: bool = False) -> Source:
    """Open a file that `owner` names, such as a shard; it has to stand in the same folder or below it.

    Raises `UnsafeCheckpoint` for an absolute name, one that leaves the folder, or a link.
    """
    if "://" in owner:
        from converters.readers.remote.urls import beside, is_url, local_path

        if is_url(owner) and local_path(owner) is None:
            if problem := _unlike_a_path(relative):
                raise UnsafeCheckpoint(f"{printable(repr(relative))} {problem}: refused", path=owner)
            return open_source(beside(owner, relative), ranged=ranged)
        owner = (local_path(owner) if is_url(owner) else None) or owner
    folder = Path(owner).resolve().parent
    try:
        problem = _outside(folder, relative)
    except (OSError, ValueError, RuntimeError):  # a name of half a character, a link to itself, …
        problem = "is not a file name"
    if problem:
        raise UnsafeCheckpoint(f"{printable(repr(relative))} {problem}: refused", path=owner)
    return open_source(folder / relative)


def _unlike_a_path(relative: str) -> str:
    parts = relative.replace("\\", "/").split("/")
    if not relative or "\0" in relative or relative.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        return "is not a relative path below the folder of the file that names it"
    return ""


def _outside(folder: Path, relative: str) -> str:
    if problem := _unlike_a_path(relative):
        return problem
    path = folder / relative
    if not path.resolve().is_relative_to(folder):
        return "is a link that leaves the folder"
    if path.is_file() and path.stat().st_nlink > 1:
        return "is a hard link"
    return ""
