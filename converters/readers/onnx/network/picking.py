"""Elements picked by computed indices: of every sample the step that its length tells, as torch exports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from converters.model import operations as op
from converters.readers.onnx.network.drawing import Drawing
from converters.readers.onnx.network.sizes import Numbers, Pair, fixed
from converters.readers.onnx.network.views import View
from layouts.records import replace

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

_ONE = (1, 1)


def one_of_each(d: Drawing, node: Node, view: View) -> bool:
    """Draw `x[arange(batch), steps]`, and say whether it is one.

    torch makes batch and time one axis, and gathers along it by `steps + arange(batch) * time`.
    """
    if len(view.axes[0]) != 2:
        return False
    batch, time = (view.atoms[k].size for k in view.axes[0])
    steps = _added_to(d, node.input(1), _begins(batch, time))
    if not steps or d.sizes(steps) != (batch,):
        return False
    made = node.output(0)
    apart = replace(view, axes=(*((k,) for k in view.axes[0]), *view.axes[1:]))
    x = d.real(apart, d.fresh(f"{made}_sequence"))
    places = d.real(d.view(steps).with_axes(range(1, apart.rank)), d.fresh(f"{made}_steps"))
    picked = (batch, _ONE, *apart.sizes[2:])
    sizes = tuple(op.Axis(axis) if (size := fixed(pair)) is None else size for axis, pair in enumerate(picked))
    wide, one = d.fresh(f"{made}_places"), d.fresh(f"{made}_picked")
    d.put(made, node.op, op.Expand(sizes), (places, x), {wide: picked}, dtype=d.values[places].dtype)
    d.put(made, node.op, op.Pick(1), (x, wide), {one: picked}, dtype=d.values[x].dtype)
    d.result(node, op.DropAxis(1), (one,), made, d.kinds[node.input(0)], (batch, *apart.sizes[2:]))
    return True


def _begins(batch: Pair, time: Pair) -> Numbers:
    """Where every sample begins on the one axis of batch and time, both times."""
    one, other = (np.arange(batch[k]) * time[k] for k in (0, 1))
    return one, other


def _added_to(d: Drawing, name: str, numbers: Numbers) -> str:
    """The value to which these numbers are added to make another; '' where that is not what makes it."""
    made = d.scope.producer(name)
    if made is None or made.op != "Add" or made.scope is not d.scope:
        return ""
    for told, other in (made.inputs, reversed(made.inputs)):
        found = d.typed(told).data
        if found is not None and all(np.array_equal(one, same) for one, same in zip(found, numbers, strict=True)):
            return str(other)
    return ""


def _gather_elements(d: Drawing, node: Node) -> None:
    axis = int(node.attributes.get("axis", 0)) % d.rank(node.input(0))
    d.emit(node, op.Pick(axis, from_end=True), d.own(node.input(0)), d.own(node.input(1)))


DRAW: Mapping[str, Callable[[Drawing, Node], None]] = {"GatherElements": _gather_elements}
