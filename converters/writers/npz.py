"""NumPy `.npz`: one uncompressed `.npy` a tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.planning.plan import Plan
from converters.writers.arrays import Arrays
from layouts.errors import ConversionError


class NpzWriter(Arrays):
    """Keeps the tensors in memory and writes them at the end."""

    def __init__(self, path: Path, _: Plan) -> None:
        super().__init__()
        self._path = path

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "V" or dtype.name.startswith(("bfloat16", "float8")):
            raise ConversionError(
                f"{key}: .npz has no dtype {dtype}; choose another with dtype=, or write .safetensors"
            )
        return super().allocate(key, shape, dtype)

    def close(self) -> None:
        with self._path.open("wb") as file:
            np.savez(file, **self.arrays)  # type: ignore[arg-type]
