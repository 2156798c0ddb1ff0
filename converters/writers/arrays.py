"""Arrays in memory: a sink that gathers them by key, over freshly allocated memory, each element copied once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.model.arrays import Array
from layouts.blocks import assign_blocks


class Arrays:
    """What a plan gives, as NumPy arrays by key."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self.arrays[key] = np.empty(shape, dtype)
        return self.arrays[key]

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        assign_blocks(target, source, after)

    def filled(self) -> None:
        return None
