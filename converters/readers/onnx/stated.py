"""What a caller states of the inputs of a graph: numbers that they always are, and sizes that the graph leaves open.

`{"sr": "16000"}` is the number that an input is, which is none any more; `{"sequence": "576"}` is an open size by its
name, and `{"input.shape": "1,576"}` are the sizes of one input, whose names do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.readers.onnx.file.messages import copied
from converters.readers.onnx.file.model import Model
from layouts.errors import ConversionError, printable

if TYPE_CHECKING:
    from onnx import ModelProto, TypeProto, ValueInfoProto

Array = np.ndarray[Any, Any]

_SHAPE = ".shape"
_KINDS = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}
_MOST = 1 << 31


def as_stated(model: Model, assume: Mapping[str, Any]) -> tuple[Model, dict[str, Array]]:
    """The model with the sizes that are stated, and the numbers of the inputs that are.

    Raises `ConversionError` for what is no input or open size of the graph, and for a value that does not fit it.
    """
    if not assume:
        return model, {}
    proto = copied(model.proto)
    numbers: dict[str, Array] = {}
    inputs = _inputs(proto)
    for key, value in assume.items():
        said = f"assume={{'{printable(key)}': '{printable(value)}'}}"
        if key in inputs:
            numbers[key] = _number(inputs[key].type.tensor_type, str(value), said)
        elif key.endswith(_SHAPE) and key.removesuffix(_SHAPE) in inputs:
            _set_shape(inputs[key.removesuffix(_SHAPE)].type.tensor_type, str(value), said)
        elif key in _open_names(proto):
            _set_size(proto, key, _size(str(value), said))
        else:
            listed = ", ".join(printable(name) for name in _stateable(proto)) or "nothing"
            raise ConversionError(f"{said}: no input and no open size of the graph; what can be stated: {listed}")
    return replace(model, proto=proto), numbers


def _inputs(proto: ModelProto) -> dict[str, ValueInfoProto]:
    stored = {tensor.name for tensor in proto.graph.initializer}
    return {value.name: value for value in proto.graph.input if value.name not in stored}


def _open_names(proto: ModelProto) -> dict[str, None]:
    dims = (dim for value in _inputs(proto).values() for dim in value.type.tensor_type.shape.dim)
    return {dim.dim_param: None for dim in dims if dim.dim_param}


def _stateable(proto: ModelProto) -> Iterator[str]:
    for name, value in _inputs(proto).items():
        yield f"{name}{_SHAPE}" if value.type.tensor_type.shape.dim else name
    yield from _open_names(proto)


def _size(text: str, said: str) -> int:
    if not re.fullmatch(r"\s*\d{1,10}\s*", text) or not 0 < int(text) <= _MOST:
        raise ConversionError(f"{said}: expected a size above 0")
    return int(text)


def _set_size(proto: ModelProto, name: str, size: int) -> None:
    """Put a number in the place of an open size, wherever it has this name."""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == name:
                dim.dim_value = size


def _set_shape(told: TypeProto.Tensor, text: str, said: str) -> None:
    sizes = [_size(word, said) for word in text.strip("()[] ").rstrip(",").split(",")]
    if told.HasField("shape") and len(sizes) != len(told.shape.dim):
        raise ConversionError(f"{said}: the input has {len(told.shape.dim)} axes")
    if not told.HasField("shape"):
        for _ in sizes:
            told.shape.dim.add()
    for dim, size in zip(told.shape.dim, sizes, strict=True):
        if dim.HasField("dim_value") and dim.dim_value != size:
            raise ConversionError(f"{said}: the graph fixes this size to {dim.dim_value}")
        dim.dim_value = size


def _number(told: TypeProto.Tensor, text: str, said: str) -> Array:
    """The number of an input of one element, in its dtype and shape."""
    kind = _KINDS.get(told.elem_type)
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in told.shape.dim]
    if kind is None or not told.HasField("shape") or any(size != 1 for size in sizes):
        raise ConversionError(f"{said}: this input is no single number; weights= gives arrays")
    try:
        value = _TRUTHS[text.strip().lower()] if kind == "bool" else _parsed(kind, text)
        array = np.asarray(value, kind)
    except (KeyError, ValueError, OverflowError):
        raise ConversionError(f"{said}: expected a number of {kind}") from None
    return array.reshape([1] * len(sizes))


def _parsed(kind: str, text: str) -> int | float:
    return int(text) if "int" in kind else float(text)
