"""The words of ONNX for single operations.

Source: the kernels in tensorflow/lite/kernels, and the options in schema.fbs, by the numbers of their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from converters.readers.tflite.model import Operation
from converters.readers.tflite.words.told import Untold, Words

_UNARY = {
    "LOGISTIC": "Sigmoid", "TANH": "Tanh", "RELU": "Relu", "EXP": "Exp", "NEG": "Neg", "LOG": "Log", "SQRT": "Sqrt",
    "ABS": "Abs", "ELU": "Elu", "LOGICAL_NOT": "Not", "SHAPE": "Shape", "DEQUANTIZE": "Identity", "FLOOR": "Floor",
    "CEIL": "Ceil", "ROUND": "Round", "SIGN": "Sign", "HARD_SWISH": "HardSwish", "LOG_SOFTMAX": "LogSoftmax",
    "custom FlexTensorListFromTensor": "Identity", "custom FlexTensorListStack": "Identity",
}  # fmt: skip
"""Those of Flex are lists of all steps, which are told as what they hold."""
_BINARY = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow",
    "LESS": "Less", "GREATER": "Greater", "GREATER_EQUAL": "GreaterOrEqual", "LESS_EQUAL": "LessOrEqual",
    "EQUAL": "Equal", "LOGICAL_AND": "And", "LOGICAL_OR": "Or", "BROADCAST_TO": "Expand",
    "TILE": "Tile",
}  # fmt: skip
_REDUCED = {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_PROD": "ReduceProd", "REDUCE_MAX": "ReduceMax"}
_FUSED = ("ADD", "SUB", "MUL", "DIV")
_CLIPPED = {2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Activations by the limits that they are."""
_RELU, _TANH = 1, 4
_FARTHEST = (1 << 63) - 1


def say(w: Words, one: Operation) -> None:
    """Tell an operation. Raises `Untold`."""
    if one.kind in _UNARY:
        w.put(_UNARY[one.kind], w.reads(one.inputs[0]), gives=one.outputs[0])
    elif one.kind in _BINARY:
        _with_activation(w, one, 0 if one.kind in _FUSED else None, _BINARY[one.kind], *map(w.reads, one.inputs[:2]))
    elif one.kind in _OWN:
        _OWN[one.kind](w, one)
    else:
        raise Untold


def _with_activation(w: Words, one: Operation, option: int | None, op: str, *inputs: str, **attributes: Any) -> None:
    """A node, and the activation that is fused to it."""
    code = one.option(option, "b") if option is not None else 0
    made = w.put(op, *inputs, gives=None if code else one.outputs[0], **attributes)
    if code in _CLIPPED:
        _clip(w, made, one.outputs[0], *_CLIPPED[code])
    elif code in (_RELU, _TANH):
        w.put("Relu" if code == _RELU else "Tanh", made, gives=one.outputs[0])
    elif code:
        raise Untold


def _clip(w: Words, value: str, gives: int, low: float, high: float) -> None:
    limits = [w.number(limit, kind="float32", scalar=True) for limit in (low, high)]
    w.put("Clip", value, *limits, gives=gives)


def _fully_connected(w: Words, one: Operation) -> None:
    """A product with the rows of a matrix; what has more axes is taken as rows, unless its axes are kept."""
    x, rank = w.reads(one.inputs[0]), len(w.shape(one.inputs[0]))
    (_, width), bias = w.shape(one.inputs[1]), w.reads(one.inputs[2]) if len(one.inputs) > 2 else ""
    if one.option(1, "b") or width is None:
        raise Untold
    if rank != 2 and not one.option(2, "?", False):
        x = w.put("Reshape", x, w.number(-1, width))
    matrix = w.transposed(one.inputs[1])
    if bias:
        _with_activation(w, one, 0, "Add", w.put("MatMul", x, matrix), bias)
    else:
        _with_activation(w, one, 0, "MatMul", x, matrix)


def _batch_matmul(w: Words, one: Operation) -> None:
    sides = [w.transposed(t) if one.option(k, "?", False) else w.reads(t) for k, t in enumerate(one.inputs[:2])]
    w.put("MatMul", *sides, gives=one.outputs[0])


def _concatenation(w: Words, one: Operation) -> None:
    _with_activation(w, one, 1, "Concat", *map(w.reads, one.inputs), axis=one.option(0, "i"))


def _split(w: Words, one: Operation) -> None:
    (axis,) = w.numbers(one.inputs[0])
    made = [w.makes(tensor) for tensor in one.outputs]
    w.put_all("Split", w.reads(one.inputs[1]), gives=made, axis=axis, num_outputs=len(made))


