"""ONNX: the graph first, and behind it every initializer at its place in the file, written tensor by tensor.

A protobuf message may hold its fields in any order, and a repeated one piece by piece: so the weights follow the rest
of the graph, and a conversion of any size stays within some megabytes. A message has less than 2 GiB.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from converters.planning.modules import Tensor
from converters.planning.plan import Plan
from converters.targets.onnx.emission import Held
from converters.targets.onnx.network import model_of
from converters.writers.in_place import InPlace, reserve
from converters.writers.protobuf import tag, varint
from layouts.errors import ConversionError, NotRepresentable

_MOST = (1 << 31) - 1
_GRAPH, _INITIALIZER, _RAW = 7, 5, 9
"""The numbers of the fields ModelProto.graph, GraphProto.initializer, TensorProto.raw_data."""


def open_onnx(path: Path, plan: Plan) -> InPlace:
    """Lay the graph and the places of the planned tensors out, and hand out memory for one after the other."""
    model = _model(plan)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    heads = {tensor.key: _head(tensor) for tensor in plan.tensors}
    size = len(graph) + sum(len(heads[tensor.key]) + tensor.nbytes for tensor in plan.tensors)
    start = model.SerializeToString() + tag(_GRAPH) + varint(size) + graph
    whole = len(start) + size - len(graph)
    if whole > _MOST:
        raise ConversionError("an ONNX file holds less than 2 GiB: convert to safetensors, or with dtype='float16'")
    reserve(path, whole)
    places: dict[str, int] = {}
    with path.open("rb+") as file:
        file.write(start)
        for tensor in plan.tensors:
            file.write(heads[tensor.key])
            places[tensor.key] = file.tell()
            file.seek(tensor.nbytes, os.SEEK_CUR)
    return InPlace(path, places, [tensor.nbytes for tensor in plan.tensors])


def _model(plan: Plan) -> ModelProto:
    """The graph of the plan's source. Raises `NotRepresentable` where it tells none."""
    if plan.checkpoint.graph is None:
        why = "; ".join(plan.checkpoint.drawn.problems) or "the source holds weights and no graph"
        raise NotRepresentable(f"{why}: a model cannot be written", layout="onnx")
    held: dict[int, list[Held]] = {}
    for module in plan.modules:
        for layer in module.layers:
            arrays = {tensor.name: tensor.key for tensor in module.tensors}
            held.setdefault(id(layer), []).append(Held(module.parts, arrays))
    return model_of(plan.checkpoint.graph, held, _dtype(plan))


def _dtype(plan: Plan) -> np.dtype[Any]:
    """The one dtype of all weights. Raises `NotRepresentable` where they differ."""
    kinds = {tensor.dtype for tensor in plan.tensors}
    if len(kinds) > 1 or any(kind.name not in ("float32", "float64", "float16") for kind in kinds):
        listed = ", ".join(sorted(kind.name for kind in kinds))
        raise NotRepresentable(f"an ONNX graph computes in one dtype, and there are {listed}: state dtype='float32'")
    return next(iter(kinds), np.dtype(np.float32))


def _head(tensor: Tensor) -> bytes:
    """All of an initializer but its bytes, which follow."""
    kind = helper.np_dtype_to_tensor_dtype(tensor.dtype)
    inner: bytes = TensorProto(dims=tensor.shape, data_type=kind, name=tensor.key).SerializeToString()
    inner += tag(_RAW) + varint(math.prod(tensor.shape) * tensor.dtype.itemsize)
    return tag(_INITIALIZER) + varint(len(inner) + tensor.nbytes) + inner
