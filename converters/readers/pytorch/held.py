"""Tensors of PyTorch in memory as arrays. Torch is not imported: whoever gives a tensor has done so."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.dtypes import DTYPES
from layouts.errors import NotRepresentable, printable

_PLAIN = "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of PyTorch."""
    return all(hasattr(value, name) for name in ("detach", "cpu", "is_quantized"))


def as_array(name: str, tensor: Any) -> LazyArray:
    """A tensor as an array: its own memory where it is on the CPU."""
    what = f"{type(tensor).__module__}.{type(tensor).__name__}"
    if what not in _PLAIN or tensor.is_quantized or tensor.layout is not sys.modules["torch"].strided:
        raise NotRepresentable(f"{printable(name)} is a {what}, which is no plain memory", array=name)
    if tensor.is_meta:
        raise NotRepresentable(f"{printable(name)} is on the device 'meta' and has no numbers", array=name)
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in DTYPES:
        raise NotRepresentable(f"{printable(name)} is of dtype {printable(kind)}, which is not read", array=name)
    dtype = DTYPES[kind]()
    return LazyArray(name, tuple(tensor.shape), dtype, lambda: _numpy(tensor, dtype))


_WORDS = {1: "uint8", 2: "int16"}


def _numpy(tensor: Any, dtype: np.dtype[Any]) -> Array:
    """The numbers of a tensor; those that NumPy has no type for cross as words."""
    plain = tensor.detach().cpu()
    if dtype.kind != "V" and dtype.isbuiltin == 1:
        found: Array = plain.numpy()
        return found
    words = getattr(sys.modules["torch"], _WORDS[dtype.itemsize])
    crossed: Array = plain.contiguous().view(words).numpy().view(dtype)
    return crossed
