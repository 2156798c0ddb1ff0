"""HDF5: folders and attributes by h5py, arrays in their own places of the file.

Every dataset is contiguous and has its place before any of them is filled, so that none has to be in memory as a whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.tree import Leaf, Text, Tree
from converters.writers.in_place import InPlace, reserve
from layouts.errors import ConversionError, MissingDependency

_OPAQUE = {"bfloat16": np.dtype("V2")}
"""Dtypes that HDF5 has not, as opaque words; an attribute of the dataset names them."""
_MOST_OF_ATTRIBUTE = 64512
"""Bytes of one attribute: a longer list is cut into several, numbered from 0, as Keras does."""


def open_hdf5(path: Path, tree: Tree) -> InPlace:
    """The file with everything but the numbers. Raises `ConversionError` for a dtype that HDF5 has not."""
    try:
        import h5py
    except ImportError:
        raise MissingDependency("h5py is not installed, which writes HDF5: pip install h5py") from None
    try:
        with h5py.File(path, "w", alignment_threshold=1 << 16, alignment_interval=64) as file:
            offsets = _skeleton(file, tree)
    except (OSError, RuntimeError) as error:  # its words run over several lines
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, os.strerror(number)) from None
    reserve(path, path.stat().st_size)
    return InPlace(path, offsets, (int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in tree.leaves))


def _skeleton(file: Any, tree: Tree) -> dict[str, int]:
    """Write folders, attributes and single numbers; where the numbers of each array go."""
    for folder in tree.folders:
        file.require_group(folder)
    for folder, attributes in tree.attributes.items():
        for name, value in attributes.items():
            for key, part in _attributes(name, value):
                file.require_group(folder or "/").attrs[key] = part
    for place, number in tree.numbers.items():
        file.create_dataset(place, data=np.int32(number))
    return {leaf.key: _laid_out(file, leaf) for leaf in tree.leaves}


def _laid_out(file: Any, leaf: Leaf) -> int:
    """Where in the file the numbers of an array go."""
    import h5py

    stored = _OPAQUE.get(leaf.dtype.name, leaf.dtype)
    if stored.kind not in "fiub" and leaf.dtype.name not in _OPAQUE:
        raise ConversionError(f"{leaf.path}: HDF5 has no dtype {leaf.dtype}; choose one with dtype=", array=leaf.key)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_layout(h5py.h5d.CONTIGUOUS)
    made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    made.set_obj_track_times(False)  # the same model gives the same bytes, whatever the time
    folder, _, name = leaf.path.rpartition("/")
    group = file.require_group(folder or "/")
    space = h5py.h5s.create_simple(leaf.shape) if leaf.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    found = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(stored), space, made)
    if leaf.dtype.name in _OPAQUE:
        group[name].attrs["dtype"] = leaf.dtype.name
    return int(found.get_offset() or 0)


def _attributes(name: str, value: Text) -> Iterator[tuple[str, Any]]:
    """An attribute, or the parts of a list that is too long for one."""
    if isinstance(value, str | bytes):
        yield name, value if isinstance(value, str) else np.bytes_(value)
        return
    words = np.array([word.encode() for word in value] or [], dtype=None if value else "S1")
    pieces = -(-max(words.nbytes, 1) // _MOST_OF_ATTRIBUTE)
    if pieces == 1:
        yield name, words
        return
    for number, part in enumerate(np.array_split(words, pieces)):
        yield f"{name}{number}", part
