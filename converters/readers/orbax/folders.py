"""The folders of Orbax: one tree of arrays, a step with several of them, or a run with its steps.

A tree has `_METADATA`, which lists the names, and its arrays in an OCDBT database or in folders of their own, named
`params.Dense_0.kernel`. A step has an item a folder; a run has a step a folder, named by its number. Source:
orbax.checkpoint, `_src/metadata/tree.py` and `type_handlers`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.json_data import parse_json
from converters.readers.opened import Opened, Request
from converters.readers.orbax import aggregated, ocdbt, zarr
from converters.readers.source import open_beside, open_source
from layouts.errors import CoverageError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_NAMES, _STEP = "_METADATA", "_CHECKPOINT_METADATA"
_ARRAYS = (".zarray", "zarr.json")
_NUMBERED = re.compile(r"(?:.*_)?(\d{1,18})")
_MOST_ENTRIES = 100_000
_STORED = {"jax.Array", "np.ndarray", "scalar"}
_WITHOUT = {"None", "Dict", "List", "Tuple", "NamedTuple", "Named Tuple"}


class Named(NamedTuple):
    """An array that a tree lists: its path, as names joined by '/', and the prefix of its keys in the store."""

    path: str
    prefix: str


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a tree, a step or a run of Orbax."""
    return path.is_dir() and (_is_tree(path) or bool(_items(path)) or bool(_steps(path)))


def read_folder(path: Path, request: Request) -> Checkpoint:
    """The layers of the one tree, or of all trees of the one step; several steps are a question for the caller."""
    steps = _steps(path) if not _is_tree(path) and not _items(path) else []
    if len(steps) > 1:
        listed = ", ".join(step.name for step in steps[:10]) + ", …" * (len(steps) > 10)
        raise UnreadableCheckpoint(f"this folder holds the steps {listed}: give one of them, such as {steps[-1]}")
    step = steps[0] if steps else path
    items = [step] if _is_tree(step) else _items(step)
    found = _Found({}, [], [])
    for item in items:
        _add(found, item, f"{item.name}/" if len(items) > 1 else "")
    name, whose = os.fspath(path), request.framework or "flax"
    checkpoint = checkpoint_of(name, "Orbax", found.arrays, whose, request.assume, found.others)
    return replace(checkpoint, remarks=(*checkpoint.remarks, *found.remarks))


def refuse_part(opened: Opened, request: Request) -> Checkpoint:
    """Raise for one file of a checkpoint, and say which folder to give."""
    inner = Path(opened.path).resolve().parent
    place = next(filter(_is_whole, (inner, *inner.parents[:3])), inner)
    raise UnreadableCheckpoint(f"this is one file of an Orbax checkpoint: give its folder, {printable(place)}")


def _is_whole(path: Path) -> bool:
    """Whether a folder is what somebody means who gives a file in it: not the database of one process."""
    return (path / _NAMES).is_file() or aggregated.is_aggregated(path) or bool(_items(path))


class _Found(NamedTuple):
    """The arrays by their paths, the paths of what is none, and what has to be said."""

    arrays: dict[str, LazyArray]
    others: list[str]
    remarks: list[str]


def _is_tree(path: Path) -> bool:
    return (path / _NAMES).is_file() or (path / ocdbt.MANIFEST).is_file() or aggregated.is_aggregated(path)


def _items(path: Path) -> list[Path]:
    """The trees of one step: all folders where the step says that it is one, and those of 2023 that are no steps."""
    trees = [inner for inner in _folders(path) if _is_tree(inner)]
    if (path / _STEP).is_file():
        return trees
    return [one for one in trees if aggregated.is_aggregated(one) and not _NUMBERED.fullmatch(one.name)]


def _steps(path: Path) -> list[Path]:
    """The steps of a run, in order: folders named by a number, maybe behind a word, as `checkpoint_3`."""
    numbered = {inner: match for inner in _folders(path) if (match := _NUMBERED.fullmatch(inner.name))}
    return sorted(
        (inner for inner in numbered if _is_tree(inner) or _items(inner)), key=lambda inner: int(numbered[inner][1])
    )


