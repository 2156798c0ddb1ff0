"""What neutral functions are called in Keras 3, as an activation's name, a layer or a function of `keras.ops`.

Sources: `keras.activations` and `keras.ops` of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.model.operations import Activation

_SAME = ("tanh", "sigmoid", "linear", "relu", "softsign", "softplus", "elu", "selu", "silu", "exponential", "gelu")
_OTHERS = ("softmax", "log_softmax", "relu6", "hard_silu", "hard_tanh", "mish", "celu", "log_sigmoid", "hard_shrink")
NAMES: Mapping[str, str] = {
    **{name: name for name in (*_SAME, *_OTHERS, "soft_shrink", "tanh_shrink", "leaky_relu")},
    "hard_sigmoid_1/6": "hard_sigmoid",
}
"""Neutral names -> names of activations, with the numbers that Keras gives them by itself."""


_FUNCTIONS = {
    "square": ("numpy", "Square"),
    "sqrt": ("numpy", "Sqrt"),
    "abs": ("numpy", "Absolute"),
    "negative": ("numpy", "Negative"),
    "reciprocal": ("numpy", "Reciprocal"),
    "log": ("numpy", "Log"),
    "erf": ("math", "Erf"),
    "floor": ("numpy", "Floor"),
    "ceil": ("numpy", "Ceil"),
    "round": ("numpy", "Round"),
    "sign": ("numpy", "Sign"),
    "glu": ("nn", "Glu"),
}


class Step(NamedTuple):
    """One layer, or one function where `module` is told."""

    class_name: str
    config: Mapping[str, Any]
    module: str = ""
    numbers: tuple[float, ...] = ()
    """What a function takes behind the value."""


Row = Callable[[Activation], list[Step]]


def _relu(a: Activation) -> list[Step]:
    config = {"max_value": a.ceiling, "negative_slope": a.alpha or 0.0, "threshold": a.threshold}
    plain = a.ceiling is None and not a.alpha and not a.threshold
    return [Step("Activation", {"activation": "relu"}) if plain else Step("ReLU", config)]


def _on_axis(name: str, class_name: str) -> Row:
    def row(a: Activation) -> list[Step]:
        if a.axis == -1:
            return [Step("Activation", {"activation": name})]
        return [Step(class_name, {"axis": a.axis}, "nn")]

    return row


def _slope(usual: float) -> Row:
    return lambda a: [Step("LeakyReLU", {"negative_slope": usual if a.alpha is None else a.alpha})]


def _numbered(class_name: str, word: str, usual: float) -> Row:
    """A function of `keras.ops` with one number."""
    return lambda a: [Step(class_name, {word: usual if a.alpha is None else a.alpha}, "nn")]


def _threshold(a: Activation) -> list[Step]:
    return [Step("Threshold", {"threshold": 1.0 if a.alpha is None else a.alpha, "default_value": 0.0}, "nn")]


_ROWS: Mapping[str, Row] = {
    "relu": _relu,
    "softmax": _on_axis("softmax", "Softmax"),
    "log_softmax": _on_axis("log_softmax", "LogSoftmax"),
    "softmin": lambda a: [Step("Negative", {}, "numpy"), *_on_axis("softmax", "Softmax")(a)],
    "leaky_relu": _slope(0.2),
    "leaky_relu_0.01": _slope(0.01),
    "elu": lambda a: [Step("ELU", {"alpha": 1.0 if a.alpha is None else a.alpha})],
    "celu": _numbered("Celu", "alpha", 1.0),
    "hard_shrink": _numbered("HardShrink", "threshold", 0.5),
    "soft_shrink": _numbered("SoftShrink", "threshold", 0.5),
    "thresholded_relu": _threshold,
    "power": lambda a: [Step("Power", {}, "numpy", (1.0 if a.alpha is None else a.alpha,))],
    "gelu_tanh": lambda a: [Step("Gelu", {"approximate": True}, "nn")],
    "hard_sigmoid_0.2": lambda a: [
        Step("Rescaling", {"scale": 1.2, "offset": 0.0}),
        Step("Activation", {"activation": "hard_sigmoid"}),
    ],
}


def steps(activation: Activation) -> list[Step]:
    """The layers and functions that compute an activation, one behind the other; none where Keras has none."""
    row = _ROWS.get(activation.function)
    if row is not None:
        return row(activation)
    if activation.function in _FUNCTIONS:
        module, class_name = _FUNCTIONS[activation.function]
        return [Step(class_name, {}, module)]
    name = NAMES.get(activation.function)
    return [Step("Activation", {"activation": name})] if name else []


def fused(function: str) -> str | None:
    """The name under which a layer applies a function to its own output; None where a layer of its own has to."""
    return NAMES.get(function)
