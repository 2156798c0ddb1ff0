"""What the condition of an If is, where it follows from stored and stated numbers and from sizes that are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from converters.model.arrays import LazyArray, in_memory
from converters.readers.onnx.file.messages import as_onnx
from converters.readers.onnx.file.tensors import code_of
from converters.readers.onnx.graph.folding import FAILURES, FOLDABLE, run
from converters.readers.onnx.graph.scope import Node, Scope
from layouts.records import dataclass, field

if TYPE_CHECKING:
    from onnx import TypeProto

    from converters.readers.onnx.file.model import Model

Array = np.ndarray[Any, Any]
Shape = tuple[int | None, ...]

_DEEPEST, _LARGEST = 200, 1024
"""A condition is computed through so many nodes and of so many numbers at most."""
_MOVING = ("Concat", "Gather", "Squeeze", "Unsqueeze", "Identity", "Cast", "Slice", "Reshape")
"""Operators that move sizes and change none, so that open ones may be among them."""


_TOLD_BY_NUMBERS = frozenset(
    (
        *("Reshape", "Expand", "Slice", "Squeeze", "Unsqueeze", "Pad", "Tile", "ConstantOfShape", "Range", "Resize"),
        *("Upsample", "Split", "TopK", "OneHot", "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    )
)
"""Operators of which numbers that they read tell the sizes of what they make."""


@dataclass
class Types:
    """Types that are known whole, by the names of values, and how many nodes may still be looked at for more.

    They stay from one round to the next, in which branches were put in place of nodes: names do not change.
    """

    found: dict[str, TypeProto] = field(default_factory=dict)
    left: int = 100_000


class Conditions:
    """The outermost graph of a model, and what is known of its values."""

    def __init__(self, model: Model, given: Mapping[str, Array], types: Types) -> None:
        self._given, self._types = given, types
        self._scope = Scope(model.proto.graph, model)
        self._scope.link()
        inputs = {value.name: as_onnx(value.type) for value in model.proto.graph.input if value.name not in given}
        self._open: dict[str, TypeProto] = inputs
        self._known: dict[str, Array | None] = {}
        for node in self._scope.nodes:
            self._infer(node)

    def _infer(self, node: Node) -> None:
        """Note the types of what a node makes. Those that an exporter noted are not read: it saw one size of many."""
        made = [name for name in node.outputs if name]
        whole = all(name in self._types.found or self._scope.is_constant(name) for name in made)
        if whole or node.subgraphs or self._types.left <= 0:
            return
        read = [name for name in dict.fromkeys(node.inputs) if name]
        types = {name: told for name in read if (told := self._type(name)) is not None}
        if len(types) < len(read):
            return
        values = {name: self._value(name, 0) for name in types if node.op in _TOLD_BY_NUMBERS}
        data = {name: value for name, value in values.items() if value is not None and value.dtype != object}
        self._types.left -= 1
        made_of = _inferred(node, types, data)
        if node.op == "Expand" and len(types) == 2:
            made_of = _expanded(node, types[node.input(0)], values[node.input(1)]) or made_of
        for name, told in made_of.items():
            sizes = _sizes(told)
            known = sizes is not None and None not in sizes
            (self._types.found if known else self._open)[name] = told

    def _type(self, name: str) -> TypeProto | None:
        if name in self._types.found or name in self._open:
            return self._types.found.get(name) or self._open[name]
        known = self._given.get(name)
        stored = in_memory(name, known) if known is not None else self._scope.constant(name)
        if stored is None:
            return None
        self._types.found[name] = _type_of(stored)
        return self._types.found[name]

    def truth(self, name: str) -> bool | None:
        """Whether a condition holds; None where that is open."""
        found = self._value(name, 0)
        if found is None or found.size != 1 or found.dtype == object:
            return None
        return bool(found.reshape(-1)[0])

    def _value(self, name: str, depth: int) -> Array | None:
        """The numbers of a value, with None among them where a size is open; None where they are not known."""
        if name not in self._known:
            self._known[name] = self._found(name, depth) if depth < _DEEPEST else None
        return self._known[name]

    def _found(self, name: str, depth: int) -> Array | None:
        if name in self._given:
            return np.asarray(self._given[name])
        if self._scope.is_constant(name):
            stored = self._scope.constant(name)
            return stored.read() if stored is not None and stored.size <= _LARGEST else None
        node = self._scope.producer(name)
        if node is None or node.domain or not node.input(0):
            return None
        if node.op in ("Shape", "Size"):
            return self._measured(node)
        if node.op not in FOLDABLE:
            return None
        inputs = {one: self._value(one, depth + 1) for one in node.inputs if one}
        read = {one: value for one, value in inputs.items() if value is not None}
        return _computed(node, read, name) if len(read) == len(inputs) else None

    def _measured(self, node: Node) -> Array | None:
        shape = self._shape(node.input(0))
        if shape is None:
            return None
        if node.op == "Size":
            return None if None in shape else np.asarray(int(np.prod(cast("tuple[int, ...]", shape))), np.int64)
        start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
        return _opened(np.asarray([_OPEN if size is None else size for size in shape[start:end]], np.int64))

    def _shape(self, name: str) -> Shape | None:
        told = self._type(name)
        return None if told is None else _sizes(told)


def _opened(sizes: Array) -> Array:
    """Sizes with None in the place of those that are open."""
    closed = sizes != _OPEN
    if closed.all():
        return sizes
    opened: Array = sizes.astype(object)
    opened[~closed] = None
    return opened


def _computed(node: Node, inputs: Mapping[str, Array], name: str) -> Array | None:
    """What a node makes of numbers; sizes that are open are moved, and nothing is computed of them."""
    partly = any(value.dtype == object for value in inputs.values())
    if partly and node.op in _CHOOSING:
        return _chosen(node, [inputs[one] for one in node.inputs])
    if partly and node.op != "Concat" and (node.op not in _MOVING or inputs[node.input(0)].dtype != object):
        return None
    try:
        made = run(node, {one: _marked(value) for one, value in inputs.items()})[name]
    except FAILURES:
        return None
    if made.size > _LARGEST or (partly and made.dtype != np.int64):
        return None
    return _opened(made) if partly else made


def _chosen(node: Node, inputs: Sequence[Array]) -> Array | None:
    """What an operator makes that tells open sizes apart; None where it does not fit, or would be large."""
    try:
        fits = math.prod(np.broadcast_shapes(*(array.shape for array in inputs))) <= _LARGEST
        return _CHOOSING[node.op](*inputs) if fits else None
    except (TypeError, ValueError):
        return None


def _equal(one: Array, other: Array) -> Array | None:
    """Where sizes, of which some are open, are equal to other numbers: no open one is negative."""
    pairs, shape = list(np.broadcast(one, other)), np.broadcast(one, other).shape
    if any(None in pair and not any(number is not None and number < 0 for number in pair) for pair in pairs):
        return None
    return np.asarray([a == b for a, b in pairs], bool).reshape(shape)


def _where(test: Array, one: Array, other: Array) -> Array | None:
    """Elements of sizes, of which some are open, by a test of which none is."""
    if test.dtype == object:
        return None
    chosen = np.where(test, one.astype(object), other.astype(object))
    return chosen if None in chosen.reshape(-1).tolist() else chosen.astype(np.int64)


_CHOOSING: Mapping[str, Callable[..., Array | None]] = {"Equal": _equal, "Where": _where}
"""Operators that tell open sizes from -1, as an expansion does whose exporter left sizes as they are."""


def _expanded(node: Node, told: TypeProto, wanted: Array | None) -> dict[str, TypeProto]:
    """The type of an expansion to sizes of which some are open; nothing where all are known, or none."""
    from onnx import helper

    sizes = _sizes(told)
    if sizes is None or wanted is None or wanted.dtype != object:
        return {}
    asked = wanted.reshape(-1).tolist()
    rank = max(len(sizes), len(asked))
    pairs = zip((1,) * (rank - len(sizes)) + sizes, [1] * (rank - len(asked)) + asked, strict=True)
    made = [_widened(size, other) for size, other in pairs]
    return {node.output(0): helper.make_tensor_type_proto(told.tensor_type.elem_type, made)}


def _widened(size: int | None, other: int | None) -> int | None:
    """The size of an axis that is repeated to another; None where that is open."""
    if size == 1 or other == 1 or size == other:
        return other if size == 1 else size
    return size or other if None in (size, other) else None


_OPEN = np.int64(-(1 << 62) - 12345)
"""What stands for an open size while it is moved: no size, and no number that a file would hold."""


def _marked(value: Array) -> Array:
    """Numbers in which a word stands for what is open."""
    if value.dtype != object:
        return value
    return np.asarray([_OPEN if one is None else one for one in value.reshape(-1)], np.int64).reshape(value.shape)


def _type_of(array: LazyArray) -> TypeProto:
    from onnx import helper

    return helper.make_tensor_type_proto(code_of(array.dtype), array.shape)


def _inferred(node: Node, types: Mapping[str, TypeProto], data: Mapping[str, Array]) -> Mapping[str, TypeProto]:
    """The types of what a node makes, by ONNX's shape inference; nothing where that cannot tell."""
    from onnx import checker, defs, helper, numpy_helper, shape_inference

    try:
        tensors = {name: numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in data.items()}
        schema = defs.get_schema(node.op, node.scope.opset, node.domain)
        opsets = [helper.make_opsetid("", node.scope.opset)]
        found: Mapping[str, TypeProto] = shape_inference.infer_node_outputs(
            schema, as_onnx(node.proto), dict(types), tensors, opset_imports=opsets
        )
    except (*FAILURES, checker.ValidationError, defs.SchemaError, shape_inference.InferenceError):
        return {}
    return found


def _sizes(told: TypeProto) -> Shape | None:
    tensor = told.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
