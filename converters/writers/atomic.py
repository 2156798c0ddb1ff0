"""A file that appears complete or not at all: written beside its target under another name, synced, then renamed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layouts.errors import ConversionError, printable

_PART = ".part"
_LONGEST = 80
"""Characters of the target's name in that of what is written beside it."""


def _prefix(target: Path) -> str:
    return f".{target.name[:_LONGEST]}."


def remove_leftovers(target: str | os.PathLike[str]) -> None:
    """Remove what a process that was killed has left beside a target that nobody else writes."""
    target = Path(target)
    ours = re.compile(rf"{re.escape(_prefix(target))}\w{{8}}\.part(\.\w{{8}}\.part)?")
    if len(target.name) > _LONGEST or not target.parent.is_dir():  # of a cut name it cannot be told whose they are
        return
    import shutil

    for path in target.parent.iterdir():
        if ours.fullmatch(path.name):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def replacing(target: str | os.PathLike[str], source: str | None = None, *, synced: bool = True) -> Iterator[Path]:
    """A temporary path in the target's folder; on success it replaces the target, on failure it is removed.

    Unless `synced`, the system may be late to write it to disk: after a loss of power it may not be complete.

    Raises `ConversionError` when the target is the source itself, a folder, or cannot be written (a full disk too).
    """
    target = Path(target)
    if os.path.isdir(target):
        raise ConversionError("the output is a folder: name a file", path=str(target))
    if os.path.exists(target) and not os.path.isfile(target):
        raise ConversionError("the output is not a regular file", path=str(target))
    if source is not None and os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
        raise ConversionError("the output is the input itself: refused", path=str(target))
    temporary = _beside(target)
    try:
        yield temporary
        if synced:
            _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, ConversionError):
            raise
        raise _cannot_write(target, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """A temporary folder beside a new one; on success it takes its name, on failure it is removed.

    Raises `ConversionError` where it cannot be written.
    """
    import shutil
    import tempfile

    try:
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=_PART, dir=target.parent))
    except (OSError, ValueError) as error:
        raise _cannot_write(target, error) from None
    try:
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(target)
    except OSError as error:
        if isinstance(error, ConversionError):
            raise
        raise _cannot_write(target, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A new and empty file beside the target, which nobody else can read, under a name that nobody knows before.

    What `tempfile.mkstemp` makes, whose import takes longer than a small file.
    """
    try:
        path = target.with_name(f"{_prefix(target)}{os.urandom(4).hex()}{_PART}")
        _create(path)
    except (OSError, ValueError) as error:
        raise _cannot_write(target, error) from None
    return path


def _create(path: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, 0o600))


def _cannot_write(target: Path, error: OSError | ValueError) -> ConversionError:
    reason = (isinstance(error, OSError) and error.strerror) or error
    return ConversionError(f"cannot write {printable(target)}: {reason}", path=str(target))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
