"""A file that appears complete or not at all: written beside its target under another name, synced, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layouts.errors import ConversionError, printable


@contextmanager
def replacing(target: str | os.PathLike[str], source: str | None = None) -> Iterator[Path]:
    """A temporary path in the target's folder; on success it replaces the target, on failure it is removed.

    Raises `ConversionError` when the target is the source itself, a folder, or cannot be written (a full disk too).
    """
    target = Path(target)
    if os.path.isdir(target):
        raise ConversionError("the output is a folder: name a file", path=str(target))
    if os.path.exists(target) and not os.path.isfile(target):
        raise ConversionError("the output is not a regular file", path=str(target))
    if source is not None and os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
        raise ConversionError("the output is the input itself: refused", path=str(target))
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConversionError(f"cannot write {printable(target)}: {reason}", path=str(target)) from None
    temporary = Path(name)
    try:
        os.close(descriptor)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(
            f"cannot write {printable(target)}: {error.strerror or error}", path=str(target)
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
