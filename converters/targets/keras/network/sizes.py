"""Other sizes of axes: regrouped, and repeated, as far as they are known or are those of one value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from converters.model import operations as op
from converters.model.graph import Node
from converters.targets.keras.network.sketch import Held, Numbers, Tensor
from converters.targets.keras.network.work import Work

Inputs = list[Held]
Sizes = tuple[int | op.Axis, ...]


def _sizes(w: Work, node: Node, sizes: Sizes, like: Held) -> list[int] | None:
    """Sizes as numbers, an open batch as -1; None where more than one of them is open."""
    found = []
    for size in sizes:
        told = size if isinstance(size, int) else (like.shape or (None,) * (size.number + 1))[size.number]
        found.append(-1 if told is None else told)
    if found.count(-1) > 1 or like.timed:
        w.sketch.refuse(node, "several of its sizes are known only when it runs")
        return None
    return found


def regroup(w: Work, node: Node, settings: op.Regroup, inputs: Inputs) -> Held:
    """Other axes; beside an open batch one other open size may stay as it is."""
    around = _around(settings.sizes, inputs[0])
    if around is not None:
        return _on_every_step(w, node, inputs[0], *around)
    sizes = _sizes(w, node, settings.sizes, inputs[0])
    return Held(w.sketch.function(node.name, "Reshape", [inputs[0].tensor], newshape=sizes))


def expand(w: Work, node: Node, settings: op.Expand, inputs: Inputs) -> Held:
    """Repeated by adding zeros as large: numbers for fixed sizes, those of the value that has them for open ones."""
    x, like = inputs[0], inputs[-1]
    shape = like.shape or ()
    told = [size if isinstance(size, int) else shape[size.number] for size in settings.sizes]
    if None not in told:
        return Held(w.sketch.function(node.name, "BroadcastTo", [x.argument], shape=told))
    axes = [size.number for size, own in zip(settings.sizes, told, strict=True) if own is None]  # type: ignore[union-attr]
    if axes != sorted({*axes}) or x.timed or like.timed:
        w.sketch.refuse(node, "it is repeated to a size that is known only when it runs")
        return x
    fixed = tuple(1 if size is None else size for size in told)
    tensor = w.sketch.function(node.name, "Add", [_zeros_like(w, node, like, axes, told), Numbers.zeros(fixed)])
    return Held(w.sketch.function(node.name, "Add", [x.argument, tensor]))


def _zeros_like(w: Work, node: Node, like: Held, axes: list[int], told: Sequence[int | None]) -> Tensor:
    """Zeros with the open sizes of a value where a shape has them, and 1 elsewhere."""
    key = [slice(None) if axis in axes else 0 for axis in range(len(like.shape or ()))]
    cut = w.sketch.function(node.name, "GetItem", [like.tensor, key])
    zeros = w.sketch.function(node.name, "ZerosLike", [cut], dtype="float32")
    for axis, size in enumerate(told):
        if size is not None:
            zeros = w.sketch.function(node.name, "ExpandDims", [zeros], axis=axis)
    return zeros


def _around(sizes: Sizes, x: Held) -> tuple[int, int, list[int]] | None:
    """Where the one open axis behind the batch is before and after, and the sizes around it; None if it is no such."""
    shape, own = x.shape or (), [size for size in sizes[1:] if isinstance(size, int)]
    open_axes = [axis for axis, size in enumerate(shape) if size is None]
    kept = [op.Axis(axis) for axis in open_axes]
    if x.timed or len(open_axes) != 2 or kept[0] != sizes[0] or kept[1] not in sizes or len(own) != len(sizes) - 2:
        return None
    before, after = open_axes[1], sizes.index(kept[1])
    fixed = [size or 1 for size in shape[1:before]], [size for size in sizes[1:after] if isinstance(size, int)]
    return (before, after, own) if -1 not in own and math.prod(fixed[0]) == math.prod(fixed[1]) else None


def _on_every_step(w: Work, node: Node, x: Held, before: int, after: int, sizes: list[int]) -> Held:
    """The open axis is brought behind the batch, and what is on each place of it gets its sizes; then back."""
    rest = [axis for axis in range(1, len(x.shape or ())) if axis != before]
    moved = w.permuted(node, x, [0, before, *rest])
    shaped = w.layer(node, replace(moved, timed=1), "Reshape", {"target_shape": sizes})
    order = [*range(2, after + 1), 1, *range(after + 1, len(sizes) + 2)]
    return w.permuted(node, replace(shaped, timed=0), [0, *order])