def _split_by_sizes(w: Words, one: Operation) -> None:
    (axis,), sizes = w.numbers(one.inputs[2]), w.numbers(one.inputs[1])
    made = [w.makes(tensor) for tensor in one.outputs]
    whole = w.shape(one.inputs[0])[axis]
    if -1 in sizes and whole is not None:
        sizes[sizes.index(-1)] = whole - sum(size for size in sizes if size > 0)
    w.put_all("Split", w.reads(one.inputs[0]), w.number(*sizes), gives=made, axis=axis)


def _unpack(w: Words, one: Operation) -> None:
    axis, made = one.option(1, "i"), [w.makes(tensor) for tensor in one.outputs]
    parts = [f"{name}+" for name in made]
    w.put_all("Split", w.reads(one.inputs[0]), gives=parts, axis=axis, num_outputs=len(parts))
    for part, name in zip(parts, made, strict=True):
        w.put_all("Squeeze", part, w.number(axis), gives=[name])


def _pack(w: Words, one: Operation) -> None:
    axis = one.option(1, "i")
    parts = [w.put("Unsqueeze", w.reads(tensor), w.number(axis)) for tensor in one.inputs]
    w.put("Concat", *parts, gives=one.outputs[0], axis=axis)


def _gather(w: Words, one: Operation) -> None:
    if one.option(1, "i"):
        raise Untold
    w.put("Gather", *map(w.reads, one.inputs[:2]), gives=one.outputs[0], axis=one.option(0, "i"))


def _item_of_list(w: Words, one: Operation) -> None:
    w.put("Gather", *map(w.reads, one.inputs[:2]), gives=one.outputs[0], axis=0)


def _reshape(w: Words, one: Operation) -> None:
    """A reshape; where it swaps an axis of one with another, or drops one, the transposition or squeeze that it is."""
    before, after = (w.described(tensor) or () for tensor in (one.inputs[0], one.outputs[0]))
    x = w.reads(one.inputs[0])
    if len(before) == 3 and after == (before[1], before[0], before[2]) and None not in before and 1 in before[:2]:
        w.put("Transpose", x, gives=one.outputs[0], perm=[1, 0, 2])
        return
    if len(before) > 1 and before == (1, *after) and None not in after:
        w.put("Squeeze", x, w.number(0), gives=one.outputs[0])
        return
    if len(one.inputs) > 1:
        wanted = w.reads(one.inputs[1])
    else:
        wanted = w.number(*map(int, one.options.numbers(0, "<i4") if one.options else ()))
    w.put("Reshape", x, wanted, gives=one.outputs[0], allowzero=1)


def _transpose(w: Words, one: Operation) -> None:
    w.put("Transpose", w.reads(one.inputs[0]), gives=one.outputs[0], perm=w.numbers(one.inputs[1]))


def _squeeze(w: Words, one: Operation) -> None:
    axes = [int(axis) for axis in one.options.numbers(0, "<i4")] if one.options else []
    w.put("Squeeze", w.reads(one.inputs[0]), *([w.number(*axes)] if axes else []), gives=one.outputs[0])


def _expand_dims(w: Words, one: Operation) -> None:
    w.put("Unsqueeze", w.reads(one.inputs[0]), w.number(*w.numbers(one.inputs[1])), gives=one.outputs[0])


def _slice(w: Words, one: Operation) -> None:
    begin, sizes = w.numbers(one.inputs[1]), w.numbers(one.inputs[2])
    ends = [_FARTHEST if size < 0 else start + size for start, size in zip(begin, sizes, strict=False)]
    w.put("Slice", w.reads(one.inputs[0]), w.number(*begin), w.number(*ends), gives=one.outputs[0])


def _strided_slice(w: Words, one: Operation) -> None:
    begin, end, strides = map(w.numbers, one.inputs[1:4])
    opened, ended, dots, added, shrunk = (one.option(number, "i") for number in range(5))
    if dots or added or not len(begin) == len(end) == len(strides):
        raise Untold
    axes, starts, ends = [*range(len(begin))], [*begin], [*end]
    gone = [axis for axis in axes if shrunk >> axis & 1]
    for axis in axes:
        if axis in gone:
            ends[axis] = starts[axis] + 1 or _FARTHEST
        else:
            forth = strides[axis] > 0
            starts[axis] = (0 if forth else _FARTHEST) if opened >> axis & 1 else starts[axis]
            ends[axis] = (_FARTHEST if forth else -_FARTHEST) if ended >> axis & 1 else ends[axis]
    kept = [axis for axis in axes if (starts[axis], ends[axis], strides[axis]) != (0, _FARTHEST, 1)]
    chosen = ([values[axis] for axis in kept] for values in (starts, ends, axes, strides))
    value = w.reads(one.inputs[0])
    if kept:
        numbers = [w.number(*values) for values in chosen]
        value = w.put("Slice", value, *numbers, gives=None if gone else one.outputs[0])
    if gone or not kept:
        rest = [w.number(*gone)] if gone else []
        w.put("Squeeze" if gone else "Identity", value, *rest, gives=one.outputs[0])


