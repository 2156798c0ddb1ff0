"""safetensors and their shards with false headers, ranges and maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cases import Case, table

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def sound_safetensors(folder: Path) -> Path:
    """Not hostile: one array."""
    return _file(folder, {"a.weight": ENTRY})


def _file(folder: Path, header: Any, data: bytes = bytes(24), name: str = "model.safetensors") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / name
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _entry(**changes: Any) -> dict[str, Any]:
    return {"a.weight": ENTRY | changes}


def header_longer_than_the_file(folder: Path) -> Path:
    """A header of more bytes than the file has (rule 5)."""
    path = folder / "model.safetensors"
    path.write_bytes((1 << 20).to_bytes(8, "little") + b'{"a": {}}')
    return path


def header_cut(folder: Path) -> Path:
    """A file that ends within its data (bad input)."""
    path = sound_safetensors(folder)
    path.write_bytes(path.read_bytes()[:-4])
    return path


def header_10000_deep(folder: Path) -> Path:
    """A header of lists 10,000 deep (rule 1)."""
    return _file(folder, b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}")


def header_of_a_million_entries(folder: Path) -> Path:
    """A header with more values than are parsed (rule 1)."""
    return _file(folder, b'{"a": [' + b"0," * 1_000_001 + b"0]}")


def header_not_json(folder: Path) -> Path:
    """A header that is no JSON (bad input)."""
    return _file(folder, b"{'a': 1}")


def header_with_a_name_twice(folder: Path) -> Path:
    """One name twice (rule 6)."""
    own = json.dumps(ENTRY)
    return _file(folder, f'{{"a": {own}, "a": {own}}}'.encode())


def header_of_numbers(folder: Path) -> Path:
    """Metadata that are no texts (rule 1)."""
    return _file(folder, {"__metadata__": {"format": 7}, "a.weight": ENTRY})


def entry_with_more(folder: Path) -> Path:
    """An entry with a field of its own (rule 6)."""
    return _file(folder, _entry(path="/etc/passwd"))


def entry_of_an_unknown_dtype(folder: Path) -> Path:
    """A dtype that does not exist (rule 7)."""
    return _file(folder, _entry(dtype="F31"))


def entry_of_a_list_as_dtype(folder: Path) -> Path:
    """A dtype that is no text (rule 1)."""
    return _file(folder, _entry(dtype=["F32"]))


def entry_below_zero(folder: Path) -> Path:
    """A size below zero (rule 5)."""
    return _file(folder, _entry(shape=[-2, -3]))


def entry_of_true(folder: Path) -> Path:
    """A size that is a truth (rule 1)."""
    return _file(folder, _entry(shape=[True, 6]))


def entry_of_a_huge_shape(folder: Path) -> Path:
    """A shape whose product is 2^124 (rule 5)."""
    return _file(folder, _entry(shape=[(1 << 62) - 1, (1 << 62) - 1]))


def entry_of_many_axes(folder: Path) -> Path:
    """A hundred axes (rule 5)."""
    return _file(folder, _entry(shape=[1] * 98 + [2, 3]))


def entry_backwards(folder: Path) -> Path:
    """A range that ends before it begins (rule 5)."""
    return _file(folder, _entry(data_offsets=[24, 0]))


def entries_overlapping(folder: Path) -> Path:
    """Two arrays over the same bytes (row 6)."""
    return _file(folder, {"a.weight": ENTRY, "b.weight": ENTRY})


def entries_with_a_gap(folder: Path) -> Path:
    """Bytes between two arrays that belong to neither (rule 6)."""
    return _file(folder, {"a.weight": ENTRY, "b.weight": ENTRY | {"data_offsets": [28, 52]}}, bytes(52))


def entries_with_a_tail(folder: Path) -> Path:
    """Bytes at the end that belong to no array (rule 6)."""
    return _file(folder, {"a.weight": ENTRY}, bytes(28))


def entries_none(folder: Path) -> Path:
    """A header without arrays (rule 6)."""
    return _file(folder, {}, b"")


def entry_with_control_characters(folder: Path) -> Path:
    """A name that would clear the screen, of an array of no size that fits (rule 8)."""
    return _file(folder, {"a\x1b[2J\n.weight": ENTRY | {"shape": [7]}})


def _index(folder: Path, named: Any) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 24}, "weight_map": named}))
    return path


SHARD = "model-00001-of-00001.safetensors"


def index_in_parent(folder: Path) -> Path:
    """A shard outside the folder of the index (rule 2)."""
    inside = folder / "inside"
    inside.mkdir()
    _file(folder, {"a.weight": ENTRY}, name="outside.safetensors")
    return _index(inside, {"a.weight": "../outside.safetensors"})


def index_absolute(folder: Path) -> Path:
    """A shard by a path from the root (rule 2)."""
    return _index(folder, {"a.weight": "/etc/passwd.safetensors"})


def index_linked_out(folder: Path) -> Path:
    """A shard that is a link out of the folder (rule 2)."""
    inside = folder / "inside"
    inside.mkdir()
    (inside / SHARD).symlink_to(_file(folder, {"a.weight": ENTRY}, name="outside.safetensors"))
    return _index(inside, {"a.weight": SHARD})


def index_of_a_missing_shard(folder: Path) -> Path:
    """A shard that is not there (bad input)."""
    return _index(folder, {"a.weight": SHARD})


def index_with_too_little(folder: Path) -> Path:
    """A shard with an array that the index does not name (rule 6)."""
    header = {"a.weight": ENTRY, "b.weight": ENTRY | {"data_offsets": [24, 48]}}
    _file(folder, header, bytes(48), SHARD)
    return _index(folder, {"a.weight": SHARD})


def index_with_too_much(folder: Path) -> Path:
    """An index that names an array that its shard does not have (rule 6)."""
    _file(folder, {"a.weight": ENTRY}, name=SHARD)
    return _index(folder, {"a.weight": SHARD, "b.weight": SHARD})


def index_of_another_kind(folder: Path) -> Path:
    """A shard that is an archive of something else (bad input)."""
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(b"PK\x03\x04 no archive")
    return _index(folder, {"a.weight": "pytorch_model-00001-of-00001.bin"})


CASES: dict[str, Case] = table(
    "safetensors",
    {
        header_longer_than_the_file: "truncated",
        header_cut: "truncated",
        header_10000_deep: "nested",
        header_of_a_million_entries: "values",
        header_not_json: "not valid json",
        header_with_a_name_twice: "twice",
        header_of_numbers: "no texts",
        entry_with_more: "other fields",
        entry_of_an_unknown_dtype: "F31",
        entry_of_a_list_as_dtype: "dtype",
        entry_below_zero: "impossible",
        entry_of_true: "impossible",
        entry_of_a_huge_shape: "its shape makes",
        entry_of_many_axes: "impossible",
        entry_backwards: "its shape makes",
        entries_overlapping: "overlaps",
        entries_with_a_gap: "gap",
        entries_with_a_tail: "no array",
        entries_none: "no weights",
        entry_with_control_characters: "its shape makes",
        index_in_parent: "relative path",
        index_absolute: "relative path",
        index_linked_out: "leaves the folder",
        index_of_a_missing_shard: "no such file",
        index_with_too_little: "not in the index",
        index_with_too_much: "missing in it",
        index_of_another_kind: "zip archive",
    },
)
