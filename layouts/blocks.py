"""Copies in blocks that keep caches and page tables small: a transposition so runs several times as fast.

Measured on matrices of 60 MB to 1 GB (`benchmarks/transpose.py`). Elements are opaque words; nothing is computed but a
cast where the dtypes differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import EllipsisType

import numpy as np

from layouts.axes import Array
from layouts.errors import ShapeError

_SMALL = 1 << 18
"""Bytes below which one copy is as fast."""
_ROWS, _COLUMNS = 256, 256
"""The block of a transposition: rows and columns of the target. A column of it is a run of the source of 1 KB."""
_PANEL = 1 << 22
"""Bytes of a panel, where a row is not more."""
_FEWEST_ROWS = 16
_WAY = 4096
"""Lines of memory at multiples of this distance share a place in the cache, and push each other out of it."""
_PAD = 16


def assign_blocks(target: Array, source: Array, after: Callable[[Array], None] | None = None) -> None:
    """Copy `source` into `target`. `after` is given every panel of the target when it is complete, still in the cache.

    Raises `ShapeError` where the shapes differ.
    """
    check_shapes(target, source)
    for rows in panels(source, target.dtype.itemsize):
        move(target[rows], source[rows])
        if after:
            after(target[rows])


def check_shapes(target: Array, source: Array) -> None:
    """Raise `ShapeError` where a piece does not fit its place."""
    if target.shape != source.shape:
        raise ShapeError(f"a piece of shape {source.shape} does not fit a place of shape {target.shape}")


def panels(source: Array, itemsize: int) -> Iterator[slice | EllipsisType]:
    """Ranges of the first axis that are moved at a time; all of what is small."""
    row = math.prod(source.shape[1:]) * itemsize
    if source.size * itemsize < _SMALL:
        yield ...
        return
    most = min(_ROWS, max(_PANEL // row, _FEWEST_ROWS)) if _is_transposed(source) else max(1, _PANEL // row)
    for start in range(0, len(source), most):
        yield slice(start, min(start + most, len(source)))


def move(target: Array, source: Array) -> None:
    """Copy one panel."""
    if not _is_transposed(source) or target.nbytes < _SMALL // 8:
        target[...] = source
        return
    rows, columns = source.shape
    beside = np.empty((_COLUMNS, rows + _PAD), source.dtype) if source.strides[1] % _WAY == 0 else None
    for column in range(0, columns, _COLUMNS):
        block = source[:, column : column + _COLUMNS]
        if beside is not None:
            staged = beside[: block.shape[1], :rows]
            staged[...] = block.T
            block = staged.T
        target[:, column : column + _COLUMNS] = block


def _is_transposed(array: Array) -> bool:
    return array.ndim == 2 and abs(array.strides[0]) < abs(array.strides[1])
