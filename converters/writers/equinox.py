"""Leaves of Equinox: one record of NumPy after another, in the order of the layers and of the fields of their classes.

Source: `tree_serialise_leaves` and `default_serialise_filter_spec` in equinox/_serialisation.py. The order of the
fields of a class that holds several layers is its author's: that of the layers here is the one of the source.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from converters.planning.modules import Module, Tensor
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
from layouts import catalogue


def open_leaves(path: Path, plan: Plan) -> InPlace:
    """The file with all but the numbers."""
    places: dict[str, int] = {}
    with path.open("rb+") as file:
        for module in plan.modules:
            for tensor in _in_order(module):
                file.write(_head(tensor))
                places[tensor.key] = file.tell()
                file.seek(tensor.nbytes, os.SEEK_CUR)
        size = file.tell()
    reserve(path, size)
    return InPlace(path, places, [tensor.nbytes for tensor in plan.tensors])


def _in_order(module: Module) -> list[Tensor]:
    """The arrays of a layer in the order of its class's fields."""
    if module.layout is None:
        return [*module.tensors]
    fields = [name for name, _ in catalogue.orders(module.layout.framework).get(module.layout.class_name or "", ())]
    return sorted(
        module.tensors, key=lambda tensor: fields.index(tensor.name) if tensor.name in fields else len(fields)
    )


def _head(tensor: Tensor) -> bytes:
    """The header of an array; bfloat16 goes as words of two bytes, as JAX writes it."""
    head = io.BytesIO()
    told = {"descr": np.lib.format.dtype_to_descr(tensor.dtype), "fortran_order": False, "shape": tensor.shape}
    np.lib.format.write_array_header_1_0(head, told)
    return head.getvalue()
