"""An output at a URL: written here as any other, then uploaded, so that it appears complete or not at all.

An object in a store appears when all of it has come; on other places a file is uploaded under another name and renamed.
Of an output of several files the one that names the others comes last.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from converters.planning.report import Report
from converters.readers.remote.urls import answering, beside, filesystem, is_url, local_path, name_of
from layouts.errors import ConversionError
from layouts.records import dataclass, replace

_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "hf"}
"""Places whose files appear whole, and where to rename one is to copy it."""
_LAST = (".index.json", ".metadata", ".index")


@dataclass(frozen=True)
class Landing:
    """Where an output is written, and what it is called where it ends up."""

    path: Path
    url: str = ""

    def named(self, report: Report) -> Report:
        """The report, with the output's own name."""
        return replace(report, output=beside(self.url, Path(report.output).name)) if self.url else report


@contextmanager
def landing(output: str | os.PathLike[str], source: object = None) -> Iterator[Landing]:
    """The output itself; for a URL a path in a new folder, of which all is uploaded where nothing was raised.

    Raises `ConversionError` where the place takes no files, or the output is the source itself.
    """
    name = os.fspath(output)
    if name == source:
        raise ConversionError("the output is the input itself: refused", path=name)
    if not is_url(name):
        yield Landing(Path(name))
        return
    if (path := local_path(name)) is not None:
        yield Landing(Path(path))
        return
    system, place = filesystem(name)
    with tempfile.TemporaryDirectory(prefix="gateport-") as folder:
        local = Path(folder) / name_of(name)
        yield Landing(local, name)
        with answering(name, ConversionError):
            _upload(system, Path(folder), place.removesuffix(local.name))


def _upload(system: Any, folder: Path, place: str) -> None:
    """Everything below a folder, to below a place."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for index in folder.glob(f"*{_LAST[0]}"):  # no reader is to mix what was there with what comes
        for stale in (f"{place}{index.name}", f"{place}{index.name.removesuffix(_LAST[0])}"):
            if system.exists(stale):
                system.rm_file(stale)
    for path in sorted(files, key=lambda path: (path.name.endswith(_LAST), path)):
        target = f"{place}{path.relative_to(folder).as_posix()}"
        parent = target.rpartition("/")[0]
        if parent:
            system.makedirs(parent, exist_ok=True)
        _put(system, path, target)


def _put(system: Any, path: Path, target: str) -> None:
    protocols = {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}
    if protocols & _STORES:
        system.put_file(str(path), target)
        return
    temporary = f"{target}.part"
    try:
        system.put_file(str(path), temporary)
        system.mv(temporary, target)
    except BaseException:
        with suppress(OSError, NotImplementedError):
            system.rm_file(temporary)
        raise
