"""The shape of what an operation or a layer gives, as far as it is certain: None where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.model.layers import Layer
from layouts.options import Product

Shapes = Sequence[Shape | None]
_SAME = (
    op.Identity,
    op.Activation,
    op.Scale,
    op.UnitLength,
    op.Standardize,
    op.StandardizeGroups,
    op.Reverse,
    op.Masked,
    op.Choose,
    op.BothMasks,
    op.EitherMask,
)


def after(operation: op.Operation, shapes: Shapes) -> Shape | None:
    """The shape that an operation without weights makes of its inputs'."""
    if isinstance(operation, op.Constant):
        return operation.shape
    first = shapes[0] if shapes else None
    if isinstance(operation, _SAME):
        return first
    rule = _RULES.get(type(operation))
    if rule is None or first is None or None in shapes[:1]:
        return None
    try:
        return rule(operation, [shape for shape in shapes if shape is not None], len(shapes))
    except (IndexError, ValueError, ZeroDivisionError):
        return None


def _known(shapes: list[Shape], count: int) -> bool:
    return len(shapes) == count


def _broadcast(_: Any, shapes: list[Shape], count: int) -> Shape | None:
    if not _known(shapes, count):
        return None
    rank = max(map(len, shapes))
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    return tuple(_wider(column) for column in columns)


def _wider(sizes: Sequence[int | None]) -> int | None:
    told = {size for size in sizes if size != 1}
    if not told:
        return 1
    return next(iter(told)) if len(told) == 1 else next((size for size in told if size is not None), None)


def _concatenate(operation: op.Concatenate, shapes: list[Shape], count: int) -> Shape | None:
    if not _known(shapes, count) or len({len(shape) for shape in shapes}) > 1:
        return None
    axis = operation.axis % len(shapes[0])
    sizes = [shape[axis] for shape in shapes]
    whole = None if None in sizes else sum(size or 0 for size in sizes)
    return tuple(whole if k == axis else _wider([shape[k] for shape in shapes]) for k in range(len(shapes[0])))


def _dot(operation: op.Dot, shapes: list[Shape], count: int) -> Shape | None:
    if len(shapes) != 2:
        return None
    kept = [
        shape[1:][:k] + shape[1:][k + 1 :]
        for shape, axis in zip(shapes, operation.axes, strict=True)
        for k in [axis % len(shape) - 1]
    ]
    found = (shapes[0][0], *kept[0], *kept[1])
    return found if len(found) > 1 else (*found, 1)


def _matrix_product(_: Any, shapes: list[Shape], count: int) -> Shape | None:
    if len(shapes) != 2 or min(map(len, shapes)) < 2:
        return None
    outer = _broadcast(None, [shape[:-2] for shape in shapes], 2) or ()
    return (*outer, shapes[0][-2], shapes[1][-1])


def _of_letters(operation: op.Einsum, shapes: list[Shape], count: int) -> Shape | None:
    """Every letter has the size that it has in the inputs; no rule for `...`."""
    read, arrow, made = operation.equation.partition("->")
    words = read.split(",") if arrow and "." not in operation.equation else []
    fits = len(words) == len(shapes) and all(len(word) == len(shape) for word, shape in zip(words, shapes, strict=True))
    if not fits or not _known(shapes, count):
        return None
    sizes: dict[str, list[int | None]] = {}
    for word, shape in zip(words, shapes, strict=True):
        for letter, size in zip(word, shape, strict=True):
            sizes.setdefault(letter, []).append(size)
    return tuple(_wider(sizes[letter]) for letter in made) if set(made) <= set(sizes) else None


def _flatten(_: Any, shapes: list[Shape], count: int) -> Shape:
    return (shapes[0][0], _product(shapes[0][1:]))


def _product(sizes: Sequence[int | None]) -> int | None:
    return None if None in sizes else math.prod(size or 0 for size in sizes)


def _reshape(operation: op.Reshape, shapes: list[Shape], count: int) -> Shape:
    whole, told = _product(shapes[0][1:]), math.prod(size for size in operation.shape if size != -1)
    left = whole // told if whole is not None and told else None
    return (shapes[0][0], *(left if size == -1 else size for size in operation.shape))


def _permute(operation: op.Permute, shapes: list[Shape], count: int) -> Shape:
    return tuple(shapes[0][axis] for axis in operation.order)


def _repeat(operation: op.Repeat, shapes: list[Shape], count: int) -> Shape:
    return (shapes[0][0], operation.count, *shapes[0][1:])


