"""safetensors, written tensor by tensor into the file's own places.

The `safetensors` package serialises tensors that are all in memory at once. The format: u64 header length, JSON header
padded with spaces to 8 bytes, data without gaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converters.planning.modules import Tensor
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
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

_FORMATS = {"pytorch": "pt", "mlx": "mlx"}
"""What the metadata call the frameworks that have a word of their own."""


def open_safetensors(path: Path, plan: Plan, tensors: Sequence[Tensor] | None = None) -> InPlace:
    """The file laid out by the plan, or a part of it: its header written, every tensor's place reserved."""
    tensors = plan.tensors if tensors is None else tensors
    header, offsets, size = _header(plan, tensors)
    reserve(path, len(header) + size)
    with path.open("rb+") as file:
        file.write(header)
    places = {key: len(header) + offset for key, offset in offsets.items()}
    return InPlace(path, places, (tensor.nbytes for tensor in tensors))


def _header(plan: Plan, tensors: Sequence[Tensor]) -> tuple[bytes, dict[str, int], int]:
    """The header as bytes, where each tensor begins in the data, and the size of the data."""
    entries: dict[str, Any] = {"__metadata__": _metadata(plan)}
    offsets: dict[str, int] = {}
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (-tensor.dtype.itemsize, tensor.key)):
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
    told = _FORMATS.get(plan.target.name)
    own = {"format": told} if told else {}
    return own | {"source": source, "plan": json.dumps(modules, ensure_ascii=False)}
