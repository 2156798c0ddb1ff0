"""Files of which each holds a part of a model's arrays, and the index beside them that says which."""

from __future__ import annotations

import re
from pathlib import Path

from layouts.errors import UnreadableCheckpoint, printable

_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}(\.[a-z]+)")


def refuse_shard(path: str) -> None:
    """Raise `UnreadableCheckpoint` for a file whose name is that of a shard, where the index stands beside it."""
    found = _SHARD.fullmatch(Path(path).name)
    index = f"{found[1]}{found[2]}.index.json" if found else ""
    if index and (Path(path).parent / index).is_file():
        raise UnreadableCheckpoint(f"this is one shard of several: give their index, {printable(index)}")
