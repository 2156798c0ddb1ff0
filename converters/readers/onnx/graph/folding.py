"""Constants that exporters leave to be computed: slices, transpositions and casts of stored weights.

ONNX's own shape inference tells the size of a result before it is computed, and its reference evaluator computes it,
one node at a time, when the array is read. Only operators of the list below ever run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.onnx.file.messages import as_onnx
from converters.readers.onnx.file.tensors import code_of
from converters.readers.onnx.graph.moves import Moving, moved, outline
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto


class _Graph(Protocol):
    """What a node has to know of the graph around it."""

    @property
    def opset(self) -> int: ...

    def constant(self, name: str) -> LazyArray | None: ...

    def stored_bytes(self) -> int:
        """The bytes that the whole model stores."""


class Foldable(Moving, Protocol):
    """A node, as far as it is computed here."""

    @property
    def proto(self) -> NodeProto: ...

    @property
    def called(self) -> str: ...

    @property
    def scope(self) -> _Graph: ...


FOLDABLE = frozenset(
    (
        *("Identity", "Cast", "CastLike", "DequantizeLinear", "QuantizeLinear"),
        *("Concat", "Expand", "Flatten", "Gather", "GatherElements", "Pad", "Reshape", "Slice", "Split", "Squeeze"),
        *("Tile", "Transpose", "Unsqueeze", "Where", "ConstantOfShape", "Range", "Shape", "Size"),
        *("Abs", "Add", "Ceil", "Clip", "Div", "Exp", "Floor", "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Pow"),
        *("Reciprocal", "Sign", "Sqrt", "Sub", "And", "Equal", "Greater", "Less", "Not", "Or"),
        *("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
    )
)
"""What may be computed from stored arrays alone: operators whose result has a size that is known beforehand."""

FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the evaluator and the inference raise for nodes that do not fit their operator; they promise no type."""

_EVALUATED_FROM = {"DequantizeLinear": 19}
"""Where the evaluator knows only later versions of an operator; this one means the same since version 10."""

_SMALL, _KEPT = 1 << 16, 1 << 12
"""Bytes of constants that shapes may follow from, and of results that are kept: long chains end in small ones."""
_FREE = 1 << 20


def fold(node: Foldable, name: str) -> LazyArray | None:
    """One output of a node whose inputs are all constant; None where it cannot be told what the node makes.

    Raises `UnsafeCheckpoint` for a result that is larger than 4 times all that is stored and 1 MB.
    """
    constants = {one: node.scope.constant(one) for one in node.inputs if one}
    known = {one: array for one, array in constants.items() if array is not None}
    found = _told(node, known).get(name) if len(known) == len(constants) else None
    if found is None:
        return None
    shape, dtype = found
    _check_size(node, shape, dtype)

    def read() -> Array:
        return _evaluated(node, name, shape, {one: array.read() for one, array in known.items()})

    small = math.prod(shape) * dtype.itemsize <= _KEPT
    return LazyArray(name, shape, dtype, cache(read) if small else read)


def _check_size(node: Foldable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    stored = node.scope.stored_bytes()
    if math.prod(shape) * dtype.itemsize > _FREE + 4 * stored:
        raise UnsafeCheckpoint(f"{node.called}: would make {shape} numbers out of a file of {stored} bytes")


def _told(node: Foldable, inputs: Mapping[str, LazyArray]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shapes and dtypes of what a node makes: of a plain move by the move itself, on arrays of no memory."""
    try:
        found = outline(node, {one: _small_or_empty(array) for one, array in inputs.items()}, node.scope.opset)
    except FAILURES:
        found = None
    return _inferred(node, inputs) if found is None else {node.outputs[0]: found}


def _small_or_empty(array: LazyArray) -> Array:
    """The numbers that may say how others move; of any other array its shape and dtype alone."""
    if array.dtype.kind == "i" and array.size * array.dtype.itemsize <= _SMALL:
        return array.read()
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _inferred(node: Foldable, inputs: Mapping[str, LazyArray]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shapes and dtypes of what a node makes, by ONNX's shape inference; nothing where that cannot tell."""
    from onnx import checker, defs, helper, numpy_helper, shape_inference

    data = {}
    for one, array in inputs.items():
        if array.size * array.dtype.itemsize <= _SMALL and array.dtype.kind in "iuf":
            data[one] = numpy_helper.from_array(np.ascontiguousarray(array.read()), one)
    try:
        types = {one: helper.make_tensor_type_proto(code_of(a.dtype), a.shape) for one, a in inputs.items()}
        schema = defs.get_schema(node.op, node.scope.opset, "")
        opsets = [helper.make_opsetid("", node.scope.opset)]
        found = shape_inference.infer_node_outputs(schema, as_onnx(node.proto), types, data, opset_imports=opsets)
        known = {name: _type(proto) for name, proto in found.items()}
    except (*FAILURES, checker.ValidationError, defs.SchemaError, shape_inference.InferenceError):
        return {}
    return {name: both for name, both in known.items() if both is not None}


def _type(proto: TypeProto) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    from onnx import helper

    tensor = proto.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
    return shape, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _evaluated(node: Foldable, name: str, shape: tuple[int, ...], inputs: Mapping[str, Array]) -> Array:
    try:
        made = run(node, inputs)[name]
    except FAILURES as error:
        raise UnreadableCheckpoint(f"{node.called} cannot be computed: {error}", array=name) from None
    if made.shape != shape:
        raise UnreadableCheckpoint(f"{node.called} makes {made.shape} numbers, not {shape}", array=name)
    return made


def run(node: Foldable, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What one node makes, by ONNX's reference evaluator where it is no plain move.

    Raises one of `FAILURES` where it cannot be computed.
    """
    plain = moved(node, inputs, node.scope.opset)
    if plain is not None:
        return {node.outputs[0]: plain}
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    given = {name: inputs[name] for name in node.inputs if name}
    made = [name for name in node.outputs if name]
    inside, outside = ([helper.make_empty_tensor_value_info(name) for name in names] for names in (given, made))
    graph = helper.make_graph([as_onnx(node.proto)], "node", inside, outside)
    with np.errstate(all="ignore"):
        version = max(node.scope.opset, _EVALUATED_FROM.get(node.op, 1))
        results = ReferenceEvaluator(graph, opsets={"": version}).run(None, given)
    return {name: np.asarray(result) for name, result in zip(made, results, strict=True)}
