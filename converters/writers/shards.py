"""A model in several safetensors files and an index that says which holds what, as Hugging Face's hub lays them out.

`model-00001-of-00003.safetensors`, … and `model.safetensors.index.json`: ``{"metadata": {"total_size": bytes},
"weight_map": {name: file}}``, sizes of tensors without headers (huggingface_hub, serialization/_base.py). Tensors go in
the plan's order, each into the last shard while it fits; one that is larger than a shard has one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.planning.modules import Tensor
from converters.planning.plan import Plan
from converters.writers.atomic import replacing
from converters.writers.in_place import InPlace
from converters.writers.safetensors import open_safetensors
from layouts.errors import ConversionError

SUFFIX = ".safetensors"
_INDEX = ".index.json"
_MOST = 99_999
"""Shards that five digits count."""


def shards_of(plan: Plan, most: int) -> list[list[Tensor]]:
    """The tensors of each shard, in the plan's order."""
    found: list[list[Tensor]] = []
    size = 0
    for tensor in plan.tensors:
        if not found or size + tensor.nbytes > most:
            found.append([])
            size = 0
        found[-1].append(tensor)
        size += tensor.nbytes
    if len(found) > _MOST:
        raise ConversionError(f"max_shard_size={most} makes {len(found)} files: state a larger one")
    return found


@contextmanager
def writing_shards(
    target: Path, plan: Plan, shards: Sequence[Sequence[Tensor]], source: str | None, *, synced: bool = True
) -> Iterator[tuple[Path, Sharded]]:
    """The index and a writer of all shards; they appear when all are written, and the index last.

    An index or a whole file that stood there is gone before the first of them, so that no reader mixes old and new.
    """
    index = target.with_name(f"{target.name}{_INDEX}")
    stem, count = target.name[: -len(SUFFIX)], len(shards)
    names = [f"{stem}-{number:05d}-of-{count:05d}{SUFFIX}" for number in range(1, count + 1)]
    with ExitStack() as stack:  # left in the opposite order
        listed = stack.enter_context(replacing(index, source, synced=synced))
        files = [stack.enter_context(replacing(target.with_name(name), source, synced=synced)) for name in names]
        stack.enter_context(_without(index, target))
        writer = Sharded(plan, shards, files)
        yield index, writer
        writer.close()
        listed.write_text(_index(shards, names), encoding="utf-8")


@contextmanager
def _without(*paths: Path) -> Iterator[None]:
    """Remove these when all went well."""
    yield
    for path in paths:
        path.unlink(missing_ok=True)


def _index(shards: Sequence[Sequence[Tensor]], names: Sequence[str]) -> str:
    where = {tensor.key: name for tensors, name in zip(shards, names, strict=True) for tensor in tensors}
    total = sum(tensor.nbytes for tensors in shards for tensor in tensors)
    return json.dumps({"metadata": {"total_size": total}, "weight_map": where}, indent=2, sort_keys=True) + "\n"


class Sharded:
    """Hands out the memory of each tensor within its shard; a shard is closed when the last of its tensors is full."""

    def __init__(self, plan: Plan, shards: Sequence[Sequence[Tensor]], files: Sequence[Path]) -> None:
        self._plan, self._shards, self._files = plan, shards, files
        self._of = {tensor.key: number for number, tensors in enumerate(shards) for tensor in tensors}
        self._waiting = [{tensor.key for tensor in tensors} for tensors in shards]
        self._open: dict[int, InPlace] = {}
        self._last: InPlace

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        for number in [number for number in self._open if not self._waiting[number]]:
            self._open.pop(number).close()
        number = self._of[key]
        self._waiting[number].discard(key)
        self._last = self._shard(number)
        return self._last.allocate(key, shape, dtype)

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        self._last.assign(target, source, after)

    def _shard(self, number: int) -> InPlace:
        if number not in self._open:
            self._open[number] = open_safetensors(self._files[number], self._plan, self._shards[number])
        return self._open[number]

    def filled(self) -> None:
        for shard in self._open.values():
            shard.filled()

    def close(self) -> None:
        """Write what is left."""
        for shard in self._open.values():
            shard.close()
        self._open.clear()
