"""Parts, orders and numbers of axes. What only moves axes is told by the shapes that it makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from converters.model import operations as op
from converters.torch.trace.runs import Sizes
from converters.torch.trace.sketch import Counted, Name, Sketch, is_name
from converters.torch.trace.words import Arguments, Named, argument, listed


def _getitem(d: Sketch, node: fx.Node, a: Arguments, _: Named) -> Any:
    held, place = a
    if isinstance(held, tuple | list):
        return held[place]
    places = place if isinstance(place, tuple) else (place,)
    if isinstance(places[0], Counted):
        return _one_of_each(d, node, held, places)
    used = sum(each is not None and each is not Ellipsis for each in places)
    x, axis = held, 0
    for each in places:
        if each is Ellipsis:
            axis += len(d.shape(held)) - used
            continue
        x, step = _at(d, node, x, axis, each)
        axis += step
    return x


def _one_of_each(d: Sketch, node: fx.Node, x: Any, places: tuple[Any, ...]) -> Any:
    """`x[arange(batch), steps]`: one place of the second axis for each sample, the other axes whole."""
    rank, fits = len(d.shape(x)), len(places) > 1 and isinstance(places[1], Name) and len(d.shape(places[1])) == 1
    if not fits or any(each not in (slice(None), Ellipsis) for each in places[2:]):
        raise d.refuse(node, "an index that is a tensor is not known here")
    steps = places[1]
    for axis in range(1, rank):
        steps = d.add(node, op.AddAxis(axis), steps, shape=(*d.shape(steps), 1))
    others = [op.Axis(axis) if size is None else size for axis, size in enumerate(d.shape(x)) if axis > 1]
    shape = (d.shape(x)[0], 1, *d.shape(x)[2:])
    steps = d.add(node, op.Expand((op.Axis(0), 1, *others)), steps, x, shape=shape)
    return d.add(node, op.DropAxis(1), d.add(node, op.Pick(1, from_end=True), x, steps, shape=shape))


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


def _cat(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    return d.add(node, op.Concatenate(argument(a, named, 1, "dim", 0)), *a[0])


def _stack(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = argument(a, named, 1, "dim", 0) % (len(d.shape(a[0][0])) + 1)
    wide = [_at(d, node, x, axis, None)[0] for x in a[0]]
    return d.add(node, op.Concatenate(axis), *wide)


def _chunk(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = argument(a, named, 2, "dim", 0) % len(d.shape(a[0]))
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
    axis = argument(a, named, 1, "dim", 0) % len(d.shape(a[0]))
    shape = d.shape(a[0])
    if shape[axis] is None:
        raise d.refuse(node, "an axis of an open size is cut into parts")
    rest = (*shape[:axis], *shape[axis + 1 :])
    return tuple(
        d.add(node, op.Take(axis, index=k), a[0], shape=rest, dtype="float32") for k in range(shape[axis] or 0)
    )


def _permute(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    rank = len(d.shape(a[0]))
    return d.add(node, op.Permute(tuple(k % rank for k in listed(a, named, "dims"))), a[0])


def _transpose(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    rank = len(d.shape(a[0]))
    one, other = (argument(a, named, k + 1, f"dim{k}") % rank for k in (0, 1))
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
    if sizes[:2] == [-1, -1] and sizes.count(-1) == 2:
        return _split(d, node, a[0], after, [size for size in sizes[2:] if isinstance(size, int)])
    if sizes.count(-1) > 1:
        raise d.refuse(node, "several of its sizes are products of open ones")
    if not sizes:
        raise d.refuse(node, "all axes are dropped")
    return d.add(node, op.Regroup(tuple(sizes)), a[0])


def _split(d: Sketch, node: fx.Node, x: Any, after: Sizes, rest: list[int]) -> Any:
    """The first axis cut into two, as they were before they became one."""
    like = next((each for each, name in d.made.items() if is_name(name) and _begins(d, each, after[:2])), None)
    if like is None:
        raise d.refuse(node, "several of its sizes are products of open ones")
    _merge(d, after[:2])
    if list(d.shape(x)[1:]) != rest:
        x = d.add(node, op.Reshape(tuple(rest)), x, shape=(None, *rest))
    return d.add(node, op.SplitTime(), x, d.made[like])


def _merge(d: Sketch, pair: Sizes) -> None:
    """Say of what made one axis of two, which are split again, that it did: layers then run on every step."""
    for number, each in enumerate(d.nodes):
        first = next((node for node, name in d.made.items() if is_name(name) and name == each.inputs[0]), None)
        if isinstance(each.operation, op.Regroup) and first is not None and _begins(d, first, pair):
            shape = d.shape(each.inputs[0])
            if tuple(each.operation.sizes) == (-1, *shape[2:]):
                d.nodes[number] = replace(each, operation=op.MergeTime())


def _begins(d: Sketch, node: fx.Node, pair: Sizes) -> bool:
    """Whether the first two axes of a value have these sizes in every run."""
    return _is_tensor(d, node) and d.runs.sizes(node)[:2] == pair


def _is_tensor(d: Sketch, node: fx.Node) -> bool:
    return isinstance(d.runs.value(node), torch.Tensor)


def _squeeze(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = argument(a, named, 1, "dim")
    if not isinstance(axis, int) or d.shape(a[0])[axis] != 1:
        return _regrouped(d, node, a, named)
    return d.add(node, op.DropAxis(axis % len(d.shape(a[0]))), a[0])


def _unsqueeze(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = argument(a, named, 1, "dim")
    return d.add(node, op.AddAxis(axis % (len(d.shape(a[0])) + 1)), a[0])


def _flip(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    x = a[0]
    for axis in listed(a, named, "dims"):
        x = d.add(node, op.Reverse(axis % len(d.shape(a[0]))), x)
    return x


def _turned(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """`t`, `T`, `mT`: the last two axes in the other order."""
    rank = len(d.shape(a[0]))
    if rank < 2 or (rank > 2 and node.target == "t"):
        raise d.refuse(node, f"it is turned with {rank} axes")
    return d.add(node, op.Permute((*range(rank - 2), rank - 1, rank - 2)), a[0])


def _select(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis = argument(a, named, 1, "dim") % len(d.shape(a[0]))
    return _at(d, node, a[0], axis, argument(a, named, 2, "index"))[0]


def _gather(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    x, indices = a[0], argument(a, named, 2, "index")
    return d.add(node, op.Pick(argument(a, named, 1, "dim") % len(d.shape(x))), x, indices)


def _narrow(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    axis, start = argument(a, named, 1, "dim") % len(d.shape(a[0])), argument(a, named, 2, "start")
    return _at(d, node, a[0], axis, slice(start, start + argument(a, named, 3, "length")))[0]


WRITTEN = {
    "getitem": _getitem,
    "gather": _gather,
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
    **dict.fromkeys(("chunk", "split", "tensor_split"), _chunk),
    "unbind": _unbind,
    **dict.fromkeys(("permute",), _permute),
    **dict.fromkeys(("transpose", "swapaxes", "transpose_"), _transpose),
    **dict.fromkeys(("t", "adjoint"), _turned),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "view_as", "reshape_as"), _regrouped),
    **dict.fromkeys(("squeeze", "squeeze_"), _squeeze),
    **dict.fromkeys(("unsqueeze", "unsqueeze_"), _unsqueeze),
    "flip": _flip,
    "select": _select,
    "narrow": _narrow,
}
"""Functions by name."""
