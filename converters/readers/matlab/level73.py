"""MATLAB's MAT-files of version 7.3: HDF5 behind 512 bytes; axes in reverse, texts as numbers, structs as groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converters.model.arrays import LazyArray
from converters.readers.hdf5.group import Group
from converters.readers.hdf5.tree import read_tree
from converters.readers.matlab.level5 import Variable
from converters.readers.source import Source

_OWN = "#"
"""How the names of MATLAB's own groups begin: what cells and objects refer to."""
_LONGEST_TEXT = 1000


def read_variables(source: Source) -> Iterator[Variable]:
    """Every leaf; what stands in MATLAB's own groups is left alone, and so are cells, which refer to it."""
    root = read_tree(source, lambda _, members: {name for name in members.links if not name.startswith(_OWN)})
    yield from _leaves(root, "")


def _leaves(group: Group, prefix: str) -> Iterator[Variable]:
    for name, array in group.arrays.items():
        yield Variable(prefix + name, _turned(array))
    for name, inner in group.groups.items():
        yield from _leaves(inner, f"{prefix}{name}/")
    yield from (Variable(prefix + name, None) for name in group.outside if not name.startswith(_OWN))


def _turned(array: LazyArray) -> LazyArray | str:
    """Numbers with their axes as MATLAB has them, or the text that small whole numbers are."""
    if array.dtype == "u2" and array.size <= _LONGEST_TEXT:
        return "".join(map(chr, array.read().ravel()))
    return replace(array, shape=array.shape[::-1], read=lambda: array.read().T)
