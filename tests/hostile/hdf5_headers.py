"""HDF5 files whose headers, indexes, heaps and attributes are lies, loops or bombs."""

from __future__ import annotations

from pathlib import Path

import h5py

from .cases import KERNEL, LAYER, NAMES, SCOPE, h5_model, table
from .patching import (
    ATTRIBUTE,
    CONTINUATION,
    DATASPACE,
    LAYOUT,
    NOWHERE,
    SYMBOL_TABLE,
    append,
    find,
    get,
    group_tree,
    header,
    message,
    put,
    seal,
    seal_header,
)


def header_continues_in_itself(folder: Path) -> Path:
    """An object header's continuation is its own first block, 65,535 times (rule 3)."""
    path = h5_model(folder / "model.h5")
    address = header(path, LAYER)
    put(path, message(path, LAYER, CONTINUATION), "QQ", address + 16, 24)
    return put(path, address + 2, "H", 65535)


def header_continuations_multiply(folder: Path) -> Path:
    """A megabyte of continuations, each the whole megabyte again: 64 GB of headers (rule 5)."""
    path = h5_model(folder / "model.h5")
    address, body = header(path, LAYER), message(path, LAYER, CONTINUATION)
    count = 40_000
    at = append(path, bytes(24 * count))
    one = path.read_bytes()[body - 8 : body] + at.to_bytes(8, "little")
    put(path, at, f"{24 * count}s", (one + (24 * count).to_bytes(8, "little")) * count)
    put(path, body, "QQ", at, 24 * count)
    return put(path, address + 2, "H", 65535)


def new_header_continues_in_itself(folder: Path) -> Path:
    """The same in a version 2 header, which counts no messages, checksums right (rule 3)."""
    path = h5_model(folder / "model.h5", libver="latest")
    address, body = header(path, KERNEL), message(path, KERNEL, 0)
    at = append(path, bytes(32))
    block = b"OCHK" + b"\x10\x10\0\0" + at.to_bytes(8, "little") + (28).to_bytes(8, "little")
    put(path, at, "24s", block)
    seal(path, at, at + 24)
    put(path, body - 4, "B", CONTINUATION)
    put(path, body, "QQ", at, 28)
    return seal_header(path, address)


def new_header_of_messages_by_the_million(folder: Path) -> Path:
    """A header of five million empty messages, each a hundred times larger when parsed (rule 5)."""
    path = h5_model(folder / "model.h5", libver="latest")
    address, body = header(path, KERNEL), message(path, KERNEL, 0)
    size = 20_000_000
    at = append(path, b"OCHK" + bytes(size + 4))
    put(path, body - 4, "B", CONTINUATION)
    put(path, body, "QQ", at, size + 8)
    return seal_header(path, address)


def new_header_checksum_wrong(folder: Path) -> Path:
    """A version 2 header moved the kernel's data by eight bytes, over its neighbour (rule 3)."""
    path = h5_model(folder / "model.h5", libver="latest")
    at = message(path, KERNEL, LAYOUT) + 2
    return put(path, at, "Q", get(path, at, "Q")[0] - 8)


def header_continues_beyond_the_file(folder: Path) -> Path:
    """A header's continuation lies beyond the file and has 2**62 bytes (rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, LAYER, CONTINUATION), "QQ", NOWHERE, 2**62)


def header_of_four_gigabytes(folder: Path) -> Path:
    """An object header says that it has 4 GiB (rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, header(path, KERNEL) + 8, "I", 2**32 - 8)


def message_larger_than_its_header(folder: Path) -> Path:
    """A header message is longer than the header that holds it (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, message(path, KERNEL, DATASPACE) - 6, "H", 65528)


def group_tree_explodes(folder: Path) -> Path:
    """A group's index of eight levels whose 32 children are all the same node (rule 5)."""
    path = h5_model(folder / "model.h5")
    child, _ = group_tree(path, SCOPE)
    for level in range(1, 9):
        head = b"TREE" + bytes((0, level)) + (32).to_bytes(2, "little") + b"\xff" * 16
        entry = bytes(8) + child.to_bytes(8, "little")
        child = append(path, head + entry * 32 + bytes(8))
    return put(path, message(path, SCOPE, SYMBOL_TABLE), "Q", child)


