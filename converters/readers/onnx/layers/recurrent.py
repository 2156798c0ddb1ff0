"""LSTM, GRU and RNN nodes as layers: arrays behind each input, direction, activations, clip, states, lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call, Wiring
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.activations import activations
from layouts import catalogue
from layouts.errors import CoverageError, ShapeError, UnreadableCheckpoint, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.options import Recurrence

OPERATORS = ("LSTM", "GRU", "RNN")

_ARRAYS = {"W": 1, "R": 2, "B": 3, "P": 7}
_REQUIRED = ("W", "R")
STATES = {"initial_h": 5, "initial_c": 6}
_LENGTHS = 4
_DIRECTIONS = {"forward": DIRECTIONS[:1], "reverse": DIRECTIONS[:1], "bidirectional": DIRECTIONS}


def read_recurrent(node: Node) -> Layer:
    """The layer of a node, without a path. Raises a `ConversionError` for a node that breaks its operator's rules."""
    attributes = node.attributes
    direction = str(attributes.get("direction", "forward")).lower()
    if direction not in _DIRECTIONS:
        raise UnreadableCheckpoint(f"direction {printable(direction)!r}: expected {', '.join(_DIRECTIONS)}")
    ways = _DIRECTIONS[direction]
    arrays = dict(_arrays(node))
    layout = _layout(node)
    both = _limits(node)
    options = [replace(both, **one) for one in activations(node.op, attributes, len(ways))]
    part = Part(layout, arrays, options[0], directions=ways)
    _check(node, part)
    parts = (part,) if all(one == options[0] for one in options) else tuple(_apart(part, options))
    return Layer("", node.op, parts, _call(node, direction), Wiring(reads=node.input(0), gives=node.outputs))


def _arrays(node: Node) -> Iterator[tuple[str, LazyArray]]:
    names = weight_inputs(node)
    absent = [name for name in _REQUIRED if name not in names]
    if absent:
        raise CoverageError(f"has no input {absent[0]}: it holds no weights", array=absent[0])
    _check_given(node, names)
    for name, value in names.items():
        yield name, weight(node, name, value)


def weight_inputs(node: Node) -> dict[str, str]:
    """The values behind the inputs of a recurrent node that are weights, by their names in its schema."""
    names = {name: node.input(number) for name, number in _ARRAYS.items()}
    return {name: value for name, value in names.items() if value and (name != "P" or node.op == "LSTM")}


def _check_given(node: Node, weights: Mapping[str, str]) -> None:
    """Raise `CoverageError` with all the inputs of the graph that these weights come from."""
    leaves = [leaf for value in weights.values() for leaf in node.scope.leaves(value)]
    given = dict.fromkeys(leaf for leaf in leaves if node.scope.is_input(leaf))
    if given:
        listed = ", ".join(f"{printable(leaf)!r}: …" for leaf in given)
        named = " and ".join(filter(None, (", ".join([*weights][:-1]), [*weights][-1])))
        are = "is not stored: it is an input" if len(weights) == 1 else "are not all stored: they are inputs"
        raise CoverageError(
            f"{named} {are} of the graph, as in ONNX's own tests: give the arrays, weights={{{listed}}}"
        )


def weight(node: Node, name: str, value: str) -> LazyArray:
    """The constant behind an input that has to be one; `CoverageError` says where it comes from instead."""
    found = node.scope.constant(value)
    if found is None:
        made_by = node.scope.producer(value)
        stored = "is text, not numbers" if node.scope.is_constant(value) else "is not defined anywhere"
        how = f"is computed by {made_by.called}, which cannot be folded" if made_by else stored
        raise CoverageError(f"{name} ({printable(value)}) {how}", array=value)
    return found


def _layout(node: Node) -> Layout:
    given = {"linear_before_reset": int(node.attributes.get("linear_before_reset", 0) != 0)}
    candidates = catalogue.layers("onnx")[node.op]
    return next(one for one in candidates if all(given.get(key) == value for key, value in one.when.items()))


def _limits(node: Node) -> Recurrence:
    """The options that hold for both directions."""
    clip = node.attributes.get("clip")
    if clip is not None and not clip > 0.0:
        raise UnreadableCheckpoint(f"clip is {clip}: expected a positive number")
    limit = float(clip) if clip is not None and clip < np.finfo(np.float32).max else None
    return Recurrence(clip=limit, input_forget=node.op == "LSTM" and bool(node.attributes.get("input_forget", 0)))


