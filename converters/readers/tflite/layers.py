"""From operations of TensorFlow Lite to layers: what each input is, which options there are, what nothing computes.

Source of the places of inputs: the constants at the head of unidirectional_sequence_lstm.cc and its siblings in
tensorflow/lite/kernels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.readers.tflite.model import Model, Operation
from converters.readers.tflite.options import STEPS, call, options, pairs
from converters.readers.tflite.recurrent import PRODUCTS, Recurrence, may_recur, recurrences
from layouts import catalogue
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer, printable
from layouts.layout import DIRECTIONS
from layouts.records import dataclass, field

if TYPE_CHECKING:
    from converters.readers.tflite.words.told import InWords

_GATES = ("input", "forget", "cell", "output")
_INPUTS = [f"input_to_{gate}_weights" for gate in _GATES]
_STATES = [f"recurrent_to_{gate}_weights" for gate in _GATES]
_PEEPHOLES = [f"cell_to_{gate}_weights" for gate in ("input", "forget", "output")]
_BIASES = [f"{gate}_gate_bias" for gate in _GATES]
_PROJECTION = ["projection_weights", "projection_bias"]
_LSTM = [*_INPUTS, *_STATES, *_PEEPHOLES, *_BIASES, *_PROJECTION]
_RNN = ["input_weights", "recurrent_weights", "bias"]
_SVDF = ["weights_feature", "weights_time", "bias"]
_NORMS = {20 + number: f"{gate}_layer_norm_coefficients" for number, gate in enumerate(_GATES)}
_BASIC = "BASIC_LSTM"
"""LSTM with kernel_type BASIC: one matrix for input and state, in the order of TensorFlow 1."""
_STARTS = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (35, 36, 37, 38),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (4,),
    "BIDIRECTIONAL_SEQUENCE_RNN": (4, 8),
    "LSTM": (18, 19),
    "RNN": (4,),
    _BASIC: (1, 4),
}
"""Where the states stand from which an operation starts."""
_AUXILIARY = {"BIDIRECTIONAL_SEQUENCE_LSTM": range(39, 48), "BIDIRECTIONAL_SEQUENCE_RNN": range(9, 12)}
_PLACES: Mapping[str, tuple[tuple[int, list[str]], ...]] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ((1, _LSTM),),
    "BIDIRECTIONAL_SEQUENCE_LSTM": ((1, _LSTM), (18, _LSTM)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ((1, _RNN),),
    "BIDIRECTIONAL_SEQUENCE_RNN": ((1, _RNN), (5, _RNN)),
    "LSTM": ((1, _LSTM),),
    "RNN": ((1, _RNN),),
    _BASIC: ((2, ["weights", "biases"]),),
    "SVDF": ((1, _SVDF),),
    "FULLY_CONNECTED": ((1, ["weights", "bias"]),),
    "CONV_2D": ((1, ["filter", "bias"]),),
    "DEPTHWISE_CONV_2D": ((1, ["filter", "bias"]),),
    "EMBEDDING_LOOKUP": ((1, ["value"]),),
    "GATHER": ((0, ["value"]),),
}
"""Where the weights of an operation stand among its inputs, one list a direction."""
_PASSED = "strict=False passes what it reads through under its own name"
_NAMES = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "lstm", "BIDIRECTIONAL_SEQUENCE_LSTM": "lstm", "FULLY_CONNECTED": "dense",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "rnn", "BIDIRECTIONAL_SEQUENCE_RNN": "rnn", "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d", "EMBEDDING_LOOKUP": "embedding", "GATHER": "embedding",
    "LSTM": "lstm", _BASIC: "lstm", "RNN": "rnn", "SVDF": "svdf",
}  # fmt: skip


@dataclass
class Reading:
    """One model on its way to layers: how often each name was given, and the tensors that have gone somewhere.

    `told`: what each layer stands for, in their order: operations, or what is proven to be a recurrence.
    """

    model: Model
    counts: Counter[str] = field(default_factory=Counter)
    taken: set[int] = field(default_factory=set)
    told: list[tuple[Operation, ...] | Recurrence] = field(default_factory=list)

    @cached_property
    def words(self) -> InWords:
        """The file in the words of ONNX."""
        from converters.readers.tflite.words.loops import in_words

        return in_words(self.model)

    def layers(self) -> Iterator[Layer]:
        """Every layer, in the order of the operations; both directions of one as one."""
        paired = dict(pairs(self.model))
        seconds = {id(second) for second, _ in paired.values()}
        proven = recurrences(self.words) if may_recur(self.model) else []
        first = {id(one.operations[0]): one for one in proven if one.operations}
        covered = {id(operation) for one in proven for operation in one.operations}
        self.taken.update(*(one.held for one in proven))
        often = self._unrolled()
        for operation in self.model.operations:
            if id(operation) in first:
                yield self._recurrent(first[id(operation)])
            if id(operation) in covered or id(operation) in seconds or operation.kind not in _PLACES:
                continue
            weights = self._weights(operation)
            if not weights or operation.graph or weights[0] in often or self._is_told(operation, weights):
                continue
            yield self._layer(operation, *paired.get(id(operation), ()))
        yield from self._rest(often)

    def _weights(self, operation: Operation) -> list[int]:
        """The identities of the stored tensors at the places of an operation's weights."""
        found = (a for _, members in _arrays(self.model, operation) for a in members.values())
        return [id(array) for array in found]

    def _is_told(self, operation: Operation, weights: list[int]) -> bool:
        """Whether an operation is a step, or the rest of one, of a layer that has all its weights."""
        return (operation.kind in STEPS or operation.kind in PRODUCTS) and self.taken >= {*weights}

    def _recurrent(self, one: Recurrence) -> Layer:
        layer = one.found.layer
        name = "loop" if layer.unknown else layer.parts[0].cell.name.partition("_")[0]
        self.told.append(one)
        return replace(layer, path=self._path(name))

    def _unrolled(self) -> set[int]:
        """Matrices that several products read, and no layer has: a loop that was written out, step by step."""
        products = [one for one in self.model.operations if one.kind in PRODUCTS and len(one.inputs) > 1]
        read = Counter(id(array) for one in products if (array := self.model.constant(one.graph, one.inputs[1])))
        return {array for array, count in read.items() if count > 1 and array not in self.taken}

    def _path(self, kind: str) -> str:
        name = _NAMES.get(kind, kind.lower())
        number = self.counts[name]
        self.counts[name] += 1
        return f"{name}_{number}" if number else name

    def _layer(self, operation: Operation, *others: Operation) -> Layer:
        """The layer of an operation, or of both directions and what joins them."""
        path, other = self._path(operation.kind), others[0] if others else None
        self.told.append((operation, *others))
        members = [*_arrays(self.model, operation), *(_arrays(self.model, other) if other else ())]
        arrays = [member for _, member in members]
        everything = {
            f"{way}/{n}": a for way, member in zip(DIRECTIONS, arrays, strict=False) for n, a in member.items()
        }
        self.taken |= {id(array) for array in everything.values()}
        try:
            _check(self.model, operation)
            for one in (operation, other):
                self._pass_states(one)
            parts = tuple(self._part(operation, member, way) for way, member in zip(DIRECTIONS, arrays, strict=False))
        except ConversionError as error:
            everything |= self._norms(operation)
            return Layer(path, operation.kind, unknown=error, arrays=everything)
        called = call(self.model, operation, both=len(parts) > 1)
        return Layer(path, operation.kind, parts, called)

    def _norms(self, operation: Operation) -> dict[str, LazyArray]:
        """The coefficients of an LSTM that normalises its gates."""
        places = _NORMS if operation.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM" else {}
        held = {n: operation.inputs[place] for place, n in places.items() if place < len(operation.inputs)}
        found = {n: a for n, tensor in held.items() if (a := self.model.constant(operation.graph, tensor)) is not None}
        self.taken |= {id(array) for array in found.values()}
        return found

    def _pass_states(self, operation: Operation | None) -> None:
        """Take the states from which an operation starts, where they are zero. Raises `NotRepresentable` for others."""
        for place in _STARTS.get(operation.kind, ()) if operation else ():
            tensor = operation.inputs[place] if operation and place < len(operation.inputs) else -1
            array = self.model.constant(operation.graph, tensor) if operation else None
            if array is not None and np.any(array.read()):
                raise NotRepresentable("it starts from stored states, for which a state_dict has no place")
            self.taken |= {id(array)}

    def _part(self, operation: Operation, arrays: Mapping[str, LazyArray], direction: str) -> Part:
        own = {name: array for name, array in arrays.items() if name != "projection_bias"}
        shapes = {name: array.shape for name, array in own.items()}
        layout = catalogue.choose("tflite", operation.kind, {}, shapes)
        given = {"multiplier": operation.option(3, "i", 1)} if operation.kind == "DEPTHWISE_CONV_2D" else {}
        part = Part(layout, own, options(operation, layout), direction=direction, given=given)
        part.pieces()
        return part

    def _rest(self, often: set[int]) -> Iterator[Layer]:
        """The weights that no layer has: of loops, of what was written out of one, and of single operations."""
        inside: dict[str, LazyArray] = {}
        single: dict[int, tuple[Operation, dict[str, LazyArray]]] = {}
        for operation in self.model.operations:
            inputs = operation.inputs if operation.kind != "DEQUANTIZE" else ()
            for array in (self.model.constant(operation.graph, tensor) for tensor in inputs):
                if array is None or id(array) in self.taken or not _is_weight(array, operation):
                    continue
                of_loop = operation.graph or id(array) in often
                found = inside if of_loop else single.setdefault(id(operation), (operation, {}))[1]
                found[array.name] = array
                self.taken.add(id(array))
        for operation, arrays in single.values():
            listed = ", ".join(map(printable, arrays))
            problem = UnknownLayer(f"no layout describes this operation, which reads {listed}: {_PASSED}")
            self.told.append((operation,))
            yield Layer(self._path(operation.kind), operation.kind, unknown=problem, arrays=arrays)
        if inside:
            error = NotRepresentable(
                "its recurrence is a loop of single operations, or written out step by step, and is not proven to be "
                "that of a layer: convert the model's own file (.keras, .h5, SavedModel)"
            )
            yield Layer(self._path("loop"), "WHILE" if not often else "unrolled loop", unknown=error, arrays=inside)


