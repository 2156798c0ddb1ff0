"""Folders of Orbax whose arrays are zarr, each damaged in one place."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from .cases import table
from .msgpack import INPUT, UNIT, values

NAMES = {"kernel": values(INPUT, UNIT), "bias": values(UNIT)}


def _entry(*words: str) -> dict[str, Any]:
    keys = [{"key": word, "key_type": 2} for word in words]
    return {"key_metadata": keys, "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False}}


def orbax(folder: Path, **changed: Any) -> Path:
    """A checkpoint of one Dense, each array a folder of its own, uncompressed; `changed` alters the metadata."""
    place = folder / "checkpoint"
    place.mkdir()
    listed = {str(("params", "Dense_0", name)): _entry("params", "Dense_0", name) for name in NAMES}
    told = {"tree_metadata": listed, "use_ocdbt": False, "store_array_data_equal_to_fill_value": True} | changed
    (place / "_METADATA").write_text(json.dumps(told))
    for name, data in NAMES.items():
        inner = place / f"params.Dense_0.{name}"
        inner.mkdir()
        (inner / ".zarray").write_text(json.dumps(metadata(data)))
        (inner / ".".join("0" * data.ndim)).write_bytes(data.tobytes())
    return place


def metadata(data: np.ndarray, **changed: Any) -> dict[str, Any]:
    return {
        "zarr_format": 2, "shape": [*data.shape], "chunks": [*data.shape], "dtype": "<f4", "order": "C",
        "compressor": None, "filters": None, "fill_value": None, "dimension_separator": ".",
    } | changed  # fmt: skip


def _bias(folder: Path, data: bytes | None = None, **changed: Any) -> Path:
    """A checkpoint whose bias has other metadata, and maybe other data."""
    place = orbax(folder)
    (place / "params.Dense_0.bias/.zarray").write_text(json.dumps(metadata(NAMES["bias"], **changed)))
    if data is not None:
        (place / "params.Dense_0.bias/0").write_bytes(data)
    return place


def sound_orbax(folder: Path) -> Path:
    """Not hostile: a checkpoint of one Dense."""
    return orbax(folder)


def orbax_name_that_climbs(folder: Path) -> Path:
    """The file of a tree of 2023 names an array outside of its folder (rule 2)."""
    place = orbax(folder)
    (place / "_METADATA").unlink()
    (place / "checkpoint").write_bytes(b"\x81\xa6kernel\xb5PLACEHOLDER://../secr")
    return place


def orbax_chunk_missing(folder: Path) -> Path:
    """A chunk that has to be there is not (row 5)."""
    place = orbax(folder)
    (place / "params.Dense_0.bias/0").unlink()
    return place


def orbax_chunk_truncated(folder: Path) -> Path:
    """A chunk is shorter than its shape (row 1)."""
    return _bias(folder, NAMES["bias"].tobytes()[:-4])


def orbax_chunk_a_fifo(folder: Path) -> Path:
    """A chunk is a FIFO, which blocks for ever on opening (row 11)."""
    place = orbax_chunk_missing(folder)
    os.mkfifo(place / "params.Dense_0.bias/0")
    return place


def orbax_chunk_linked_out(folder: Path) -> Path:
    """A chunk is a link out of the folder (rule 2)."""
    place = orbax_chunk_missing(folder)
    (folder / "outside").write_bytes(NAMES["bias"].tobytes())
    (place / "params.Dense_0.bias/0").symlink_to(folder / "outside")
    return place


def orbax_shape_of_a_terabyte(folder: Path) -> Path:
    """An array declares a terabyte, nothing of which is stored (row 5, rule 5)."""
    place = _bias(folder, shape=[1 << 38], chunks=[1 << 38])
    told = json.loads((place / "_METADATA").read_text()) | {"store_array_data_equal_to_fill_value": False}
    (place / "_METADATA").write_text(json.dumps(told))
    (place / "params.Dense_0.bias/0").unlink()
    return place


def orbax_of_a_billion_chunks(folder: Path) -> Path:
    """An array is cut into a billion chunks (rule 5)."""
    return _bias(folder, shape=[1 << 30], chunks=[1])


def orbax_chunks_of_nothing(folder: Path) -> Path:
    """Chunks of no elements (rule 5)."""
    return _bias(folder, chunks=[0])


def gigabyte() -> bytes:
    """A gigabyte of zeros, packed."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(packer.compress(bytes(1 << 24)) for _ in range(64)) + packer.flush()


def orbax_bomb(folder: Path) -> Path:
    """A chunk of 20 bytes unpacks to a gigabyte (row 4)."""
    data = gigabyte()
    return _bias(folder, data, compressor={"id": "zstd", "level": 1})


def orbax_packed_nonsense(folder: Path) -> Path:
    """A chunk says that it is compressed, and is not (row 1)."""
    return _bias(folder, compressor={"id": "zstd", "level": 1})


def orbax_packer_unknown(folder: Path) -> Path:
    """A chunk is compressed by what nobody knows (rule 1)."""
    return _bias(folder, compressor={"id": "pickle"})


def orbax_of_objects(folder: Path) -> Path:
    """An array says that it holds objects (rule 1)."""
    return _bias(folder, dtype="|O8")


