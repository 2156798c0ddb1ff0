"""Folders of Orbax whose arrays stand in an OCDBT database, damaged in one place; blocks are put together by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from .cases import table
from .zarr import NAMES, crc32c, gigabyte, metadata


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
        entries[f"params.Dense_0.{name}/.zarray"] = json.dumps(metadata(data)).encode()
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


CASES = table(
    "orbax",
    {
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
