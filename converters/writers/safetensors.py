"""safetensors, written tensor by tensor into the file's own places.

The `safetensors` package serialises tensors that are all in memory at once; this keeps a conversion of any size within
some tens of megabytes. The format: u64 header length, JSON header padded with spaces to 8 bytes, data without gaps.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.arrays import Array
from converters.plan.plan import Plan
from layouts.errors import ConversionError

_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}

_BUFFER = 1 << 25
"""Bytes of the largest tensor that is filled in memory: a write costs less than faults on a mapping."""
_LARGE = 1 << 20
"""Bytes of a tensor that are worth writing out early, so that the sync at the end finds little left to wait for."""


class SafetensorsWriter:
    """Lays the planned tensors out in the file and hands out the memory of each, one after the other.

    A tensor is filled in a buffer that serves them all, and written when the next one is asked for; one that is larger
    than the buffer is filled in a mapping of the file.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        header, offsets, size = _header(plan)
        self._path, self._start, self._offsets = path, len(header), offsets
        self._file = path.open("rb+")
        self._mapping: mmap.mmap | None = None
        self._written = (0, 0)
        self._pending: Array | None = None
        largest = max((tensor.nbytes for tensor in plan.tensors if tensor.nbytes <= _BUFFER), default=0)
        self._buffer = np.empty(largest, np.uint8)
        _reserve(self._file.fileno(), len(header) + size)
        self._file.write(header)

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor; the one before it is complete, and the system begins to write that out."""
        self._complete()
        count = math.prod(shape)
        start, length = self._start + self._offsets[key], count * dtype.itemsize
        self._written = (start, length)
        if length <= _BUFFER:
            self._pending = self._buffer[:length]
            return self._pending.view(dtype).reshape(shape)
        self._mapping = self._mapping or mmap.mmap(self._file.fileno(), 0)
        return np.frombuffer(self._mapping, dtype, count, start).reshape(shape)

    def filled(self) -> None:
        """Let go of the mapped pages written so far; they stay in the file."""
        if self._mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Write what is left."""
        self._complete()
        if self._mapping is not None:
            self._mapping.flush()
        self._file.close()

    def _complete(self) -> None:
        start, length = self._written
        if self._pending is not None:
            self._file.seek(start)
            self._file.write(self._pending.data)
            self._file.flush()
            self._pending = None
        if length >= _LARGE:
            _begin_writing(self._file.fileno(), start, length)


def _begin_writing(descriptor: int, start: int, length: int) -> None:
    """Tell the system that these bytes are complete; what it has not written yet stays in its cache."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)


def _reserve(descriptor: int, size: int) -> None:
    """Take the space now, so that a full disk is an error here and not a signal in the middle of a mapping."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _header(plan: Plan) -> tuple[bytes, dict[str, int], int]:
    """The header as bytes, where each tensor begins in the data, and the size of the data."""
    entries: dict[str, Any] = {"__metadata__": _metadata(plan)}
    offsets: dict[str, int] = {}
    end = 0
    for tensor in sorted(plan.tensors, key=lambda tensor: (-tensor.dtype.itemsize, tensor.key)):
        name = _NAMES.get(tensor.dtype.name)
        if name is None:
            raise ConversionError(f"{tensor.key}: safetensors has no dtype {tensor.dtype}; choose one with dtype=")
        offsets[tensor.key] = end
        end += math.prod(tensor.shape) * tensor.dtype.itemsize
        entries[tensor.key] = {"dtype": name, "shape": list(tensor.shape), "data_offsets": [offsets[tensor.key], end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, offsets, end


def _metadata(plan: Plan) -> dict[str, str]:
    """The plan, kept with the weights: the constructor call and the forward code of every module."""
    modules = {
        module.name: {"from": module.path, "constructor": module.constructor, "notes": list(module.notes)}
        for module in plan.modules
    }
    source = f"{plan.checkpoint.framework} {plan.checkpoint.version}".strip()
    return {"format": "pt", "source": source, "plan": json.dumps(modules, ensure_ascii=False)}
