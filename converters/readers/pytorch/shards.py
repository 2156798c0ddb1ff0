"""Shards of `torch.save` by an index, as Hugging Face's hub has them: `pytorch_model.bin.index.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.opened import Opened, Request
from converters.readers.pickled.known import table
from converters.readers.pytorch.layers import checkpoint
from converters.readers.pytorch.states import State, choose
from converters.readers.pytorch.telling import stem_of
from converters.readers.pytorch.tensors import GROUPS
from converters.readers.pytorch.zipped import Members
from converters.readers.safetensors import check_shard
from converters.readers.source import open_beside
from layouts.errors import UnreadableCheckpoint, printable


def read_shards(opened: Opened, named: Mapping[str, str], files: Sequence[str], request: Request) -> Checkpoint:
    """The layers of all shards. Raises `CheckpointError` and its kinds."""
    arrays: dict[str, LazyArray] = {}
    for file in files:
        shard = Opened(open_beside(opened.path, file))
        stem = stem_of(shard)
        if stem is None:
            raise UnreadableCheckpoint(f"shard {printable(file)} is no zip archive of PyTorch", path=opened.path)
        own = choose(Members(shard, stem).load(table(*GROUPS)), shard.source, {}).arrays
        check_shard(named, file, own)
        arrays |= own
    return checkpoint(opened.path, "PyTorch (shards)", State(arrays), request.assume)
