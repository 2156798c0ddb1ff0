"""Somebody's own module as a source: its weights, or traced on inputs that are told by their shapes or in files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converters.torch.own_file import module_from
from converters.torch.trace import trace
from layouts.errors import ConversionError, printable

_SHAPE = re.compile(r"(\d{1,6}(?:,\d{1,6})*)(?::(\w+))?")
_WHOLE = ("int64", "int32", "bool")
_MOST = 1 << 26


def source_from(place: str, weights: str | None, inputs: Sequence[str]) -> Any:
    """The module at `file.py:Class`, which is RUN; with inputs its network, as `trace` tells it.

    An input is a shape, "2,7,3", or "2,7:int64" for whole numbers, which are all 1; or a file of NumPy, `x.npy`, where
    code looks at the numbers, as at the lengths of sequences. Raises `ConversionError`.
    """
    module = module_from(place, weights, trained=True)
    if not inputs:
        return module
    tensors = [_tensor(each) for each in inputs]
    try:
        with torch.no_grad():
            module(*tensors)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        why = printable(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        shapes = ", ".join(str(tuple(x.shape)) for x in tensors)
        raise ConversionError(f"{printable(place)} does not run on inputs of the shapes {shapes}: {why}") from None
    return trace(module, *tensors)


def _tensor(told: str) -> torch.Tensor:
    """One input."""
    if told.endswith(".npy"):
        return torch.from_numpy(_array(Path(told)))
    match = _SHAPE.fullmatch(told.replace(" ", ""))
    if match is None or (match[2] or "float32") not in ("float32", "float64", *_WHOLE):
        raise ConversionError(f"input {printable(told)!r}: a shape, 2,7,3 or 2,7:int64, or a file, x.npy")
    shape, kind = [int(size) for size in match[1].split(",")], match[2] or "float32"
    if not 0 < int(np.prod(shape, dtype=object)) <= _MOST:
        raise ConversionError(f"input {printable(told)!r}: a shape of 1 to {_MOST} numbers")
    if kind in _WHOLE:
        return torch.ones(shape, dtype=getattr(torch, kind))
    return torch.randn(shape, dtype=getattr(torch, kind), generator=torch.Generator().manual_seed(7))


def _array(file: Path) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        raise ConversionError(
            f"{printable(str(file))}: this is no file of one array of NumPy", path=str(file)
        ) from None
