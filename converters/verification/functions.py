"""Functions of elements and of one axis, in NumPy float64: those of `layouts.reference`, and what models put around."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from converters.model.operations import Activation
from layouts.errors import NotRepresentable, printable
from layouts.reference import ACTIVATIONS, sigmoid

Array = np.ndarray[Any, Any]


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) over its sum along an axis, without overflow."""
    raised = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def _log_softmax(x: Array, axis: int) -> Array:
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _relu(x: Array, settings: Activation) -> Array:
    """Keras's ReLU layer: f(x) = ceiling above it, x from the threshold on, alpha × (x - threshold) below."""
    below = (settings.alpha or 0.0) * (x - settings.threshold)
    found = np.where(x >= settings.threshold, x, below) if settings.threshold or settings.alpha else np.maximum(x, 0.0)
    return found if settings.ceiling is None else np.minimum(found, settings.ceiling)


def _below(x: Array, slope: float) -> Array:
    return np.where(x > 0.0, x, slope * x)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _number(value: float | None, usual: float) -> float:
    return usual if value is None else value


_WITH_SETTINGS: Mapping[str, Callable[[Array, Activation], Array]] = {
    "softmax": lambda x, s: softmax(x, s.axis),
    "softmin": lambda x, s: softmax(-x, s.axis),
    "log_softmax": lambda x, s: _log_softmax(x, s.axis),
    "relu": _relu,
    "leaky_relu": lambda x, s: _below(x, _number(s.alpha, 0.2)),
    "elu": lambda x, s: _elu(x, _number(s.alpha, 1.0)),
    "celu": lambda x, s: np.where(
        x > 0.0, x, _number(s.alpha, 1.0) * np.expm1(np.minimum(x, 0.0) / _number(s.alpha, 1.0))
    ),
    "power": lambda x, s: np.power(x, _number(s.alpha, 1.0)),
    "thresholded_relu": lambda x, s: np.where(x > _number(s.alpha, 1.0), x, 0.0),
    "hard_shrink": lambda x, s: np.where(np.abs(x) > _number(s.alpha, 0.5), x, 0.0),
    "soft_shrink": lambda x, s: np.sign(x) * np.maximum(np.abs(x) - _number(s.alpha, 0.5), 0.0),
}
_PLAIN: Mapping[str, Callable[[Array], Array]] = {
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "hard_silu": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0.0)),
    "log_sigmoid": lambda x: -np.logaddexp(-x, 0.0),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "square": np.square,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "negative": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sign": np.sign,
    "reciprocal": np.reciprocal,
    "log": np.log,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "glu": lambda x: x[..., : x.shape[-1] // 2] * sigmoid(x[..., x.shape[-1] // 2 :]),
}


def activate(x: Array, settings: Activation) -> Array:
    """A function by its neutral name. Raises `NotRepresentable` for one that is not known here."""
    if settings.function in _WITH_SETTINGS:
        return _WITH_SETTINGS[settings.function](x, settings)
    plain = _PLAIN.get(settings.function) or ACTIVATIONS.get(settings.function)
    if plain is None:
        raise NotRepresentable(f"the function {printable(settings.function)} is not known here")
    return np.asarray(plain(x))
