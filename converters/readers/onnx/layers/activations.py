"""The activations of a recurrent node: ONNX's names and numbers, as the neutral names of `layouts.reference`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layouts.errors import NotRepresentable, UnreadableCheckpoint, printable

_NOT_STATED = math.nan

_DEFAULTS: Mapping[str, tuple[float | None, float | None]] = {
    "Sigmoid": (None, None),
    "Tanh": (None, None),
    "Relu": (None, None),
    "Softsign": (None, None),
    "Softplus": (None, None),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (_NOT_STATED, None),
    "ScaledTanh": (_NOT_STATED, _NOT_STATED),
    "Affine": (_NOT_STATED, _NOT_STATED),
}
"""Every function that ONNX names for recurrent nodes, with the alpha and beta it takes and their defaults, those of the
operator of the same name. Two are not operators, and for the third onnxruntime takes 0 where the operator has 1."""

_NEUTRAL = {
    ("Sigmoid", None, None): "sigmoid",
    ("Tanh", None, None): "tanh",
    ("ScaledTanh", 1.0, 1.0): "tanh",
    ("Relu", None, None): "relu",
    ("ThresholdedRelu", 0.0, None): "relu",
    ("LeakyRelu", 0.01, None): "leaky_relu_0.01",
    ("Elu", 1.0, None): "elu",
    ("Softsign", None, None): "softsign",
    ("Softplus", None, None): "softplus",
    ("HardSigmoid", 0.2, 0.5): "hard_sigmoid_0.2",
    ("HardSigmoid", 1.0 / 6.0, 0.5): "hard_sigmoid_1/6",
    ("Affine", 1.0, 0.0): "linear",
}

_KEYS = ("alpha", "beta")
_PLAIN = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""What a node computes that names no activations, for each direction: gates, candidate, and an LSTM's output."""


def activations(op: str, attributes: Mapping[str, Any], directions: int) -> list[dict[str, Any]]:
    """The options of each direction: `activation`, `recurrent_activation`, and `output_activation` where it differs.

    Raises `UnreadableCheckpoint` for a list of the wrong length or an unknown name, and `NotRepresentable` where the
    numbers given do not tell which function takes them.
    """
    each = len(_PLAIN[op])
    names = _without_spare(op, attributes.get("activations") or list(_PLAIN[op]) * directions, directions)
    if len(names) != each * directions:
        raise UnreadableCheckpoint(
            f"{len(names)} activations; {op} with {directions} directions has {each * directions}"
        )
    known = {name.lower(): name for name in _DEFAULTS}
    unknown = [name for name in names if str(name).lower() not in known]
    if unknown:
        raise UnreadableCheckpoint(f"unknown activation {printable(unknown[0])!r}; ONNX has {', '.join(_DEFAULTS)}")
    numbers = [attributes.get(key) or [] for key in ("activation_alpha", "activation_beta")]
    neutral = list(_neutral([known[str(name).lower()] for name in names], *numbers))
    return [_options(op, neutral[start : start + each]) for start in range(0, len(neutral), each)]


def _without_spare(op: str, names: Sequence[Any], directions: int) -> Sequence[Any]:
    """An RNN of one direction may name its function twice: the schema's default does, ["Tanh", "Tanh"], in any case.

    onnxruntime takes the first. Where the two differ nothing tells which is meant, and the list is too long.
    """
    spare = op == "RNN" and directions == 1 and len(names) == 2 and names[0] == names[1]
    return names[:1] if spare else names


def _options(op: str, names: Sequence[str]) -> dict[str, Any]:
    if op == "RNN":
        return {"activation": names[0]}
    options = {"activation": names[1], "recurrent_activation": names[0]}
    return options | ({"output_activation": names[2]} if op == "LSTM" and names[2] != names[1] else {})


def _neutral(names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]) -> Iterator[str]:
    """The neutral name of each function; each takes the next number of a list if it takes one at all."""
    for name, alpha, beta in zip(names, _taken(names, alphas, 0), _taken(names, betas, 1), strict=True):
        yield _name(name, alpha, beta)


def _taken(names: Sequence[str], given: Sequence[float], which: int) -> list[float | None]:
    takers = [k for k, name in enumerate(names) if _DEFAULTS[name][which] is not None]
    values = [_DEFAULTS[name][which] for name in names]
    if takers and len(given) > len(takers):
        raise NotRepresentable(
            f"{len(given)} numbers for activation_{_KEYS[which]}, and {len(takers)} of "
            f"{', '.join(names)} take one: ambiguous"
        )
    for place, value in zip(takers, given, strict=False):
        values[place] = value
    missing = [name for name, value in zip(names, values, strict=True) if value is not None and math.isnan(value)]
    if missing:
        raise NotRepresentable(
            f"{missing[0]} without a number in activation_{_KEYS[which]}: no default is agreed on, the operators of "
            "ONNX and onnxruntime differ"
        )
    return values


def _name(name: str, alpha: float | None, beta: float | None) -> str:
    """The neutral name, or `HardSigmoid(alpha=0.3, beta=0.5)` for numbers that no name stands for."""
    for (function, one, other), neutral in _NEUTRAL.items():
        if function == name and _same(one, alpha) and _same(other, beta):
            return neutral
    numbers = {"alpha": alpha, "beta": beta}
    return f"{name}({', '.join(f'{key}={value:.7g}' for key, value in numbers.items() if value is not None)})"


def _same(one: float | None, other: float | None) -> bool:
    """Equal as the single-precision numbers that a file stores."""
    return one is other or (one is not None and other is not None and np.float32(one) == np.float32(other))
