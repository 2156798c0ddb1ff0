"""Calls of functions and of methods of tensors. What only moves axes is told by the shapes that it makes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx
from torch.nn import functional

from converters.model import operations as op
from converters.torch.trace.sketch import Name, Sketch

_SMALL = 1024
"""Numbers of a constant that may stand in a graph; more are weights."""


def drawn(d: Sketch, node: fx.Node) -> Any:
    """What a function gives. Raises `NotRepresentable` for one that is not known."""
    arguments, named = d.of(node.args), d.of(node.kwargs)
    if not _holds(d, (arguments, named)):
        return _plain(d, node)
    name = node.target if node.op == "call_method" else _NAMES.get(node.target, getattr(node.target, "__name__", ""))
    write = _WRITTEN.get(str(name))
    if write is None:
        raise d.refuse(node, "this operation is not known here")
    return write(d, node, list(arguments), dict(named))


def constant(d: Sketch, node: fx.Node) -> Any:
    """A tensor of the module itself: a small one as numbers."""
    return _numbers(d, node, d.runs.value(node))


def _numbers(d: Sketch, node: fx.Node, value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    if value.numel() > _SMALL:
        raise d.refuse(node, "a tensor of the module that is no layer's: its numbers would not be weights")
    numbers = tuple(value.detach().cpu().reshape(-1).tolist())
    dtype = str(value.dtype).removeprefix("torch.")
    return d.add(node, op.Constant(numbers, tuple(value.shape), dtype), dtype=dtype)


def _plain(d: Sketch, node: fx.Node) -> Any:
    """What is no work on tensors, such as sums of sizes; a tensor that depends on none is a constant."""
    value = d.runs.value(node)
    if isinstance(value, torch.Tensor):
        if any(size is None for size in d.runs.shape(node)):
            raise d.refuse(node, "a tensor that is made for the sizes of the inputs is not known here")
        return _numbers(d, node, value)
    return value


def _holds(d: Sketch, value: Any) -> bool:
    """Whether there is a value of the graph in some arguments."""
    if isinstance(value, Mapping):
        return any(_holds(d, each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(d, each) for each in value)
    return _is_name(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, Name)


Arguments = list[Any]
Named = dict[str, Any]


def _argument(arguments: Arguments, named: Named, place: int, name: str, otherwise: Any = None) -> Any:
    return arguments[place] if len(arguments) > place else named.get(name, otherwise)


def _getitem(d: Sketch, node: fx.Node, a: Arguments, _: Named) -> Any:
    held, place = a
    if isinstance(held, tuple | list):
        return held[place]
    places = place if isinstance(place, tuple) else (place,)
    used = sum(each is not None and each is not Ellipsis for each in places)
    x, axis = held, 0
    for each in places:
        if each is Ellipsis:
            axis += len(d.shape(held)) - used
            continue
        x, step = _at(d, node, x, axis, each)
        axis += step
    return x


def _at(d: Sketch, node: fx.Node, x: Any, axis: int, place: Any) -> tuple[Any, int]:
    """One index of an axis, and by how much the next one lies behind it."""
    shape = d.shape(x)
    if place is None:
        return d.add(node, op.AddAxis(axis), x, shape=(*shape[:axis], 1, *shape[axis:])), 1
    if isinstance(place, int):
        return d.add(node, op.Take(axis, index=place), x, shape=(*shape[:axis], *shape[axis + 1 :])), 0
    if isinstance(place, slice):
        if place == slice(None):
            return x, 1
        start, stop, step = place.start or 0, place.stop, place.step or 1
        size = shape[axis]
        own = len(range(*slice(start, stop, step).indices(size))) if size is not None else None
        return d.add(node, op.Take(axis, start, stop, step), x, shape=(*shape[:axis], own, *shape[axis + 1 :])), 1
    raise d.refuse(node, "an index that is a tensor is not known here")


def _combine(how: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        if named:
            raise d.refuse(node, f"{', '.join(named)} is not known here")
        left, right = a
        if _is_name(left) and _is_name(right):
            return d.add(node, op.Combine(how), left, right)
        if _is_name(left):
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


def _cat(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.Concatenate(_argument(a, named, 1, "dim", 0)), *a[0])


def _stack(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = _argument(a, named, 1, "dim", 0) % (len(d.shape(a[0][0])) + 1)
    wide = [_at(d, node, x, axis, None)[0] for x in a[0]]
    return d.add(node, op.Concatenate(axis), *wide)


def _chunk(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = _argument(a, named, 2, "dim", 0) % len(d.shape(a[0]))
    return _parts(d, node, a[0], axis)


def _parts(d: Sketch, node: fx.Node, x: Any, axis: int) -> Any:
    """One value for each part of an axis, as long as the parts turned out."""
    found, start = [], 0
    if d.shape(x)[axis] is None:
        raise d.refuse(node, "an axis of an open size is cut into parts")
    for part in d.runs.value(node):
        size = part.shape[axis]
        shape = (*d.shape(x)[:axis], size, *d.shape(x)[axis + 1 :])
        found.append(d.add(node, op.Take(axis, start, start + size), x, shape=shape, dtype="float32"))
        start += size
    return tuple(found)


def _unbind(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = _argument(a, named, 1, "dim", 0) % len(d.shape(a[0]))
    shape = d.shape(a[0])
    if shape[axis] is None:
        raise d.refuse(node, "an axis of an open size is cut into parts")
    rest = (*shape[:axis], *shape[axis + 1 :])
    return tuple(
        d.add(node, op.Take(axis, index=k), a[0], shape=rest, dtype="float32") for k in range(shape[axis] or 0)
    )


def _permute(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    order = a[1] if len(a) == 2 and isinstance(a[1], tuple | list) else named.get("dims", a[1:])
    rank = len(d.shape(a[0]))
    return d.add(node, op.Permute(tuple(k % rank for k in order)), a[0])


def _transpose(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    rank = len(d.shape(a[0]))
    one, other = (_argument(a, named, k + 1, f"dim{k}") % rank for k in (0, 1))
    order = list(range(rank))
    order[one], order[other] = other, one
    return d.add(node, op.Permute(tuple(order)), a[0])


def _regrouped(d: Sketch, node: fx.Node, a: Arguments, _: Named) -> Any:
    """Other axes over the same elements: each a fixed size, that of an axis of the input, or what is left."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    before, after = d.runs.sizes(source) if _is_tensor(d, source) else (), d.runs.sizes(node)
    sizes: list[int | op.Axis] = []
    for own in after:
        if len({*own}) == 1:
            sizes.append(own[0])
        else:
            sizes.append(op.Axis(before.index(own)) if own in before else -1)
    if sizes.count(-1) > 1:
        raise d.refuse(node, "several of its sizes are products of open ones")
    if not sizes:
        raise d.refuse(node, "all axes are dropped")
    return d.add(node, op.Regroup(tuple(sizes)), a[0])


