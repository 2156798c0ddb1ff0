"""Tensors of one number as large as others: states of zeros, padding, what follows from sizes alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from converters.model import operations as op
from converters.torch.trace.sketch import Counted, Filled, Name, Sketch
from converters.torch.trace.words import Arguments, Named

_SMALL = 1024
"""Numbers of a constant that may stand in a graph; more are weights."""


def plain(d: Sketch, node: fx.Node) -> Any:
    """What is no work on tensors of the graph: sums of sizes, constants, tensors of one number."""
    value = d.runs.value(node)
    if not isinstance(value, torch.Tensor):
        return value
    number = _only_number(d, node)
    if number is not None:
        return Filled(number, node)
    if any(size is None for size in d.runs.shape(node)):
        if all(each.dim() == 1 and torch.equal(each.cpu(), torch.arange(len(each))) for each in d.runs.each(node)):
            return Counted(node)
        raise d.refuse(node, _MADE_FOR_SIZES)
    return numbers(d, node, value)


_MADE_FOR_SIZES = "a tensor that is made for the sizes of the inputs is not known here"


def _only_number(d: Sketch, node: fx.Node) -> float | None:
    """The number of which a tensor with axes consists in every run; None where it is several."""
    found = {float(each) for run in d.runs.each(node) for each in run.reshape(-1).unique()[:2].tolist()}
    whole = d.runs.value(node).is_floating_point() and d.runs.value(node).dim() and len(found) == 1
    return found.pop() if whole else None


def numbers(d: Sketch, node: fx.Node, value: Any) -> Any:
    """A tensor as numbers of the program. Raises `NotRepresentable` for a large one."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.numel() > _SMALL:
        raise d.refuse(node, "a tensor of the module that is no layer's: its numbers would not be weights")
    told = tuple(value.detach().cpu().reshape(-1).tolist())
    dtype = str(value.dtype).removeprefix("torch.")
    return d.add(node, op.Constant(told, tuple(value.shape), dtype), dtype=dtype)


def as_value(d: Sketch, made: Any, *, counted: bool = False) -> Any:
    """What was made, every tensor of one number in it as a value of the graph; `counted`: counted places may stay."""
    if isinstance(made, Filled):
        return _expanded(d, made)
    if isinstance(made, Counted) and not counted:
        raise d.refuse(made.node, _MADE_FOR_SIZES)
    if isinstance(made, tuple | list):
        return type(made)(as_value(d, each, counted=counted) for each in made)
    return {key: as_value(d, each) for key, each in made.items()} if isinstance(made, dict) else made


def _expanded(d: Sketch, filled: Filled) -> Name:
    """The number, repeated to its sizes."""
    shape = d.runs.shape(filled.node)
    if all(size is not None for size in shape):
        ones = d.add(filled.node, op.Constant((filled.number,), (1,) * len(shape)), shape=(1,) * len(shape))
        return d.add(filled.node, op.Expand(tuple(size or 0 for size in shape)), ones)
    ones = d.add(filled.node, op.Constant((filled.number,), (1,) * len(shape)), shape=(1,) * len(shape))
    return repeated(d, filled.node, ones)


def repeated(d: Sketch, node: fx.Node, x: Name) -> Name:
    """x with the sizes of a node: each a number, or that of an axis of one value that has them all."""
    wanted = d.runs.sizes(node)
    open_ones = [sizes for sizes in wanted if len({*sizes}) > 1]
    like = _like(d, open_ones) if open_ones else None
    if open_ones and like is None:
        raise d.refuse(node, "a tensor that is made for the sizes of several inputs is not known here")
    own = d.runs.sizes(like) if like else ()
    sizes = tuple(op.Axis(own.index(each)) if len({*each}) > 1 else each[0] for each in wanted)
    return d.add(node, op.Expand(sizes), x, *([d.made[like]] if like else []))


def _like(d: Sketch, wanted: list[tuple[int, ...]]) -> fx.Node | None:
    """The first value of the graph whose axes have these sizes, in every run."""
    for node, made in d.made.items():
        if isinstance(made, Name) and isinstance(d.runs.value(node), torch.Tensor):
            own = d.runs.sizes(node)
            if all(sizes in own for sizes in wanted):
                return node
    return None


def filled(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """`zeros_like`, `new_zeros` and their kind: of a tensor they take sizes and dtype alone."""
    return plain(d, node)


def expanded(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """`expand` and `repeat` of axes of one; several copies of a longer axis are not known."""
    before, after = d.runs.sizes(_source(node)), d.runs.sizes(node)
    x, more = a[0], len(after) - len(before)
    for _ in range(more):
        x = d.add(node, op.AddAxis(0), x, shape=(1, *d.shape(x)))
    for one, other in zip(((1,) * len(after[0]),) * more + tuple(before), after, strict=True):
        if one != other and {*one} != {1}:
            raise d.refuse(node, "an axis of several is repeated")
    return repeated(d, node, x)


def _source(node: fx.Node) -> fx.Node:
    found = node.args[0]
    assert isinstance(found, fx.Node)
    return found


WRITTEN = {
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"), filled),
    **dict.fromkeys(("expand", "expand_as", "repeat", "broadcast_to", "tile"), expanded),
}
