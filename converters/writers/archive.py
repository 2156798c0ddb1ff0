"""A `.keras` archive: texts, and a file of HDF5 that was written beside it, copied in piece by piece."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.model.tree import Tree
from converters.writers.hdf5 import open_hdf5

_WEIGHTS = "model.weights.h5"
_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every member, so that the same source gives the same file."""


class ArchiveWriter:
    """Fills the HDF5 file in a folder of its own beside the archive, and packs it at the end."""

    def __init__(self, path: Path, tree: Tree) -> None:
        self._path, self._tree = path, tree
        self._folder = tempfile.TemporaryDirectory(prefix=f"{path.name[:80]}.", suffix=".part", dir=path.parent)
        self._weights = Path(self._folder.name) / _WEIGHTS
        try:
            self._weights.touch()
            self._inner = open_hdf5(self._weights, tree)
        except BaseException:
            self._folder.cleanup()
            raise

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return self._inner.allocate(key, shape, dtype)

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        self._inner.assign(target, source, after)

    def filled(self) -> None:
        self._inner.filled()

    def close(self) -> None:
        """Write the archive, uncompressed as Keras does, and remove what stood beside it."""
        self._inner.close()
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as archive:
            for name, text in self._tree.beside.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), text)
            member = zipfile.ZipInfo(_WEIGHTS, _DATE)
            member.file_size = os.stat(self._weights).st_size
            with self._weights.open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        self.abandon()

    def abandon(self) -> None:
        """Remove what stood beside the archive."""
        self._folder.cleanup()
