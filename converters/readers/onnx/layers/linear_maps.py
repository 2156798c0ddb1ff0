"""Linear maps and convolutions, with the bias that exporters add in a node of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.found import Found, constant, found_layer, given, reshaped
from layouts.errors import NotRepresentable, ShapeError, UnreadableCheckpoint, printable
from layouts.options import Convolution

_MOST_AXES = 16
_PADDING = {"NOTSET": "explicit", "VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}
"""ONNX's words for how a convolution is padded, and the neutral ones."""


def linear(node: Node) -> Found | None:
    """Gemm: alpha A B + beta C, where A and B may be transposed."""
    if constant(node, 1) is None:
        return None
    attributes = node.attributes
    scaled = attributes.get("alpha", 1.0) != 1.0 or (node.input(2) and attributes.get("beta", 1.0) != 1.0)
    if attributes.get("transA", 0) or scaled:
        raise NotRepresentable("transA, alpha or beta make it something other than a linear layer")
    conditions = {"transB": int(attributes.get("transB", 0) != 0)}
    return found_layer(node, dict(given(node, {"B": 1, "C": 2})), conditions=conditions)


def product(node: Node) -> Found | None:
    """MatMul with a matrix on its right, and the bias of the Add that reads the product."""
    matrix = constant(node, 1)
    if matrix is None or len(matrix.shape) != 2 or not matrix.is_floating:
        return None
    for passed, adding in _adding(node, matrix.shape[1]):
        bias = constant(adding, 0) or constant(adding, 1)
        if bias is not None and bias.shape == matrix.shape[1:]:
            return found_layer(node, {"B": matrix, "bias": bias}, *passed, adding)
    return found_layer(node, {"B": matrix})


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


def convolution(node: Node) -> Found | None:
    if constant(node, 1) is None:
        return None
    arrays, stated = dict(given(node, {"W": 1, "B": 2})), node.attributes
    kernel = arrays["W"].shape[2:]
    if tuple(stated.get("kernel_shape", kernel)) != kernel:
        raise ShapeError(f"kernel_shape is {stated['kernel_shape']}, and W is {arrays['W'].shape}", array="W")
    outputs = arrays["W"].shape[0 if node.op == "Conv" else 1] * (1 if node.op == "Conv" else stated.get("group", 1))
    added = () if "B" in arrays else _added_bias(node, outputs, len(kernel))
    arrays |= {"B": added[0]} if added else {}
    conditions = {"grouped": stated.get("group", 1) > 1}
    return found_layer(node, arrays, *added[1:], options=convolution_options(stated), conditions=conditions)


def convolution_options(stated: Mapping[str, Any]) -> Convolution:
    """What a convolution computes beyond its weights. Raises `UnreadableCheckpoint` for an unknown `auto_pad`."""
    rule = str(stated.get("auto_pad", "NOTSET"))
    if rule not in _PADDING:
        raise UnreadableCheckpoint(f"auto_pad is {printable(rule)}: expected {', '.join(_PADDING)}")
    return Convolution(
        strides=tuple(stated.get("strides", ())),
        dilation=tuple(stated.get("dilations", ())),
        groups=stated.get("group", 1),
        padding=_PADDING[rule],
        pads=tuple(stated.get("pads", ())),
        output_padding=tuple(stated.get("output_padding", ())),
        output_shape=tuple(stated.get("output_shape", ())),
    )


def _added_bias(node: Node, channels: int, spatial: int) -> tuple[Any, ...]:
    """The bias of an Add that alone reads a convolution, directly or after an axis was squeezed; and the nodes passed.

    TensorFlow adds the bias of a convolution in one dimension, which it computes in two, after the squeeze.
    """
    passed: tuple[Node, ...] = ()
    reader = _only_reader(node)
    if reader is not None and reader.op == "Squeeze" and _squeezed(reader) in range(2, spatial + 2):
        passed, spatial, reader = (reader,), spatial - 1, _only_reader(reader)
    bias = (constant(reader, 0) or constant(reader, 1)) if reader is not None and reader.op == "Add" else None
    shape = () if bias is None else bias.shape
    if bias is None or shape[-spatial - 1 :] != (channels, *[1] * spatial) or bias.size != channels:
        return ()
    return (reshaped(bias, (channels,)), *passed, reader)


def _squeezed(node: Node) -> int | None:
    """The one axis that a Squeeze takes out, where it is constant and counted from the front."""
    stated = constant(node, 1)
    axes = node.attributes.get("axes", []) if stated is None else stated.read().reshape(-1).tolist()
    return axes[0] if len(axes) == 1 else None
