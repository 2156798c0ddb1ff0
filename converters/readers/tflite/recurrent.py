"""Recurrent layers that a file has as single operations: in the body of a WHILE, or written out step by step.

The file is told in the words of ONNX, and those who recognise the recurrences of ONNX prove what it computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.model.settings import Wiring
from converters.readers.tflite.model import Model, Operation
from layouts.records import dataclass

if TYPE_CHECKING:
    from converters.readers.onnx.graph.scope import Scope
    from converters.readers.onnx.layers.found import Found
    from converters.readers.tflite.words.told import Told

PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")
_CUTS = ("SPLIT", "SPLIT_V")
_TURNED, _MOVED, _DEEPEST = "REVERSE_V2", ("RESHAPE", "TRANSPOSE"), 8


@dataclass(frozen=True, eq=False)
class Recurrence:
    """One layer, or what is said of a loop that is none, and the operations of the main graph that it stands for."""

    layer: Layer
    operations: tuple[Operation, ...]
    held: frozenset[int]
    """The identities of the stored tensors that it reads."""


def recurrences(model: Model) -> list[Recurrence]:
    """Every recurrent layer of this kind that is proven, and every loop that is not."""
    if not _may_recur(model):
        return []
    from converters.readers.onnx.layers.computed import layer_of_loop, layers_of_steps
    from converters.readers.onnx.layers.time_axis import as_called
    from converters.readers.tflite.words.loops import in_words
    from converters.readers.tflite.words.told import Told, scope_of

    told = Told(model)
    scope = scope_of(in_words(told))
    loops = [one for node in scope.nodes if node.op == "Loop" and (one := layer_of_loop(node)) is not None]
    steps = layers_of_steps(scope, {node for one in loops for node in one.nodes})
    return [_recurrence(told, scope, one) for one in as_called([*loops, *steps])]


def _may_recur(model: Model) -> bool:
    """Whether there is a loop, a matrix that several products read, or a value that is cut as gates are."""
    kinds = {one.kind for one in model.operations}
    read = Counter(one.inputs[1] for one in model.of_graph(0) if one.kind in PRODUCTS and len(one.inputs) > 1)
    return "WHILE" in kinds or bool(kinds & {*_CUTS}) or max(read.values(), default=0) > 1


def _recurrence(told: Told, scope: Scope, found: Found) -> Recurrence:
    made = (told.makers.get(name) for node in found.nodes for name in node.outputs[:1])
    covered = {id(one): one for one in made if one is not None}
    constants = [told.model.constant(one.graph, tensor) for one in covered.values() for tensor in one.inputs]
    main = tuple(one for one in covered.values() if not one.graph)
    held = {id(array): array for array in constants if array is not None}
    layer = _as_stored(found.layer, held.values()) if found.layer.unknown else _directed(told, scope, found.layer)
    return Recurrence(layer, main, frozenset(held))


def _as_stored(layer: Layer, arrays: Iterable[LazyArray]) -> Layer:
    """A loop that is no layer known here, with the arrays of the file."""
    kept = {array.name: array for array in arrays if array.is_floating and array.size > 1}
    return replace(layer, class_name="WHILE", arrays=kept)


def _directed(told: Told, scope: Scope, layer: Layer) -> Layer:
    """A layer with the direction in which it runs over a sequence that was turned before, and may be turned back."""
    call, wiring = layer.call, layer.wiring
    if call.direction == "forward" and _turned(told, scope, wiring.reads):
        back = [*_readers(told, scope, wiring.gives[0])] if wiring.gives[0] else []
        call = replace(call, direction="reverse" if {one.kind for one in back} == {_TURNED} else "backward")
    return replace(layer, call=call, wiring=Wiring())


def _turned(told: Told, scope: Scope, name: str) -> bool:
    """Whether a value is another one from its end on, past moves of its axes."""
    for _ in range(_DEEPEST):
        maker, node = told.makers.get(name), scope.producer(name)
        if maker is None or node is None or maker.kind not in _MOVED:
            return maker is not None and maker.kind == _TURNED
        name = node.input(0)
    return False


def _readers(told: Told, scope: Scope, name: str) -> Iterator[Operation]:
    """The operations that read a value, past moves of its axes."""
    waiting, seen = [name], {name}
    while waiting:
        for node in scope.readers(waiting.pop()):
            maker = told.makers.get(node.output(0))
            if maker is not None and maker.kind in (*_MOVED, "WHILE"):
                new = {*node.outputs} - seen
                seen |= new
                waiting += new
            elif maker is not None:
                yield maker