def spatial(shape: Shape, sizes: Sequence[int | None], channels_last: bool, channels: int | None) -> Shape:
    """A shape with these sizes where it has neither batch nor channels."""
    return (shape[0], *sizes, channels) if channels_last else (shape[0], channels, *sizes)


def _inner(shape: Shape, channels_last: bool) -> tuple[Shape, int | None]:
    """The sizes between batch and channels, and the channels."""
    return (shape[1:-1], shape[-1]) if channels_last else (shape[2:], shape[1])


def windows(size: int | None, width: int, step: int, padding: str) -> int | None:
    """How many windows fit into an axis."""
    if size is None:
        return None
    return -(-size // step) if padding in ("same", "same_lower", "causal") else max((size - width) // step + 1, 0)


def _padded(sizes: Shape, pads: tuple[int, ...]) -> list[int | None]:
    """Sizes with what is padded around them: all beginnings, then all ends."""
    n = len(sizes)
    return [s + pads[k] + pads[n + k] if pads and s is not None else s for k, s in enumerate(sizes)]


def _pool(operation: op.Pool, shapes: list[Shape], count: int) -> Shape | None:
    sizes, channels = _inner(shapes[0], operation.channels_last)
    grown = _padded(sizes, operation.pads)
    found = [windows(*told, operation.padding) for told in zip(grown, operation.size, operation.strides, strict=True)]
    return spatial(shapes[0], found, operation.channels_last, channels)


def _global_pool(operation: op.GlobalPool, shapes: list[Shape], count: int) -> Shape:
    sizes, channels = _inner(shapes[0], operation.channels_last)
    kept = [1] * len(sizes) if operation.keep_axes else []
    return spatial(shapes[0], kept, operation.channels_last, channels)


def _pad(operation: op.Pad | op.Crop, shapes: list[Shape], count: int) -> Shape:
    sizes, channels = _inner(shapes[0], operation.channels_last)
    sign = 1 if isinstance(operation, op.Pad) else -1
    pairs = zip(sizes, operation.amounts, strict=True)
    grown = [None if size is None else size + sign * sum(amount) for size, amount in pairs]
    return spatial(shapes[0], grown, operation.channels_last, channels)


def _up_sample(operation: op.UpSample, shapes: list[Shape], count: int) -> Shape:
    sizes, channels = _inner(shapes[0], operation.channels_last)
    grown = [None if size is None else size * times for size, times in zip(sizes, operation.factors, strict=True)]
    return spatial(shapes[0], grown, operation.channels_last, channels)


def _take(operation: op.Take, shapes: list[Shape], count: int) -> Shape:
    axis = operation.axis % len(shapes[0])
    if operation.index is not None:
        return shapes[0][:axis] + shapes[0][axis + 1 :]
    size = shapes[0][axis]
    if size is None and (operation.stop is None or operation.stop < 0 or operation.start < 0):
        length = None
    else:
        told = operation.stop if size is None and operation.stop is not None else size or 0
        length = len(range(*slice(operation.start, operation.stop, operation.step).indices(told)))
    return (*shapes[0][:axis], length, *shapes[0][axis + 1 :])


def _add_axis(operation: op.AddAxis, shapes: list[Shape], count: int) -> Shape:
    axis = operation.axis % (len(shapes[0]) + 1)
    return (*shapes[0][:axis], 1, *shapes[0][axis:])


def _drop_axis(operation: op.DropAxis, shapes: list[Shape], count: int) -> Shape:
    axis = operation.axis % len(shapes[0])
    return shapes[0][:axis] + shapes[0][axis + 1 :]


def _reduce(operation: op.Reduce, shapes: list[Shape], count: int) -> Shape:
    axes = {axis % len(shapes[0]) for axis in operation.axes}
    kept = ((1 if k in axes else size) for k, size in enumerate(shapes[0]) if k not in axes or operation.keep_axes)
    return tuple(kept)


def _attention(_: Any, shapes: list[Shape], count: int) -> Shape | None:
    return (*shapes[0][:-1], shapes[1][-1]) if _known(shapes, count) else None


def _pick(_: Any, shapes: list[Shape], count: int) -> Shape | None:
    return shapes[1] if _known(shapes, count) else None


def _mask_of(operation: op.MaskOf, shapes: list[Shape], count: int) -> Shape:
    return shapes[0] if operation.indices else shapes[0][:-1]


def _steps(_: Any, shapes: list[Shape], count: int) -> Shape:
    return shapes[0][:2]


def _merge_time(_: Any, shapes: list[Shape], count: int) -> Shape:
    return (None, *shapes[0][2:])


def _split_time(_: Any, shapes: list[Shape], count: int) -> Shape | None:
    return (*shapes[1][:2], *shapes[0][1:]) if _known(shapes, count) else None


_RULES: dict[type, Callable[[Any, list[Shape], int], Shape | None]] = {
    op.Combine: _broadcast,
    op.Concatenate: _concatenate,
    op.Dot: _dot,
    op.MatrixProduct: _matrix_product,
    op.Einsum: _of_letters,
    op.Flatten: _flatten,
    op.Reshape: _reshape,
    op.Permute: _permute,
    op.Repeat: _repeat,
    op.Pool: _pool,
    op.GlobalPool: _global_pool,
    op.Pad: _pad,
    op.Crop: _pad,
    op.UpSample: _up_sample,
    op.Take: _take,
    op.AddAxis: _add_axis,
    op.DropAxis: _drop_axis,
    op.Reduce: _reduce,
    op.DotAttention: _attention,
    op.Pick: _pick,
    op.MaskOf: _mask_of,
    op.MaskOfLengths: _steps,
    op.EveryStep: _steps,
    op.MergeTime: _merge_time,
    op.SplitTime: _split_time,
}


def after_layer(layer: Layer, shape: Shape | None) -> Shape | None:
    """The shape of the (first) output of a layer with weights that is not recurrent."""
    if not layer.parts or shape is None:
        return None
    cell, sizes = layer.parts[0].cell.name, layer.parts[0].solved()
    if cell == "linear":
        return (*shape[:-1], sizes["out"])
    if cell == "embedding":
        return (*shape, sizes["feature"])
    if cell.startswith("einsum"):
        return _einsum(layer, shape)
    if "conv" in cell or cell.startswith("locally"):
        return _convolved(layer, shape)
    if cell.startswith("attention"):
        return (*shape[:-1], sizes["out"])
    return shape


def _einsum(layer: Layer, shape: Shape) -> Shape | None:
    """Letters have the sizes of the input and of the weight; dots stand for the axes that no letter names."""
    part = layer.parts[0]
    sizes, options = part.solved(), part.options
    weight = [sizes[word] for word in ("one", "two", "three") if word in sizes]
    left, made = options.equation.split("->") if isinstance(options, Product) else (",", "")
    read, own = left.split(",")
    spare = len(shape) - len(read.replace(".", ""))
    names = "".join(map(chr, range(0x100, 0x100 + max(spare, 0))))
    read, made = (text.replace("...", names) for text in (read, made))
    if len(read) != len(shape) or len(own) != len(weight):
        return None
    told: dict[str, int | None] = {**dict(zip(own, weight, strict=True)), **dict(zip(read, shape, strict=True))}
    return tuple(told.get(letter) for letter in made)


def _convolved(layer: Layer, shape: Shape) -> Shape | None:
    part = layer.parts[0]
    told, sizes, spot = part.convolution, part.solved(), ("depth", "height", "width")
    inner, _ = _inner(shape, told.channels_last)
    widths = [sizes[word] for word in spot if word in sizes]
    if len(widths) != len(inner):
        return None
    strides, dilation = _each(told.strides, len(inner)), _each(told.dilation, len(inner))
    reach = [(width - 1) * apart + 1 for width, apart in zip(widths, dilation, strict=True)]
    if "transpose" in part.cell.name:
        rule = told.padding if not told.output_padding else ""
        grown = [_grown(*each, rule) for each in zip(inner, reach, strides, strict=True)]
    else:
        padded = _padded(inner, told.pads)
        grown = [windows(*each, told.padding) for each in zip(padded, reach, strides, strict=True)]
    return spatial(shape, grown, told.channels_last, _channels(part.cell.name, sizes, told.groups))


def _each(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    """One number for each axis: one alone counts for all, and none is 1."""
    return numbers if len(numbers) == count else (numbers or (1,))[:1] * count


def _grown(size: int | None, reach: int, step: int, padding: str) -> int | None:
    """The size of an axis behind a transposed convolution; None where another rule tells it."""
    if size is None or padding not in ("valid", "same"):
        return None
    return size * step if padding == "same" else size * step + max(reach - step, 0)


def _channels(cell: str, sizes: dict[str, int], groups: int) -> int | None:
    if cell.startswith("depthwise"):
        return sizes["in"] * sizes["multiplier"]
    return sizes["unit"] if "lstm" in cell else sizes["out"]
