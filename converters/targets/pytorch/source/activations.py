"""Activations as text: a template for each function by its neutral name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.model.operations import Activation
from converters.targets.pytorch.source.words import number

Template = Callable[[str, Activation], str]


def _usual(value: float | None, otherwise: float) -> str:
    return number(otherwise if value is None else value)


def _relu(x: str, a: Activation) -> str:
    """Keras's: max(x, 0), or slope × (x - threshold) below a threshold, cut at a ceiling."""
    slope, start = a.alpha or 0.0, a.threshold or 0.0
    if not slope and not start and a.ceiling is None:
        return f"torch.relu({x})"
    if not slope and not start:
        return f"{x}.clamp(0.0, {number(a.ceiling or 0.0)})"
    if not start:
        found = f"functional.leaky_relu({x}, {number(slope)})"
    else:
        below = f"{number(slope)} * ({x} - {number(start)})" if slope else f"torch.zeros_like({x})"
        found = f"torch.where({x} >= {number(start)}, {x}, {below})"
    return found if a.ceiling is None else f"{found}.clamp(max={number(a.ceiling)})"


_TEMPLATES: Mapping[str, Template] = {
    "linear": lambda x, a: x,
    "relu": _relu,
    "tanh": lambda x, a: f"torch.tanh({x})",
    "sigmoid": lambda x, a: f"torch.sigmoid({x})",
    "hard_sigmoid_0.2": lambda x, a: f"(0.2 * {x} + 0.5).clamp(0.0, 1.0)",
    "hard_sigmoid_1/6": lambda x, a: f"functional.hardsigmoid({x})",
    "softsign": lambda x, a: f"functional.softsign({x})",
    "softplus": lambda x, a: f"functional.softplus({x}, threshold=50.0)",
    "elu": lambda x, a: f"functional.elu({x}{'' if a.alpha in (None, 1.0) else f', {number(a.alpha or 0.0)}'})",
    "selu": lambda x, a: f"torch.selu({x})",
    "celu": lambda x, a: f"functional.celu({x}, {_usual(a.alpha, 1.0)})",
    "silu": lambda x, a: f"functional.silu({x})",
    "swish": lambda x, a: f"functional.silu({x})",
    "hard_silu": lambda x, a: f"functional.hardswish({x})",
    "exponential": lambda x, a: f"torch.exp({x})",
    "gelu": lambda x, a: f"functional.gelu({x})",
    "gelu_tanh": lambda x, a: f'functional.gelu({x}, approximate="tanh")',
    "leaky_relu_0.01": lambda x, a: f"functional.leaky_relu({x}, 0.01)",
    "leaky_relu": lambda x, a: f"functional.leaky_relu({x}, {_usual(a.alpha, 0.2)})",
    "thresholded_relu": lambda x, a: f"functional.threshold({x}, {_usual(a.alpha, 1.0)}, 0.0)",
    "relu6": lambda x, a: f"functional.relu6({x})",
    "hard_tanh": lambda x, a: f"functional.hardtanh({x})",
    "mish": lambda x, a: f"functional.mish({x})",
    "log_sigmoid": lambda x, a: f"functional.logsigmoid({x})",
    "hard_shrink": lambda x, a: f"functional.hardshrink({x}, {_usual(a.alpha, 0.5)})",
    "soft_shrink": lambda x, a: f"functional.softshrink({x}, {_usual(a.alpha, 0.5)})",
    "tanh_shrink": lambda x, a: f"functional.tanhshrink({x})",
    "square": lambda x, a: f"{x}.square()",
    "sqrt": lambda x, a: f"{x}.sqrt()",
    "abs": lambda x, a: f"{x}.abs()",
    "negative": lambda x, a: f"-{x}",
    "floor": lambda x, a: f"{x}.floor()",
    "ceil": lambda x, a: f"{x}.ceil()",
    "round": lambda x, a: f"{x}.round()",
    "sign": lambda x, a: f"{x}.sign()",
    "power": lambda x, a: f"{x}.pow({_usual(a.alpha, 1.0)})",
    "reciprocal": lambda x, a: f"{x}.reciprocal()",
    "log": lambda x, a: f"{x}.log()",
    "erf": lambda x, a: f"torch.erf({x})",
}
_OF_AN_AXIS: Mapping[str, Template] = {
    "softmax": lambda x, a: f"torch.softmax({x}, dim={a.axis})",
    "log_softmax": lambda x, a: f"torch.log_softmax({x}, dim={a.axis})",
    "softmin": lambda x, a: f"torch.softmax(-{x}, dim={a.axis})",
}


def is_known(function: str) -> bool:
    return function in _TEMPLATES or function in _OF_AN_AXIS


def is_elementwise(function: str) -> bool:
    """Whether each element stands for itself, whatever the order of the axes."""
    return function in _TEMPLATES


def applied(x: str, activation: Activation) -> str:
    """The activation of an expression, its axis counted on the value as it is held. KeyError for an unknown name."""
    return {**_TEMPLATES, **_OF_AN_AXIS}[activation.function](x, activation)