def _reverse(w: Words, one: Operation) -> None:
    """All elements of an axis, from the last on."""
    (axis,) = w.numbers(one.inputs[1])
    numbers = (w.number(value) for value in (-1, -_FARTHEST, axis, -1))
    w.put("Slice", w.reads(one.inputs[0]), *numbers, gives=one.outputs[0])


def _fill(w: Words, one: Operation) -> None:
    w.put("Expand", w.reads(one.inputs[1]), w.reads(one.inputs[0]), gives=one.outputs[0])


def _cast(w: Words, one: Operation) -> None:
    """To the kind of numbers that its output has; the options may say nothing of it."""
    w.put("Cast", w.reads(one.inputs[0]), gives=one.outputs[0], to=w.kind(one.outputs[0]))


def _select(w: Words, one: Operation) -> None:
    w.put("Where", *map(w.reads, one.inputs[:3]), gives=one.outputs[0])


def _not_equal(w: Words, one: Operation) -> None:
    w.put("Not", w.put("Equal", *map(w.reads, one.inputs[:2])), gives=one.outputs[0])


def _square(w: Words, one: Operation) -> None:
    value = w.reads(one.inputs[0])
    w.put("Mul", value, value, gives=one.outputs[0])


def _squared_difference(w: Words, one: Operation) -> None:
    apart = w.put("Sub", *map(w.reads, one.inputs[:2]))
    w.put("Mul", apart, apart, gives=one.outputs[0])


def _reciprocal_root(w: Words, one: Operation) -> None:
    w.put("Reciprocal", w.put("Sqrt", w.reads(one.inputs[0])), gives=one.outputs[0])


def _leaky_relu(w: Words, one: Operation) -> None:
    w.put("LeakyRelu", w.reads(one.inputs[0]), gives=one.outputs[0], alpha=one.option(0, "f"))


def _softmax(w: Words, one: Operation) -> None:
    if one.option(0, "f") != 1.0:
        raise Untold
    w.put("Softmax", w.reads(one.inputs[0]), gives=one.outputs[0], axis=-1)


def _pool(w: Words, one: Operation) -> None:
    """A pool over height and width, with the channels behind them."""
    strides, size = ([one.option(number, "i") for number in numbers] for numbers in ((2, 1), (4, 3)))
    first = w.put("Transpose", w.reads(one.inputs[0]), perm=[0, 3, 1, 2])
    rule = {0: "SAME_UPPER", 1: "VALID"}[one.option(0, "b")]
    op = "MaxPool" if one.kind == "MAX_POOL_2D" else "AveragePool"
    made = w.put(op, first, kernel_shape=size, strides=strides, auto_pad=rule)
    _with_activation(w, one, 5, "Transpose", made, perm=[0, 2, 3, 1])


def _reduce(w: Words, one: Operation) -> None:
    axes = w.number(*w.numbers(one.inputs[1]))
    kept = int(one.option(0, "?", False))
    w.put(_REDUCED[one.kind], w.reads(one.inputs[0]), axes, gives=one.outputs[0], keepdims=kept)


def _pad(w: Words, one: Operation) -> None:
    amounts = w.numbers(one.inputs[1])
    w.put("Pad", w.reads(one.inputs[0]), w.number(*amounts[::2], *amounts[1::2]), gives=one.outputs[0])


def _gelu(w: Words, one: Operation) -> None:
    how = "tanh" if one.option(0, "?", False) else "none"
    w.put("Gelu", w.reads(one.inputs[0]), gives=one.outputs[0], approximate=how)


def _between(low: float, high: float) -> Callable[[Words, Operation], None]:
    return lambda w, one: _clip(w, w.reads(one.inputs[0]), one.outputs[0], low, high)


_OWN: Mapping[str, Callable[[Words, Operation], None]] = {
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "CONCATENATION": _concatenation,
    "SPLIT": _split,
    "SPLIT_V": _split_by_sizes,
    "UNPACK": _unpack,
    "PACK": _pack,
    "GATHER": _gather,
    "custom FlexTensorListGetItem": _item_of_list,
    "RESHAPE": _reshape,
    "TRANSPOSE": _transpose,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "REVERSE_V2": _reverse,
    "FILL": _fill,
    "CAST": _cast,
    "SELECT": _select,
    "SELECT_V2": _select,
    "NOT_EQUAL": _not_equal,
    "LEAKY_RELU": _leaky_relu,
    "SOFTMAX": _softmax,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    **dict.fromkeys(_REDUCED, _reduce),
    "PAD": _pad,
    "GELU": _gelu,
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "RSQRT": _reciprocal_root,
    "RELU_0_TO_1": _between(0.0, 1.0),
    "RELU6": _between(0.0, 6.0),
    "RELU_N1_TO_1": _between(-1.0, 1.0),
}
