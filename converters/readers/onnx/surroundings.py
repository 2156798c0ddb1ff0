"""The layers around recurrent ones: linear maps, convolutions, norms, embeddings, slopes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from converters.arrays import LazyArray
from converters.checkpoint import Layer, Part
from converters.readers.onnx.found import Found
from converters.readers.onnx.graph import Node
from converters.readers.onnx.recurrent import weight
from layouts import catalogue
from layouts.errors import NotRepresentable, ShapeError

Facts = dict[str, Any]


def read_surrounding(node: Node) -> Found | None:
    """The layer of a node whose weights are constant; None for a node that has none, or is no layer of this kind.

    Raises a `ConversionError` for arrays that do not fit the operator, and `NotRepresentable` for a node that computes
    what no layer does.
    """
    reader = None if node.domain else _READERS.get(node.op)
    return reader(node) if reader else None


def _found(
    node: Node, arrays: Mapping[str, LazyArray], facts: Facts, *more: Node, options: Facts | None = None
) -> Found:
    """The layer, in the layout that fits its arrays."""
    whole = next((name for name, array in arrays.items() if not array.is_floating), None)
    if whole:
        raise ShapeError(f"{whole} holds {arrays[whole].dtype}, and weights have fractions", array=whole)
    shapes = {name: array.shape for name, array in arrays.items()}
    layout = catalogue.choose("onnx", node.op, options or {}, shapes)
    gives = more[-1].outputs if more else node.outputs
    facts = {"reads": node.input(0), "gives": gives} | facts
    return Found(Layer("", node.op, (Part(layout, dict(arrays)),), facts), (node, *more))


def _constant(node: Node, number: int) -> LazyArray | None:
    name = node.input(number)
    return node.scope.constant(name) if name else None


def _given(node: Node, names: Mapping[str, int]) -> Iterator[tuple[str, LazyArray]]:
    """The arrays of the inputs that are there; each has to be constant."""
    for name, number in names.items():
        if node.input(number):
            yield name, weight(node, name, node.input(number))


def _linear(node: Node) -> Found | None:
    """Gemm: alpha A B + beta C, where A and B may be transposed."""
    if _constant(node, 1) is None:
        return None
    attributes = node.attributes
    scaled = attributes.get("alpha", 1.0) != 1.0 or (node.input(2) and attributes.get("beta", 1.0) != 1.0)
    if attributes.get("transA", 0) or scaled:
        raise NotRepresentable("with transA, alpha or beta it computes no linear layer")
    options = {"transB": int(attributes.get("transB", 0) != 0)}
    return _found(node, dict(_given(node, {"B": 1, "C": 2})), {}, options=options)


def _product(node: Node) -> Found | None:
    """MatMul with a matrix on its right, and the bias of the Add that reads the product."""
    matrix = _constant(node, 1)
    if matrix is None or len(matrix.shape) != 2 or not matrix.is_floating:
        return None
    for passed, adding in _adding(node, matrix.shape[1]):
        bias = _constant(adding, 0) or _constant(adding, 1)
        if bias is not None and bias.shape == matrix.shape[1:]:
            return _found(node, {"B": matrix, "bias": bias}, {}, *passed, adding)
    return _found(node, {"B": matrix}, {})


def _adding(node: Node, width: int) -> Iterator[tuple[tuple[Node, ...], Node]]:
    """The Add that alone reads a product, directly or behind a reshape that leaves its last axis whole."""
    passed: tuple[Node, ...] = ()
    reader = _only_reader(node)
    if reader is not None and reader.op == "Reshape" and _last_size(reader) == width:
        passed, reader = (reader,), _only_reader(reader)
    if reader is not None and reader.op == "Add":
        yield passed, reader


def _only_reader(node: Node) -> Node | None:
    made = node.output(0)
    readers = node.scope.readers(made)
    return readers[0] if len(readers) == 1 and made not in node.scope.outputs else None


def _last_size(reshape: Node) -> int | None:
    """The last size of what a reshape makes, where it is constant."""
    scope, name = reshape.scope, reshape.input(1)
    made_by = None if scope.is_constant(name) else scope.producer(name)
    if made_by is not None and made_by.op == "Cast":
        name, made_by = made_by.input(0), scope.producer(made_by.input(0))
    if made_by is not None and made_by.op == "Concat":
        name = made_by.inputs[-1]
    sizes = scope.constant(name)
    return int(sizes.read().reshape(-1)[-1]) if sizes is not None and 0 < sizes.size <= _MOST_AXES else None


def _convolution(node: Node) -> Found | None:
    if _constant(node, 1) is None:
        return None
    arrays, given = dict(_given(node, {"W": 1, "B": 2})), node.attributes
    kernel = arrays["W"].shape[2:]
    if tuple(given.get("kernel_shape", kernel)) != kernel:
        raise ShapeError(f"kernel_shape is {given['kernel_shape']}, and W is {arrays['W'].shape}", array="W")
    facts = {ours: _tuple(given[theirs]) for theirs, ours in _CONVOLUTION.items() if theirs in given}
    outputs = arrays["W"].shape[0 if node.op == "Conv" else 1] * (1 if node.op == "Conv" else given.get("group", 1))
    added = () if "B" in arrays else _added_bias(node, outputs, len(kernel))
    options = {"grouped": given.get("group", 1) > 1}
    return _found(node, arrays | ({"B": added[0]} if added else {}), facts, *added[1:], options=options)


def _added_bias(node: Node, channels: int, spatial: int) -> tuple[Any, ...]:
    """The bias of an Add that alone reads a convolution, directly or after an axis was squeezed; and the nodes passed.

    TensorFlow adds the bias of a convolution in one dimension, which it computes in two, after the squeeze.
    """
    passed: tuple[Node, ...] = ()
    reader = _only_reader(node)
    if reader is not None and reader.op == "Squeeze" and _squeezed(reader) in range(2, spatial + 2):
        passed, spatial, reader = (reader,), spatial - 1, _only_reader(reader)
    bias = (_constant(reader, 0) or _constant(reader, 1)) if reader is not None and reader.op == "Add" else None
    shape = () if bias is None else bias.shape
    if bias is None or shape[-spatial - 1 :] != (channels, *[1] * spatial) or bias.size != channels:
        return ()
    return (_reshaped(bias, (channels,)), *passed, reader)


def _squeezed(node: Node) -> int | None:
    """The one axis that a Squeeze takes out, where it is constant and counted from the front."""
    stated = _constant(node, 1)
    axes = node.attributes.get("axes", []) if stated is None else stated.read().reshape(-1).tolist()
    return axes[0] if len(axes) == 1 else None


def _reshaped(array: LazyArray, shape: tuple[int, ...]) -> LazyArray:
    return replace(array, shape=shape, read=lambda: array.read().reshape(shape))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _batch_norm(node: Node) -> Found | None:
    if _constant(node, 1) is None:
        return None
    given = node.attributes
    training = given.get("training_mode", 0) or (node.scope.opset < 7 and not given.get("is_test", 0))
    if training or not given.get("spatial", 1):
        raise NotRepresentable("in training mode, or with spatial=0, it does not normalise by stored statistics")
    arrays = dict(_given(node, {"scale": 1, "B": 2, "input_mean": 3, "input_var": 4}))
    return _found(node, arrays, _numbers(node, momentum=0.9) | _rank(node))


def _layer_norm(node: Node) -> Found | None:
    scale = _constant(node, 1)
    if scale is None:
        return None
    rank, axis = len(scale.shape), node.attributes.get("axis", -1)
    whole = node.scope.shape(node.input(0))
    if axis != -rank and (whole is None or axis != len(whole) - rank):
        raise NotRepresentable(f"it normalises from axis {axis} on, and its Scale has the shape {scale.shape}")
    names = {"Scale": 1, "B": 2} if node.op == "LayerNormalization" else {"scale": 1}
    return _found(node, dict(_given(node, names)), _numbers(node))


def _instance_norm(node: Node) -> Found | None:
    scale = _constant(node, 1)
    if scale is None:
        return None
    return _found(node, dict(_given(node, {"scale": 1, "B": 2})), _numbers(node) | {"groups": scale.size})


def _group_norm(node: Node) -> Found | None:
    if _constant(node, 1) is None:
        return None
    if node.scope.opset < 21:
        raise NotRepresentable("before opset 21 it has a scale for every group and not for every channel")
    facts = _numbers(node) | {"groups": node.attributes.get("num_groups", 1)}
    return _found(node, dict(_given(node, {"scale": 1, "bias": 2})), facts)


def _embedding(node: Node) -> Found | None:
    """Gather from the rows of a matrix, by indices that the model is given or computes."""
    table = _constant(node, 0)
    if table is None or len(table.shape) != 2 or not table.is_floating or node.attributes.get("axis", 0) != 0:
        return None
    return _found(node, {"data": table}, {"reads": node.input(1)})


def _slopes(node: Node) -> Found | None:
    slope = _constant(node, 1)
    if slope is None:
        return None
    whole = node.scope.shape(node.input(0))
    own = slope.shape[1:] if whole is not None and len(slope.shape) == len(whole) else slope.shape
    if slope.size > 1 and whole is not None and (len(own) != len(whole) - 1 or own[0] != slope.size):
        raise NotRepresentable(f"its slopes {slope.shape} do not stand for the channels of an input {whole}")
    slope = _reshaped(slope, own)
    return _found(node, {"slope": slope}, {} if whole is None else {"rank": len(whole)})


def _numbers(node: Node, **defaults: float) -> Facts:
    """Epsilon, and what else a norm states, with ONNX's defaults; as the decimal numbers that were meant."""
    known = {"epsilon": 1e-5, **defaults}
    return {name: float(f"{node.attributes.get(name, value):.7g}") for name, value in known.items()}


def _rank(node: Node) -> Facts:
    """How many axes the input of a norm has, from what the file declares or from the convolution that makes it."""
    whole = node.scope.shape(node.input(0))
    if whole is not None:
        return {"rank": len(whole)}
    made_by = node.scope.producer(node.input(0))
    kernel = _constant(made_by, 1) if made_by is not None and made_by.op in ("Conv", "ConvTranspose") else None
    return {} if kernel is None else {"rank": len(kernel.shape)}


_MOST_AXES = 16
_CONVOLUTION = {
    "strides": "strides",
    "dilations": "dilation_rate",
    "group": "groups",
    "pads": "pads",
    "auto_pad": "auto_pad",
    "output_padding": "output_padding",
    "output_shape": "output_shape",
}
"""ONNX's attributes of a convolution, and the names of the same facts for every framework."""

_READERS: Mapping[str, Callable[[Node], Found | None]] = {
    "Gemm": _linear,
    "MatMul": _product,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "Gather": _embedding,
    "PRelu": _slopes,
}