def group_tree_of_itself(folder: Path) -> Path:
    """A group's index names itself as its child (rule 3)."""
    path = h5_model(folder / "model.h5")
    tree, _ = group_tree(path, SCOPE)
    put(path, tree + 5, "B", 1)
    return put(path, tree + 32, "Q", tree)


def group_tree_entries(folder: Path) -> Path:
    """A group's index counts 65,535 entries in a node of one (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, group_tree(path, SCOPE)[0] + 6, "H", 65535)


def group_of_too_many_symbols(folder: Path) -> Path:
    """A symbol node counts 65,535 entries and holds three (rule 3)."""
    path = h5_model(folder / "model.h5")
    (node,) = get(path, group_tree(path, SCOPE)[0] + 32, "Q")
    return put(path, node + 6, "H", 65535)


def group_name_beyond_its_heap(folder: Path) -> Path:
    """A link's name stands outside the heap of names (rule 3)."""
    path = h5_model(folder / "model.h5")
    (node,) = get(path, group_tree(path, SCOPE)[0] + 32, "Q")
    return put(path, node + 8, "Q", NOWHERE)


def group_name_without_end(folder: Path) -> Path:
    """The heap of names has no zero byte, so that a name runs on into the file (rule 3)."""
    path = h5_model(folder / "model.h5")
    size, _, data = get(path, group_tree(path, SCOPE)[1] + 8, "QQQ")
    return put(path, data, f"{size}s", b"a" * size)


def group_heap_of_two_to_the_62(folder: Path) -> Path:
    """The heap of names says that it has 2**62 bytes (rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, group_tree(path, SCOPE)[1] + 8, "Q", 2**62)


def fractal_heap_explodes(folder: Path) -> Path:
    """A heap of links whose index is each of its own children: visits beyond counting (5)."""
    path = _many_links(folder / "model.h5")
    heap = find(path, b"FRHP")
    root = get(path, heap + 132, "Q")[0].to_bytes(8, "little")
    at = append(path, bytes(17 + 8 * 240 + 4))
    append(path, bytes(2**17))  # so that a block read from here does not meet the file's end
    block = b"FHIB\0" + heap.to_bytes(8, "little") + bytes(4)
    direct = path.read_bytes()[int.from_bytes(root, "little") + 17 :][:8]
    put(path, at, f"{17 + 8 * 240}s", block + direct * 36 + at.to_bytes(8, "little") * 204)
    seal(path, at, at + 17 + 8 * 240)
    put(path, heap + 132, "QH", at, 60)
    return seal(path, heap, heap + 142)


def fractal_heap_of_wide_rows(folder: Path) -> Path:
    """A heap of links counts 65,535 rows of blocks, the last of 2**65542 bytes (rule 5)."""
    path = _many_links(folder / "model.h5")
    heap = find(path, b"FRHP")
    put(path, heap + 140, "H", 65535)
    return seal(path, heap, heap + 142)


def new_tree_of_great_depth(folder: Path) -> Path:
    """A version 2 index of links says that it has 65,535 levels (rule 5)."""
    path = _many_links(folder / "model.h5")
    tree = find(path, b"BTHD")
    put(path, tree + 12, "H", 65535)
    return seal(path, tree, tree + 34)


def _many_links(path: Path) -> Path:
    """A model of the newest format with a group of 1,500 links, as its heap of links needs."""

    def change(file: h5py.File) -> None:
        for index in range(1500):
            file[f"{SCOPE}/{index:04}"] = file[KERNEL]

    return h5_model(path, change, libver="latest")


def attribute_string_of_two_gigabytes(folder: Path) -> Path:
    """Each string of an attribute is declared as 2 GiB (row 3, rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, find(path, b"layer_names\0") + 16 + 4, "I", 2**31 - 1)


