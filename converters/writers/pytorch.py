"""PyTorch: tensors in a dictionary, and that dictionary as a `.pt` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from converters.model.arrays import Array
from converters.planning.plan import Plan
from converters.writers.arrays import Arrays
from layouts.errors import MissingDependency

if TYPE_CHECKING:
    import torch

_VIEWED = {"bfloat16": "int16", "float8_e4m3fn": "int8", "float8_e5m2": "int8"}
"""Dtypes that NumPy lends from ml_dtypes, and the plain words in which they cross to torch."""


class StateDict(Arrays):
    """A sink that gathers tensors over freshly allocated memory."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors, sharing the memory that was filled."""
        return {key: tensor_of(array) for key, array in self.arrays.items()}


def tensor_of(array: Array) -> torch.Tensor:
    """An array as a tensor over the same memory. Raises `MissingDependency` without torch."""
    try:
        import torch
    except ImportError:
        raise MissingDependency("PyTorch is not installed: pip install torch; or write a .safetensors file") from None
    plain = _VIEWED.get(array.dtype.name)
    if plain is None:
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(plain)).view(getattr(torch, array.dtype.name))


class TorchWriter(StateDict):
    """Writes the state_dict with `torch.save`; `torch.load(path, weights_only=True)` reads it."""

    def __init__(self, path: Path, _: Plan) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        tensors = self.tensors()
        import torch

        try:
            torch.save(tensors, self._path)
        except RuntimeError as error:  # its own writer's word for a full disk
            raise OSError(f"torch.save failed: {error}") from None