def _is_tensor(d: Sketch, node: fx.Node) -> bool:
    return isinstance(d.runs.value(node), torch.Tensor)


def _squeeze(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = _argument(a, named, 1, "dim")
    if not isinstance(axis, int) or d.shape(a[0])[axis] != 1:
        return _regrouped(d, node, a, named)
    return d.add(node, op.DropAxis(axis % len(d.shape(a[0]))), a[0])


def _unsqueeze(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = _argument(a, named, 1, "dim")
    return d.add(node, op.AddAxis(axis % (len(d.shape(a[0])) + 1)), a[0])


def _reduce(how: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        axes, keep = _argument(a, named, 1, "dim"), bool(_argument(a, named, 2, "keepdim", False))
        own = d.runs.value(node)
        operation = op.Reduce(how, tuple(axes) if isinstance(axes, tuple | list) else (axes,), keep)
        if axes is None or set(named) - {"dim", "keepdim"}:
            raise d.refuse(node, "it is known with dim= and keepdim= alone")
        if not isinstance(own, torch.Tensor):
            shape = d.runs.shape(node, (0,))
            return (d.add(node, operation, a[0], shape=shape, dtype="float32"), None)
        return d.add(node, operation, a[0])

    return write


def _flip(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axes = a[1] if len(a) == 2 and isinstance(a[1], tuple | list) else named.get("dims", a[1:])
    x = a[0]
    for axis in [axes] if isinstance(axes, int) else axes:
        x = d.add(node, op.Reverse(axis % len(d.shape(a[0]))), x)
    return x


def _activation(name: str, *settings: tuple[str, int, float]) -> Callable[..., Any]:
    """A function of elements; of each setting its name in the graph's operation, its place and its usual value."""

    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        told = {key: _argument(a, named, place, _TORCH.get(key, key), usual) for key, place, usual in settings}
        known = {_TORCH.get(key, key) for key, _, _ in settings} | {"inplace", "input"}
        if set(named) - known:
            raise d.refuse(node, f"{', '.join(set(named) - known)} is not known here")
        return d.add(node, op.Activation(name, **told), a[0])

    return write


_TORCH = {"alpha": "negative_slope"}


def _softmax(name: str) -> Callable[..., Any]:
    def write(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
        axis = _argument(a, named, 1, "dim")
        if not isinstance(axis, int):
            raise d.refuse(node, "its axis is not told: state dim=")
        return d.add(node, op.Activation(name, axis=axis), a[0])

    return write


def _gelu(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    exact = named.get("approximate", "none") == "none"
    return d.add(node, op.Activation("gelu" if exact else "gelu_tanh"), a[0])


def _same(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.Identity(), a[0])


def _number_type(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """A change of dtype between kinds of numbers with a fraction, or into it, changes nothing here."""
    if not d.runs.value(node).is_floating_point():
        raise d.refuse(node, "numbers become whole ones")
    return d.add(node, op.Identity(), a[0])


def _shape(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.runs.value(node)


def _product(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.MatrixProduct(), *a)


def _dropout(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.Identity(), a[0])


Write = Callable[[Any, fx.Node, Arguments, Named], Any]
_WRITTEN: Mapping[str, Write] = {
    "getitem": _getitem,
    "add": _combine("add"),
    "sub": _combine("subtract"),
    "mul": _combine("multiply"),
    "truediv": _combine("divide"),
    "div": _combine("divide"),
    "maximum": _combine("maximum"),
    "minimum": _combine("minimum"),
    "cat": _cat,
    "concat": _cat,
    "stack": _stack,
    "chunk": _chunk,
    "split": _chunk,
    "unbind": _unbind,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten"), _regrouped),
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "amin": _reduce("min"),
    "max": _reduce("max"),
    "min": _reduce("min"),
    "flip": _flip,
    "matmul": _product,
    "bmm": _product,
    **dict.fromkeys(("contiguous", "clone", "detach"), _same),
    **dict.fromkeys(("float", "double", "to", "type_as"), _number_type),
    **dict.fromkeys(("size", "dim", "getattr", "shape"), _shape),
    "dropout": _dropout,
    "relu": _activation("relu"),
    "tanh": _activation("tanh"),
    "sigmoid": _activation("sigmoid"),
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
    "mish": _activation("mish"),
    "gelu": _gelu,
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
}
_NAMES: Mapping[Any, str] = {
    operator.getitem: "getitem",
    operator.add: "add",
    operator.iadd: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.imul: "mul",
    operator.truediv: "truediv",
    operator.neg: "neg",
    operator.matmul: "matmul",
    getattr: "getattr",
    functional.dropout: "dropout",
}
