"""Nodes that move elements: transpositions, reshapes, slices, splits, concatenations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.model import operations as op
from converters.readers.onnx.network.drawing import Array, Drawing, Unfit
from converters.readers.onnx.network.elementwise import axes_of
from converters.readers.onnx.network.picking import one_of_each
from converters.readers.onnx.network.sizes import Sizes, fixed, product
from converters.readers.onnx.network.views import View, reshape

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

Draw = Callable[[Drawing, "Node"], None]
_END = 1 << 31
_FLOATING = {1, 10, 11, 16}


def _same(d: Drawing, node: Node) -> None:
    """What does nothing at inference."""
    if node.input(0) in d.tests:
        d.tests[node.output(0)] = d.tests[node.input(0)]
        if node.input(0) not in d.views:
            return
    if any(name and d.scope.readers(name) for name in node.outputs[1:]):
        raise Unfit("its mask is read")
    d.alias(node, d.view(node.input(0)))


def _dropout(d: Drawing, node: Node) -> None:
    """The same, but for one that says that it is in training, and leaves something out."""
    ratio, told = (d.constant(node.input(place)) if node.input(place) else None for place in (1, 2))
    nothing = ratio is not None and not ratio.any()
    if node.input(2) and not nothing and (told is None or told.any()):
        raise Unfit("in training mode, it draws what it leaves out whenever it runs")
    _same(d, node)


def _cast(d: Drawing, node: Node) -> None:
    before, after = d.kinds.get(node.input(0), 1), node.attributes.get("to", 1)
    if before in _FLOATING and after not in _FLOATING and not _only_indices(node):
        raise Unfit("it rounds numbers to whole ones")
    _same(d, node)
    d.kinds[node.output(0)] = int(after)


def _only_indices(node: Node) -> bool:
    """Whether whole numbers are read as indices or lengths alone."""
    readers = node.scope.readers(node.output(0))
    return bool(readers) and all(
        (one.op == "Gather" and one.input(1) == node.output(0)) or one.op in ("LSTM", "GRU", "RNN", "Cast")
        for one in readers
    )


def _transpose(d: Drawing, node: Node) -> None:
    view = d.view(node.input(0))
    order = node.attributes.get("perm") or list(range(view.rank))[::-1]
    if sorted(order) != list(range(view.rank)):
        raise Unfit("its axes are not those of its input")
    d.alias(node, view.permuted(order))


def _squeeze(d: Drawing, node: Node) -> None:
    view, axes = d.view(node.input(0)), axes_of(d, node)
    if axes is None:
        axes = [k for k, size in enumerate(view.sizes) if size == (1, 1)]
    found = view.without([axis % view.rank for axis in axes])
    if found is not None:
        d.alias(node, found)
        return
    x, sizes = d.own(node.input(0)), list(view.sizes)
    places = sorted({axis % view.rank for axis in axes}, reverse=True)
    for number, place in enumerate(places):
        del sizes[place]
        if number == len(places) - 1:
            d.result(node, op.DropAxis(place), (x,), node.output(0), d.kinds[node.input(0)], tuple(sizes))
        else:
            inner = d.fresh(f"{node.output(0)}_dropped")
            d.put(node.output(0), node.op, op.DropAxis(place), (x,), {inner: tuple(sizes)})
            x = inner


def _unsqueeze(d: Drawing, node: Node) -> None:
    view, axes = d.view(node.input(0)), axes_of(d, node) or []
    rank = view.rank + len(axes)
    d.alias(node, view.with_axes([axis % rank for axis in axes]))


def _reshaped(d: Drawing, node: Node) -> None:
    """A view where only axes are joined, or told apart again; else a reshape."""
    view, sizes = d.view(node.input(0)), d.inferred(node)[node.output(0)][1]
    if sizes is None:
        sizes = _told(d, node, view)
    if sizes is None:
        raise Unfit("the shape that it makes is not known")
    found = view.grouped(sizes)
    if found is not None:
        d.alias(node, found)
        return
    x = d.own(node.input(0))
    try:
        operation = reshape(view.sizes, sizes)
    except ValueError as error:
        if _split_batch(d, node, x, view.sizes, sizes):
            return
        raise Unfit(str(error)) from None
    d.result(node, operation, (x,), node.output(0), d.kinds[node.input(0)], sizes)


def _split_batch(d: Drawing, node: Node, x: str, before: Sizes, after: Sizes) -> bool:
    """Cut the first axis into batch and time again, and say whether that is what a reshape does."""
    like = next((name for name in d.inputs if (d.sizes(name) or ())[:2] == after[:2]), "")
    if not like or not before or product(after[:2]) != before[0]:
        return False
    made, kind, apart = node.output(0), d.kinds[node.input(0)], (*after[:2], *before[1:])
    if apart == after:
        d.result(node, op.SplitTime(), (x, like), made, kind, after)
        return True
    steps = d.fresh(f"{made}_steps")
    d.put(made, node.op, op.SplitTime(), (x, like), {steps: apart}, dtype=d.values[x].dtype)
    d.result(node, reshape(apart, after), (steps,), made, kind, after)
    return True


def _told(d: Drawing, node: Node, view: View) -> Sizes | None:
    """The shape of a Reshape whose target is constant or follows from sizes."""
    target = d.typed(node.input(1)).data if node.op == "Reshape" else None
    if target is None or target[0].shape != target[1].shape:
        return None
    whole, kept = product(view.sizes), not node.attributes.get("allowzero", 0)
    both = []
    for time in (0, 1):
        sizes = [int(n) for n in target[time].reshape(-1)]
        sizes = [view.sizes[k][time] if n == 0 and kept and k < view.rank else n for k, n in enumerate(sizes)]
        if sizes.count(-1) == 1:
            rest = -int(np.prod(sizes, dtype=np.int64))
            sizes = [whole[time] // rest if n == -1 and rest else n for n in sizes]
        both.append(sizes)
    return tuple(zip(*both, strict=True))


def _expand(d: Drawing, node: Node) -> None:
    """Nothing, where the shape stays; else repeated to sizes that are fixed, or those of an input of the graph."""
    sizes = d.inferred(node)[node.output(0)][1]
    before = d.sizes(node.input(0))
    if sizes is None or before is None:
        raise Unfit("the sizes that it repeats to are not known")
    if node.op == "Tile" and any(one not in (other, (1, 1)) for one, other in zip(before, sizes, strict=True)):
        raise Unfit("it repeats an axis of several")
    if sizes == before:
        d.alias(node, d.view(node.input(0)))
        return
    x, like, told = d.own(node.input(0)), "", list[int | op.Axis]()
    for size in sizes:
        known, (owner, axis) = fixed(size), d.owner(size)
        if known is None and (axis is None or like not in ("", owner)):
            raise Unfit("it repeats to sizes that no input of the graph has")
        like = owner if known is None else like
        told.append(known if known is not None else op.Axis(axis or 0))
    inputs = (x, like) if like else (x,)
    d.result(node, op.Expand(tuple(told)), inputs, node.output(0), d.inferred(node)[node.output(0)][0], sizes)


def _bounds(d: Drawing, node: Node) -> list[tuple[int, Array, Array, int]]:
    """Axis, starts and ends of both times, and step of everything that a Slice cuts."""
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        told = [np.asarray([starts, starts]), np.asarray([ends, ends])]
    else:
        told = [_both(d, node.input(place)) for place in (1, 2)]
    count = told[0].shape[1]
    axes = axes_of(d, node, 3) or list(range(count))
    steps = d.constant(node.input(4)) if node.input(4) else np.ones(count, np.int64)
    if steps is None:
        raise Unfit("its steps are computed")
    return [(axes[k], told[0][:, k], told[1][:, k], int(np.asarray(steps).reshape(-1)[k])) for k in range(count)]


def _both(d: Drawing, name: str) -> Array:
    """Numbers that are constant or follow from sizes: those of both times."""
    data = d.typed(name).data
    if data is None:
        raise Unfit("where it cuts is computed from values")
    return np.asarray([one.reshape(-1) for one in data])


def _slice(d: Drawing, node: Node) -> None:
    view = d.view(node.input(0))
    cuts = []
    for axis, start, end, step in _bounds(d, node):
        axis %= view.rank
        size = np.asarray(view.sizes[axis])
        one = _cut(start, end, step, size)
        if one != (0, None, 1) and not (view.sizes[axis] == (1, 1) and _holds_one(one)):
            cuts.append((axis, *one))
    if not cuts:
        d.alias(node, view)
        return
    takes = [op.Take(axis, start, stop, step) for axis, start, stop, step in cuts]
    _take_all(d, node, takes, node.output(0))


def _take_all(d: Drawing, node: Node, takes: Sequence[op.Take], made: str) -> None:
    x, sizes = d.own(node.input(0)), d.sizes(node.input(0)) or ()
    for number, take in enumerate(takes):
        sizes = _taken(sizes, take)
        last = number == len(takes) - 1
        name = made if last else d.fresh(f"{made}_part")
        if last:
            d.result(node, take, (x,), name, d.kinds[node.input(0)], sizes)
        else:
            d.put(made, node.op, take, (x,), {name: sizes})
        x = name


def _taken(sizes: Sizes, take: op.Take) -> Sizes:
    """The shape of what is taken."""
    own = sizes[take.axis]
    if take.index is not None:
        return sizes[: take.axis] + sizes[take.axis + 1 :]
    one, other = (len(range(*slice(take.start, take.stop, take.step).indices(n))) for n in own)
    return (*sizes[: take.axis], (one, other), *sizes[take.axis + 1 :])


def _cut(start: Array, end: Array, step: int, size: Array) -> tuple[int, int | None, int]:
    """Where a slice starts and stops, from the front where that is always the same, else from the end."""
    if step > 0:
        stop = None if np.all(end >= size) else _place(end, size)
        begin = 0 if np.all(start <= -size) else _place(start, size)
        return begin, stop, step
    backwards = np.all(end <= -size - 1) or np.all(end < -_END)
    begin = -1 if np.all(start >= size - 1) or np.all(start == -1) else _place(start, size)
    return begin, None if backwards else _place(end, size), step


def _place(places: Array, size: Array) -> int:
    if places[0] == places[1]:
        return int(places[0])
    from_end = places - size
    if from_end[0] == from_end[1] and from_end[0] < 0:
        return int(from_end[0])
    raise Unfit("where it cuts follows from sizes")


def _holds_one(cut: tuple[int, int | None, int]) -> bool:
    """Whether a cut of an axis of one leaves it whole."""
    return len(range(*slice(*cut).indices(1))) == 1


def _gather(d: Drawing, node: Node) -> None:
    """One place of an axis, or places in a row."""
    view, index = d.view(node.input(0)), d.typed(node.input(1)).data
    axis = int(node.attributes.get("axis", 0)) % view.rank
    if index is None and not axis and one_of_each(d, node, view):
        return
    if index is None:
        raise Unfit("it picks by computed indices")
    size = np.asarray(view.sizes[axis])
    both = np.asarray([np.asarray(one).reshape(-1) for one in index])
    if index[0].ndim == 0:
        place = _place(both[:, 0], size)
        if view.sizes[axis] == (1, 1):
            d.alias(node, _sure(view.without([axis])))
            return
        _take_all(d, node, [op.Take(axis, index=place)], node.output(0))
        return
    step = int(both[0, 1] - both[0, 0]) if both.shape[1] > 1 else 1
    if index[0].ndim != 1 or step not in (1, -1) or np.any(np.diff(both) != step):
        raise Unfit("it picks places that do not stand in a row")
    start, last = _place(both[:, 0], size), _place(both[:, -1], size)
    stop = None if last + step in (0, -1) and (last < 0) == (step > 0) else last + step
    _take_all(d, node, [op.Take(axis, start, stop, step)], node.output(0))


def _sure(view: View | None) -> View:
    if view is None:
        raise Unfit("an axis is not of one")
    return view


def _split(d: Drawing, node: Node) -> None:
    view = d.view(node.input(0))
    axis = int(node.attributes.get("axis", 0)) % view.rank
    found, start = d.inferred(node), 0
    if len([*filter(None, node.outputs)]) == 1:
        d.alias(node, view)
        return
    for name in node.outputs:
        kind, sizes = found.get(name, (1, None))
        if sizes is None or sizes[axis][0] != sizes[axis][1]:
            raise Unfit("the sizes of its parts are not known")
        stop = start + sizes[axis][0]
        take = op.Take(axis, start, None if (stop, stop) == view.sizes[axis] else stop)
        d.result(node, take, (d.own(node.input(0)),), name, kind, sizes)
        start = stop


def _concat(d: Drawing, node: Node) -> None:
    names = [name for name in node.inputs if name]
    views = [d.view(name) for name in names]
    axis = int(node.attributes.get("axis", 1)) % views[0].rank
    whole = d.all_steps(views, axis)
    if whole is not None:
        d.alias(node, whole)
    elif len(views) == 1:
        d.alias(node, views[0])
    else:
        sizes = _joined([view.sizes for view in views], axis)
        made = node.output(0)
        values = [d.own(name) for name in names]
        d.result(node, op.Concatenate(axis), values, made, d.kinds.get(names[0], 1), sizes)


def _joined(all_sizes: Sequence[Sizes], axis: int) -> Sizes:
    one, other = (sum(sizes[axis][time] for sizes in all_sizes) for time in (0, 1))
    return (*all_sizes[0][:axis], (one, other), *all_sizes[0][axis + 1 :])


def _reverse(d: Drawing, node: Node) -> None:
    """A whole axis backwards."""
    axis, lengths = int(node.attributes.get("time_axis", 0)), d.typed(node.input(1)).data
    sizes = d.sizes(node.input(0))
    if lengths is None or sizes is None or any(np.any(lengths[time] != sizes[axis][time]) for time in (0, 1)):
        raise Unfit("it reverses sequences of several lengths")
    d.emit(node, op.Reverse(axis), d.own(node.input(0)))


def _filled(d: Drawing, node: Node) -> None:
    raise Unfit("it makes numbers of a computed shape")


DRAW: Mapping[str, Draw] = {
    "Dropout": _dropout,
    "Identity": _same,
    **dict.fromkeys(("Cast", "CastLike"), _cast),
    **dict.fromkeys(("Flatten", "Reshape"), _reshaped),
    "Concat": _concat,
    "ConstantOfShape": _filled,
    **dict.fromkeys(("Expand", "Tile"), _expand),
    "Gather": _gather,
    "ReverseSequence": _reverse,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
