"""Opening a URL: by ranges where the place serves them, whole where it does not or the format needs all of it.

What is fetched goes into a file without a name, which the system removes; sizes are bounded before and while it comes.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

from converters.model.amounts import size_of
from converters.readers import temporary
from converters.readers.remote.ranged import Fetch, Ranged
from converters.readers.remote.urls import answering, filesystem
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

MOST = "GATEPORT_MAX_DOWNLOAD"
"""The variable of the environment that sets how large a file or a folder may be that is fetched: '500GB'."""
_USUAL = "64GB"
_PIECE = 1 << 20
_MOST_FILES = 100_000


def open_ranges(url: str) -> Ranged | None:
    """The bytes of a URL, fetched as they are asked for; None where the place cannot give a part of a file."""
    system, path = filesystem(url)
    with answering(url):
        told = system.info(path)
        size = told.get("size")
        if told.get("type") == "directory" or not size or told.get("partial") is False:
            return None
        file = system.open(path, "rb", cache_type="none")
        if not _gives_ranges(file):
            return None
        return Ranged.over(int(size), _fetch(file, url))


def _gives_ranges(file: Any) -> bool:
    """Whether a byte in the middle can be asked for: where a server sends all from the start, fsspec stops it."""
    try:
        file.seek(1)
        return len(file.read(1)) == 1
    except ValueError:
        return False


def _fetch(file: Any, url: str) -> Fetch:
    def fetch(start: int, stop: int) -> bytes:
        with answering(url):
            file.seek(start)
            data: bytes = file.read(stop - start)
        if len(data) != stop - start:
            raise UnreadableCheckpoint(
                f"bytes {start} to {stop} were asked for, and {len(data)} came: it changes while it is read", path=url
            )
        return data

    return fetch


def fetch_whole(url: str) -> mmap.mmap:
    """All bytes of a URL, in a mapped file without a name. Raises `UnsafeCheckpoint` beyond the limit."""
    system, path = filesystem(url)
    with tempfile.TemporaryFile() as file:
        _download(system, path, url, file, most())
        if not file.tell():
            raise UnreadableCheckpoint("the file is empty", path=url)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def fetch_folder(url: str) -> Path | None:
    """A folder with all that is in it, below a new one of this system; None where the URL is no folder."""
    system, path = filesystem(url)
    with answering(url):
        if _is_web(system) or not system.isdir(path):
            return None
        files = system.find(path)
    if len(files) > _MOST_FILES:
        raise UnsafeCheckpoint(f"the folder holds {len(files)} files", path=url)
    folder, left, root = temporary.folder(), most(), system._strip_protocol(path).rstrip("/") + "/"
    for name in files:
        relative = name.removeprefix(root)
        if relative == name or ".." in relative.split("/") or relative.startswith("/"):
            raise UnsafeCheckpoint("the folder lists a file that is not in it", path=url)
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        with (folder / relative).open("wb") as file:
            _download(system, name, url, file, left)
            left -= file.tell()
    return folder


def _is_web(system: Any) -> bool:
    """HTTP has no folders."""
    return bool({"http", "https"} & ({system.protocol} if isinstance(system.protocol, str) else {*system.protocol}))


def _download(system: Any, path: str, url: str, file: Any, limit: int) -> None:
    """Copy a file piece by piece; nothing is believed that the place says about its size."""
    with answering(url), system.open(path, "rb") as remote:
        while piece := remote.read(_PIECE):
            if file.tell() + len(piece) > limit:
                raise UnsafeCheckpoint(
                    f"it has more than {limit} bytes, which is the limit: set the environment's {MOST}", path=url
                )
            file.write(piece)
    file.flush()


def most() -> int:
    """The bytes that may be fetched of one source. Raises `ConversionError` where the variable is no size."""
    return size_of(os.environ.get(MOST) or _USUAL, MOST)
