"""Writers: one module per container, each atomic: the file is complete, or as it was before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from converters.model.arrays import Array
from converters.plan.plan import Plan
from layouts.errors import ConversionError, printable


class Writer(Protocol):
    """A sink over a file that does not exist yet."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...

    def filled(self) -> None: ...

    def close(self) -> None:
        """Write what is left; the file is complete after this."""


def check_output(target: Path, suffixes: Sequence[str]) -> None:
    """Raise `ConversionError` for a suffix that is none of these, or a folder that does not exist."""
    if target.suffix.lower() not in suffixes:
        raise ConversionError(
            f"{printable(target.name)}: the output is named after its format: {', '.join(suffixes)}",
            path=os.fspath(target),
        )
    if not target.parent.is_dir():
        raise ConversionError(
            f"cannot write {printable(target)}: there is no folder {printable(target.parent)}", path=os.fspath(target)
        )


def open_writer(target: Path, temporary: Path, plan: Plan) -> Writer:
    """The writer for a file name that `check_output` let pass."""
    suffix = target.suffix.lower()
    if suffix == ".safetensors":
        from converters.writers.safetensors import SafetensorsWriter

        return SafetensorsWriter(temporary, plan)
    if suffix == ".npz":
        from converters.writers.npz import NpzWriter

        return NpzWriter(temporary)
    from converters.writers.pytorch import TorchWriter

    return TorchWriter(temporary)
