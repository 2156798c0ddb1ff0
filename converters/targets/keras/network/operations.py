"""Operations without weights as layers of Keras 3, or as functions of `keras.ops` where there is no layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Node
from converters.targets.keras.network import maps, masks, sizes
from converters.targets.keras.network.sketch import Held, Numbers, Tensor
from converters.targets.keras.network.work import Work
from layouts.errors import printable

Inputs = list[Held]


def identity(w: Work, node: Node, settings: op.Identity, inputs: Inputs) -> Held:
    if node.class_name not in ("Identity", "Activation"):
        w.sketch.remarks.append(f"{node.name} ({node.class_name}) does nothing at inference: an Identity stands for it")
    return w.layer(node, inputs[0], "Identity", {}) if not inputs[0].timed else inputs[0]


def activation(w: Work, node: Node, settings: op.Activation, inputs: Inputs) -> Held:
    if node.mask and settings.function == "softmax":
        return w.layer(node, inputs[0], "Softmax", {"axis": settings.axis})
    return w.activated(node, inputs[0], settings)


_LAYERS = {
    "add": "Add",
    "subtract": "Subtract",
    "multiply": "Multiply",
    "average": "Average",
    "maximum": "Maximum",
    "minimum": "Minimum",
}
_FUNCTIONS = {**_LAYERS, "average": "Add", "divide": "Divide", "power": "Power"}


def combine(w: Work, node: Node, settings: op.Combine, inputs: Inputs) -> Held:
    """A merging layer of values that are alike and not masked; by functions else, which know no masks."""
    if len({held.timed for held in inputs if not held.numbers}) > 1:
        w.sketch.refuse(node, "it combines a value of every step with a whole one")
    alike = len({held.shape for held in inputs}) == 1 and inputs[0].shape is not None
    pair = settings.how != "subtract" or len(inputs) == 2
    tensors = [held.argument for held in inputs]
    widest = max((held for held in inputs if not held.numbers), key=lambda held: len(held.shape or ()))
    plain = not any(held.mask or held.numbers for held in inputs)
    if alike and plain and pair and settings.how in _LAYERS:
        return replace(widest, tensor=w.sketch.layer(node.name, _LAYERS[settings.how], {}, [tensors]))
    tensor = tensors[0]
    for other in tensors[1:]:
        tensor = w.sketch.function(node.name, _FUNCTIONS[settings.how], [tensor, other])
    if settings.how == "average":
        tensor = w.sketch.function(node.name, "Divide", [tensor, len(tensors)])
    return replace(widest, tensor=tensor, mask="")


def concatenate(w: Work, node: Node, settings: op.Concatenate, inputs: Inputs) -> Held:
    axis = inputs[0].axis(settings.axis)
    tensors = [held.tensor for held in inputs]
    if any(held.mask for held in inputs):
        tensor = w.sketch.function(node.name, "Concatenate", [tensors], axis=axis)
    else:
        tensor = w.sketch.layer(node.name, "Concatenate", {"axis": axis}, [tensors])
    return replace(inputs[0], tensor=tensor, mask="")


def dot(w: Work, node: Node, settings: op.Dot, inputs: Inputs) -> Held:
    ranks = [len(held.shape or ()) for held in inputs]
    pairs = list(zip(settings.axes, ranks, strict=True))
    if any(axis < 0 and not rank for axis, rank in pairs) or any(held.timed for held in inputs):
        w.sketch.refuse(node, "a Dot of values whose axes are not known")
        return inputs[0]
    axes = [axis % rank if axis < 0 else axis for axis, rank in pairs]
    config = {"axes": axes, "normalize": settings.normalize}
    return Held(w.sketch.layer(node.name, "Dot", config, [[held.tensor for held in inputs]]))


def matrix_product(w: Work, node: Node, settings: op.MatrixProduct, inputs: Inputs) -> Held:
    first = next(held for held in inputs if not held.numbers)
    return replace(first, tensor=w.sketch.function(node.name, "Matmul", [h.argument for h in inputs]), mask="")


def einsum(w: Work, node: Node, settings: op.Einsum, inputs: Inputs) -> Held:
    if any(held.timed for held in inputs):
        w.sketch.refuse(node, "products of values on every step")
    tensors = [held.tensor for held in inputs]
    return Held(w.sketch.function(node.name, "Einsum", tensors, subscripts=settings.equation))


def flatten(w: Work, node: Node, settings: op.Flatten, inputs: Inputs) -> Held:
    return w.layer(node, inputs[0], "Flatten", {})


def reshape(w: Work, node: Node, settings: op.Reshape, inputs: Inputs) -> Held:
    return w.layer(node, inputs[0], "Reshape", {"target_shape": list(settings.shape)})


def permute(w: Work, node: Node, settings: op.Permute, inputs: Inputs) -> Held:
    return w.permuted(node, inputs[0], settings.order)


def repeat(w: Work, node: Node, settings: op.Repeat, inputs: Inputs) -> Held:
    return w.layer(node, inputs[0], "RepeatVector", {"n": settings.count})


def take(w: Work, node: Node, settings: op.Take, inputs: Inputs) -> Held:
    x = inputs[0]
    axis = settings.axis
    if axis < 0 and x.shape is None:
        w.sketch.refuse(node, "a part of an axis that is counted from the end, of a value whose axes are not known")
        return x
    axis = x.axis(axis % len(x.shape) if x.shape is not None else axis)
    part = slice(settings.start or None, settings.stop, settings.step if settings.step != 1 else None)
    if settings.step < 0:
        part = slice(settings.start, settings.stop, settings.step)
    key = [*[slice(None)] * axis, part if settings.index is None else settings.index]
    return replace(x, tensor=w.sketch.function(node.name, "GetItem", [x.tensor, key]), mask="")


def pick(w: Work, node: Node, settings: op.Pick, inputs: Inputs) -> Held:
    x, indices = inputs
    if x.timed or indices.timed or x.shape is None or indices.shape is None:
        w.sketch.refuse(node, "elements picked of a value whose axes are not known")
        return x
    places = w.sketch.function(f"{node.name}_places", "Cast", [indices.tensor], "core", dtype="int32")
    return Held(w.sketch.function(node.name, "TakeAlongAxis", [x.tensor, places], axis=settings.axis), indices.shape)


def add_axis(w: Work, node: Node, settings: op.AddAxis, inputs: Inputs) -> Held:
    return _along(w, node, "ExpandDims", inputs[0], axis=inputs[0].axis(settings.axis))


def drop_axis(w: Work, node: Node, settings: op.DropAxis, inputs: Inputs) -> Held:
    """Its one place: of an axis of one Keras does not always know that it is."""
    return take(w, node, op.Take(settings.axis, index=0), inputs)


def reverse(w: Work, node: Node, settings: op.Reverse, inputs: Inputs) -> Held:
    return _along(w, node, "Flip", inputs[0], axis=inputs[0].axis(settings.axis))


def reduce(w: Work, node: Node, settings: op.Reduce, inputs: Inputs) -> Held:
    x = inputs[0]
    if x.timed and (not settings.axes or 0 in settings.axes):
        w.sketch.refuse(node, "a sum over all steps within each step")
    axes = [x.axis(axis) for axis in settings.axes] or None
    return _along(w, node, settings.how.capitalize(), x, axis=axes, keepdims=settings.keep_axes)


def _along(w: Work, node: Node, function: str, x: Held, **config: Any) -> Held:
    return replace(x, tensor=w.sketch.function(node.name, function, [x.tensor], **config), mask="")


def constant(w: Work, node: Node, settings: op.Constant, inputs: Inputs) -> Held:
    return Held(Tensor(""), settings.shape, numbers=Numbers(settings.numbers, settings.shape, settings.dtype))


_MOST_NUMBERS = 100_000
"""What a configuration, which is text, holds of one parameter."""


def stored(w: Work, node: Node, settings: op.Stored, inputs: Inputs) -> Held:
    """A parameter that arithmetic reads: Keras 3 has no layer that holds one, so its numbers go into the functions."""
    array = node.layer.arrays[settings.name].read() if node.layer is not None else np.zeros(0)
    if array.size > _MOST_NUMBERS:
        w.sketch.refuse(node, f"arithmetic reads its {array.size:,} numbers, and no layer of Keras 3 holds them")
        array = array.reshape(-1)[:1]
    name = printable(settings.name)
    w.sketch.remarks.append(f"{name}: arithmetic reads it, so its numbers stand in the configuration, not trainable")
    numbers = Numbers(tuple(array.reshape(-1).tolist()), array.shape, array.dtype.name)
    return Held(Tensor(""), array.shape, numbers=numbers)


def scale(w: Work, node: Node, settings: op.Scale, inputs: Inputs) -> Held:
    config = {"scale": settings.factor, "offset": settings.offset}
    return replace(inputs[0], tensor=w.sketch.layer(node.name, "Rescaling", config, [inputs[0].tensor]))


def unit_length(w: Work, node: Node, settings: op.UnitLength, inputs: Inputs) -> Held:
    config = {"axis": inputs[0].axis(settings.axis)}
    return replace(inputs[0], tensor=w.sketch.layer(node.name, "UnitNormalization", config, [inputs[0].tensor]))


def standardize(w: Work, node: Node, settings: op.Standardize, inputs: Inputs) -> Held:
    config = {"axis": list(settings.axes), "epsilon": settings.epsilon, "center": False, "scale": False}
    return w.layer(node, inputs[0], "LayerNormalization", config)


def standardize_groups(w: Work, node: Node, settings: op.StandardizeGroups, inputs: Inputs) -> Held:
    config = {"groups": settings.groups, "axis": settings.axis, "epsilon": settings.epsilon}
    return w.layer(node, inputs[0], "GroupNormalization", {**config, "center": False, "scale": False})


def merge_time(w: Work, node: Node, settings: op.MergeTime, inputs: Inputs) -> Held:
    return replace(inputs[0], timed=inputs[0].timed + 1)


def split_time(w: Work, node: Node, settings: op.SplitTime, inputs: Inputs) -> Held:
    if not inputs[0].timed:
        w.sketch.refuse(node, "steps are told apart that were not put together here")
    return replace(inputs[0], timed=inputs[0].timed - 1)


Lower = Callable[..., Held]
LOWER: Mapping[type, Lower] = {
    op.Identity: identity,
    op.Activation: activation,
    op.Combine: combine,
    op.Constant: constant,
    op.Stored: stored,
    op.Concatenate: concatenate,
    op.Dot: dot,
    op.MatrixProduct: matrix_product,
    op.Einsum: einsum,
    op.Flatten: flatten,
    op.Reshape: reshape,
    op.Regroup: sizes.regroup,
    op.Expand: sizes.expand,
    op.Permute: permute,
    op.Repeat: repeat,
    op.Pool: maps.pool,
    op.GlobalPool: maps.global_pool,
    op.Pad: maps.pad,
    op.Crop: maps.crop,
    op.UpSample: maps.up_sample,
    op.Take: take,
    op.Pick: pick,
    op.AddAxis: add_axis,
    op.DropAxis: drop_axis,
    op.Reverse: reverse,
    op.Reduce: reduce,
    op.Scale: scale,
    op.UnitLength: unit_length,
    op.Standardize: standardize,
    op.StandardizeGroups: standardize_groups,
    op.Masked: masks.masked,
    op.Choose: masks.choose,
    op.MergeTime: merge_time,
    op.SplitTime: split_time,
}
