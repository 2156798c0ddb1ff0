"""Flax's msgpack, Orbax's folders and Equinox's leaves, each damaged in one place; bytes are put together by hand."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from .cases import Builder, table

INPUT, UNIT = 3, 5


def text(word: str) -> bytes:
    return bytes([0xD9, len(word)]) + word.encode()


def number(value: int) -> bytes:
    return b"\xcf" + struct.pack(">Q", value)


def tree(items: Mapping[str, Any]) -> bytes:
    """A map of msgpack; bytes stand as they are."""
    inner = (text(key) + (tree(value) if isinstance(value, Mapping) else value) for key, value in items.items())
    return b"\xde" + struct.pack(">H", len(items)) + b"".join(inner)


def array(values: np.ndarray, shape: bytes | None = None, dtype: str = "float32", code: int = 1) -> bytes:
    """An array as Flax writes it; `shape` stands instead of the true one."""
    sizes = shape or b"\xdc" + struct.pack(">H", values.ndim) + b"".join(map(number, values.shape))
    data = values.tobytes()
    content = b"\x93" + sizes + text(dtype) + b"\xc6" + struct.pack(">I", len(data)) + data
    return b"\xc9" + struct.pack(">Ib", len(content), code) + content


def values(*shape: int) -> np.ndarray:
    count = int(np.prod(shape))
    return (np.arange(1, count + 1, dtype="<f4") / (count + 1)).reshape(shape)


DENSE = {"kernel": array(values(INPUT, UNIT)), "bias": array(values(UNIT))}


def model(**changed: Any) -> bytes:
    return tree({"params": {"Dense_0": {**DENSE, **changed}}})


def _written(folder: Path, data: bytes, name: str = "model.msgpack") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def sound_msgpack(folder: Path) -> Path:
    """Not hostile: a Dense as Flax writes it."""
    return _written(folder, model())


def msgpack_truncated(folder: Path) -> Path:
    """The file ends within its last array (bad input: truncated)."""
    return _written(folder, model()[:-7])


def msgpack_of_4_gigabytes(folder: Path) -> Path:
    """An array announces 4 GB of data that do not follow (rule 5)."""
    data = model()
    at = data.rindex(b"\xc6")
    return _written(folder, data[: at + 1] + b"\xff\xff\xff\xff" + data[at + 5 :])


def msgpack_of_a_billion_keys(folder: Path) -> Path:
    """A map announces 4 billion entries (rule 5)."""
    return _written(folder, model(more=b"\xdf\xff\xff\xff\xff"))


def msgpack_10000_deep(folder: Path) -> Path:
    """Maps within maps, 10,000 deep (rule 5)."""
    return _written(folder, model(more=(b"\x81" + text("a")) * 10_000 + b"\xc0"))


def msgpack_with_keys_twice(folder: Path) -> Path:
    """A layer has two arrays of one name (rule 6)."""
    inner = b"\x83" + b"".join(text(key) + value for key, value in (*DENSE.items(), ("bias", DENSE["bias"])))
    return _written(folder, tree({"params": {"Dense_0": inner}}))


def msgpack_shape_lies(folder: Path) -> Path:
    """An array of 20 bytes declares a shape of 4 TB (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x92" + number(1_000_000) * 2)))


def msgpack_shape_overflows(folder: Path) -> Path:
    """Sizes whose product is beyond 64 bits (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x93" + number(1 << 63) * 3)))


def msgpack_shape_negative(folder: Path) -> Path:
    """A size below zero (rule 5)."""
    return _written(folder, model(bias=array(values(UNIT), b"\x91\xff")))


def msgpack_of_objects(folder: Path) -> Path:
    """An array says that it holds objects (rule 1)."""
    return _written(folder, model(bias=array(values(UNIT), dtype="object")))


def msgpack_dtype_a_list(folder: Path) -> Path:
    """The name of a dtype is a structure (rule 1)."""
    return _written(folder, model(bias=array(values(UNIT), dtype="[('a', '<f4')]")))


def msgpack_extension_unknown(folder: Path) -> Path:
    """An extension that Flax does not write (rule 6)."""
    return _written(folder, model(bias=array(values(UNIT), code=77)))


def msgpack_with_more_behind(folder: Path) -> Path:
    """Another tree behind the tree (rule 6)."""
    return _written(folder, model() + model())


def msgpack_name_not_utf8(folder: Path) -> Path:
    """A name that is not UTF-8 (rule 8)."""
    return _written(folder, model().replace(b"bias", b"bia\xff"))


def msgpack_name_with_controls(folder: Path) -> Path:
    """A name that writes over the terminal (rule 8)."""
    return _written(folder, tree({"params": {"Dense\x1b[2K\n0": {**DENSE, "extra": array(values(2))}}}))


def _chunked(**changed: Any) -> bytes:
    flat = values(INPUT, UNIT).ravel()
    one = {"__msgpack_chunked_array__": b"\xc3", "shape": {"0": b"\x03", "1": b"\x05"}}
    return model(kernel={**one, "chunks": {"0": array(flat[:7]), "1": array(flat[7:])}, **changed})


def sound_chunked(folder: Path) -> Path:
    """Not hostile: an array in pieces, as Flax cuts those of more than 1 GB."""
    return _written(folder, _chunked())


def msgpack_pieces_missing(folder: Path) -> Path:
    """The pieces of an array are fewer than its shape says (rule 5)."""
    return _written(folder, _chunked(chunks={"0": array(values(7))}))


def msgpack_pieces_renumbered(folder: Path) -> Path:
    """The pieces of an array are numbered 0 and 2 (rule 6)."""
    return _written(folder, _chunked(chunks={"0": array(values(7)), "2": array(values(8))}))


def msgpack_pieces_of_pieces(folder: Path) -> Path:
    """A piece is an array in pieces that declares 1 TB (rule 5)."""
    inner = {"__msgpack_chunked_array__": b"\xc3", "shape": {"0": number(1 << 40)}, "chunks": {"0": array(values(7))}}
    return _written(folder, _chunked(chunks={"0": inner, "1": array(values(8))}))


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
        (inner / ".zarray").write_text(json.dumps(_zarray(data)))
        (inner / ".".join("0" * data.ndim)).write_bytes(data.tobytes())
    return place


def _zarray(data: np.ndarray, **changed: Any) -> dict[str, Any]:
    return {
        "zarr_format": 2, "shape": [*data.shape], "chunks": [*data.shape], "dtype": "<f4", "order": "C",
        "compressor": None, "filters": None, "fill_value": None, "dimension_separator": ".",
    } | changed  # fmt: skip


def _bias(folder: Path, data: bytes | None = None, **changed: Any) -> Path:
    """A checkpoint whose bias has other metadata, and maybe other data."""
    place = orbax(folder)
    (place / "params.Dense_0.bias/.zarray").write_text(json.dumps(_zarray(NAMES["bias"], **changed)))
    if data is not None:
        (place / "params.Dense_0.bias/0").write_bytes(data)
    return place


def sound_orbax(folder: Path) -> Path:
    """Not hostile: a checkpoint of one Dense."""
    return orbax(folder)


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


def varints(*numbers: int) -> bytes:
    found = bytearray()
    for value in numbers:
        while value > 127:
            found.append(value & 127 | 128)
            value >>= 7
        found.append(value)
    return bytes(found)


def _block(magic: int, body: bytes) -> bytes:
    head = struct.pack(">I", magic) + struct.pack("<Q", len(body) + 18) + varints(0, 0)
    return head + body + struct.pack("<I", crc32c(head + body))


def _manifest(path: str, offset: int, length: int, height: int = 0) -> bytes:
    config = bytes(16) + varints(0, 1024, 100_000_000) + b"\x04" + varints(0)
    files = varints(1, len(path), 0) + path.encode()
    version = varints(1, 1) + bytes([height]) + varints(0, offset, length, 1, length, 0) + bytes(8)
    return _block(0x0CDB3A2A, config + files + version + varints(0))


def _node(entries: Mapping[str, bytes]) -> bytes:
    """A leaf with its values in it."""
    keys = [key.encode() for key in entries]
    columns = varints(*[0] * (len(keys) - 1), *map(len, keys)) + b"".join(keys)
    values_ = varints(*map(len, entries.values()), *[0] * len(keys)) + b"".join(entries.values())
    return _block(0x0CDB20DE, b"\0" + varints(0, len(keys)) + columns + values_)


def database(folder: Path, path: str = "d/data", **changed: int) -> Path:
    """A checkpoint whose arrays stand in a database of one node; `changed` alters what the manifest says of it."""
    place = folder / "checkpoint"
    (place / "d").mkdir(parents=True)
    entries = {}
    for name, data in NAMES.items():
        entries[f"params.Dense_0.{name}/.zarray"] = json.dumps(_zarray(data)).encode()
        entries[f"params.Dense_0.{name}/{'.'.join('0' * data.ndim)}"] = data.tobytes()
    node = _node(dict(sorted(entries.items())))
    (place / "d/data").write_bytes(node)
    told = {"offset": 0, "length": len(node), "height": 0} | changed
    (place / "manifest.ocdbt").write_bytes(_manifest(path, told["offset"], told["length"], told["height"]))
    return place


def sound_database(folder: Path) -> Path:
    """Not hostile: a database of one node."""
    return database(folder)


def database_truncated(folder: Path) -> Path:
    """The file of the node ends early (bad input: truncated)."""
    place = database(folder)
    (place / "d/data").write_bytes((place / "d/data").read_bytes()[:-9])
    return place


def database_manifest_truncated(folder: Path) -> Path:
    """The manifest ends early (bad input: truncated)."""
    place = database(folder)
    (place / "manifest.ocdbt").write_bytes((place / "manifest.ocdbt").read_bytes()[:40])
    return place


def database_wrong_crc(folder: Path) -> Path:
    """A byte of a weight in the node has changed (row 9)."""
    place = database(folder)
    data = bytearray((place / "d/data").read_bytes())
    data[-9] ^= 1
    (place / "d/data").write_bytes(bytes(data))
    return place


def database_climbs(folder: Path) -> Path:
    """The manifest names a file outside the folder (row 10, rule 2)."""
    place = database(folder, path="../outside")
    (folder / "outside").write_bytes((place / "d/data").read_bytes())
    return place


def database_absolute(folder: Path) -> Path:
    """The manifest names a file from the root of the file system (rule 2)."""
    return database(folder, path=str(folder / "checkpoint/d/data"))


def database_beyond_the_file(folder: Path) -> Path:
    """The root stands beyond the end of its file (row 1)."""
    return database(folder, offset=1 << 60)


def database_of_another_height(folder: Path) -> Path:
    """The manifest says that the root is an inner node, and it is a leaf (row 1)."""
    return database(folder, height=3)


def database_cyclic(folder: Path) -> Path:
    """A node whose one child is itself (row 6)."""
    place = database(folder)
    name, size = b"d/data", 0
    for _ in range(3):
        columns = varints(0, 0) + varints(0, 0, size, 1, 1, 1)
        body = b"\x01" + varints(1, len(name), 0) + name + varints(1) + varints(0) + columns
        node = _block(0x0CDB20DE, body)
        size = len(node)
    (place / "d/data").write_bytes(node)
    (place / "manifest.ocdbt").write_bytes(_manifest("d/data", 0, size, 1))
    return place


def database_of_a_billion_entries(folder: Path) -> Path:
    """A node announces a billion entries (rule 5)."""
    place = database(folder)
    node = _block(0x0CDB20DE, b"\0" + varints(0, 1 << 30))
    (place / "d/data").write_bytes(node)
    (place / "manifest.ocdbt").write_bytes(_manifest("d/data", 0, len(node)))
    return place


def database_node_a_bomb(folder: Path) -> Path:
    """A node of some bytes unpacks to more than a node may hold (row 4)."""
    place, data = database(folder), gigabyte()
    head = struct.pack(">I", 0x0CDB20DE) + struct.pack("<Q", len(data) + 18) + varints(0, 1)
    node = head + data + struct.pack("<I", crc32c(head + data))
    (place / "d/data").write_bytes(node)
    (place / "manifest.ocdbt").write_bytes(_manifest("d/data", 0, len(node)))
    return place


def leaves(*arrays: np.ndarray) -> bytes:
    """The arrays one after another."""
    file = io.BytesIO()
    for one in arrays:
        np.save(file, one)
    return file.getvalue()


def leaves_without_names(folder: Path) -> Path:
    """Sound leaves, of which nobody says what they are (rule 7)."""
    return _written(folder, leaves(*NAMES.values()), "model.eqx")


def leaves_truncated(folder: Path) -> Path:
    """The last array ends early (bad input: truncated)."""
    return _written(folder, leaves(*NAMES.values())[:-3], "model.eqx")


def leaves_of_objects(folder: Path) -> Path:
    """The second array is a pickle (rule 1)."""
    return _written(folder, leaves(NAMES["kernel"], np.array([{}], object)), "model.eqx")


def leaves_of_a_terabyte(folder: Path) -> Path:
    """The second array declares a terabyte (rule 5)."""
    data = leaves(*NAMES.values())
    at = data.rindex(b"(5,)")
    return _written(folder, data[:at] + b"(274877906944,), }" + data[at + 18 :], "model.eqx")


def leaves_with_nonsense_behind(folder: Path) -> Path:
    """What follows the last array is none (rule 6)."""
    return _written(folder, leaves(*NAMES.values()) + b"\0" * 64, "model.eqx")


SOUND: tuple[Builder, ...] = (sound_msgpack, sound_chunked, sound_orbax, sound_sharded, sound_database)

CASES = (
    table(
        "msgpack",
        {
            msgpack_truncated: "truncated",
            msgpack_of_4_gigabytes: "4294967295 bytes",
            msgpack_of_a_billion_keys: "8589934590 values",
            msgpack_10000_deep: "deeper than 100",
            msgpack_with_keys_twice: "twice",
            msgpack_shape_lies: "20 are stored",
            msgpack_shape_overflows: "20 are stored",
            msgpack_shape_negative: "impossible shape",
            msgpack_of_objects: "no numbers",
            msgpack_dtype_a_list: "no numbers",
            msgpack_extension_unknown: "extension 77",
            msgpack_with_more_behind: "follow behind the tree",
            msgpack_name_not_utf8: "UTF-8",
            msgpack_name_with_controls: "no layout fits",
            msgpack_pieces_missing: "do not make up",
            msgpack_pieces_renumbered: "not numbered",
            msgpack_pieces_of_pieces: "do not make up",
        },
    )
    | table(
        "orbax",
        {
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
            database_truncated: "which has",
            database_manifest_truncated: "length is wrong",
            database_wrong_crc: "checksum",
            database_climbs: "not a relative path",
            database_absolute: "not a relative path",
            database_beyond_the_file: "which has",
            database_of_another_height: "not of the height",
            database_cyclic: "twice",
            database_of_a_billion_entries: "1000000 entries",
            database_node_a_bomb: "hold more than",
        },
    )
    | table(
        "leaves",
        {
            leaves_without_names: "have no names",
            leaves_truncated: "truncated",
            leaves_of_objects: "Python objects",
            leaves_of_a_terabyte: "truncated",
            leaves_with_nonsense_behind: "header",
        },
    )
)