def _folders(path: Path) -> list[Path]:
    """The folders in a folder, links left out."""
    found = []
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number >= _MOST_ENTRIES:
                raise UnsafeCheckpoint(f"this folder holds more than {_MOST_ENTRIES} files", path=os.fspath(path))
            if entry.is_dir(follow_symlinks=False):
                found.append(path / entry.name)
    return sorted(found)


def _add(found: _Found, path: Path, before: str) -> None:
    """The arrays of one tree, their paths behind those words."""
    get, stored = _store(path)
    told = _told(path)
    names, others = _listed(told) if told else ([Named(name, name) for name in stored()], [])
    if not told and aggregated.is_aggregated(path):
        names, others = _aggregated(found, path, before)
    complete = bool(told) and told.get("store_array_data_equal_to_fill_value") is True
    for name in names:
        array, whole = zarr.array(before + name.path, name.prefix, get, complete=complete)
        if found.arrays.setdefault(array.name, array) is not array:
            raise CoverageError(f"two arrays are called {printable(name.path)}", array=name.path)
        if not whole:
            found.remarks.append(f"{printable(array.name)} is not stored where it is 0: such parts of it are read as 0")
    extra = {*stored()} - {name.prefix for name in names} if told or aggregated.is_aggregated(path) else ()
    if extra:
        raise CoverageError(f"{printable(min(extra))} is stored, and the checkpoint does not list it", array=min(extra))
    found.others.extend(before + other for other in others)


def _aggregated(found: _Found, path: Path, before: str) -> tuple[list[Named], list[str]]:
    """What a tree of 2023 lists, its own arrays put among those that were found."""
    listed = aggregated.leaves(path)
    found.arrays.update((before + name, replace(array, name=before + name)) for name, array in listed.arrays.items())
    return [Named(name, prefix) for name, prefix in listed.beside.items()], list(listed.others)


def _store(path: Path) -> tuple[zarr.Get, Callable[[], list[str]]]:
    """What gives the value of a key, and what lists the prefixes of all arrays."""
    if (path / ocdbt.MANIFEST).is_file():
        values = ocdbt.values(path)
        return values.get, lambda: [key.rpartition("/")[0] for key in values if key.rpartition("/")[2] in _ARRAYS]
    owner = os.fspath(path / _NAMES)

    def get(key: str) -> memoryview | None:
        if ".." in key.split("/") or not os.path.lexists(path / key):
            return None
        return open_beside(owner, key).view

    return get, lambda: [f.name for f in _folders(path) if any((f / name).is_file() for name in _ARRAYS)]


def _told(path: Path) -> Mapping[str, Any]:
    """The metadata of a tree; nothing where it has none."""
    if not (path / _NAMES).is_file():
        return {}
    file = path / _NAMES
    told = parse_json(open_source(file).view, _NAMES, os.fspath(file))
    if not isinstance(told, dict) or not isinstance(told.get("tree_metadata"), dict):
        raise UnreadableCheckpoint(f"{_NAMES} lists no tree", path=os.fspath(file))
    return told


def _listed(told: Mapping[str, Any]) -> tuple[list[Named], list[str]]:
    """The arrays that the metadata list, and the paths of what is stored otherwise, such as text."""
    named: list[Named] = []
    others: list[str] = []
    for entry in told["tree_metadata"].values():
        words, kind = _entry(entry)
        if kind in _STORED:
            named.append(Named("/".join(words), ".".join(words)))
        elif kind not in _WITHOUT:
            others.append("/".join(words))
    return named, others


def _entry(entry: Any) -> tuple[list[str], str]:
    """The names above one leaf, and what kind of value it is."""
    try:
        words = [key["key"] for key in entry["key_metadata"]]
        kind = entry["value_metadata"]["value_type"]
    except (TypeError, KeyError):
        raise UnreadableCheckpoint(f"{_NAMES} is damaged: an entry without names") from None
    if not words or not all(isinstance(word, str) and word for word in words) or not isinstance(kind, str):
        raise UnreadableCheckpoint(f"{_NAMES} is damaged: an entry without names")
    return words, kind
