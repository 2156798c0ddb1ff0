"""Which of TensorFlow's files somebody means who gives a folder, a prefix, or one file of several that belong together.

A checkpoint is a prefix with `.index`, `.data-…` and maybe `.meta`, or one file; `checkpoint` names the newest prefix;
a SavedModel is a folder with `saved_model.pb`. Every one of them leads to the whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from layouts.errors import UnreadableCheckpoint, printable

SAVED_MODEL = "saved_model.pb"
INDEX, META = ".index", ".meta"
_STATE = "checkpoint"
_DATA = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_NEWEST = re.compile(rb'model_checkpoint_path: *"([^"\n]{1,4000})"')
_MOST_STATE = 1 << 20
_BESIDE = ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb")


class Lead(NamedTuple):
    """Where a path leads: a SavedModel's folder, or the file that stands for a checkpoint, its index if it has one."""

    path: Path
    is_saved_model: bool = False


def is_place(path: Path) -> bool:
    """Whether a path is a part of one of TensorFlow's, and not a file that tells itself."""
    try:
        return lead(path) is not None
    except UnreadableCheckpoint:
        return True


def lead(path: Path) -> Lead | None:
    """Where a path leads; None where it is no place of TensorFlow's. Raises `UnreadableCheckpoint` for a dead end."""
    if path.is_dir():
        return _of_folder(path)
    folder, name = path.parent, path.name
    if name in _BESIDE and (folder / SAVED_MODEL).is_file():
        return Lead(folder, True)
    if folder.name == "variables" and name.startswith("variables.") and (folder.parent / SAVED_MODEL).is_file():
        return Lead(folder.parent, True)
    if name == _STATE and path.is_file():
        return _newest(path)
    shard = _DATA.fullmatch(name)
    if shard:
        return _indexed(folder / shard[1], path)
    if name.endswith(META) and path.is_file():
        return _of_prefix(folder / name.removesuffix(META))
    return None if path.exists() else _of_prefix(path)


def _of_folder(folder: Path) -> Lead | None:
    if (folder / SAVED_MODEL).is_file():
        return Lead(folder, True)
    if folder.name == "variables" and (folder.parent / SAVED_MODEL).is_file():
        return Lead(folder.parent, True)
    newest = _newest(folder / _STATE) if (folder / _STATE).is_file() else None
    if newest is not None:
        return newest
    found = sorted(folder.glob(f"*{INDEX}"))
    if len(found) > 1:
        listed = ", ".join(printable(path.name) for path in found[:6]) + ", …" * (len(found) > 6)
        raise UnreadableCheckpoint(f"this folder holds several checkpoints: give one of {listed}", path=str(folder))
    return Lead(found[0]) if found else None


def _newest(state: Path) -> Lead | None:
    """The checkpoint that the file `checkpoint` names, which stands beside it; None where the file is another's."""
    with state.open("rb") as file:
        found = _NEWEST.match(file.read(_MOST_STATE))
    if not found:
        return None
    named = found[1].decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    lead_ = _of_prefix(state.parent / named) if named else None
    if lead_ is None:
        raise UnreadableCheckpoint(
            f"the file 'checkpoint' names {printable(named)}, and no such checkpoint stands beside it", path=str(state)
        )
    return lead_


def _of_prefix(prefix: Path) -> Lead | None:
    """The index of a prefix, or the one file of an old checkpoint that is called so, or the first of its shards."""
    index = prefix.with_name(prefix.name + INDEX)
    if index.is_file():
        return Lead(index)
    if prefix.is_file():
        return Lead(prefix)
    shards = sorted(prefix.parent.glob(f"{_escaped(prefix.name)}-00000-of-[0-9][0-9][0-9][0-9][0-9]"))
    return Lead(shards[0]) if len(shards) == 1 else None


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _indexed(prefix: Path, data: Path) -> Lead:
    found = prefix.with_name(prefix.name + INDEX)
    if not found.is_file():
        raise UnreadableCheckpoint(
            f"these are the numbers of a checkpoint; what they are stands in {printable(found.name)}, which is not "
            "beside them",
            path=str(data),
        )
    return Lead(found)
