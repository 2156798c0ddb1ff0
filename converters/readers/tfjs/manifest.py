"""The manifest of weights: groups, each a list of arrays whose bytes follow one another in the shards of the group.

Bytes are little-endian, and an array may lie across shards. A quantized one is stored as uint8 or uint16, of which
q × scale + min is the number, computed in float64, or as float16. Arrays of the group "optimizer" are a trainer's.
Sources: write_weights.py and quantization.py of tensorflowjs; `decodeWeights` in io_utils.ts of tfjs-core.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.opened import Opened
from converters.readers.source import Source, open_beside
from layouts.errors import ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_DTYPES = {
    "float32": "<f4",
    "float16": "<f2",
    "int32": "<i4",
    "uint8": "|u1",
    "uint16": "<u2",
    "bool": "|b1",
    "complex64": "<c8",
}
_QUANTIZED = ("uint8", "uint16", "float16")
_OPTIMIZER = "optimizer"
_LARGEST = 1e38
_MOST_SHARDS = 10_000
_MOST_WEIGHTS = 100_000
_MOST_AXES = 32
_DEEPEST = 32


class Weights(NamedTuple):
    """The arrays of all groups in their order, and whether any of them was quantized."""

    arrays: tuple[LazyArray, ...]
    quantized: bool


def read_manifest(opened: Opened) -> Weights:
    """The weights of a model. Raises `UnreadableCheckpoint` and `UnsafeCheckpoint` where shards and manifest differ."""
    manifest = opened.json.get("weightsManifest")
    groups = [_group(group) for group in manifest] if isinstance(manifest, list) else []
    if not groups:
        raise UnreadableCheckpoint("it has no weightsManifest: a configuration alone, without weights")
    names = [name for paths, _ in groups for name in paths]
    entries = [[_Entry(fields) for fields in listed] for _, listed in groups]
    _check_names(names, [entry.name for group in entries for entry in group])
    arrays: list[LazyArray] = []
    for (paths, _), group in zip(groups, entries, strict=True):
        arrays += _arrays(group, _Shards([open_beside(opened.path, name) for name in paths]))
    return Weights(tuple(arrays), any(entry.quantization is not None for group in entries for entry in group))


def _group(group: Any) -> tuple[list[str], list[Any]]:
    match group:
        case {"paths": list() as paths, "weights": list() as weights} if all(isinstance(name, str) for name in paths):
            return paths, weights
    raise UnreadableCheckpoint("a group of its weightsManifest lists no paths and weights")


def _check_names(shards: Sequence[str], weights: Sequence[str]) -> None:
    if len(shards) > _MOST_SHARDS or len(weights) > _MOST_WEIGHTS:
        raise UnsafeCheckpoint(f"its weightsManifest lists {len(weights)} weights in {len(shards)} shards")
    for what, names in (("shard", shards), ("weight", weights)):
        if len({*names}) != len(names):
            ((twice, _),) = Counter(names).most_common(1)
            raise UnsafeCheckpoint(f"its weightsManifest lists the {what} {printable(repr(twice))} twice")


class _Shards:
    """The bytes of the shards of a group, as if they stood in one file."""

    def __init__(self, shards: Sequence[Source]) -> None:
        self._shards = shards
        self._starts = [0, *accumulate(map(len, shards))]

    def __len__(self) -> int:
        return self._starts[-1]

    def pieces(self, begin: int, end: int) -> Iterator[Source]:
        """The parts of shards that these bytes are."""
        place = bisect_right(self._starts, begin) - 1
        while begin < end:
            start, stop = self._starts[place], min(self._starts[place + 1], end)
            yield self._shards[place].part(begin - start, stop - begin)
            begin, place = stop, place + 1


class _Entry:
    """One array as the manifest describes it, checked against itself."""

    def __init__(self, fields: Any) -> None:
        match fields:
            case {"name": str() as name, "shape": list() as shape, "dtype": str() as dtype}:
                self.name, self.shape, self._dtype = name, tuple(shape), dtype
            case _:
                raise UnreadableCheckpoint("a weight of its weightsManifest has no name, shape and dtype")
        if not all(type(size) is int and 0 <= size < 1 << 62 for size in shape) or len(shape) > _MOST_AXES:
            raise self._wrong("has an impossible shape")
        if name.count("/") > _DEEPEST:
            raise self._wrong("has a name of too many parts")
        self.quantization: Mapping[str, Any] | None = fields.get("quantization")
        self.is_trainers = fields.get("group") == _OPTIMIZER
        self._stored = self._numbers()

    def _wrong(self, what: str) -> UnsafeCheckpoint:
        return UnsafeCheckpoint(f"the weight {printable(self.name)} {what}", array=self.name)

    def _numbers(self) -> np.dtype[Any]:
        """The dtype of the stored numbers. Raises `ShapeError` for what TensorFlow.js does not read."""
        stored: Any = self._dtype
        if self.quantization is not None:
            stored = self.quantization.get("dtype") if isinstance(self.quantization, dict) else None
            if stored not in _QUANTIZED or self._dtype != "float32":
                what = f"is {printable(self._dtype)}, quantized as {printable(stored)}, which is not read"
                raise ShapeError(f"the weight {printable(self.name)} {what}", array=self.name)
        if stored not in _DTYPES:
            raise ShapeError(f"the weight {printable(self.name)} is of dtype {printable(stored)}, which is not read")
        return np.dtype(_DTYPES[stored])

    def _line(self) -> tuple[float, float] | None:
        """The scale and the offset of whole numbers; None of others."""
        if self.quantization is None or self._stored.kind == "f":
            return None
        match self.quantization:
            case {"scale": int() | float() as scale, "min": int() | float() as least}:
                if all(-_LARGEST < number < _LARGEST for number in (scale, least)):
                    return float(scale), float(least)
        raise self._wrong("is quantized without a scale and a min")

    @property
    def length(self) -> int:
        """The bytes that it takes in the shards."""
        elements: int = math.prod(self.shape)
        return elements * self._stored.itemsize

    def lazy(self, pieces: Sequence[Source]) -> LazyArray:
        """The array over the bytes that are its own."""
        shape, stored, line = self.shape, self._stored, self._line()

        def plain() -> Array:
            views = [piece.view[:] for piece in pieces]
            data = views[0] if len(views) == 1 else b"".join(views)
            return np.frombuffer(data, stored).reshape(shape) if len(data) else np.empty(shape, stored)

        def meant() -> Array:
            numbers = plain()
            return (numbers if line is None else numbers * line[0] + line[1]).astype(np.float32)

        def release() -> None:
            for piece in pieces:
                piece.release()

        if self.quantization is None:
            return LazyArray(self.name, shape, stored, plain, release)
        return LazyArray(self.name, shape, np.dtype(np.float32), meant, release)


def _arrays(group: Sequence[_Entry], shards: _Shards) -> Iterator[LazyArray]:
    """The arrays of a group, whose bytes are those of its shards, all of them. Raises `UnsafeCheckpoint` else."""
    ends = list(accumulate((entry.length for entry in group), initial=0))
    if ends[-1] != len(shards):
        raise UnsafeCheckpoint(
            f"the weights of a group take {ends[-1]} bytes, and its shards hold {len(shards)}: a shard is missing, "
            "cut, or of another model"
        )
    for entry, begin, end in zip(group, ends, ends[1:], strict=False):
        if not entry.is_trainers:
            yield entry.lazy(tuple(shards.pieces(begin, end)))
