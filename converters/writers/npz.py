"""NumPy `.npz`: one uncompressed `.npy` a tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from layouts.errors import ConversionError


class NpzWriter:
    """Keeps the tensors in memory and writes them at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays: dict[str, Array] = {}

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        if dtype.kind == "V" or dtype.name.startswith(("bfloat16", "float8")):
            raise ConversionError(
                f"{key}: .npz has no dtype {dtype}; choose another with dtype=, or write .safetensors"
            )
        self._arrays[key] = np.empty(shape, dtype)
        return self._arrays[key]

    def filled(self) -> None:
        return None

    def close(self) -> None:
        with self._path.open("wb") as file:
            np.savez(file, **self._arrays)  # type: ignore[arg-type]
