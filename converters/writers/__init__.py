"""Writers: one module per container, each atomic: the file is complete, or as it was before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from converters.model.arrays import Array
from converters.plan.plan import Plan
from layouts.errors import ConversionError, printable

SUFFIXES = (".safetensors", ".pt", ".pth", ".npz")


class Writer(Protocol):
    """A sink over a file that does not exist yet."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...

    def filled(self) -> None: ...

    def close(self) -> None:
        """Write what is left; the file is complete after this."""


def open_writer(target: Path, temporary: Path, plan: Plan) -> Writer:
    """The writer for a file name; `ConversionError` for a suffix that is none of ours."""
    suffix = target.suffix.lower()
    if suffix == ".safetensors":
        from converters.writers.safetensors import SafetensorsWriter

        return SafetensorsWriter(temporary, plan)
    if suffix in (".pt", ".pth"):
        from converters.writers.pytorch import TorchWriter

        return TorchWriter(temporary)
    if suffix == ".npz":
        from converters.writers.npz import NpzWriter

        return NpzWriter(temporary)
    raise ConversionError(
        f"{printable(target.name)}: the output is named after its format: {', '.join(SUFFIXES)}", path=os.fspath(target)
    )
