"""zarr, versions 2 and 3: an array in chunks, each a value of its own under a key that its place makes.

Source: the specifications at zarr-specs.readthedocs.io; version 3 with the codecs that TensorStore writes: transpose,
bytes, zstd, gzip, crc32c and sharding_indexed. A chunk that is not stored holds the fill value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.json_data import parse_json
from converters.readers.orbax import codecs
from converters.readers.orbax.codecs import Codec, Grid, damaged
from layouts.errors import ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass

Get = Callable[[str], memoryview | None]
"""The value under a key of the store, None where there is none."""

_MOST_AXES = 32
_MOST_CHUNKS = 1_000_000
_EMPTY = 64 << 20
_DENSEST = 1032
"""An array may be as large as 64 MB and this many times what is stored of it: zeros are packed tightly."""
_NAMES = {
    **{name: name for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "bool")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64", "complex64", "complex128")},
}
_BEYOND_NUMPY = ("bfloat16", "float8_e4m3fn", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")


@dataclass(frozen=True)
class Form:
    """What the metadata of an array say of it."""

    grid: Grid
    chain: tuple[Codec, ...]
    key: Callable[[Sequence[int]], str]
    fill: Any


def array(name: str, prefix: str, get: Get, *, complete: bool) -> tuple[LazyArray, bool]:
    """An array below a prefix of the store, and whether all of it is stored; `complete` where it has to be.

    Raises `CheckpointError` for metadata that are damaged, or promise more than is there.
    """
    form = _form(name, prefix, get)
    shape, dtype = form.grid.shape, form.grid.dtype
    stored = {}
    if math.prod(form.grid.counts) > _MOST_CHUNKS:
        raise UnsafeCheckpoint(f"{printable(name)} is cut into {math.prod(form.grid.counts)} chunks")
    for place in product(*map(range, form.grid.counts)):
        value = get(f"{prefix}/{form.key(place)}")
        if value is not None:
            stored[place] = value
        elif complete:
            raise UnreadableCheckpoint(f"{printable(name)}: the chunk {form.key(place)} is missing", array=name)
    size = math.prod(shape) * dtype.itemsize
    if size > _EMPTY + _DENSEST * sum(map(len, stored.values())):
        raise UnsafeCheckpoint(f"{printable(name)} declares {size} bytes, more than what is stored of it can hold")
    whole = len(stored) == math.prod(form.grid.counts)
    return LazyArray(name, shape, dtype, lambda: _read(name, form, stored)), whole


def _read(name: str, form: Form, stored: Mapping[tuple[int, ...], memoryview]) -> Array:
    """The whole array: its one chunk as it is, or all put together."""
    grid, whole = form.grid, np.full(form.grid.shape, form.fill, form.grid.dtype)
    for place, data in stored.items():
        piece = codecs.decode(data, grid.chunk, grid.dtype, form.chain, form.fill, name)
        if grid.chunk == grid.shape:
            return piece
        inside = grid.slices(place)
        whole[inside] = piece[tuple(slice(0, part.stop - part.start) for part in inside)]
    return whole


def _form(name: str, prefix: str, get: Get) -> Form:
    for file, read in ((".zarray", _second), ("zarr.json", _third)):
        data = get(f"{prefix}/{file}")
        if data is not None:
            told = parse_json(data, f"the metadata of {printable(name)}", "")
            if not isinstance(told, dict):
                raise damaged(name, "metadata")
            return read(name, told)
    raise UnreadableCheckpoint(f"{printable(name)}: the checkpoint lists this array and does not store it", array=name)


def _second(name: str, told: Mapping[str, Any]) -> Form:
    """zarr 2: `.zarray`."""
    if told.get("zarr_format") != 2 or told.get("filters") or told.get("order") not in ("C", "F"):
        raise damaged(name, "metadata")
    shape, chunk = sizes(name, told.get("shape")), sizes(name, told.get("chunks"))
    grid = Grid.of(name, shape, chunk, dtype_of(name, told.get("dtype")))
    separator = told.get("dimension_separator", ".")
    order = (Codec("transpose", tuple(reversed(range(len(shape))))),) if told["order"] == "F" else ()
    chain = (*order, Codec("bytes", "little"), *codecs.compressor(name, told.get("compressor")))
    return Form(grid, chain, lambda place: separator.join(map(str, place)) or "0", fill(name, told.get("fill_value")))


def _third(name: str, told: Mapping[str, Any]) -> Form:
    """zarr 3: `zarr.json`."""
    if told.get("zarr_format") != 3 or told.get("node_type") != "array" or told.get("storage_transformers"):
        raise damaged(name, "metadata")
    layout, keys = configured(name, told.get("chunk_grid")), configured(name, told.get("chunk_key_encoding"))
    if layout[0] != "regular" or keys[0] not in ("default", "v2"):
        raise damaged(name, "metadata")
    shape, chunk = sizes(name, told.get("shape")), sizes(name, layout[1].get("chunk_shape"))
    grid = Grid.of(name, shape, chunk, dtype_of(name, told.get("data_type")))
    first = ("c",) if keys[0] == "default" else ()
    separator = str(keys[1].get("separator", "/" if first else "."))
    chain = codecs.chain(name, told.get("codecs"), len(shape))
    return Form(
        grid, chain, lambda place: separator.join((*first, *map(str, place))) or "0", fill(name, told.get("fill_value"))
    )


def configured(name: str, told: Any) -> tuple[str, Mapping[str, Any]]:
    """The name and the configuration of one part of the metadata of zarr 3."""
    found = told if isinstance(told, dict) else {"name": told}
    inner = found.get("configuration", {})
    if not isinstance(found.get("name"), str) or not isinstance(inner, dict):
        raise damaged(name, "metadata")
    return found["name"], inner


def sizes(name: str, told: Any) -> tuple[int, ...]:
    """A shape from a file."""
    if not isinstance(told, list) or len(told) > _MOST_AXES or any(type(n) is not int or n < 0 for n in told):
        raise UnsafeCheckpoint(f"{printable(name)} declares an impossible shape")
    return tuple(told)


def dtype_of(name: str, told: Any) -> np.dtype[Any]:
    """The dtype of a name: those of zarr 3, or the codes of NumPy that stand in zarr 2."""
    if told in _BEYOND_NUMPY:
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(getattr(ml_dtypes, str(told)))
        return kind
    plain = isinstance(told, str) and (told in _NAMES or (told[:1] in "<|" and told[1:2] in "fiub" and len(told) == 3))
    try:
        if plain:
            known: np.dtype[Any] = np.dtype(told)
            return known
    except TypeError:
        pass
    raise ShapeError(f"{printable(name)} holds {printable(repr(told))}, which are no numbers", array=name)


def fill(name: str, told: Any) -> Any:
    """The value of what is not stored: 0 where none is told."""
    if told is None or told is False or told is True or (isinstance(told, int | float)):
        return told or 0
    if told in ("NaN", "Infinity", "-Infinity"):
        return float(told)
    raise damaged(name, "metadata")
