"""Nodes that compute with every element: activations, arithmetic of values and numbers, sums and means over axes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.model import operations as op
from converters.readers.onnx.network.drawing import Drawing, Unfit

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

Draw = Callable[[Drawing, "Node"], None]
_LARGEST = 3e38
_LONGEST = 200
_PLAIN = {
    "Abs": "abs",
    "Ceil": "ceil",
    "Erf": "erf",
    "Exp": "exponential",
    "Floor": "floor",
    "HardSwish": "hard_silu",
    "Log": "log",
    "Mish": "mish",
    "Neg": "negative",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Swish": "silu",
    "Tanh": "tanh",
}
_ALPHA = {
    "Celu": ("celu", 1.0),
    "Elu": ("elu", 1.0),
    "LeakyRelu": ("leaky_relu", 0.01),
    "ThresholdedRelu": ("thresholded_relu", 1.0),
}
_AXIS = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
_HARD = {(0.2, 0.5): "hard_sigmoid_0.2", (round(1 / 6, 6), 0.5): "hard_sigmoid_1/6"}
_SELU = (1.67326, 1.0507)
_HOW = {
    "Add": "add",
    "Div": "divide",
    "Max": "maximum",
    "Mean": "average",
    "Min": "minimum",
    "Mul": "multiply",
    "Sub": "subtract",
    "Sum": "add",
}
_REDUCED = {"ReduceMax": "max", "ReduceMean": "mean", "ReduceMin": "min", "ReduceProd": "prod", "ReduceSum": "sum"}


def _plain(d: Drawing, node: Node) -> None:
    d.emit(node, op.Activation(_PLAIN[node.op]), d.own(node.input(0)))


def _with_alpha(d: Drawing, node: Node) -> None:
    function, usual = _ALPHA[node.op]
    alpha = _decimal(node.attributes.get("alpha", usual))
    d.emit(node, op.Activation(function, alpha=alpha), d.own(node.input(0)))


def _selu(d: Drawing, node: Node) -> None:
    stated = node.attributes.get("alpha", _SELU[0]), node.attributes.get("gamma", _SELU[1])
    if any(abs(one - other) > 1e-4 for one, other in zip(stated, _SELU, strict=True)):
        raise Unfit(f"with alpha {stated[0]:.7g} and gamma {stated[1]:.7g} it is not the usual SELU")
    d.emit(node, op.Activation("selu"), d.own(node.input(0)))


def _hard_sigmoid(d: Drawing, node: Node) -> None:
    slope, offset = (_decimal(node.attributes.get(name, usual)) for name, usual in (("alpha", 0.2), ("beta", 0.5)))
    x, known = d.own(node.input(0)), _HARD.get((round(slope, 6), offset))
    if known:
        d.emit(node, op.Activation(known), x)
        return
    line = d.fresh(f"{node.output(0)}_line")
    d.put(node.output(0), node.op, op.Scale(slope, offset), (x,), {line: d.sizes(node.input(0))})
    d.emit(node, op.Activation("relu", ceiling=1.0), line)


def _gelu(d: Drawing, node: Node) -> None:
    rounded = node.attributes.get("approximate", "none") == "tanh"
    d.emit(node, op.Activation("gelu_tanh" if rounded else "gelu"), d.own(node.input(0)))


def _over_axis(d: Drawing, node: Node) -> None:
    """Softmax of one axis; before opset 13 of that axis and all behind it."""
    rank, old = d.rank(node.input(0)), node.scope.opset < 13
    axis = int(node.attributes.get("axis", 1 if old else -1))
    axis += rank if axis < 0 else 0
    if old and any(size != (1, 1) for size in (d.sizes(node.input(0)) or ())[axis + 1 :]):
        raise Unfit("before opset 13 it is that of several axes together")
    d.emit(node, op.Activation(_AXIS[node.op], axis=-1 if axis == rank - 1 else axis), d.own(node.input(0)))


def _clip(d: Drawing, node: Node) -> None:
    low, high = (_limit(d, node, *each) for each in ((1, "min"), (2, "max")))
    x = d.own(node.input(0))
    if low == 0.0:
        d.emit(node, op.Activation("relu", ceiling=high), x)
        return
    limits = [(limit, how) for limit, how in ((low, "maximum"), (high, "minimum")) if limit is not None]
    if not limits:
        d.emit(node, op.Identity(), x)
    for limit, how in limits[:-1]:
        inner = d.fresh(f"{node.output(0)}_{how}")
        both = (x, _number(d, node, limit))
        d.put(node.output(0), node.op, op.Combine(how), both, {inner: d.sizes(node.input(0))})
        x = inner
    for limit, how in limits[-1:]:
        d.emit(node, op.Combine(how), x, _number(d, node, limit))


def _limit(d: Drawing, node: Node, place: int, attribute: str) -> float | None:
    """A limit of a Clip; None where there is none."""
    found = node.attributes.get(attribute)
    if node.input(place):
        array = d.constant(node.input(place))
        if array is None or array.size != 1:
            raise Unfit("its limits are computed")
        found = array.reshape(-1)[0]
    return None if found is None or abs(float(found)) > _LARGEST else _decimal(found)


def _number(d: Drawing, node: Node, value: float) -> str:
    """One number as a value."""
    name = d.fresh(f"{node.output(0)}_number")
    d.put(name, "Constant", op.Constant((value,)), (), {name: ()})
    return name


def _decimal(value: float) -> float:
    """A number of single precision as the decimal number that was meant."""
    return float(f"{float(value):.8g}")


def _arithmetic(d: Drawing, node: Node) -> None:
    """Values with one another, or with one number that is stored."""
    names = [name for name in node.inputs if name]
    if len(names) == 2 and _with_number(d, node, *names):
        return
    if len(names) == 1:
        d.alias(node, d.view(names[0]))
        return
    d.emit(node, op.Combine(_HOW[node.op]), *(d.own(name) for name in names))


def _with_number(d: Drawing, node: Node, left: str, right: str) -> bool:
    """Draw arithmetic with one number, where that is a scale or an offset of the other value."""
    for name, other, first in ((left, right, False), (right, left, True)):
        array = d.constant(other) if name not in d.numbers else None
        known = array is not None and array.size == 1 and array.ndim <= (len(d.sizes(name) or ()) or 0)
        if not known or array is None or array.dtype.kind not in "iuf" or d.scope.is_constant(name):
            continue
        scale = _scale(node.op, float(array.reshape(-1)[0]), first)
        if scale is None:
            return False
        x = d.own(name)
        if node.op == "Div" and first:
            inner = d.fresh(f"{node.output(0)}_reciprocal")
            d.put(node.output(0), node.op, op.Activation("reciprocal"), (x,), {inner: d.sizes(name)})
            x = inner
        d.emit(node, scale, x)
        return True
    return False


def _scale(kind: str, number: float, first: bool) -> op.Scale | None:
    """Arithmetic with a number as a scale; `first`: the number stands before the value."""
    number = _decimal(number)
    if not math.isfinite(number) or (kind == "Div" and not first and number == 0.0):
        return None
    if kind == "Mul" or (kind == "Div" and first):
        return op.Scale(factor=number)
    if kind == "Div":
        return op.Scale(factor=1.0 / number)
    if kind == "Sub" and first:
        return op.Scale(factor=-1.0, offset=number)
    return op.Scale(offset=-number if kind == "Sub" else number) if kind in ("Add", "Sub") else None


_POWERS = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal", 1.0: "linear"}


def _power(d: Drawing, node: Node) -> None:
    """A value to the power of a number that is stored, or of another value."""
    array, x = d.constant(node.input(1)), node.input(0)
    if array is None or d.scope.is_constant(x):
        d.emit(node, op.Combine("power"), d.own(x), d.own(node.input(1)))
        return
    if array.size != 1 or array.ndim > (len(d.sizes(x) or ()) or 0):
        raise Unfit("powers of several stored numbers are not known here")
    exponent = _decimal(array.reshape(-1)[0])
    known = _POWERS.get(exponent)
    d.emit(node, op.Activation(known) if known else op.Activation("power", alpha=exponent), d.own(x))


def _erfc(d: Drawing, node: Node) -> None:
    """1 - erf(x), which is no operator of ONNX: tf2onnx writes it all the same."""
    name, made = node.input(0), node.output(0)
    x, inner, sizes = d.own(name), d.fresh(f"{made}_erf"), d.sizes(name)
    d.put(made, "Erf", op.Activation("erf"), (x,), {inner: sizes})
    d.result(node, op.Scale(factor=-1.0, offset=1.0), (inner,), made, d.typed(name).kind, sizes)


_EQUATION = re.compile(r"[A-Za-z.]+(,[A-Za-z.]+)*(->[A-Za-z.]*)?")


def _einsum(d: Drawing, node: Node) -> None:
    """Of values, by an equation of letters."""
    stated = node.attributes.get("equation", b"")
    text = (stated.decode("ascii", "replace") if isinstance(stated, bytes) else str(stated)).replace(" ", "")
    if len(text) > _LONGEST or not _EQUATION.fullmatch(text) or text.count(",") + 1 != len(node.inputs):
        raise Unfit("its equation is none of letters, a part for each input")
    d.emit(node, op.Einsum(text), *(d.own(name) for name in node.inputs))


def axes_of(d: Drawing, node: Node, place: int = 1) -> list[int] | None:
    """The axes that a node names, as an attribute or an input; None where it names none."""
    if "axes" in node.attributes:
        return [int(axis) for axis in node.attributes["axes"]]
    if not node.input(place):
        return None
    array = d.constant(node.input(place))
    if array is None:
        raise Unfit("its axes are computed")
    return [int(axis) for axis in np.asarray(array).reshape(-1)]


def _reduce(d: Drawing, node: Node) -> None:
    axes, rank = axes_of(d, node), d.rank(node.input(0))
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            d.alias(node, d.view(node.input(0)))
            return
        axes = list(range(rank))
    keep = bool(node.attributes.get("keepdims", 1))
    d.emit(node, op.Reduce(_REDUCED[node.op], tuple(sorted(a % rank for a in axes)), keep), d.own(node.input(0)))


def _product(d: Drawing, node: Node) -> None:
    ranks: Sequence[int] = [d.rank(name) for name in node.inputs]
    if min(ranks) < 2:
        raise Unfit("a product with a vector is not known here")
    d.emit(node, op.MatrixProduct(), *(d.own(name) for name in node.inputs))


def _gemm(d: Drawing, node: Node) -> None:
    stated = node.attributes
    if node.input(2) or stated.get("alpha", 1.0) != 1.0:
        raise Unfit("a scaled or summed product of values is not known here")
    views = [d.view(name) for name in node.inputs[:2]]
    both = zip(views, ("transA", "transB"), strict=True)
    turned = [view.permuted((1, 0)) if stated.get(key, 0) else view for view, key in both]
    d.emit(node, op.MatrixProduct(), *(d.real(view, node.output(0) + "_turned") for view in turned))


DRAW: Mapping[str, Draw] = {
    **dict.fromkeys(_PLAIN, _plain),
    **dict.fromkeys(_ALPHA, _with_alpha),
    **dict.fromkeys(_AXIS, _over_axis),
    **dict.fromkeys(_HOW, _arithmetic),
    **dict.fromkeys(_REDUCED, _reduce),
    "Clip": _clip,
    "Einsum": _einsum,
    "Erfc": _erfc,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "MatMul": _product,
    "Pow": _power,
    "Selu": _selu,
}
