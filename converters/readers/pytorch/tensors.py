"""Tensors in a pickle of PyTorch: which storage, and which view of it.

A tensor is `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, …)`; a storage is a persistent id,
('storage', class, key, location, elements), and stands outside the pickle. What is declared is checked against what is
stored before a number is read. Source: torch/_utils.py and `persistent_id` in torch/serialization.py; the names that
`torch.load(weights_only=True)` allows (torch/_weights_only_unpickler.py) are more than these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.source import Source
from layouts.errors import NotRepresentable, UnsafeCheckpoint, printable
from layouts.records import dataclass


@dataclass(frozen=True, eq=False)
class Storage:
    """A run of elements outside the pickle; `start` is where a view of another storage begins in it."""

    key: str
    dtype: np.dtype[Any] | None
    count: int
    bytes: Callable[[str, int], Source]
    """The bytes of the storage of this key, of which there have to be so many."""
    start: int = 0
    big: bool = False
    """Whether its bytes are big-endian."""


_MOST_TIMES, _FEW = 64, 1 << 16
"""How often a view may name one element of its storage, and how many elements it may have whatever it names."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage, in elements of `dtype`."""

    storage: Storage
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def check(self, name: str, source: Source) -> None:
        """Raise `UnsafeCheckpoint` where the view leaves its storage, or names one element many times over."""
        reach = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True) if size)
        own = self.storage.dtype or np.dtype("u1")
        held = self.storage.count * own.itemsize // self.dtype.itemsize
        if math.prod(self.shape) and self.offset + reach >= held:
            raise UnsafeCheckpoint(
                f"{printable(name)}: its view reaches element {self.offset + reach} of a storage of {held}",
                path=source.path,
            )
        if math.prod(self.shape) > max(held * _MOST_TIMES, _FEW):
            raise UnsafeCheckpoint(
                f"{printable(name)} has {math.prod(self.shape)} elements, and its storage {held}", path=source.path
            )

    def lazy(self, name: str, source: Source) -> LazyArray:
        """The tensor as an array: a view of the stored bytes."""
        self.check(name, source)
        dtype = self.dtype.newbyteorder(">") if self.storage.big and self.dtype.itemsize > 1 else self.dtype
        own = self.storage.dtype or np.dtype("u1")
        wanted, begin = self.storage.count * own.itemsize, self.storage.start * own.itemsize
        start = begin + self.offset * dtype.itemsize
        strides = tuple(stride * dtype.itemsize for stride in self.strides)

        def read() -> Array:
            if not math.prod(self.shape):
                return np.empty(self.shape, self.dtype)
            held = self.storage.bytes(self.storage.key, begin + wanted)
            array = np.ndarray(self.shape, dtype, held.view, start, strides)
            return array if dtype.isnative else array.astype(self.dtype.newbyteorder("="))

        return LazyArray(name, self.shape, self.dtype, read, source.release)


@dataclass(frozen=True, eq=False)
class Opaque:
    """A tensor that is not plain memory: quantized, sparse, or nowhere; it is named, and never read."""

    what: str

    def build(self, state: Any) -> None:
        """What it holds is left alone."""

    def lazy(self, name: str, source: Source) -> LazyArray:
        raise NotRepresentable(
            f"{printable(name)} is {self.what}: save the plain floating-point module's state_dict",
            path=source.path,
            array=name,
        )
