"""Constants of a graph's arithmetic, told from weights: small is no reason, so a number has to look like a constant.

A constant that a person writes is a whole number, a decimal fraction of few digits, or a root or fraction of a whole
number: 0.5, 1e-5, -1e9, sqrt(2), 1/sqrt(64). A trained weight of full precision hardly ever is. What looks like a
constant is one for certain where it is a literal of the program, or where its operator reads it as a setting or in a
formula; otherwise it may still be a weight that was never trained, and is named in a warning.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.graph.scope import Node

_WIDE = ("float32", "float64")
_MOST_ROOTS, _MOST_WHOLE = 4096, 4096
_FORMULAS = (0.044715, 1.702, 1.0507009873554805, 1.6732632423543772, 1.7580993408473766, math.log(2), math.pi, math.e)
"""Numbers of GELU, of its sigmoid form, of SELU (scale, alpha, both), and those that every library has."""
_DERIVED = (math.sqrt(2 / math.pi), math.sqrt(2 * math.pi), 1 / math.sqrt(2 * math.pi), 1 / math.log(2), math.log(10))

_SETTINGS = {
    "Clip": (1, 2),
    "Dropout": (1,),
    "HannWindow": (0,),
    "OneHot": (2,),
    "Pad": (2,),
    "Pow": (1,),
    "Range": (0, 1, 2),
    "Resize": (1, 2),
    "Upsample": (1,),
}
"""Operator -> the inputs that say how it works."""
_SIZES = {"Resize": (1, 2), "Upsample": (1,), "Range": (0, 1, 2)}
"""Those that say how large an output is, whatever their numbers are."""
_CALIBRATION = {"QuantizeLinear": (1,), "DequantizeLinear": (1,)}
"""The steps in which activations are rounded: no module of PyTorch holds them."""
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_ROOTS = ("Log", "Pow", "Reciprocal", "Sqrt")
"""What follows the sum with an epsilon."""
_LITERAL = re.compile(r"(?:.*/)?(?:[xy]|Const(?:ant)?(?:_\d+)?|\w+_recip|value)(?::0)?|.*_(?:min|max)__\d+|zeros?__\d+")
"""TensorFlow's names of numbers that stand in the program: the second operand of `mul` is `mul/y`."""


def size_of_output(node: Node, number: int) -> bool:
    """Whether an input says how large an output is."""
    return not node.domain and number in _SIZES.get(node.op, ())


def calibration(node: Node, number: int) -> bool:
    """Whether an input is the step in which a quantized graph rounds activations."""
    return not node.domain and number in _CALIBRATION.get(node.op, ())


def is_plain(array: LazyArray) -> bool:
    """Whether an array of one element holds a number that a person writes, as far as its precision can tell."""
    if array.size != 1 or not array.is_floating:
        return False
    value = float(np.asarray(array.read(), np.float64).reshape(-1)[0])
    if not math.isfinite(value) or value == 0:
        return True
    if array.dtype.name not in _WIDE:
        return _short(value, 1, array.dtype) or (value.is_integer() and abs(value) <= 8)
    return _short(value, 3, array.dtype) or _derived(abs(value)) or _extreme(value, array.dtype)


def _short(value: float, digits: int, dtype: np.dtype[Any]) -> bool:
    """Whether a number is the nearest of its type to a decimal of so few digits, or a whole number."""
    whole = digits > 1 and value.is_integer() and abs(value) <= _MOST_WHOLE
    return whole or float(np.asarray(float(f"{value:.{digits - 1}e}"), np.float64).astype(dtype)) == value


def _extreme(value: float, dtype: np.dtype[Any]) -> bool:
    return abs(value) in (float(np.finfo(dtype).max), float(np.finfo(np.float16).max), float(np.finfo(dtype).tiny))


def _derived(value: float) -> bool:
    """Whether a number is one of a formula, or a root or fraction of a whole number, in single precision."""
    known = _table()
    place = int(np.searchsorted(known, value))
    near = known[max(0, place - 1) : place + 1]
    return bool(np.any(np.abs(near - value) <= 1.2e-7 * near))


@lru_cache(1)
def _table() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    whole = np.arange(1, _MOST_ROOTS + 1, dtype=np.float64)
    powers = [whole**power for power in (0.5, -0.5, 0.25, -0.25, -1.0)]
    formulas = np.array([number * sign for number in (*_FORMULAS, *_DERIVED) for sign in (1.0, 0.5)])
    return np.unique(np.concatenate([*powers, formulas]))


def is_proven(node: Node, number: int) -> bool:
    """Whether a plain number that a node reads is a constant for certain, and not a weight that was never trained."""
    name = node.input(number)
    made_by = node.scope.producer(name)
    if made_by is not None and made_by.op == "Constant":
        return True
    if node.domain or _LITERAL.fullmatch(name):
        return bool(not node.domain)
    settings = number in _SETTINGS.get(node.op, ()) or node.op in _COMPARISONS
    return settings or _in_formula(node)


def _in_formula(node: Node) -> bool:
    """Whether a sum goes into a root or a logarithm alone: its constant is an epsilon."""
    readers = node.scope.readers(node.output(0))
    return node.op in ("Add", "Max") and bool(readers) and all(one.op in _ROOTS for one in readers)
