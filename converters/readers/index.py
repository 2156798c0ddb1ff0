"""An index of shards, as Hugging Face's hub has them: JSON that maps the names of arrays to the files beside it.

The files are safetensors, or what `torch.save` writes. Each array is read out of the file that it is said to be in,
and a file holds those arrays and no others.
"""

from __future__ import annotations

from collections.abc import Mapping

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers import safetensors
from converters.readers.arrays.named import Named, checkpoint_of
from converters.readers.opened import Opened, Request
from converters.readers.pickled.known import table
from converters.readers.pytorch.rebuilding import GROUPS
from converters.readers.pytorch.states import choose
from converters.readers.pytorch.telling import stem_of
from converters.readers.pytorch.zipped import Members
from converters.readers.source import open_beside
from layouts.errors import CoverageError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_MOST_SHARDS = 10_000


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of all shards. Raises `CheckpointError`, `CoverageError` where index and files differ."""
    named: Mapping[str, str] = opened.json["weight_map"]
    files = dict.fromkeys(named.values())
    if len(files) > _MOST_SHARDS:
        raise UnsafeCheckpoint(f"the index names {len(files)} files")
    arrays: dict[str, LazyArray] = {}
    framework: str | None = None
    for file in files:
        ranged = file.endswith(".safetensors")
        shard = _shard(Opened(open_beside(opened.path, file, ranged=ranged)), file)
        _check(named, file, shard.arrays)
        arrays, framework = arrays | shard.arrays, shard.framework or framework
    return checkpoint_of(Named(opened.path, arrays, {}, framework), "shards", request)


def _shard(opened: Opened, file: str) -> Named:
    """The arrays of one file."""
    if file.endswith(".safetensors"):
        return safetensors.file_arrays(opened.source)
    stem = stem_of(opened)
    if stem is None:
        raise UnreadableCheckpoint(f"shard {printable(file)} is no zip archive of PyTorch", path=opened.path)
    state = choose(Members(opened, stem).load(table(*GROUPS)), opened.source, {})
    return Named(opened.path, state.arrays, {}, "pytorch")


def _check(named: Mapping[str, str], file: str, arrays: Mapping[str, LazyArray]) -> None:
    """Raise `CoverageError` unless a shard holds the arrays that the index says, and no others."""
    wanted = {name for name, where in named.items() if where == file}
    missing, extra = sorted(wanted - {*arrays}), sorted({*arrays} - wanted)
    if missing or extra:
        what = f"{printable(missing[0])} is missing in it" if missing else f"{printable(extra[0])} is not in the index"
        raise CoverageError(f"shard {printable(file)} and the index do not agree: {what}", array=(missing or extra)[0])