def attribute_of_two_to_the_40_strings(folder: Path) -> Path:
    """An attribute is declared as 2**40 strings (row 3, rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, find(path, b"weight_names\0") + 16 + 8 + 8, "Q", 2**40)


def attribute_of_a_hundred_million_strings(folder: Path) -> Path:
    """An attribute is declared as so many strings of variable length, for which a parser makes room (row 3, rule 5)."""
    path = h5_model(folder / "model.h5", lambda file: file[LAYER].attrs.__setitem__("weight_names", NAMES))
    return put(path, find(path, b"weight_names\0") + 16 + 24 + 8, "Q", 10**8)


def attribute_string_longer_than_its_heap(folder: Path) -> Path:
    """The length of a variable string is 2 GiB; its heap holds a few bytes (row 3, rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, _string_id(path) - 4, "I", 2**31 - 1)


def attribute_heap_beyond_the_file(folder: Path) -> Path:
    """A variable string's heap lies beyond the end of the file (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, _string_id(path), "Q", NOWHERE)


def attribute_heap_without_the_string(folder: Path) -> Path:
    """A variable string is number 65,000 of a heap of three (rule 3)."""
    path = h5_model(folder / "model.h5")
    return put(path, _string_id(path) + 8, "I", 65000)


def attribute_heap_of_two_to_the_62(folder: Path) -> Path:
    """The heap of variable strings says that it has 2**62 bytes (rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, find(path, b"GCOL") + 8, "Q", 2**62)


def attribute_heap_object_of_two_to_the_62(folder: Path) -> Path:
    """One variable string in the heap says that it has 2**62 bytes (rule 5)."""
    path = h5_model(folder / "model.h5")
    return put(path, find(path, b"GCOL") + 24, "Q", 2**62)


def attribute_alias_bomb(folder: Path) -> Path:
    """4,000 weight names are one variable string of a megabyte: 4 GB of names (rows 3 and 6)."""

    def change(file: h5py.File) -> None:
        file[LAYER].attrs.create("weight_names", ["x" * 2**20] + ["y"] * 3999, dtype=h5py.string_dtype())

    path = h5_model(folder / "model.h5", change)
    body = message(path, LAYER, ATTRIBUTE)
    at = body + 8 + sum(-(-size // 8) * 8 for size in get(path, body + 2, "HHH"))
    return put(path, at, "64000s", path.read_bytes()[at : at + 16] * 4000)


def _string_id(path: Path) -> int:
    """Where `model_config` keeps the address of its heap; the index follows."""
    heap = find(path, b"GCOL").to_bytes(8, "little")
    return find(path, heap, find(path, b"model_config\0"))


CASES = table(
    "hdf5",
    {
        header_continues_in_itself: "damaged",
        header_continuations_multiply: "too large",
        new_header_continues_in_itself: "damaged",
        new_header_of_messages_by_the_million: "too large",
        new_header_checksum_wrong: "overlap",
        header_continues_beyond_the_file: "damaged",
        header_of_four_gigabytes: "damaged",
        message_larger_than_its_header: "damaged",
        group_tree_explodes: "damaged",
        group_tree_of_itself: "damaged",
        group_tree_entries: "damaged",
        group_of_too_many_symbols: "damaged",
        group_name_beyond_its_heap: "damaged",
        group_name_without_end: "damaged",
        group_heap_of_two_to_the_62: "damaged",
        fractal_heap_explodes: "damaged",
        fractal_heap_of_wide_rows: "damaged",
        new_tree_of_great_depth: "damaged",
        attribute_string_of_two_gigabytes: "layer_names",
        attribute_of_two_to_the_40_strings: "weight_names",
        attribute_of_a_hundred_million_strings: "too many",
        attribute_string_longer_than_its_heap: "model_config",
        attribute_heap_beyond_the_file: "damaged",
        attribute_heap_without_the_string: "model_config",
        attribute_heap_of_two_to_the_62: "damaged",
        attribute_heap_object_of_two_to_the_62: "stored",
        attribute_alias_bomb: "weight_names",
    },
)
