"""The other layers, around recurrent ones: linear maps, convolutions, norms, embeddings, slopes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.found import Found, constant, found_layer, given, reshaped
from converters.readers.onnx.layers.linear_maps import convolution, linear, product
from layouts.errors import NotRepresentable
from layouts.options import Normalization


def read_other(node: Node) -> Found | None:
    """The layer of a node whose weights are constant; None for a node that has none, or is not such a layer.

    Raises a `ConversionError` for arrays that do not fit the operator, and `NotRepresentable` for a node that computes
    what no layer does.
    """
    reader = None if node.domain else _READERS.get(node.op)
    return reader(node) if reader else None


def _batch_norm(node: Node) -> Found | None:
    if constant(node, 1) is None:
        return None
    stated = node.attributes
    training = stated.get("training_mode", 0) or (node.scope.opset < 7 and not stated.get("is_test", 0))
    if training or not stated.get("spatial", 1):
        raise NotRepresentable("in training mode, or with spatial=0, it does not normalise by stored statistics")
    arrays = dict(given(node, {"scale": 1, "B": 2, "input_mean": 3, "input_var": 4}))
    return found_layer(node, arrays, options=_norm(node, momentum=_decimal(node, "momentum", 0.9)), rank=_rank(node))


def _layer_norm(node: Node) -> Found | None:
    scale = constant(node, 1)
    if scale is None:
        return None
    rank, axis = len(scale.shape), node.attributes.get("axis", -1)
    whole = node.scope.shape(node.input(0))
    if axis != -rank and (whole is None or axis != len(whole) - rank):
        raise NotRepresentable(f"it normalises from axis {axis} on, and its Scale has the shape {scale.shape}")
    names = {"Scale": 1, "B": 2} if node.op == "LayerNormalization" else {"scale": 1}
    return found_layer(node, dict(given(node, names)), options=_norm(node))


def _instance_norm(node: Node) -> Found | None:
    scale = constant(node, 1)
    if scale is None:
        return None
    return found_layer(node, dict(given(node, {"scale": 1, "B": 2})), options=_norm(node, groups=scale.size))


def _group_norm(node: Node) -> Found | None:
    if constant(node, 1) is None:
        return None
    if node.scope.opset < 21:
        raise NotRepresentable("before opset 21 it has a scale for every group and not for every channel")
    options = _norm(node, groups=node.attributes.get("num_groups", 1))
    return found_layer(node, dict(given(node, {"scale": 1, "bias": 2})), options=options)


def _embedding(node: Node) -> Found | None:
    """Gather from the rows of a matrix, by indices that the model is given or computes."""
    table = constant(node, 0)
    if table is None or len(table.shape) != 2 or not table.is_floating or node.attributes.get("axis", 0) != 0:
        return None
    return found_layer(node, {"data": table}, reads=node.input(1))


def _slopes(node: Node) -> Found | None:
    """PRelu: one slope, or one for each element of one axis; ONNX aligns them with the last axes of the input."""
    slope = constant(node, 1)
    if slope is None or not slope.size:
        return None
    whole = node.scope.shape(node.input(0))
    rank = None if whole is None else len(whole)
    if slope.size == 1:
        return found_layer(node, {"slope": reshaped(slope, (1,))}, rank=rank)
    (axis, *more) = (number for number, size in enumerate(slope.shape) if size > 1)
    own = slope.shape[axis:]
    if more:
        raise NotRepresentable(f"its slopes {slope.shape} vary along several axes, and those of nn.PReLU along axis 1")
    if rank is not None and len(own) != rank - 1:
        raise NotRepresentable(f"its slopes {slope.shape} are not one for each channel (axis 1) of an input {whole}")
    return found_layer(node, {"slope": reshaped(slope, own)}, rank=rank)


def _norm(node: Node, momentum: float | None = None, groups: int = 0) -> Normalization:
    return Normalization(epsilon=_decimal(node, "epsilon", 1e-5), momentum=momentum, groups=groups)


def _decimal(node: Node, name: str, usual: float) -> float:
    """A number that a norm states, or ONNX's default; as the decimal number that was meant."""
    return float(f"{node.attributes.get(name, usual):.7g}")


def _rank(node: Node) -> int | None:
    """How many axes the input of a norm has, from what the file declares or from the convolution that makes it."""
    whole = node.scope.shape(node.input(0))
    if whole is not None:
        return len(whole)
    made_by = node.scope.producer(node.input(0))
    kernel = constant(made_by, 1) if made_by is not None and made_by.op in ("Conv", "ConvTranspose") else None
    return None if kernel is None else len(kernel.shape)


_READERS: Mapping[str, Callable[[Node], Found | None]] = {
    "Gemm": linear,
    "MatMul": product,
    "Conv": convolution,
    "ConvTranspose": convolution,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "Gather": _embedding,
    "PRelu": _slopes,
}
