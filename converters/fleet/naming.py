"""Where the outputs of a fleet go: the folders of the sources below one folder, each name once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from glob import glob, has_magic
from pathlib import PurePath

from converters.readers.containers import FILES, PLACES
from converters.readers.remote.urls import answering, filesystem, is_url
from layouts.errors import ConversionError, printable

_SHOWN = 3


def expanded(patterns: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Every source once, in the order given; a pattern, `**` too, stands for the files that it matches, sorted.

    Raises `ConversionError` for a pattern that matches nothing.
    """
    found: dict[str, str] = {}
    for pattern in [patterns] if isinstance(patterns, str | os.PathLike) else patterns:
        for name in _matching(os.fspath(pattern)):
            found.setdefault(name if is_url(name) else os.path.normpath(name), name)
    return list(found.values())


def _matching(pattern: str) -> Sequence[str]:
    if is_url(pattern):
        if "*" not in pattern:
            return [pattern]
        system, path = filesystem(pattern)
        with answering(pattern):
            found = sorted(system.unstrip_protocol(name) for name in system.glob(path))
    elif os.path.exists(pattern) or not has_magic(pattern):
        return [pattern]
    else:
        found = sorted(glob(pattern, recursive=True))
    if not found:
        raise ConversionError(f"{printable(pattern)} matches no file")
    return found


def outputs(
    sources: Sequence[str], folder: str | os.PathLike[str], suffix: str, root: str | os.PathLike[str] | None = None
) -> dict[str, str]:
    """The output of each source: its path below `root`, or below the deepest folder that holds all, with this suffix.

    Raises `ConversionError` where two sources would have one output, an output is a source, or a source is not below
    `root`: all before anything is written.
    """
    if not sources:
        raise ConversionError("there are no sources")
    places = {source: _place(source) for source in sources}
    base = _place(os.fspath(root)) if root is not None else _common(list(places.values()))
    found = {source: os.path.join(folder, _below(place, base, suffix)) for source, place in places.items()}
    _refuse_clashes(found)
    return found


def _place(source: str) -> str:
    """An absolute path; that of a URL begins with its scheme and host, and what asks for a file is not part of it."""
    return os.path.normpath(f"/{source.partition('?')[0]}") if is_url(source) else os.path.abspath(source)


def _common(places: Sequence[str]) -> str:
    try:
        return os.path.commonpath([os.path.dirname(place) for place in places])
    except ValueError:  # on two drives
        raise ConversionError("the sources have no folder in common: convert those of each drive by itself") from None


def _below(place: str, base: str, suffix: str) -> str:
    path = PurePath(place)
    if not path.is_relative_to(base):
        raise ConversionError(f"{printable(place)} is not below root={printable(base)}", path=place)
    relative = path.relative_to(base)
    return str(relative.with_name(stem(relative.name) + suffix))


def stem(name: str) -> str:
    """The name of a model without the ending of its format; an ending of no known format belongs to the name."""
    ending = max((end for end in _endings() if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(ending)] or name


@cache
def _endings() -> tuple[str, ...]:
    """'.h5', '.keras', …: the usual names of what is read. Only the last part of a name is its format."""
    names = {name for kind in (*FILES, *PLACES) for name in kind.names.split(", ")}
    return tuple(name[1:] for name in names if name.startswith("*.") and name.count(".") == 1)


def _refuse_clashes(found: dict[str, str]) -> None:
    given: dict[str, list[str]] = {}
    for source, output in found.items():
        given.setdefault(_same(output), []).append(source)
    clashes = [names for names in given.values() if len(names) > 1]
    if clashes:
        listed = "; ".join(" and ".join(map(printable, names[:_SHOWN])) for names in clashes[:_SHOWN])
        raise ConversionError(
            f"more than one source would write the same output: {listed}. Nothing was written: convert them into "
            "different folders"
        )
    for source in found:
        if _same(source) in given:
            raise ConversionError(
                f"{printable(source)} is a source, and would be written as an output: name another folder", path=source
            )


def _same(path: str) -> str:
    """What is equal for two names of one file; links are followed."""
    return path if is_url(path) else os.path.normcase(os.path.realpath(path))
