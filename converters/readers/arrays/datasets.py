"""HDF5 with nothing but arrays by path, as Chainer's `save_hdf5` writes it: the framework has to be stated."""

from __future__ import annotations

from collections.abc import Iterator

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of, stated_framework
from converters.readers.hdf5.group import Group
from converters.readers.hdf5.tree import read_tree
from converters.readers.opened import Opened, Request


def read_hdf5(opened: Opened, request: Request) -> Checkpoint:
    """The layers of every array in an HDF5 file. Raises `ConversionError` where no framework is stated."""
    whose = stated_framework(request.framework, "an HDF5 file of arrays")
    arrays = dict(_arrays(read_tree(opened.source, lambda group, members: None)))
    return checkpoint_of(opened.path, "arrays (HDF5)", arrays, whose, request.assume)


def _arrays(group: Group, prefix: str = "") -> Iterator[tuple[str, LazyArray]]:
    for name, array in group.arrays.items():
        yield prefix + name, array
    for name, inner in group.groups.items():
        yield from _arrays(inner, f"{prefix}{name}/")
