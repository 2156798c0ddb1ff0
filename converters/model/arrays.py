"""An array that is described before it is read: shape and dtype now, bytes when asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class LazyArray:
    """One stored array. `read()` gives it without a copy where the file allows; `release()` drops mapped pages.

    `name` is the array's full name in its source. bfloat16 and float8 carry the dtypes of ml_dtypes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    release: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def is_floating(self) -> bool:
        """Whether the elements are numbers with a fraction, as weights are."""
        return self.dtype.kind == "f" or self.dtype.name.startswith(("bfloat", "float"))


def bfloat16() -> np.dtype[Any]:
    """The dtype that ml_dtypes lends NumPy, imported when a file needs it."""
    import ml_dtypes

    kind: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return kind


def in_memory(name: str, array: Array) -> LazyArray:
    """A `LazyArray` over an array that is already there."""
    return LazyArray(name, array.shape, array.dtype, lambda: array)
