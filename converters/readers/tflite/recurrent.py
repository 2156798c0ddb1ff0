"""Recurrent layers that a file has as single operations: in the body of a WHILE, or written out step by step.

The file is told in the words of ONNX, and those who recognise the recurrences of ONNX prove what it computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.tflite.model import Model, Operation
from layouts.records import dataclass

if TYPE_CHECKING:
    from converters.readers.onnx.layers.found import Found
    from converters.readers.tflite.words.told import InWords

PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")
_CUTS = ("SPLIT", "SPLIT_V")
_TURNED = "REVERSE_V2"


@dataclass(frozen=True, eq=False)
class Recurrence:
    """One layer, or what is said of a loop that is none, and the operations of the main graph that it stands for."""

    found: Found
    operations: tuple[Operation, ...]
    held: frozenset[int]
    """The identities of the stored tensors that it reads."""


def may_recur(model: Model) -> bool:
    """Whether there is a loop, a matrix that several products read, or a value that is cut as gates are."""
    kinds = {one.kind for one in model.operations}
    products = [one for one in model.operations if not one.graph and one.kind in PRODUCTS]
    read = Counter(one.inputs[1] for one in products if len(one.inputs) > 1)
    return "WHILE" in kinds or bool(kinds & {*_CUTS}) or max(read.values(), default=0) > 1


def recurrences(told: InWords) -> list[Recurrence]:
    """Every recurrent layer of this kind that is proven, and every loop that is not."""
    from converters.readers.onnx.layers.computed import layer_of_loop, layers_of_steps
    from converters.readers.onnx.layers.time_axis import as_called

    loops = [one for node in told.scope.nodes if node.op == "Loop" and (one := layer_of_loop(node)) is not None]
    steps = layers_of_steps(told.scope, {node for one in loops for node in one.nodes})
    return [_recurrence(told, one) for one in as_called([*loops, *steps])]


def _recurrence(told: InWords, found: Found) -> Recurrence:
    made = (told.maker(name) for node in found.nodes for name in node.outputs[:1])
    covered = {id(one): one for one in made if one is not None}
    constants = [told.constant(one.graph, tensor) for one in covered.values() for tensor in one.inputs]
    main = tuple(one for one in covered.values() if not one.graph)
    held = {id(array): array for array in constants if array is not None}
    layer = _as_stored(found.layer, held.values()) if found.layer.unknown else _directed(told, found.layer)
    return Recurrence(replace(found, layer=layer), main, frozenset(held))


def _as_stored(layer: Layer, arrays: Iterable[LazyArray]) -> Layer:
    """A loop that is no layer known here, with the arrays of the file."""
    kept = {array.name: array for array in arrays if array.is_floating and array.size > 1}
    return replace(layer, class_name="WHILE", arrays=kept)


def _directed(told: InWords, layer: Layer) -> Layer:
    """A layer that reads a sequence which was turned before, as one that reads it from its end."""
    node = told.scope.producer(layer.wiring.reads)
    maker = told.maker(layer.wiring.reads)
    if layer.call.direction != "forward" or node is None or maker is None or maker.kind != _TURNED:
        return layer
    wiring = replace(layer.wiring, reads=node.input(0))
    return replace(layer, call=replace(layer.call, direction="backward"), wiring=wiring)
