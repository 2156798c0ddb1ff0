"""Operations without weights as nodes. Values keep the axes that they have in the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Node
from converters.model.names import parameter_name
from converters.targets.onnx import attention, windows
from converters.targets.onnx.emission import Emission, refused
from converters.targets.onnx.functions import activated
from converters.targets.onnx.norms import centred, in_groups

_COMBINED = {
    **{"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow"},
    **{"maximum": "Max", "minimum": "Min"},
}
_REDUCED = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd"}


def operated(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> list[str]:
    """What an operation makes. Raises `NotRepresentable` for one that is not written."""
    if isinstance(node.operation, op.DotAttention):
        return attention.scored(e, node, inputs, mask)
    write = _WRITTEN.get(type(node.operation))
    if write is None:
        raise refused(node, "it is not written as ONNX")
    return [write(e, node, list(inputs), mask)]


def _combine(e: Emission, node: Node, x: list[str], _: str) -> str:
    how = node.operation.how  # type: ignore[union-attr]
    if how == "average":
        return e.op("Mul", reduce(lambda a, b: e.op("Add", a, b), x), e.number(1.0 / len(x)))
    return reduce(lambda a, b: e.op(_COMBINED[how], a, b), x)


def _dot(e: Emission, node: Node, x: list[str], _: str) -> str:
    """Summed over one axis of each, batch by batch."""
    settings: Any = node.operation
    ranks = [e.rank(name) for name in node.inputs]
    one, other = (axis % rank for axis, rank in zip(settings.axes, ranks, strict=True))
    if settings.normalize:
        x = [_unit(e, value, axis, settings.least) for value, axis in zip(x, (one, other), strict=True)]
    letters = "bcdefghijk"
    left = ["a" if k == 0 else "z" if k == one else letters[k] for k in range(ranks[0])]
    right = ["a" if k == 0 else "z" if k == other else letters[k].upper() for k in range(ranks[1])]
    kept = [letter for letter in (*left, *right[1:]) if letter != "z"]
    found = e.op("Einsum", *x, equation=f"{''.join(left)},{''.join(right)}->{''.join(kept)}")
    return found if len(kept) > 1 else e.op("Unsqueeze", found, e.ints(1))


def _unit(e: Emission, x: str, axis: int, least: float) -> str:
    square = e.op("ReduceSum", e.op("Mul", x, x), e.ints(axis), keepdims=1)
    return e.op("Div", x, e.op("Max", e.op("Sqrt", square), e.number(least)))


def _standardize(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    rank = e.rank(node.inputs[0])
    return centred(e, x[0], sorted(axis % rank for axis in settings.axes), settings.epsilon)


def _standardize_groups(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    rank = e.rank(node.inputs[0])
    axis = settings.axis % rank
    channels = (e.graph.values[node.inputs[0]].shape or ())[axis]
    if settings.groups == -1 and channels is None:
        raise refused(node, "how many channels it has is not known")
    return in_groups(e, x[0], axis, rank, settings.groups if settings.groups != -1 else channels or 1, settings.epsilon)


def _reduce(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    axes, keep = list(settings.axes), int(settings.keep_axes)
    if settings.how == "sum":
        return e.op("ReduceSum", x[0], *([e.ints(*axes)] if axes else []), keepdims=keep)
    told: dict[str, Any] = {"axes": axes} if axes else {}
    return e.op(_REDUCED[settings.how], x[0], keepdims=keep, **told)


def _sizes(e: Emission, sizes: Sequence[int | op.Axis], like: str) -> list[int | str]:
    return [e.size(like, size.number) if isinstance(size, op.Axis) else size for size in sizes]


def _regroup(e: Emission, node: Node, x: list[str], _: str) -> str:
    return e.shaped(x[0], *_sizes(e, node.operation.sizes, x[0]))  # type: ignore[union-attr]


def _expand(e: Emission, node: Node, x: list[str], _: str) -> str:
    sizes = _sizes(e, node.operation.sizes, x[-1])  # type: ignore[union-attr]
    lists = [e.ints(size) if isinstance(size, int) else size for size in sizes]
    return e.op("Expand", x[0], e.op("Concat", *lists, axis=0))


def _scale(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings, told = node.operation, e.graph.values.get(node.inputs[0])
    real = x[0] if told is None or "float" in told.dtype else e.real(x[0])  # lengths are whole numbers
    return e.op("Add", e.op("Mul", real, e.number(settings.factor)), e.number(settings.offset))  # type: ignore[union-attr]


def _take(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    if settings.index is not None:
        return e.op("Gather", x[0], e.constant(np.array(settings.index)), axis=settings.axis)
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    stop = settings.stop if settings.stop is not None else (most if settings.step > 0 else least)
    start = settings.start if settings.start is not None else (0 if settings.step > 0 else -1)
    return e.sliced(x[0], settings.axis, start, stop, settings.step)


def _constant(e: Emission, node: Node, _: list[str], __: str) -> str:
    settings: Any = node.operation
    array = np.asarray(settings.numbers, settings.dtype).reshape(settings.shape)
    return e.constant(array.astype(e.kind) if array.dtype.kind == "f" else array)


def _stored(e: Emission, node: Node, _: list[str], __: str) -> str:
    """A parameter is an initializer as weights are."""
    (held,) = e.held(node)
    return held.arrays[parameter_name(node.operation.name)]  # type: ignore[union-attr]


def _repeat(e: Emission, node: Node, x: list[str], _: str) -> str:
    count = node.operation.count  # type: ignore[union-attr]
    return e.op("Tile", e.op("Unsqueeze", x[0], e.ints(1)), e.ints(1, count, 1))


def _mask_of(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    if settings.indices:
        return e.op("Not", e.op("Equal", e.cast(x[0], np.int64), e.constant(np.array(int(settings.value)))))
    differs = e.op("Not", e.op("Equal", x[0], e.number(settings.value)))
    most = e.op("ReduceMax", e.cast(differs, np.float32), axes=[-1], keepdims=0)
    return e.op("Greater", most, e.constant(np.array(0.5, np.float32)))


def _mask_of_lengths(e: Emission, _: Node, x: list[str], __: str) -> str:
    time = e.op("Squeeze", e.size(x[0], 1))
    places = e.op("Range", e.constant(np.array(0)), time, e.constant(np.array(1)))
    return e.op("Less", places, e.shaped(e.cast(x[1], np.int64), -1, 1))


def _every_step(e: Emission, node: Node, x: list[str], _: str) -> str:
    sizes = e.op("Shape", x[0], start=0, end=2)
    return e.op("Expand", e.constant(np.array(True)), sizes)


def _pick(e: Emission, node: Node, x: list[str], _: str) -> str:
    settings: Any = node.operation
    return e.op("GatherElements", x[0], e.cast(x[1], np.int64), axis=settings.axis)


def _beside(e: Emission, node: Node, mask: str, number: int) -> str:
    """The mask that a node reads as its input of a number, most often (batch, time), as it goes with the first."""
    here, rank = (e.rank(node.inputs[k]) for k in (number, 0))
    return e.op("Unsqueeze", mask, e.ints(*range(here, rank))) if here < rank else mask


def _masked(e: Emission, node: Node, x: list[str], _: str) -> str:
    return e.op("Where", _beside(e, node, x[1], 1), x[0], e.number(node.operation.value))  # type: ignore[union-attr]


def _choose(e: Emission, node: Node, x: list[str], _: str) -> str:
    return e.op("Where", _beside(e, node, x[2], 2), x[0], x[1])


def _rest(e: Emission, x: str, value: str, start: int) -> list[int | str]:
    """The sizes of the axes from one on, as far as they are known; the others as they turn out."""
    shape = e.graph.values[value].shape or ()
    return [size if size is not None else e.size(x, axis) for axis, size in enumerate(shape)][start:]


def _merge_time(e: Emission, node: Node, x: list[str], _: str) -> str:
    return e.shaped(x[0], -1, *_rest(e, x[0], node.inputs[0], 2))


def _split_time(e: Emission, node: Node, x: list[str], _: str) -> str:
    return e.shaped(x[0], e.size(x[1], 0), e.size(x[1], 1), *_rest(e, x[0], node.inputs[0], 1))


Write = Callable[[Emission, Node, list[str], str], str]
_WRITTEN: Mapping[type, Write] = {
    op.Identity: lambda e, n, x, m: e.op("Identity", x[0]),
    op.Activation: lambda e, n, x, m: activated(e, x[0], n.operation),  # type: ignore[arg-type]
    op.Combine: _combine,
    op.Concatenate: lambda e, n, x, m: e.op("Concat", *x, axis=n.operation.axis),  # type: ignore[union-attr]
    op.Dot: _dot,
    op.MatrixProduct: lambda e, n, x, m: e.op("MatMul", *x),
    op.Einsum: lambda e, n, x, m: e.op("Einsum", *x, equation=n.operation.equation),  # type: ignore[union-attr]
    op.Flatten: lambda e, n, x, m: e.op("Flatten", x[0], axis=1),
    op.Reshape: lambda e, n, x, m: e.shaped(x[0], e.size(x[0], 0), *n.operation.shape),  # type: ignore[union-attr]
    op.Regroup: _regroup,
    op.Expand: _expand,
    op.Constant: _constant,
    op.Stored: _stored,
    op.Permute: lambda e, n, x, m: e.op("Transpose", x[0], perm=list(n.operation.order)),  # type: ignore[union-attr]
    op.Repeat: _repeat,
    op.Pool: lambda e, n, x, m: windows.pooled(e, n, x[0]),
    op.GlobalPool: lambda e, n, x, m: windows.global_pooled(e, n, x[0], m),
    op.Pad: lambda e, n, x, m: windows.padded(e, n, x[0]),
    op.Crop: lambda e, n, x, m: windows.cropped(e, n, x[0]),
    op.UpSample: lambda e, n, x, m: windows.enlarged(e, n, x[0]),
    op.Take: _take,
    op.Pick: _pick,
    op.AddAxis: lambda e, n, x, m: e.op("Unsqueeze", x[0], e.ints(n.operation.axis)),  # type: ignore[union-attr]
    op.DropAxis: lambda e, n, x, m: e.op("Squeeze", x[0], e.ints(n.operation.axis)),  # type: ignore[union-attr]
    op.Reverse: lambda e, n, x, m: e.reversed(x[0], n.operation.axis),  # type: ignore[union-attr]
    op.Reduce: _reduce,
    op.Scale: _scale,
    op.UnitLength: lambda e, n, x, m: _unit(e, x[0], n.operation.axis, n.operation.least),  # type: ignore[union-attr]
    op.Standardize: _standardize,
    op.StandardizeGroups: _standardize_groups,
    op.MaskOf: _mask_of,
    op.MaskOfLengths: _mask_of_lengths,
    op.BothMasks: lambda e, n, x, m: reduce(lambda a, b: e.op("And", a, b), x),
    op.EitherMask: lambda e, n, x, m: reduce(lambda a, b: e.op("Or", a, b), x),
    op.EveryStep: _every_step,
    op.Masked: _masked,
    op.Choose: _choose,
    op.MergeTime: _merge_time,
    op.SplitTime: _split_time,
}
