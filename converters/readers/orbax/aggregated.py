"""The file `checkpoint` of Orbax in 2023: MessagePack, with an array or the name of one at each leaf of a tree.

A leaf is an array as Flax writes it, or the text `PLACEHOLDER://params.dense.kernel`, which names the folder that holds
it. Source: orbax.checkpoint 0.2, `pytree_checkpoint_handler` and `utils.to_serializable_dict`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.flax import files, msgpack
from converters.readers.source import open_source
from layouts.errors import UnreadableCheckpoint

FILE = "checkpoint"
_PLACEHOLDER = "PLACEHOLDER://"
_MAPS = (*range(0x80, 0x90), 0xDE, 0xDF)
"""First bytes of a map; TensorFlow's file of this name is text."""


class Leaves(NamedTuple):
    """The names of arrays that stand beside, by their paths; the arrays in the file; the paths of what is none."""

    beside: dict[str, str]
    arrays: dict[str, LazyArray]
    others: tuple[str, ...]


def is_aggregated(path: Path) -> bool:
    """Whether a folder holds such a file."""
    file = path / FILE
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        first = opened.read(1)
    return bool(first) and first[0] in _MAPS


def leaves(path: Path) -> Leaves:
    """Everything that the file of a folder lists. Raises `CheckpointError` for a damaged one."""
    source = open_source(path / FILE)
    arrays, others = files.arrays_of(source)
    tree = msgpack.Reader(source.view, 0, len(source)).value()
    texts = {name: value for name, value in msgpack.leaves(tree) if isinstance(value, str)}
    beside = {name: text.removeprefix(_PLACEHOLDER) for name, text in texts.items() if text.startswith(_PLACEHOLDER)}
    if any(not prefix or "/" in prefix or prefix.startswith(".") for prefix in beside.values()):
        raise UnreadableCheckpoint("damaged: it names an array outside of its folder", path=source.path)
    return Leaves(beside, arrays, tuple(name for name in others if name not in beside))
