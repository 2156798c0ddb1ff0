"""Calls of functions and of methods of tensors, by name."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from torch import fx
from torch.nn import functional

from converters.model import operations as op
from converters.torch.trace import arithmetic, axes, filling, packing, pooling, tables
from converters.torch.trace.sketch import Sketch, is_name
from converters.torch.trace.words import Arguments, Named, Write


def drawn(d: Sketch, node: fx.Node) -> Any:
    """What a function gives. Raises `NotRepresentable` for one that is not known."""
    arguments, named = d.of(node.args), d.of(node.kwargs)
    if not _holds((arguments, named)):
        return filling.plain(d, node)
    name = node.target if node.op == "call_method" else _NAMES.get(node.target, getattr(node.target, "__name__", ""))
    write = _WRITTEN.get(str(name))
    if write is None:
        raise d.refuse(node, "this operation is not known here")
    places = filling.as_value(d, arguments, counted=name == "getitem")
    return write(d, node, list(places), dict(filling.as_value(d, named)))


def constant(d: Sketch, node: fx.Node) -> Any:
    """A tensor of the module itself: a small one as numbers."""
    return filling.plain(d, node)


def _holds(value: Any) -> bool:
    """Whether there is a value of the graph in some arguments."""
    if isinstance(value, Mapping):
        return any(map(_holds, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds, value))
    return is_name(value) or isinstance(value, packing.Packed)


def _same(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.Identity(), a[0])


def _number_type(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """A change of dtype between kinds of numbers with a fraction, or into it, changes nothing here."""
    before = d.runs.value(node.all_input_nodes[0])
    if not d.runs.value(node).is_floating_point() and before.is_floating_point():
        raise d.refuse(node, "numbers become whole ones")
    return d.add(node, op.Identity(), a[0])


def _told(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """What is asked of a tensor: its sizes, its dtype, its device; or the tensor itself, its axes turned."""
    if node.target is getattr and a[1] in ("T", "mT", "data"):
        return axes.WRITTEN["t"](d, node, a, named) if a[1] != "data" else a[0]
    return d.runs.value(node)


_WRITTEN: Mapping[str, Write] = {
    **arithmetic.WRITTEN,
    **axes.WRITTEN,
    **filling.WRITTEN,
    **packing.WRITTEN,
    **pooling.WRITTEN,
    **tables.WRITTEN,
    **dict.fromkeys(("contiguous", "clone", "detach", "cpu", "cuda", "requires_grad_", "dropout", "dropout_"), _same),
    **dict.fromkeys(("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"), _same),
    **dict.fromkeys(("float", "double", "to", "type_as", "type", "long", "int"), _number_type),
    **dict.fromkeys(("size", "dim", "numel", "ndimension", "getattr", "shape", "len", "get_device"), _told),
    "is_floating_point": _told,
    "tolist": lambda d, n, a, k: a[0],
}
_NAMES: Mapping[Any, str] = {
    operator.getitem: "getitem",
    operator.add: "add",
    operator.iadd: "add",
    operator.sub: "sub",
    operator.isub: "sub",
    operator.mul: "mul",
    operator.imul: "mul",
    operator.truediv: "truediv",
    operator.itruediv: "truediv",
    operator.neg: "neg",
    operator.matmul: "matmul",
    operator.pow: "pow",
    getattr: "getattr",
    functional.dropout: "dropout",
}
