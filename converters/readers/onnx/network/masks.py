"""Masks as exporters write them: numbers that differ from one, any of each vector, and zeros where none does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converters.model import operations as op
from converters.readers.onnx.network.drawing import Drawing, Test, Unfit
from converters.readers.onnx.network.elementwise import DRAW as ELEMENTWISE
from converters.readers.onnx.network.elementwise import axes_of
from converters.readers.onnx.network.views import plain

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Node

Draw = Callable[[Drawing, "Node"], None]
_BOOL, _WHOLE = 9, (2, 3, 4, 5, 6, 7, 12, 13)


def _not(d: Drawing, node: Node) -> None:
    """Not equal to a number; or the other steps than those of a mask."""
    test = d.tests.get(node.input(0))
    if test is not None:
        d.tests[node.output(0)] = replace(test, inverse=True)
        return
    equal = d.scope.producer(node.input(0))
    if equal is None or equal.op != "Equal" or equal.domain:
        raise Unfit("only what differs from a number is known here")
    for name, other in (equal.inputs, equal.inputs[::-1]):
        number = d.constant(other)
        if number is not None and number.size == 1 and name in d.views:
            d.tests[node.output(0)] = Test(name, float(number.reshape(-1)[0]))
            _whole(d, node, d.tests[node.output(0)])
            return
    raise Unfit("only what differs from a number is known here")


def _whole(d: Drawing, node: Node, test: Test) -> None:
    """A test of indices is a mask at once; one of vectors when any element is asked for."""
    if d.kinds.get(test.value) in _WHOLE:
        _masked(d, node, op.MaskOf(test.number, indices=True), d.sizes(test.value) or ())
        del d.tests[node.output(0)]


def _masked(d: Drawing, node: Node, operation: op.MaskOf, sizes: tuple[tuple[int, int], ...]) -> None:
    value = d.tests[node.output(0)].value
    name = node.output(0) if sizes == d.sizes(value) else d.fresh(f"{node.output(0)}_mask")
    d.put(node.output(0), node.op, operation, (d.own(value),), {name: sizes}, dtype="bool")
    d.kinds[node.output(0)] = _BOOL
    d.views[node.output(0)] = plain(name, sizes)


def _any(d: Drawing, node: Node) -> None:
    """A sum or maximum of truths is that of a mask, or of numbers."""
    test = d.tests.get(node.input(0))
    if test is None:
        ELEMENTWISE[node.op](d, node)
        return
    view = d.views[test.value]
    axes = axes_of(d, node) or []
    if [axis % view.rank for axis in axes] != [view.rank - 1]:
        raise Unfit("it counts over more than the last axis")
    d.tests[node.output(0)] = replace(test, any=True)
    _masked(d, node, op.MaskOf(test.number), view.sizes[:-1])
    if node.attributes.get("keepdims", 1):
        d.views[node.output(0)] = d.views[node.output(0)].with_axes([view.rank - 1])


def _greater(d: Drawing, node: Node) -> None:
    """More than none."""
    test, number = d.tests.get(node.input(0)), d.constant(node.input(1))
    if test is None or not test.any or number is None or number.size != 1 or not 0 <= number.reshape(-1)[0] < 1:
        raise Unfit("only masks are compared here")
    d.tests[node.output(0)] = test
    d.views[node.output(0)] = d.views[node.input(0)]
    d.kinds[node.output(0)] = _BOOL


def _multiply(d: Drawing, node: Node) -> None:
    """A value times a mask; zero times one."""
    for name, other in (node.inputs, node.inputs[::-1]):
        number, test = d.constant(other) if d.scope.is_constant(other) else None, d.tests.get(name)
        if test is not None and test.inverse and number is not None and not np.any(number):
            d.zeros.add(node.output(0))
            return
    for x, mask in (node.inputs, node.inputs[::-1]):
        view = d.views.get(mask)
        if view is not None and d.values[view.base].dtype == "bool" and view.axes[-1:] == ((),):
            own = d.real(replace(view, axes=view.axes[:-1]), f"{node.output(0)}_mask")
            d.emit(node, op.Masked(), d.own(x), own)
            return
    ELEMENTWISE[node.op](d, node)


def _add(d: Drawing, node: Node) -> None:
    """A value and zeros."""
    for x, other in (node.inputs, node.inputs[::-1]):
        if other in d.zeros:
            d.alias(node, d.view(x))
            return
    ELEMENTWISE[node.op](d, node)


DRAW: Mapping[str, Draw] = {
    **dict.fromkeys(("ReduceMax", "ReduceSum"), _any),
    "Add": _add,
    "Greater": _greater,
    "Mul": _multiply,
    "Not": _not,
}
