"""Layers with weights that are not recurrent, each as the nodes that compute it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converters.model.graph import Node
from converters.model.layers import Part
from converters.model.operations import Activation
from converters.targets.onnx import attention, norms, windows
from converters.targets.onnx.emission import Emission, refused
from converters.targets.onnx.functions import activated
from converters.targets.onnx.norms import along
from layouts.options import Product


def applied(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> list[str]:
    """What a layer gives, its fused activation applied."""
    held = e.held(node)[0]
    part = held.parts[0] if held.parts else None
    if part is not None and part.cell.name in _HEADS:
        return attention.heads(e, node, part, held.arrays, inputs, mask)
    write = _CELLS.get(part.cell.name) if part else None
    if part is None or write is None or node.layer is None:
        raise refused(node, f"ONNX has no node for {part.cell.name.replace('_', ' ') if part else 'it'}")
    found = write(e, node, part, held.arrays, inputs)
    return [activated(e, found, Activation(node.layer.call.activation or "linear"))]


Arrays = Mapping[str, str]


def _linear(e: Emission, _: Node, __: Part, w: Arrays, inputs: Sequence[str]) -> str:
    return _added(e, e.op("MatMul", inputs[0], w["B"]), w.get("bias"))


def _added(e: Emission, x: str, bias: str | None) -> str:
    return e.op("Add", x, bias) if bias else x


def _embedding(e: Emission, _: Node, __: Part, w: Arrays, inputs: Sequence[str]) -> str:
    return e.op("Gather", w["data"], e.cast(inputs[0], np.int64), axis=0)


def _convolution(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    options, rank = part.convolution, e.rank(node.inputs[0])
    bias = w.get("B", "")

    def write(x: str) -> str:
        return windows.convolved(e, part, x, w["W"], bias, windows.kernel_of(part), _groups(e, node, part))

    return windows.channels_first(e, inputs[0], rank, options.channels_last, write)


def _groups(e: Emission, node: Node, part: Part) -> int:
    """The groups of a convolution: as they are told, which channels and weight must agree with."""
    return part.solved()["in"] if part.cell.products else part.convolution.groups


def _transposed(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    options, rank = part.convolution, e.rank(node.inputs[0])

    def write(x: str) -> str:
        return windows.transposed(e, node, part, x, w["W"], w.get("B", ""), windows.kernel_of(part))

    return windows.channels_first(e, inputs[0], rank, options.channels_last, write)


def _locally_connected(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    def write(x: str) -> str:
        return windows.locally_connected(e, part, x, w["W"], w.get("B", ""))

    return windows.channels_first(e, inputs[0], e.rank(node.inputs[0]), part.convolution.channels_last, write)


def _separable(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    """Every channel by itself, then all of them at each place."""
    rank, kernel = e.rank(node.inputs[0]), windows.kernel_of(part)

    def write(x: str) -> str:
        deep = windows.convolved(e, part, x, w["depthwise W"], "", kernel, part.solved()["in"])
        return e.op("Conv", deep, w["pointwise W"], *([w["B"]] if "B" in w else []), kernel_shape=[1] * len(kernel))

    return windows.channels_first(e, inputs[0], rank, part.convolution.channels_last, write)


def _prelu(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    (stored,) = part.shapes.values()
    rank = e.rank(node.inputs[0])
    alone = part.cell.name != "prelu" or (len(stored) == 1 and math.prod(stored) == 1)
    return e.op("PRelu", inputs[0], w["slope"] if alone else along(e, w["slope"], _channel(part, rank), rank))


def _channel(part: Part, rank: int) -> int:
    """The axis that a slope for each channel stands for: the last in Keras, behind the batch elsewhere."""
    return rank - 1 if part.layout.framework == "keras" else 1


def _einsum(e: Emission, _: Node, part: Part, w: Arrays, inputs: Sequence[str]) -> str:
    equation = part.options.equation if isinstance(part.options, Product) else ""
    return _added(e, e.op("Einsum", inputs[0], w["W"], equation=equation), w.get("bias"))


Write = Callable[[Emission, Node, Part, Arrays, Sequence[str]], str]
_CELLS: Mapping[str, Write] = {
    "linear": _linear,
    "embedding": _embedding,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "depthwise_conv1d", "depthwise_conv2d"), _convolution),
    **dict.fromkeys((f"conv_transpose{n}d{kind}" for n in (1, 2, 3) for kind in ("", "_grouped")), _transposed),
    **dict.fromkeys(("separable_conv1d", "separable_conv2d"), _separable),
    **dict.fromkeys(("prelu", "prelu_by_element", "prelu_by_element_2d"), _prelu),
    **dict.fromkeys(("locally_connected1d", "locally_connected2d"), _locally_connected),
    **norms.CELLS,
    **dict.fromkeys(("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"), _einsum),
}
"""By the name of a cell."""
_HEADS = ("attention", "attention_of_widths", "attention_of_value_width")
