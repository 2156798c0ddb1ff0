"""A folder of `torch.distributed.checkpoint`, which any number of processes load into modules that they share.

The tensors are filled in a file of their own, mapped, and given to torch's own writer one after the other: so none has
to be in memory as a whole, and the layout of the folder is that of the installed version.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.model.arrays import Array
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
from converters.writers.pytorch import tensor_of
from layouts.errors import MissingDependency

if TYPE_CHECKING:
    import torch

_ALIGNED = 64


class DistributedWriter:
    """Fills a scratch file in the folder, and writes the checkpoint at the end."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        self._places: dict[str, int] = {}
        end = 0
        for tensor in plan.tensors:
            self._places[tensor.key] = end
            end += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        self._scratch = tempfile.NamedTemporaryFile(dir=folder.parent, prefix=f"{folder.name}.", suffix=".part")  # noqa: SIM115
        self._size = end
        reserve(Path(self._scratch.name), end)
        self._inner = InPlace(Path(self._scratch.name), self._places, (tensor.nbytes for tensor in plan.tensors))

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return self._inner.allocate(key, shape, dtype)

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        self._inner.assign(target, source, after)

    def filled(self) -> None:
        self._inner.filled()

    def close(self) -> None:
        """Write the checkpoint. Raises `MissingDependency` without torch; `OSError` for a full disk."""
        try:
            from torch.distributed import checkpoint
        except ImportError:
            raise MissingDependency("PyTorch is not installed: pip install torch") from None
        self._inner.close()
        with self._scratch:
            tensors = self._tensors()
            writer = checkpoint.FileSystemWriter(self._folder)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "torch.distributed is")  # that one process saves is meant so
                    checkpoint.save(tensors, storage_writer=writer, no_dist=True)
            except RuntimeError as error:  # its own writer's word for a full disk
                raise OSError(f"torch.distributed.checkpoint failed: {error}") from None

    def _tensors(self) -> dict[str, torch.Tensor]:
        """The tensors over the mapped scratch file, which is never changed by them."""
        whole = np.memmap(self._scratch.name, np.uint8, "c", shape=(max(self._size, 1),))
        found = {}
        for tensor in self._plan.tensors:
            start = self._places[tensor.key]
            found[tensor.key] = tensor_of(whole[start : start + tensor.nbytes].view(tensor.dtype).reshape(tensor.shape))
        return found