def orbax_array_not_listed(folder: Path) -> Path:
    """An array is stored that the checkpoint does not list (rule 6)."""
    listed = {"kernel": _entry("params", "Dense_0", "kernel")}
    return orbax(folder, tree_metadata=listed)


def orbax_array_not_stored(folder: Path) -> Path:
    """An array is listed and not stored (rule 6)."""
    names = ("kernel", "bias", "more")
    return orbax(folder, tree_metadata={name: _entry("params", "Dense_0", name) for name in names})


def orbax_name_climbs(folder: Path) -> Path:
    """The name of an array leaves the folder (rule 2)."""
    names = ("kernel", "bias", "/../../../../etc/passwd")
    return orbax(folder, tree_metadata={name: _entry("params", "Dense_0", name) for name in names})


def orbax_metadata_10000_deep(folder: Path) -> Path:
    """The metadata are nested 10,000 deep (rule 1)."""
    place = orbax(folder)
    (place / "_METADATA").write_text("[" * 10_000 + "]" * 10_000)
    return place


def orbax_metadata_a_list(folder: Path) -> Path:
    """The metadata list no tree (rule 1)."""
    return orbax(folder, tree_metadata=[1, 2])


def orbax_entry_of_numbers(folder: Path) -> Path:
    """An entry of the metadata has numbers for names (rule 1)."""
    return orbax(
        folder, tree_metadata={"a": {"key_metadata": [{"key": 7}], "value_metadata": {"value_type": "scalar"}}}
    )


def _zarr3(folder: Path, *codecs: Any, data: bytes | None = None) -> Path:
    """A checkpoint whose bias is zarr 3."""
    place = orbax(folder)
    inner = place / "params.Dense_0.bias"
    (inner / ".zarray").unlink()
    told = {
        "zarr_format": 3, "node_type": "array", "shape": [UNIT], "data_type": "float32", "fill_value": 0.0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [UNIT]}},
        "chunk_key_encoding": {"name": "v2"}, "codecs": list(codecs),
    }  # fmt: skip
    (inner / "zarr.json").write_text(json.dumps(told))
    if data is not None:
        (inner / "0").write_bytes(data)
    return place


BYTES = {"name": "bytes", "configuration": {"endian": "little"}}


def _sharded(folder: Path, data: bytes) -> Path:
    shards = {"chunk_shape": [1], "codecs": [BYTES], "index_codecs": [BYTES, {"name": "crc32c"}]}
    return _zarr3(folder, {"name": "sharding_indexed", "configuration": shards}, data=data)


def _shard(offset: int = 0) -> bytes:
    """Five chunks of one number each, and their index."""
    data = NAMES["bias"].tobytes()
    index = struct.pack("<10Q", *(n for k in range(UNIT) for n in (4 * k + offset, 4)))
    return data + index + struct.pack("<I", crc32c(index))


def sound_sharded(folder: Path) -> Path:
    """Not hostile: chunks in a chunk."""
    return _sharded(folder, _shard())


def orbax_shard_wrong_crc(folder: Path) -> Path:
    """The index of a shard has a wrong checksum (row 9)."""
    return _sharded(folder, _shard()[:-1] + b"\0")


def orbax_shard_beyond(folder: Path) -> Path:
    """The index of a shard points beyond it (row 1)."""
    return _sharded(folder, _shard(offset=1 << 40))


def orbax_shards_in_shards(folder: Path) -> Path:
    """Shards within shards without end (rule 5)."""
    inner: Any = BYTES
    for _ in range(20):
        told = {"chunk_shape": [1], "codecs": [inner], "index_codecs": [BYTES]}
        inner = {"name": "sharding_indexed", "configuration": told}
    return _zarr3(folder, inner)


def orbax_codec_unknown(folder: Path) -> Path:
    """A codec that nobody knows (rule 1)."""
    return _zarr3(folder, BYTES, {"name": "pickle"})


def orbax_without_bytes(folder: Path) -> Path:
    """A chain of codecs that makes no bytes (rule 1)."""
    return _zarr3(folder, {"name": "zstd"})


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


CASES = table(
    "orbax",
    {
        orbax_name_that_climbs: "names an array outside of its folder",
        orbax_chunk_missing: "missing",
        orbax_chunk_truncated: "a chunk of 20 bytes has 16",
        orbax_chunk_a_fifo: "regular file",
        orbax_chunk_linked_out: "leaves the folder",
        orbax_shape_of_a_terabyte: "1099511627776 bytes",
        orbax_of_a_billion_chunks: "1073741824 chunks",
        orbax_chunks_of_nothing: "do not fit the shape",
        orbax_bomb: "hold more than",
        orbax_packed_nonsense: "damaged",
        orbax_packer_unknown: "pickle",
        orbax_of_objects: "no numbers",
        orbax_array_not_listed: "does not list it",
        orbax_array_not_stored: "does not store it",
        orbax_name_climbs: "does not store it",
        orbax_metadata_10000_deep: "deep",
        orbax_metadata_a_list: "lists no tree",
        orbax_entry_of_numbers: "without names",
        orbax_shard_wrong_crc: "checksum",
        orbax_shard_beyond: "index of chunks",
        orbax_shards_in_shards: "codecs",
        orbax_codec_unknown: "pickle",
        orbax_without_bytes: "codecs",
    },
)
