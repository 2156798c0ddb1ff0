"""Activations as ONNX has them: as nodes of a graph, and as names within LSTM, GRU and RNN."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.model.operations import Activation
from converters.targets.onnx.emission import Emission
from layouts.errors import NotRepresentable, printable


class Inner(NamedTuple):
    """An activation within a recurrent node."""

    name: str
    alpha: float | None = None
    beta: float | None = None


INNER: Mapping[str, Inner] = {
    "tanh": Inner("Tanh"),
    "sigmoid": Inner("Sigmoid"),
    "relu": Inner("Relu"),
    "linear": Inner("Affine", 1.0, 0.0),
    "leaky_relu_0.01": Inner("LeakyRelu", 0.01),
    "hard_sigmoid_0.2": Inner("HardSigmoid", 0.2, 0.5),
    "hard_sigmoid_1/6": Inner("HardSigmoid", 1.0 / 6.0, 0.5),
    "softsign": Inner("Softsign"),
    "softplus": Inner("Softplus"),
    "elu": Inner("Elu", 1.0),
}
"""The activations of `layouts.reference` that a recurrent node computes. Source: the schema of LSTM, opset 14."""

Write = Callable[[Emission, str, Activation], str]


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value


def _relu(e: Emission, x: str, s: Activation) -> str:
    """x from the threshold on, alpha × (x - threshold) below it, never above the ceiling."""
    if s.threshold or s.alpha:
        threshold = e.number(s.threshold)
        below = e.op("Mul", e.op("Sub", x, threshold), e.number(s.alpha or 0.0))
        found = e.op("Where", e.op("Less", x, threshold), below, x)
    else:
        found = e.op("Relu", x)
    return found if s.ceiling is None else e.op("Min", found, e.number(s.ceiling))


def _sigmoid_times(e: Emission, x: str, _: Activation) -> str:
    return e.op("Mul", x, e.op("Sigmoid", x))


def _gelu(e: Emission, x: str, _: Activation) -> str:
    error = e.op("Erf", e.op("Div", x, e.number(math.sqrt(2.0))))
    return e.op("Mul", e.op("Mul", x, e.number(0.5)), e.op("Add", error, e.number(1.0)))


def _gelu_tanh(e: Emission, x: str, _: Activation) -> str:
    cube = e.op("Mul", e.op("Mul", e.op("Mul", x, x), x), e.number(0.044715))
    inner = e.op("Tanh", e.op("Mul", e.op("Add", x, cube), e.number(math.sqrt(2.0 / math.pi))))
    return e.op("Mul", e.op("Mul", x, e.number(0.5)), e.op("Add", inner, e.number(1.0)))


def _clip(e: Emission, x: str, low: float, high: float) -> str:
    return e.op("Clip", x, e.number(low), e.number(high))


def _hard_shrink(e: Emission, x: str, s: Activation) -> str:
    far = e.op("Greater", e.op("Abs", x), e.number(_or(s.alpha, 0.5)))
    return e.op("Where", far, x, e.number(0.0))


def _soft_shrink(e: Emission, x: str, s: Activation) -> str:
    left = e.op("Relu", e.op("Sub", e.op("Abs", x), e.number(_or(s.alpha, 0.5))))
    return e.op("Mul", e.op("Sign", x), left)


def _glu(e: Emission, x: str, _: Activation) -> str:
    first, second = e.ops("Split", x, count=2, axis=-1)
    return e.op("Mul", first, e.op("Sigmoid", second))


def _simple(kind: str, **attributes: Any) -> Write:
    return lambda e, x, s: e.op(kind, x, **attributes)


_WRITTEN: Mapping[str, Write] = {
    "linear": lambda e, x, s: x,
    "softmax": lambda e, x, s: e.op("Softmax", x, axis=s.axis),
    "softmin": lambda e, x, s: e.op("Softmax", e.op("Neg", x), axis=s.axis),
    "log_softmax": lambda e, x, s: e.op("LogSoftmax", x, axis=s.axis),
    "relu": _relu,
    "relu6": lambda e, x, s: _clip(e, x, 0.0, 6.0),
    "leaky_relu": lambda e, x, s: e.op("LeakyRelu", x, alpha=_or(s.alpha, 0.2)),
    "leaky_relu_0.01": _simple("LeakyRelu", alpha=0.01),
    "elu": lambda e, x, s: e.op("Elu", x, alpha=_or(s.alpha, 1.0)),
    "celu": lambda e, x, s: e.op("Celu", x, alpha=_or(s.alpha, 1.0)),
    "selu": _simple("Selu"),
    "thresholded_relu": lambda e, x, s: e.op("ThresholdedRelu", x, alpha=_or(s.alpha, 1.0)),
    "tanh": _simple("Tanh"),
    "sigmoid": _simple("Sigmoid"),
    "hard_sigmoid_0.2": _simple("HardSigmoid", alpha=0.2, beta=0.5),
    "hard_sigmoid_1/6": _simple("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "hard_silu": lambda e, x, s: e.op("Mul", x, e.op("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5)),
    "hard_tanh": lambda e, x, s: _clip(e, x, -1.0, 1.0),
    "softsign": _simple("Softsign"),
    "softplus": _simple("Softplus"),
    "silu": _sigmoid_times,
    "mish": lambda e, x, s: e.op("Mul", x, e.op("Tanh", e.op("Softplus", x))),
    "log_sigmoid": lambda e, x, s: e.op("Neg", e.op("Softplus", e.op("Neg", x))),
    "exponential": _simple("Exp"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "tanh_shrink": lambda e, x, s: e.op("Sub", x, e.op("Tanh", x)),
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "square": lambda e, x, s: e.op("Mul", x, x),
    "sqrt": _simple("Sqrt"),
    "abs": _simple("Abs"),
    "negative": _simple("Neg"),
    "reciprocal": _simple("Reciprocal"),
    "log": _simple("Log"),
    "erf": _simple("Erf"),
    "floor": _simple("Floor"),
    "ceil": _simple("Ceil"),
    "round": _simple("Round"),
    "sign": _simple("Sign"),
    "power": lambda e, x, s: e.op("Pow", x, e.number(_or(s.alpha, 1.0))),
    "glu": _glu,
}


def activated(e: Emission, x: str, settings: Activation) -> str:
    """A function of each element, or of an axis. Raises `NotRepresentable` for one that is not known here."""
    write = _WRITTEN.get(settings.function)
    if write is None:
        raise NotRepresentable(f"the function {printable(settings.function)} is not written as ONNX")
    return write(e, x, settings)
