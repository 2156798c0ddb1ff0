"""Layers with weights that are not recurrent, as layers of Keras 3, every option spelled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from converters.model import operations as op
from converters.model.graph import Node
from converters.model.layers import Part
from converters.targets.keras.network import convolutions, words
from converters.targets.keras.network.sketch import Config, Held
from converters.targets.keras.network.work import Planned, Work
from layouts.options import Product

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of a module's arrays by their names."""


def shapes_of(module: Planned) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in module.tensors}


def call(w: Work, node: Node, module: Planned, inputs: list[Held]) -> Held:
    """One call of a layer that reads one value, and the activation that it applies to its own output."""
    part, shapes = module.parts[0], shapes_of(module)
    cell, function = part.cell.name, node.layer.call.activation if node.layer else "linear"
    told = words.fused(function)
    given = {"activation": told or "linear"}
    if cell in convolutions.CELLS:
        found = convolutions.call(w, node, module, inputs[0], given)
    else:
        row = _ROWS.get(cell)
        if row is None:
            w.sketch.refuse(node, f"Keras 3 has no layer for {cell.replace('_', ' ')} here")
            return inputs[0]
        class_name, config = row(w, node, part, shapes)
        config |= given if class_name in _ACTIVATED else {}
        found = w.weighted(node, class_name, config, {"": [tensor.key for tensor in module.tensors]}, inputs[0])
        if class_name == "Embedding":
            found = replace(found, mask=w.of_indices.get(node.inputs[0], ""))
        told = told if class_name in _ACTIVATED or function == "linear" else None
    return found if told else w.activated(node, found, op.Activation(function))


_ACTIVATED = ("Dense", "EinsumDense")
"""Layers that apply a function to their own output."""


def _linear(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    if len(w.shape(node.inputs[0]) or (1, 1)) < 2:
        w.sketch.refuse(node, "it reads a vector without a batch, and a Dense of Keras 3 asks for one")
    return "Dense", {"units": shapes["kernel"][-1], "use_bias": "bias" in shapes}


def _embedding(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    count, width = shapes["embeddings"]
    return "Embedding", {"input_dim": count, "output_dim": width, "mask_zero": node.inputs[0] in w.of_indices}


def _axis(part: Part) -> int:
    return part.normalization.axes[0] if part.normalization.axes else 1


def _switches(shapes: Shapes) -> Config:
    return {"center": "beta" in shapes, "scale": "gamma" in shapes}


def _batch_norm(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    momentum = part.normalization.momentum
    config = {"axis": _axis(part), "epsilon": part.normalization.epsilon, **_switches(shapes)}
    return "BatchNormalization", config | ({} if momentum is None else {"momentum": momentum})


def _layer_norm(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    rank = max((len(shape) for shape in shapes.values()), default=1)
    axes = list(part.normalization.axes) or list(range(-rank, 0))
    if part.normalization.rms_scaling:
        w.sketch.refuse(node, "rms_scaling went with Keras 3.10: no layer of Keras 3 computes it")
    return "LayerNormalization", {"axis": axes, "epsilon": part.normalization.epsilon, **_switches(shapes)}


def _group_norm(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    settings = part.normalization
    config = {"groups": settings.groups or 32, "axis": _axis(part), "epsilon": settings.epsilon, **_switches(shapes)}
    return "GroupNormalization", config


def _rms_norm(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    if part.normalization.epsilon is None:
        w.sketch.refuse(node, "its epsilon is that of its numbers, and Keras asks for one")
    return "RMSNormalization", {"axis": -1, "epsilon": part.normalization.epsilon}


def _prelu(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    """One slope a channel, or for every element: the axes of one are shared."""
    (stored,) = part.shapes.values()
    shape = w.shape(node.inputs[0])
    rank = len(shape) if shape is not None else (len(stored) + 1) * (part.layout.framework == "keras")
    if rank != len(stored) + 1:
        w.sketch.refuse(
            node, f"slopes of {len(stored)} axes for a value of {rank or 'unknown'}: not as Keras keeps them"
        )
    shared = [axis for axis, size in enumerate(stored, 1) if size == 1]
    return "PReLU", {"shared_axes": shared or None}


def _normalization(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    """Its numbers stand in the file, as those that `adapt` finds do."""
    axes = list(part.normalization.axes) if part.cell.name == "normalization" else None
    return "Normalization", {"axis": axes or (None if axes is None else [-1]), "invert": part.normalization.invert}


def _einsum(w: Work, node: Node, part: Part, shapes: Shapes) -> tuple[str, Config]:
    """A dense layer of any equation; its bias stands on the last axes of its output."""
    equation = part.options.equation if isinstance(part.options, Product) else ""
    read, _, made = equation.partition("->")
    sizes = dict(zip(read.partition(",")[2], shapes["kernel"], strict=True))
    bias = shapes.get("bias", ())
    pairs = zip(made[len(made) - len(bias) :], bias, strict=True)
    axes = "".join(letter for letter, size in pairs if size != 1 or sizes.get(letter) == 1)
    config = {"equation": equation, "output_shape": [sizes.get(letter) for letter in made[1:]]}
    return "EinsumDense", {**config, "bias_axes": axes or None}


Row = Callable[[Work, Node, Part, Shapes], tuple[str, Config]]
_ROWS: Mapping[str, Row] = {
    "linear": _linear,
    "embedding": _embedding,
    "batch_norm": _batch_norm,
    **dict.fromkeys(("layer_norm", "layer_norm_2d", "layer_norm_3d"), _layer_norm),
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
    **dict.fromkeys(("prelu", "prelu_by_element", "prelu_by_element_2d"), _prelu),
    **dict.fromkeys(("normalization", "normalization_of_all"), _normalization),
    **dict.fromkeys(("einsum_2_1", "einsum_2_2", "einsum_3_1", "einsum_3_2"), _einsum),
}