def _check(node: Node, part: Part) -> None:
    """Ranks, sizes and `hidden_size` agree; no shape is taken on trust, since ONNX's own checker tests none."""
    shapes = part.shapes
    most = 8 if node.op == "LSTM" else 6
    if len(node.inputs) > most:
        raise UnreadableCheckpoint(f"has {len(node.inputs)} inputs, and {node.op} takes {most}")
    for name, shape in shapes.items():
        if not part.arrays[name].is_floating:
            raise ShapeError(f"{name} holds {part.arrays[name].dtype}, and weights have fractions", array=name)
        if 0 in shape:
            raise ShapeError(f"{name} is {shape}: it holds no weights", array=name)
        if len(shape) != (3 if name in _REQUIRED else 2) or shape[0] != len(part.directions):
            axes = "(directions, gates × units, …)" if name in _REQUIRED else "(directions, …)"
            raise ShapeError(f"{name} is {shape}: expected {axes} with {len(part.directions)} directions", array=name)
    units = part.solved()["unit"]
    stated = node.attributes.get("hidden_size", units)
    if stated != units:
        raise ShapeError(f"hidden_size is {stated}, and R {shapes['R']} makes it {units}", array="R")
    _check_widths(node, units)


def _check_widths(node: Node, units: int) -> None:
    """States and outputs are as wide as the units where the file tells their shapes.

    PyTorch's dynamo exporter writes an LSTM with a projection, which ONNX does not have, and cuts its weights off.
    """
    for value in filter(None, (*map(node.input, STATES.values()), *node.outputs)):
        constant = node.scope.constant(value)
        shape = (node.scope.shape(value) or (None,)) if constant is None else constant.shape
        if shape[-1:] not in ((None,), (units,)):
            raise ShapeError(f"{printable(value)} is {shape}, and R makes it {units} units: is it a projected LSTM?")


def _apart(part: Part, options: list[Recurrence]) -> Iterator[Part]:
    """Directions that differ in what they compute, each as a part of its own over its half of the arrays."""
    for number, (way, own) in enumerate(zip(part.directions, options, strict=True)):
        arrays = {name: _half(array, number) for name, array in part.arrays.items()}
        yield replace(part, arrays=arrays, options=own, direction=way, directions=())


def _half(array: LazyArray, number: int) -> LazyArray:
    return replace(array, shape=(1, *array.shape[1:]), read=lambda: array.read()[number : number + 1])


def _call(node: Node, direction: str) -> Call:
    layout = node.attributes.get("layout", 0)
    if layout not in (0, 1):
        raise UnreadableCheckpoint(f"layout is {layout}: expected 0 (time first) or 1 (batch first)")
    states: dict[str, Any] = {
        name: _state(node, node.input(number))
        for name, number in STATES.items()
        if node.input(number) and not (name == "initial_c" and node.op != "LSTM")
    }
    return Call(
        direction="reverse" if direction == "reverse" else "forward",
        merge="stacked" if direction == "bidirectional" else "",
        time_axis=layout,
        lengths=bool(node.input(_LENGTHS)),
        **states,
    )


def _state(node: Node, value: str) -> str:
    """What is known of an initial state: '' for zeros, 'stored' for other constants, else 'input'."""
    sources = [scope.constant(one) for scope, one in _sources(node.scope, value)]
    if any(array is not None and np.any(array.read()) for array in sources):
        return "stored"
    return "input" if any(array is None for array in sources) else ""


def is_zero(node: Node, value: str) -> bool:
    """Whether a value holds zeros only, whatever its shape turns out to be when the model runs."""
    return not _state(node, value)


MOVING = (
    *("Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape"),
    *("Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
)
"""Operators whose outputs hold elements of their first input and nothing else."""


def _sources(scope: Scope, value: str) -> Iterator[tuple[Scope, str]]:
    """The values whose elements a value holds, however they were moved and repeated on the way."""
    waiting, seen = [(scope, value)], {(scope, value)}
    while waiting:
        scope, name = waiting.pop()
        made_by = scope.producer(name)
        if made_by is None or made_by.domain or scope.is_constant(name):
            yield scope, name
        elif made_by.op in (*MOVING, "Concat"):
            moved = made_by.inputs if made_by.op == "Concat" else made_by.inputs[:1]
            new = {(made_by.scope, one) for one in moved} - seen
            seen |= new
            waiting += new
        elif made_by.op != "ConstantOfShape" or _fill(made_by):
            yield scope, name


def _fill(node: Node) -> bool:
    """Whether a ConstantOfShape makes anything but zeros."""
    value = node.attributes.get("value")
    return value is not None and bool(np.any(node.scope.model.tensor(value).read()))
