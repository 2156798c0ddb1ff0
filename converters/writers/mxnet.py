"""MXNet's list of arrays, as `save_parameters` of Gluon and `mx.nd.save` write it: magic number, arrays, names.

u64 0x112, u64 0, u64 count, the arrays; u64 count, and for each name u64 length and bytes. An array: u32 0xF993FAC9,
i32 0 (dense), i32 axes, i64 sizes, i32 1 and i32 0 (of the CPU), i32 type, elements. Source: `NDArray::Save` in
src/ndarray/ndarray.cc of MXNet 1.9.

Gluon reads the arrays of a recurrent layer under the names of its cells, `_unfused.0.i2h_weight`, where
`collect_params` says `l0_i2h_weight`. Source: `_RNNLayer._collect_params_with_prefix`.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

from converters.planning.modules import Module, Tensor
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
from layouts.errors import ConversionError, printable

_KINDS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bfloat16": 12}
"""The numbers of `TypeFlag` in mshadow/base.h."""
_LIST, _ARRAY = 0x112, 0xF993FAC9
_OF_LAYER = re.compile(r"([lr])(\d+)_((?:i2h|h2h|h2r)_(?:weight|bias))")


def open_params(path: Path, plan: Plan) -> InPlace:
    """The file with all but the numbers. Raises `ConversionError` for a dtype or a shape that MXNet has not."""
    names = [(_saved_name(module, tensor), tensor) for module in plan.modules for tensor in module.tensors]
    places: dict[str, int] = {}
    with path.open("rb+") as file:
        file.write(struct.pack("<3Q", _LIST, 0, len(names)))
        for _, tensor in names:
            file.write(_head(tensor))
            places[tensor.key] = file.tell()
            file.seek(tensor.nbytes, os.SEEK_CUR)
        file.write(struct.pack("<Q", len(names)))
        for name, _ in names:
            file.write(struct.pack("<Q", len(name.encode())) + name.encode())
        size = file.tell()
    reserve(path, size)
    return InPlace(path, places, [tensor.nbytes for tensor in plan.tensors])


def _head(tensor: Tensor) -> bytes:
    kind = _KINDS.get(tensor.dtype.name)
    if kind is None:
        raise ConversionError(f"{printable(tensor.key)}: MXNet has no dtype {tensor.dtype}; choose one with dtype=")
    if not tensor.shape:
        raise ConversionError(f"{printable(tensor.key)}: a list of MXNet holds no array without axes")
    axes = len(tensor.shape)
    return struct.pack(f"<Iii{axes}q3i", _ARRAY, 0, axes, *tensor.shape, 1, 0, kind)


def _saved_name(module: Module, tensor: Tensor) -> str:
    """The name under which Gluon saves an array."""
    found = _OF_LAYER.fullmatch(tensor.name)
    if found is None:
        return tensor.key
    direction, layer, own = found.groups()
    both = any(other.name.startswith("r0_") for other in module.tensors)
    return f"{tensor.key.removesuffix(tensor.name)}_unfused.{layer}.{f'{direction}_cell.' if both else ''}{own}"
