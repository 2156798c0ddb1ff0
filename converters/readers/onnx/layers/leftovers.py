"""Stored arrays of no layer: parameters of PyTorch, arithmetic that is not known, constants, and what nothing reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.onnx.graph import origins
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers import constants
from converters.readers.onnx.layers.accounts import Accounts, Slot, slots
from converters.readers.onnx.layers.found import PARAMETER, Found, Leaf, is_weight, shortened
from layouts.errors import UnknownLayer, printable
from layouts.records import dataclass, field

_PASSED = "strict=False passes what it reads through under its own name"
_LISTED = 8


class Rest(NamedTuple):
    """What no layer holds: a layer for each node that reads it, names of what nothing reads, and what is to be told."""

    found: tuple[Found, ...]
    unused: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass
class _Sorted:
    """Stored arrays by what becomes of them."""

    readers: dict[Node, dict[str, LazyArray]] = field(default_factory=dict)
    modules: dict[str, tuple[dict[str, LazyArray], Node]] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    """Name of a number that looks like a constant, or rounds activations -> its value and its reader."""
    done: set[Leaf] = field(default_factory=set)
    """Arrays that something computes with; those of which a layer has a part alone are sorted too."""
    told: set[Leaf] = field(default_factory=set)


def leftovers(root: Scope, found: Sequence[Found]) -> Rest:
    """What the layers found so far leave over; every stored number is in a layer, here, or a constant for certain."""
    accounts, result = Accounts(found), _Sorted()
    for slot in slots(root):
        leaves = [(slot.node.scope.home(leaf), leaf) for leaf in slot.node.scope.leaves(slot.name, measured=False)]
        if accounts.of_layer(slot):
            result.done.update(leaf for leaf in leaves if accounts.counts(slot, leaf[1]))
        elif constants.size_of_output(slot.node, slot.number):
            result.done.update(leaves)
        elif accounts.of_state(slot):
            result.done.update(leaf for leaf in leaves if _counts(slot) or not _any(*leaf))
        else:
            _sort(result, accounts, slot, leaves)
    unread = tuple(_unread(root, accounts, result.done))
    return Rest((*_unknown(result.readers), *_parameters(result.modules)), unread, tuple(_remarks(result.numbers)))


def _counts(slot: Slot) -> bool:
    return bool(np.any(slot.array.read()))


def _any(scope: Scope, name: str) -> bool:
    """Whether a stored array holds anything but zeros."""
    array = scope.constant(name)
    return array is not None and bool(np.any(array.read()))


def _sort(result: _Sorted, accounts: Accounts, slot: Slot, leaves: Sequence[Leaf]) -> None:
    """Note what becomes of the stored arrays behind a constant that no layer holds."""
    for leaf in leaves:
        scope, name = leaf
        array = scope.constant(name)
        if array is None or leaf in result.told or accounts.holds(scope, name):
            continue
        parameter = origins.is_parameter(scope, name)
        if not parameter and (constants.calibration(slot.node, slot.number) or origins.is_constant(scope, name)):
            _note(result, slot, name, array)
        elif parameter and array.is_floating and array.size:
            module, _, own = name.rpartition(".")
            result.modules.setdefault(module, ({}, accounts.end_of(slot)))[0][own] = array
        elif is_weight(array):
            result.readers.setdefault(accounts.end_of(slot), {})[name] = array
        elif constants.is_plain(array) and len(leaves) == 1 and not constants.is_proven(slot.node, slot.number):
            _note(result, slot, name, array)
        else:
            continue
        result.told.add(leaf)
        result.done.add(leaf)


def _note(result: _Sorted, slot: Slot, name: str, array: LazyArray) -> None:
    value = f" = {float(array.read().reshape(-1)[0]):.7g}" if array.size == 1 else f" {array.shape}"
    result.numbers.setdefault(name, f"{printable(name)}{value} in {slot.node.called}")


def _unread(root: Scope, accounts: Accounts, done: set[Leaf]) -> Iterator[str]:
    """The stored arrays that may be weights and that nothing computes with."""
    for scope in root.scopes():
        for name in scope.stored():
            array = scope.constant(name)
            if array is None or (scope, name) in done or accounts.holds(scope, name):
                continue
            if is_weight(array) or (array.is_floating and array.size and origins.is_parameter(scope, name)):
                yield name


def _remarks(numbers: Mapping[str, str]) -> Iterator[str]:
    """One sentence for all numbers that may be constants of the program, or weights that were never trained."""
    if numbers:
        more = len(numbers) - _LISTED
        listed = "; ".join([*numbers.values()][:_LISTED]) + (f"; and {more} more" if more > 0 else "")
        yield f"taken for constants of the graph, and in no layer: {listed}. Write them into the forward code"


def _unknown(readers: Mapping[Node, Mapping[str, LazyArray]]) -> Iterator[Found]:
    """Nodes of which no layout says what they do with the arrays that they read."""
    for node, arrays in readers.items():
        what = ", ".join(printable(name) for name in arrays)
        domain = f" of {printable(node.domain)}" if node.domain else ""
        exact = all(array.is_floating for array in arrays.values())
        way_out = _PASSED if exact else "its weights are quantized, so export the model before quantizing it"
        problem = UnknownLayer(f"no layout describes this node{domain}, which reads {what}: {way_out}")
        yield Found(Layer("", node.op, unknown=problem, arrays=shortened(arrays)), (node,))


def _parameters(modules: Mapping[str, tuple[dict[str, LazyArray], Node]]) -> Iterator[Found]:
    """Parameters of PyTorch that arithmetic reads, such as those of a norm that was exported as its formula."""
    for module, (arrays, node) in modules.items():
        yield Found(Layer(module.replace(".", "/"), PARAMETER, arrays=arrays), (node,))
