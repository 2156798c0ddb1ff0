"""Functions of elements, combinations of values, sums over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from converters.model import operations as op
from converters.torch.trace.sketch import Name, Sketch, is_name
from converters.torch.trace.words import Arguments, Named, Write, argument

Numbers = Callable[[float], tuple[float, float]]
_SCALED: Mapping[str, Numbers] = {
    "add": lambda number: (1.0, number),
    "subtract": lambda number: (1.0, -number),
    "multiply": lambda number: (number, 0.0),
    "divide": lambda number: (1.0 / number, 0.0),
}
_TURNED: Mapping[str, Numbers] = {
    "add": lambda number: (1.0, number),
    "subtract": lambda number: (-1.0, number),
    "multiply": lambda number: (number, 0.0),
}
"""Factor and offset, of a tensor and then a number, and of a number and then a tensor."""


def _combine(how: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        if named:
            raise d.refuse(node, f"{', '.join(named)} is not known here")
        left, right = a
        if is_name(left) and is_name(right):
            return d.add(node, op.Combine(how), left, right)
        if is_name(left):
            return d.add(node, _scaled(d, node, how, _SCALED, right), left)
        if how != "divide":
            return d.add(node, _scaled(d, node, how, _TURNED, left), right)
        return d.add(node, _scaled(d, node, "multiply", _SCALED, left), d.add(node, op.Activation("reciprocal"), right))

    return write


def _scaled(d: Sketch, node: fx.Node, how: str, known: Mapping[str, Numbers], number: object) -> op.Scale:
    """What a number beside a tensor does to it."""
    if how not in known or not isinstance(number, int | float) or (how == "divide" and not number):
        raise d.refuse(node, f"{how} of a tensor and {number} is not known here")
    return op.Scale(*known[how](number))


def _reduce(how: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        axes, keep = argument(a, named, 1, "dim"), bool(argument(a, named, 2, "keepdim", False))
        own = d.runs.value(node)
        operation = op.Reduce(how, tuple(axes) if isinstance(axes, tuple | list) else (axes,), keep)
        if axes is None or set(named) - {"dim", "keepdim"}:
            raise d.refuse(node, "it is known with dim= and keepdim= alone")
        if not isinstance(own, torch.Tensor):
            shape = d.runs.shape(node, (0,))
            return (d.add(node, operation, a[0], shape=shape, dtype="float32"), None)
        return d.add(node, operation, a[0])

    return write


def _activation(name: str, *settings: tuple[str, int, float]) -> Callable[..., Any]:
    """A function of elements; of each setting its name in the graph's operation, its place and its usual value."""

    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        told = {key: argument(a, named, place, _TORCH.get(key, key), usual) for key, place, usual in settings}
        known = {_TORCH.get(key, key) for key, _, _ in settings} | {"inplace", "input"}
        if set(named) - known:
            raise d.refuse(node, f"{', '.join(set(named) - known)} is not known here")
        return d.add(node, op.Activation(name, **told), a[0])

    return write


_TORCH = {"alpha": "negative_slope"}


def _softmax(name: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        axis = argument(a, named, 1, "dim")
        if not isinstance(axis, int):
            raise d.refuse(node, "its axis is not told: state dim=")
        return d.add(node, op.Activation(name, axis=axis), a[0])

    return write


def _gelu(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    exact = named.get("approximate", "none") == "none"
    return d.add(node, op.Activation("gelu" if exact else "gelu_tanh"), a[0])


def _clamp(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return clipped(d, node, a[0], argument(a, named, 1, "min"), argument(a, named, 2, "max"))


def _hardtanh(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return clipped(d, node, a[0], argument(a, named, 1, "min_val", -1.0), argument(a, named, 2, "max_val", 1.0))


def clipped(d: Sketch, node: fx.Node, x: Name, least: Any, most: Any) -> Name:
    """x within bounds, of which one may be missing."""
    for how, bound in (("maximum", least), ("minimum", most)):
        if bound is not None:
            if not isinstance(bound, int | float):
                raise d.refuse(node, "a bound that is a tensor is not known here")
            x = d.add(node, op.Combine(how), x, d.add(node, op.Constant((float(bound),)), shape=()))
    return x


def _power(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    exponent = argument(a, named, 1, "exponent")
    if not is_name(a[0]) or not isinstance(exponent, int | float):
        raise d.refuse(node, "a power is known of a tensor and a number alone")
    if exponent == 2:
        return d.add(node, op.Activation("square"), a[0])
    return d.add(node, op.Activation("power", alpha=float(exponent)), a[0])


def _glu(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """The first half of an axis times σ of the second."""
    return gated(d, node, a[0], argument(a, named, 1, "dim", -1))


def gated(d: Sketch, node: fx.Node, x: Name, dim: int) -> Name:
    shape = d.shape(x)
    axis, size = dim % len(shape), shape[dim]
    if size is None:
        raise d.refuse(node, "an axis of an open size is cut into halves")
    own = (*shape[:axis], size // 2, *shape[axis + 1 :])
    value, gate = (d.add(node, op.Take(axis, k, k + size // 2), x, shape=own) for k in (0, size // 2))
    return d.add(node, op.Combine("multiply"), value, d.add(node, op.Activation("sigmoid"), gate))


def _product(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.MatrixProduct(), *a)


def _linear(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    raise d.refuse(node, "a function with weights of the module: make it a layer of torch.nn")


WRITTEN: Mapping[str, Write] = {
    **dict.fromkeys(("add", "add_"), _combine("add")),
    **dict.fromkeys(("sub", "subtract", "sub_"), _combine("subtract")),
    **dict.fromkeys(("mul", "multiply", "mul_"), _combine("multiply")),
    **dict.fromkeys(("truediv", "div", "divide", "true_divide"), _combine("divide")),
    "maximum": _combine("maximum"),
    "minimum": _combine("minimum"),
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "amin": _reduce("min"),
    "max": _reduce("max"),
    "min": _reduce("min"),
    "prod": _reduce("prod"),
    **dict.fromkeys(("matmul", "bmm", "mm"), _product),
    **dict.fromkeys(("linear", "lstm", "gru", "conv1d", "conv2d", "embedding", "layer_norm", "batch_norm"), _linear),
    **dict.fromkeys(("relu", "relu_"), _activation("relu")),
    **dict.fromkeys(("tanh", "tanh_"), _activation("tanh")),
    **dict.fromkeys(("sigmoid", "sigmoid_"), _activation("sigmoid")),
    "silu": _activation("silu"),
    "selu": _activation("selu"),
    "elu": _activation("elu"),
    "leaky_relu": _activation("leaky_relu", ("alpha", 1, 0.01)),
    "relu6": _activation("relu6"),
    "hardsigmoid": _activation("hard_sigmoid_1/6"),
    "hardswish": _activation("hard_silu"),
    "softplus": _activation("softplus"),
    "softsign": _activation("softsign"),
    "logsigmoid": _activation("log_sigmoid"),
    "exp": _activation("exponential"),
    "log": _activation("log"),
    "sqrt": _activation("sqrt"),
    "abs": _activation("abs"),
    "neg": _activation("negative"),
    "square": _activation("square"),
    "reciprocal": _activation("reciprocal"),
    "mish": _activation("mish"),
    "gelu": _gelu,
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    **dict.fromkeys(("clamp", "clip", "clamp_"), _clamp),
    "hardtanh": _hardtanh,
    "pow": _power,
    "glu": _glu,
}
"""Functions by name."""
