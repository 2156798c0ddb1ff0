"""Arrays in memory: a sink that gathers them by key, over freshly allocated memory, each element copied once."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.model.arrays import Array


class Arrays:
    """What a plan gives, as NumPy arrays by key."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self.arrays[key] = np.empty(shape, dtype)
        return self.arrays[key]

    def filled(self) -> None:
        return None
