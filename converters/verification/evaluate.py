"""The reference evaluator of a graph: every node in NumPy float64, every value kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Graph, Node
from converters.verification import windows
from converters.verification.attention import scored
from converters.verification.functions import activate
from converters.verification.layers import apply
from converters.verification.weights import Weights
from layouts.errors import NotRepresentable, ShapeError, printable

Array = np.ndarray[Any, Any]
Values = dict[str, Array]


def evaluate(graph: Graph, inputs: Sequence[Array]) -> Values:
    """Every value of a graph by name, for inputs in the source's order.

    Raises `NotRepresentable` with the names of all nodes that cannot be evaluated: code, custom and unknown layers;
    `ShapeError` with the name of the one that does not take the shapes that reach it.
    """
    if graph.unknown:
        named = ", ".join(f"{printable(node.name)} ({printable(node.class_name)})" for node in graph.unknown)
        raise NotRepresentable(f"cannot be evaluated: {named}")
    values: Values = {value.name: np.asarray(x) for value, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        mask = np.asarray(values[node.mask], bool) if node.mask else None
        given = [values[name] for name in node.inputs]
        try:
            made = run(node, given, mask)
        except (ValueError, IndexError) as error:
            raise _not_taken(node, given, error) from error
        values.update(zip(node.outputs, made, strict=False))
    return values


def _not_taken(node: Node, given: Sequence[Array], error: Exception) -> ShapeError:
    shapes = " and ".join(str(x.shape) for x in given)
    reason = " ".join(str(error).split())
    return ShapeError(
        f"{printable(node.name)} ({printable(node.class_name)}) does not take values of {shapes}: {reason}",
        layer=node.name,
    )


def run(node: Node, inputs: Sequence[Array], mask: Array | None) -> list[Array]:
    """What one node makes."""
    if isinstance(node.operation, op.Apply) and node.layer is not None:
        return apply(node.layer, inputs, mask, node.operation)
    if isinstance(node.operation, op.Stored) and node.layer is not None:
        return [node.layer.arrays[node.operation.name].read()]
    if isinstance(node.operation, op.DotAttention):
        return _attention(node, inputs, mask)
    function = _OPERATIONS.get(type(node.operation))
    if function is None:
        raise NotRepresentable(f"{printable(node.name)} ({printable(node.class_name)}) is not evaluated here")
    return [np.asarray(function(node.operation, inputs, mask))]


def _combine(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    functions = {
        "add": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "divide": np.divide,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "power": np.power,
    }
    if settings.how == "average":
        return np.asarray(reduce(np.add, inputs) / len(inputs))
    return np.asarray(reduce(functions[settings.how], inputs))


def _dot(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    left, right = inputs
    one, other = (axis % x.ndim for axis, x in zip(settings.axes, inputs, strict=True))
    left, right = np.moveaxis(left, one, -1), np.moveaxis(right, other, -1)
    if settings.normalize:
        left, right = _unit(left, -1, settings.least), _unit(right, -1, settings.least)
    shape = (len(left), *left.shape[1:-1], *right.shape[1:-1])
    flat = left.reshape(len(left), -1, left.shape[-1]) @ right.reshape(len(right), -1, right.shape[-1]).swapaxes(1, 2)
    return np.asarray(flat.reshape(shape if len(shape) > 1 else (*shape, 1)))


def _unit(x: Array, axis: int, least: float) -> Array:
    return np.asarray(x / np.maximum(np.sqrt(np.square(x).sum(axis=axis, keepdims=True)), least))


def _channels(settings: Any, x: Array, function: Callable[[Array], Array]) -> Array:
    """A function of (batch, channels, …) on a value that may have its channels last."""
    if not settings.channels_last:
        return function(x)
    return np.moveaxis(function(np.moveaxis(x, -1, 1)), 1, -1)


def _pool(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    return _channels(
        settings,
        inputs[0],
        lambda x: windows.pool(x, settings.how, settings.size, settings.strides, settings.padding, settings.pads),
    )


def _global_pool(settings: Any, inputs: Sequence[Array], mask: Array | None) -> Array:
    x = inputs[0]
    axes = tuple(range(1, x.ndim - 1)) if settings.channels_last else tuple(range(2, x.ndim))
    if settings.how == "max":
        return np.asarray(x.max(axis=axes, keepdims=settings.keep_axes))
    if mask is not None:
        weights = mask.astype(float).reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
        total = (x * weights).sum(axis=axes, keepdims=settings.keep_axes)
        return np.asarray(total / weights.sum(axis=axes, keepdims=settings.keep_axes))
    return np.asarray(x.mean(axis=axes, keepdims=settings.keep_axes))


def _pad(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    pairs = [(0, 0), (0, 0), *settings.amounts]
    if settings.how != "constant":
        return _channels(settings, inputs[0], lambda x: np.pad(x, pairs, mode=settings.how))
    return _channels(settings, inputs[0], lambda x: np.pad(x, pairs, constant_values=settings.value))


def _crop(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    def cut(x: Array) -> Array:
        places = [slice(a, n - b) for n, (a, b) in zip(x.shape[2:], settings.amounts, strict=True)]
        return x[(slice(None), slice(None), *places)]

    return _channels(settings, inputs[0], cut)


def _up(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    def larger(x: Array) -> Array:
        for axis, factor in enumerate(settings.factors, 2):
            x = np.repeat(x, factor, axis=axis) if settings.interpolation == "nearest" else _between(x, axis, factor)
        return x

    return _channels(settings, inputs[0], larger)


def _between(x: Array, axis: int, factor: int) -> Array:
    """One axis interpolated linearly between the middles of its elements."""
    count = x.shape[axis]
    places = np.clip((np.arange(count * factor) + 0.5) / factor - 0.5, 0, count - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, count - 1)
    share = (places - low).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    return np.asarray(x.take(low, axis) * (1.0 - share) + x.take(high, axis) * share)


def _take(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    x = inputs[0]
    if settings.index is not None:
        return np.asarray(x.take(settings.index, axis=settings.axis))
    places: list[slice] = [slice(None)] * x.ndim
    places[settings.axis] = slice(settings.start, settings.stop, settings.step)
    return x[tuple(places)]


def _reduce(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    functions = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod}
    axes = tuple(settings.axes) or None
    return np.asarray(functions[settings.how](inputs[0], axis=axes, keepdims=settings.keep_axes))  # type: ignore[operator]


def _regroup(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    x = inputs[0]
    return np.asarray(x.reshape([x.shape[n.number] if isinstance(n, op.Axis) else n for n in settings.sizes]))


def _expand(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    sizes = [inputs[1].shape[n.number] if isinstance(n, op.Axis) else n for n in settings.sizes]
    return np.broadcast_to(inputs[0], sizes)


def _standardize(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    x = inputs[0]
    mean, var = (found(x, axis=settings.axes, keepdims=True) for found in (np.mean, np.var))
    return np.asarray((x - mean) / np.sqrt(var + settings.epsilon))


def _standardize_groups(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    x = np.moveaxis(inputs[0], settings.axis, 1)
    groups = x.shape[1] if settings.groups == -1 else settings.groups
    cut = x.reshape(len(x), groups, -1)
    mean, var = cut.mean(axis=-1, keepdims=True), cut.var(axis=-1, keepdims=True)
    return np.moveaxis(((cut - mean) / np.sqrt(var + settings.epsilon)).reshape(x.shape), 1, settings.axis)


def _mask_of(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    differs = np.asarray(inputs[0]) != settings.value
    return np.asarray(differs if settings.indices else differs.any(axis=-1))


def _mask_of_lengths(_: Any, inputs: Sequence[Array], __: Array | None) -> Array:
    x, lengths = inputs
    return np.asarray(np.arange(x.shape[1]) < np.asarray(lengths).reshape(-1, 1))


def _beside(mask: Array, x: Array) -> Array:
    """A mask (batch, time), as it goes with x (batch, time, …)."""
    return np.asarray(mask, bool).reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))


def _split_time(_: Any, inputs: Sequence[Array], __: Array | None) -> Array:
    x, like = inputs
    return x.reshape(*like.shape[:2], *x.shape[1:])


def _pick(settings: Any, inputs: Sequence[Array], _: Array | None) -> Array:
    x, indices = inputs[0], inputs[1].astype(np.int64)
    axis = settings.axis % x.ndim
    if not settings.from_end and indices.min(initial=0) < 0:
        raise IndexError("an index is negative")
    x = x[tuple(slice(None if k == axis else size) for k, size in enumerate(indices.shape))]
    return np.take_along_axis(x, indices, axis)


def _attention(node: Node, inputs: Sequence[Array], mask: Array | None) -> list[Array]:
    """Attention without heads; a learned scale where the node has weights."""
    settings: Any = node.operation
    weights = Weights.of(node.layer.parts[0]) if node.layer is not None else Weights({})
    return scored(settings.score, weights, inputs, mask, settings.causal)


Operation = Callable[[Any, Sequence[Array], Array | None], Array]
_OPERATIONS: Mapping[type, Operation] = {
    op.Identity: lambda s, x, m: x[0],
    op.Activation: lambda s, x, m: activate(np.asarray(x[0], np.float64), s),
    op.Combine: _combine,
    op.Concatenate: lambda s, x, m: np.concatenate(x, axis=s.axis),
    op.Dot: _dot,
    op.MatrixProduct: lambda s, x, m: x[0] @ x[1],
    op.Einsum: lambda s, x, m: np.einsum(s.equation, *x),
    op.Flatten: lambda s, x, m: x[0].reshape(len(x[0]), -1),
    op.Reshape: lambda s, x, m: x[0].reshape(len(x[0]), *s.shape),
    op.Regroup: _regroup,
    op.Expand: _expand,
    op.Constant: lambda s, x, m: np.asarray(s.numbers, s.dtype).reshape(s.shape),
    op.Permute: lambda s, x, m: x[0].transpose(s.order),
    op.Repeat: lambda s, x, m: np.repeat(x[0][:, None], s.count, axis=1),
    op.Pool: _pool,
    op.GlobalPool: _global_pool,
    op.Pad: _pad,
    op.Crop: _crop,
    op.UpSample: _up,
    op.Take: _take,
    op.Pick: _pick,
    op.AddAxis: lambda s, x, m: np.expand_dims(x[0], s.axis),
    op.DropAxis: lambda s, x, m: np.squeeze(x[0], s.axis),
    op.Reverse: lambda s, x, m: np.flip(x[0], s.axis),
    op.Reduce: _reduce,
    op.Scale: lambda s, x, m: x[0] * s.factor + s.offset,
    op.UnitLength: lambda s, x, m: _unit(x[0], s.axis, s.least),
    op.Standardize: _standardize,
    op.StandardizeGroups: _standardize_groups,
    op.MaskOf: _mask_of,
    op.MaskOfLengths: _mask_of_lengths,
    op.BothMasks: lambda s, x, m: reduce(np.logical_and, x),
    op.EitherMask: lambda s, x, m: reduce(np.logical_or, x),
    op.EveryStep: lambda s, x, m: np.ones(x[0].shape[:2], bool),
    op.Masked: lambda s, x, m: np.where(_beside(x[1], x[0]), x[0], s.value),
    op.Choose: lambda s, x, m: np.where(_beside(x[2], x[0]), x[0], x[1]),
    op.MergeTime: lambda s, x, m: x[0].reshape(-1, *x[0].shape[2:]),
    op.SplitTime: _split_time,
}
