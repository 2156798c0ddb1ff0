"""A tree of folders with planned arrays in them: what a file of HDF5 is to hold, before a byte of data is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layouts.records import dataclass, field

Text = str | bytes | tuple[str, ...]
"""The value of an attribute: a text, bytes of a fixed length, or a list of texts."""


@dataclass(frozen=True)
class Leaf:
    """One array: its place, the key under which a plan fills it, and its shape there, of as many elements."""

    path: str
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Tree:
    """Every array, every folder that has to be there, and the attributes of folders, by path ('' is the root)."""

    leaves: tuple[Leaf, ...]
    folders: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Single whole numbers that a file has to hold and no plan fills, by path."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Texts that go with the tree into one archive, by name; none where the tree is the whole file."""
    remarks: tuple[str, ...] = ()
    """What a person should know of it, a sentence each."""