def _is_weight(array: LazyArray, operation: Operation) -> bool:
    """Whether a stored tensor may be a weight: more than one number with a fraction."""
    return array.is_floating and array.size > 1 and (bool(operation.graph) or bool(array.shape))


def _arrays(model: Model, operation: Operation) -> list[tuple[int, dict[str, LazyArray]]]:
    """The stored weights of an operation by name, direction by direction."""
    found = []
    for start, names in _PLACES[operation.kind]:
        tensors = (operation.inputs[k] if k < len(operation.inputs) else -1 for k in range(start, start + len(names)))
        held = {name: model.constant(operation.graph, tensor) for name, tensor in zip(names, tensors, strict=True)}
        found.append((start, {name: array for name, array in held.items() if array is not None}))
    return found if all(members for _, members in found) else []


def _check(model: Model, operation: Operation) -> None:
    """Raise `NotRepresentable` for what no module computes."""
    if operation.kind == "SVDF":
        raise NotRepresentable("SVDF: it filters over features and time by itself, which no module computes")
    if not operation.kind.endswith(("LSTM", "RNN")) or operation.kind == _BASIC:
        return
    given = {place for place, tensor in enumerate(operation.inputs) if tensor >= 0}
    if given & {*_AUXILIARY.get(operation.kind, ())}:
        raise NotRepresentable("it reads an auxiliary input, which no module has")
    if not operation.kind.endswith("LSTM"):
        return
    for _, members in _arrays(model, operation):
        if _INPUTS[0] not in members:
            raise NotRepresentable("its input gate is 1 minus its forget gate, which no module computes")
        bias = members.get("projection_bias")
        if bias is not None and np.any(bias.read()):
            raise NotRepresentable("its projection has a bias, which no module has")
    if not operation.kind.startswith("BI") and given & {*_NORMS}:
        raise NotRepresentable("it normalises its gates, which no module computes")
