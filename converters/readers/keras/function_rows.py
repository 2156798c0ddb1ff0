"""What functions in the place of layers compute, of one value or of several alike: rows by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.readers.keras.draft import Flow
from converters.readers.keras.indexing import indexed

Steps = list[op.Operation] | None
"""One operation behind the other; None where these arguments have none."""
Row = Callable[[list[Any], Mapping[str, Any], Shape | None], Steps]

_ELEMENTWISE = {
    **{name: name for name in ("sigmoid", "tanh", "relu", "relu6", "selu", "silu", "softplus", "softsign", "mish")},
    **{name: name for name in ("square", "sqrt", "abs", "negative", "reciprocal", "log", "erf", "log_sigmoid")},
    **{name: name for name in ("floor", "ceil", "sign")},
    "absolute": "abs",
    "exp": "exponential",
    "swish": "silu",
    "neg": "negative",
}
_REDUCTIONS = {
    **{name: name for name in ("sum", "mean", "max", "min", "prod")},
    **{f"reduce_{name}": name for name in ("sum", "mean", "max", "min", "prod")},
}


def steps(name: str, arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """The operations of a function; `shape` is that of its first value."""
    if name in _ELEMENTWISE:
        return [op.Activation(_ELEMENTWISE[name])]
    if name in _REDUCTIONS:
        return _reduced(_REDUCTIONS[name], options, shape)
    row = _ROWS.get(name)
    return row(arguments, options, shape) if row else None


def _axis(arguments: Sequence[Any], options: Mapping[str, Any], otherwise: Any = None) -> Any:
    return options.get("axis", next((each for each in arguments[1:] if not isinstance(each, Flow)), otherwise))


def _reduced(how: str, options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = options.get("axis")
    axes = axis if isinstance(axis, list) else [axis] if isinstance(axis, int) else list(range(len(shape or ())))
    return [op.Reduce(how, tuple(axes), options.get("keepdims") is True)] if axes else None


def _softmax(name: str) -> Row:
    def row(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
        axis = _axis(arguments, options, -1)
        axis = -1 if axis is None else axis
        return [op.Activation(name, axis=axis)] if isinstance(axis, int) else None

    return row


def _leaky(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    return [op.Activation("leaky_relu", alpha=float(options.get("negative_slope", options.get("alpha", 0.2))))]


def _gelu(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    return [op.Activation("gelu_tanh" if options.get("approximate") is True else "gelu")]


def _unit_length(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options, -1)
    if not isinstance(axis, int) or options.get("order", 2) != 2:
        return None
    least = options.get("epsilon")
    return [op.UnitLength(axis, 1e-7 if least is None else float(least))]


def _unit_square(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """The same in TensorFlow, where it is the square of the length that has a least value."""
    axis = _axis(arguments, options, -1)
    least = float(options.get("epsilon", 1e-12)) ** 0.5
    return [op.UnitLength(axis, least)] if isinstance(axis, int) else None


def _elu(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    return [op.Activation("elu", alpha=float(options.get("alpha", 1.0)))]


def _rounded(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    decimals = options.get("decimals") or any(not isinstance(each, Flow) for each in arguments)
    return None if decimals else [op.Activation("round")]


def _taken(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    index = options.get("indices", next((each for each in arguments[1:] if not isinstance(each, Flow)), None))
    axis = options.get("axis")
    return [op.Take(axis, index=index)] if isinstance(index, int) and isinstance(axis, int) and axis else None


def _repeated(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """One step repeated: what a RepeatVector does."""
    count, axis = options.get("repeats"), options.get("axis")
    once = shape is not None and len(shape) == 3 and shape[1] == 1 and axis in (1, -2)
    return [op.DropAxis(1), op.Repeat(count)] if once and isinstance(count, int) else None


def _tiled(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    times = options.get("repeats", options.get("multiples"))
    plain = isinstance(times, list) and len(times) == 3 and times[0] == times[2] == 1
    return _repeated(arguments, {"repeats": times[1], "axis": 1}, shape) if plain else None


def _padded(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """Zeros around what is neither batch nor channels."""
    amounts = options.get("pad_width", options.get("paddings"))
    constant = options.get("mode", "constant") in ("constant", "CONSTANT") and not options.get("constant_values")
    pairs = isinstance(amounts, list) and all(isinstance(each, list) and len(each) == 2 for each in amounts)
    if not constant or not pairs or len(amounts) < 3 or any(amounts[0]) or any(amounts[-1]):
        return None
    return [op.Pad(tuple((int(before), int(after)) for before, after in amounts[1:-1]))]


def _transpose(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axes = options.get("axes", options.get("perm"))
    if axes is None and shape is not None:
        axes = list(range(len(shape)))[::-1]
    return [op.Permute(tuple(axes))] if isinstance(axes, list) and sorted(axes) == list(range(len(axes))) else None


def _swapped(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    if shape is None:
        return None
    order = list(range(len(shape)))
    one, other = options["axis1"], options["axis2"]
    order[one], order[other] = order[other], order[one]
    return [op.Permute(tuple(order))]


def _reshape(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """A shape whose first size is the batch, or stands for it; the other sizes are told."""
    told = next((options[key] for key in ("newshape", "shape") if isinstance(options.get(key), list)), None)
    if not told or not all(isinstance(size, int) for size in told[1:]):
        return None
    whole = [size for size in (shape or ())[1:] if size is not None]
    kept = told[0] == -1 and -1 not in told[1:] and shape is not None and len(whole) == len(shape) - 1
    if not kept or _size(whole) != _size(told[1:]):
        return None
    return [op.Reshape(tuple(told[1:]))]


def _size(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _expanded(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    return [op.AddAxis(axis)] if isinstance(axis, int) else None


def _squeezed(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    if axis is None and shape is not None and None not in shape[1:]:
        axis = [k for k, size in enumerate(shape) if k and size == 1]
    axes = sorted([axis] if isinstance(axis, int) else axis or [], reverse=True)
    return [op.DropAxis(each) for each in axes] or None


def _flipped(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    axes = [axis] if isinstance(axis, int) else axis
    return [op.Reverse(each) for each in axes] if isinstance(axes, list) else None


def _concatenated(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = options.get("axis", -1)
    constants = any(not isinstance(each, Flow) for each in arguments[0]) if isinstance(arguments[0], list) else False
    return [op.Concatenate(axis)] if isinstance(axis, int) and not constants else None


def _same(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    kind = options.get("dtype", next((each for each in arguments[1:]), "float32"))
    return [op.Identity()] if str(kind).rpartition(".")[2] in ("float32", "float64", "float16") else None


def _item(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    key = options.get("slice_spec", arguments[1] if len(arguments) > 1 else None)
    return indexed(key, shape)


_ROWS: dict[str, Row] = {
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "leaky_relu": _leaky,
    "gelu": _gelu,
    "elu": _elu,
    "hard_sigmoid": lambda arguments, options, shape: [op.Activation("hard_sigmoid_1/6")],
    "normalize": _unit_length,
    "l2_normalize": _unit_square,
    "round": _rounded,
    "take": _taken,
    "repeat": _repeated,
    "tile": _tiled,
    "pad": _padded,
    "transpose": _transpose,
    "swapaxes": _swapped,
    "reshape": _reshape,
    "expand_dims": _expanded,
    "squeeze": _squeezed,
    "flip": _flipped,
    "reverse": _flipped,
    "concatenate": _concatenated,
    "concat": _concatenated,
    "cast": _same,
    "convert_to_tensor": lambda arguments, options, shape: [op.Identity()],
    "stop_gradient": lambda arguments, options, shape: [op.Identity()],
    "identity": lambda arguments, options, shape: [op.Identity()],
    "get_item": _item,
    "getitem": _item,
}
