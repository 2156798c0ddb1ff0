"""HDF5 files that lie about the chunks of a weight: their filters, places and index."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py

from .cases import (
    KERNEL,
    SHAPES,
    h5_chunk,
    h5_kernel,
    h5_model,
    table,
    values,
    without_kernel,
)
from .patching import (
    FILTERS,
    LAYOUT,
    NOWHERE,
    append,
    chunk_tree,
    deflated_zeros,
    get,
    message,
    put,
)

SHAPE = SHAPES["kernel"]
RAW = values("kernel").tobytes()
ZIPPED = zlib.compress(RAW)
GIB = (2**14, 2**14)  # float32: 1 GiB
FIRST_KEY = 24  # in a version 1 B-tree node
FIRST_CHILD = FIRST_KEY + 8 + 8 * 3


def chunk_shorter_than_declared(folder: Path) -> Path:
    """An unfiltered chunk stores half its bytes; the rest would be old memory (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", RAW[: len(RAW) // 2])


def chunk_longer_than_declared(folder: Path) -> Path:
    """An unfiltered chunk stores bytes beyond its declared size (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", RAW + b"smuggled")


def chunk_inflates_short(folder: Path) -> Path:
    """A gzip chunk inflates to fewer bytes than the chunk holds (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", zlib.compress(RAW[:-40]), compression="gzip")


def chunk_inflates_long(folder: Path) -> Path:
    """A gzip chunk inflates to more bytes than the chunk holds (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", zlib.compress(RAW + bytes(40)), compression="gzip")


def chunk_tail_after_gzip(folder: Path) -> Path:
    """Bytes hide after the end of a gzip stream (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", ZIPPED + b"smuggled", compression="gzip")


def chunk_gzip_corrupted(folder: Path) -> Path:
    """A gzip stream is broken in its middle (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", ZIPPED[:30] + b"\xff" * 20 + ZIPPED[50:], compression="gzip")


def chunk_gzip_truncated(folder: Path) -> Path:
    """A gzip stream ends before its last block (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", ZIPPED[:-20], compression="gzip")


def deflate_bomb(folder: Path) -> Path:
    """One megabyte of gzip really inflates to the declared gigabyte (row 4, rule 5)."""
    return h5_chunk(folder / "model.h5", deflated_zeros(2**30), shape=GIB, compression="gzip")


def deflate_bomb_beyond_the_edge(folder: Path) -> Path:
    """A small kernel in one chunk of a gigabyte, nearly all of it beyond the kernel's edge (row 4, rule 5)."""
    return h5_chunk(folder / "model.h5", deflated_zeros(2**30), chunks=GIB, maxshape=(None, None), compression="gzip")


def deflate_bomb_undeclared(folder: Path) -> Path:
    """A chunk declared as 240 bytes inflates to a gigabyte (row 4, rule 5)."""
    path = h5_chunk(folder / "model.h5", ZIPPED, compression="gzip")
    tree, bomb = chunk_tree(path, KERNEL), deflated_zeros(2**30)
    put(path, tree + FIRST_KEY, "I", len(bomb))
    return put(path, tree + FIRST_CHILD, "Q", append(path, bomb))


def two_deflate_filters(folder: Path) -> Path:
    """Deflate twice: a few kilobytes inflate to a gigabyte, as declared (row 4, rule 3)."""

    def change(file: h5py.File) -> None:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_chunk(GIB)
        create.set_deflate(9)
        create.set_deflate(9)
        space = h5py.h5s.create_simple(GIB)
        kernel = h5py.h5d.create(file.id, KERNEL.encode(), h5py.h5t.IEEE_F32LE, space, create)
        kernel.write_direct_chunk((0, 0), zlib.compress(deflated_zeros(2**30), 9))

    return h5_model(folder / "model.h5", without_kernel(change))


def filter_unknown(folder: Path) -> Path:
    """A filter of an unregistered number: a plug-in would be loaded (rule 3)."""
    path = h5_chunk(folder / "model.h5", ZIPPED, compression="gzip")
    return put(path, message(path, KERNEL, FILTERS) + 8, "H", 32123)


def filter_lzf(folder: Path) -> Path:
    """A sound file, but by the LZF filter, which is not allowed (rule 3)."""
    return h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE, compression="lzf")


def filter_scale_offset(folder: Path) -> Path:
    """A sound file, but by the lossy scale-offset filter, which is not allowed (rule 3)."""
    return h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE, scaleoffset=3)


def filters_by_the_thousand(folder: Path) -> Path:
    """The filter message announces 255 filters and holds one (rule 3)."""
    path = h5_chunk(folder / "model.h5", ZIPPED, compression="gzip")
    return put(path, message(path, KERNEL, FILTERS) + 1, "B", 255)


def fletcher32_wrong(folder: Path) -> Path:
    """The checksum of a chunk is not that of its bytes (row 1, rule 3)."""
    return h5_chunk(folder / "model.h5", RAW + b"\1\2\3\4", fletcher32=True)


def shuffle_of_wrong_size(folder: Path) -> Path:
    """Shuffle by elements of seven bytes for a type of four: readers disagree (rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE, shuffle=True)
    body = message(path, KERNEL, FILTERS)
    (name_length,) = get(path, body + 10, "H")
    return put(path, body + 16 + name_length, "I", 7)


def chunk_missing(folder: Path) -> Path:
    """One of four chunks was never stored and reads as zeros (row 5, rule 3)."""

    def change(file: h5py.File) -> None:
        kernel = file.create_dataset(KERNEL, shape=SHAPE, dtype="<f4", chunks=(3, 5))
        for column in (0, 5, 15):
            kernel[:, column : column + 5] = values("kernel")[:, column : column + 5]

    return h5_model(folder / "model.h5", without_kernel(change))


def chunk_twice(folder: Path) -> Path:
    """Two chunks of the index claim the same place, so another has none (row 5, rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=(3, 10))
    return put(path, chunk_tree(path, KERNEL) + FIRST_CHILD + 8 + 8, "QQQ", 0, 0, 0)


def chunk_off_the_grid(folder: Path) -> Path:
    """A chunk stands outside the shape, its own place stays empty (row 5, rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=(3, 10))
    return put(path, chunk_tree(path, KERNEL) + FIRST_CHILD + 8 + 8, "QQQ", 0, 4000, 0)


def chunk_beyond_the_file(folder: Path) -> Path:
    """A chunk's address lies far beyond the end of the file (rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    return put(path, chunk_tree(path, KERNEL) + FIRST_CHILD, "Q", NOWHERE)


def chunk_size_of_four_gigabytes(folder: Path) -> Path:
    """The index says that a chunk of 240 bytes is stored in 4 GiB (rule 5)."""
    path = h5_chunk(folder / "model.h5", ZIPPED, compression="gzip")
    return put(path, chunk_tree(path, KERNEL) + FIRST_KEY, "I", 2**32 - 1)


def chunk_shape_zero(folder: Path) -> Path:
    """Chunks of no rows: a division by zero, or endless chunks (rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    return put(path, message(path, KERNEL, LAYOUT) + 11, "I", 0)


def chunk_shape_huge(folder: Path) -> Path:
    """One chunk is declared as 2**31 by 2**31 elements (rule 5)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    return put(path, message(path, KERNEL, LAYOUT) + 11, "II", 2**31, 2**31)


def chunks_of_one_element(folder: Path) -> Path:
    """A gigabyte in chunks of one element, of which one exists (rules 3 and 5)."""

    def change(file: h5py.File) -> None:
        file.create_dataset(KERNEL, shape=GIB, dtype="<f4", chunks=(1, 1))[0, 0] = 1

    return h5_model(folder / "model.h5", without_kernel(change))


def chunk_alias_bomb(folder: Path) -> Path:
    """All 64 chunks of 16 MiB are one gzip chunk of the file (row 6, rule 5)."""
    stored = deflated_zeros(2**24)
    path = h5_model(folder / "model.h5", without_kernel(_many_chunks))
    tree, at = chunk_tree(path, KERNEL), append(path, stored)
    for index in range(get(path, tree + 6, "H")[0]):
        key = tree + FIRST_KEY + index * (FIRST_CHILD - FIRST_KEY + 8)
        put(path, key, "I", len(stored))
        put(path, key + FIRST_CHILD - FIRST_KEY, "Q", at)
    return path


def _many_chunks(file: h5py.File) -> None:
    kernel = file.create_dataset(KERNEL, shape=GIB, dtype="<f4", chunks=(2**8, 2**14), compression="gzip")
    for row in range(0, GIB[0], 2**8):
        kernel.id.write_direct_chunk((row, 0), b"\0")


def chunk_tree_explodes(folder: Path) -> Path:
    """A chunk index of eight levels whose 64 children are all the same node: 64**8 visits (5)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    tree = chunk_tree(path, KERNEL)
    key_and_child = path.read_bytes()[tree + FIRST_KEY : tree + FIRST_CHILD]
    child = tree
    for level in range(1, 9):
        head = b"TREE" + bytes((1, level)) + (64).to_bytes(2, "little") + b"\xff" * 16
        entry = key_and_child + child.to_bytes(8, "little")
        child = append(path, head + entry * 64 + key_and_child)
    return put(path, message(path, KERNEL, LAYOUT) + 3, "Q", child)


def chunk_tree_of_itself(folder: Path) -> Path:
    """The chunk index names itself as its child (rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    tree = chunk_tree(path, KERNEL)
    put(path, tree + 5, "B", 1)
    return put(path, tree + FIRST_CHILD, "Q", tree)


def chunk_tree_entries(folder: Path) -> Path:
    """The chunk index counts 65,535 entries in a node of one (rule 3)."""
    path = h5_kernel(folder / "model.h5", data=values("kernel"), chunks=SHAPE)
    return put(path, chunk_tree(path, KERNEL) + 6, "H", 65535)


def never_written_chunks(folder: Path) -> Path:
    """A chunked kernel of which no chunk was stored (row 5, rule 3)."""
    return h5_kernel(folder / "model.h5", shape=SHAPE, dtype="<f4", chunks=(3, 5))


CASES = table(
    "hdf5",
    {
        chunk_shorter_than_declared: "chunk",
        chunk_longer_than_declared: "chunk",
        chunk_inflates_short: "chunk",
        chunk_inflates_long: "chunk",
        chunk_tail_after_gzip: "chunk",
        chunk_gzip_corrupted: "chunk",
        chunk_gzip_truncated: "chunk",
        deflate_bomb: "too large",
        deflate_bomb_beyond_the_edge: "too large",
        deflate_bomb_undeclared: "chunk",
        two_deflate_filters: "too large",
        filter_unknown: "filter",
        filter_lzf: "filter",
        filter_scale_offset: "filter",
        filters_by_the_thousand: "damaged",
        fletcher32_wrong: "checksum",
        shuffle_of_wrong_size: "shuffle",
        chunk_missing: "chunk",
        chunk_twice: "chunk",
        chunk_off_the_grid: "chunk",
        chunk_beyond_the_file: "end of the file",
        chunk_size_of_four_gigabytes: "end of the file",
        chunk_shape_zero: "chunk",
        chunk_shape_huge: "too large",
        chunks_of_one_element: "too large",
        chunk_alias_bomb: "too large",
        chunk_tree_explodes: "damaged",
        chunk_tree_of_itself: "damaged",
        chunk_tree_entries: "damaged",
        never_written_chunks: "never written",
    },
)
