"""A GRU that coremltools wrote as a loop of a neural network: told in the words of a program, for the proof of `loops`.

Every layer of the body becomes the operation that computes the same; 1 - z is written -1 × z + 1 there. The loop's
variables are copied in before it, and back at the end of its body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.readers.coreml.compressed import Made
from converters.readers.coreml.loops import Found, Loop, gru_of
from converters.readers.coreml.operation import Operation
from converters.readers.coreml.values import Constant
from converters.readers.coreml.weights import flat, parameters
from converters.readers.message import Message
from layouts.errors import UnknownLayer, printable
from layouts.frameworks import coreml
from layouts.records import dataclass

_NAME, _INPUT, _OUTPUT = 1, 2, 3
_ACTIVATION, _LINEAR, _COPY, _LOOP, _BODY = 130, 140, 600, 615, 4
_GATHER, _SCATTER, _CONSTANT, _REVERSE, _TRANSPOSE = 930, 935, 1070, 960, 985
_KINDS = {1120: "squeeze", 1125: "expand_dims", _COPY: "identity", _GATHER: "gather", _SCATTER: "scatter"} | {
    230: "add",
    880: "add",
    231: "mul",
    900: "mul",
    905: "sub",
}
_INPUTS = {"gather": ("x", "indices"), "scatter": ("data", "indices", "updates")}
_MODES = {0: "update", 1: "add"}
_DEEPEST = 16


@dataclass(frozen=True)
class Word:
    """A constant that is a word."""

    name: str
    text: str
    shape: tuple[int, ...] = ()
    is_floating: bool = False

    def texts(self) -> list[str]:
        """The word."""
        return [self.text]

    def array(self) -> LazyArray:
        """There are no numbers: raises `UnknownLayer`."""
        raise UnknownLayer(f"{printable(self.name)} is a word")

    def numbers(self) -> list[Any]:
        """There are none."""
        return []


def gru_layer(path: str, loop: Message, before: Sequence[Message], file: str) -> Layer | None:
    """The GRU that a loop computes; None where its body is another, or what it starts from is not known."""
    makers = {output: layer for layer in before for output in layer.texts(_OUTPUT)}
    body = list(loop.message(_LOOP).message(_BODY).messages(1))
    returned = {
        output: layer.text(_INPUT)
        for layer in body
        if _COPY in layer
        for output in layer.texts(_OUTPUT)
        if output in makers and _COPY in makers[output]
    }
    if len(returned) != 2:
        return None
    told = _Told(file, path)
    operations = {one.outputs[0]: one for one in told.operations(body, {*returned}) if one.outputs}
    for counter, states in (tuple(returned), tuple(reversed(returned))):
        found = gru_of(Loop(counter, states, returned[counter], returned[states]), operations, told.constants)
        start, first = (_stored(makers, name, file) for name in (states, counter))
        if found is not None and first is not None and first.tolist() == [0]:
            return _layer(path, found, start is not None and not start.any(), makers)
    return None


def _layer(path: str, found: Found, zero: bool, makers: Mapping[str, Message]) -> Layer | None:
    if found.adds and not zero:
        return None
    part = Part(coreml.GRU_LOOP, {name: constant.array() for name, constant in found.constants.items()})
    part.solved()
    call = Call(sequences=True, time_axis=0, initial_h="" if zero else "input", direction=_way(makers, found.sequence))
    return Layer(path, "gru", (part,), call)


def _way(makers: Mapping[str, Message], sequence: str) -> str:
    """The direction of a loop, by whether what it reads was turned around before."""
    for _ in range(_DEEPEST):
        made = makers.get(sequence)
        if made is None or _REVERSE in made:
            return "forward" if made is None else "reverse"
        if _TRANSPOSE not in made:
            break
        sequence = made.text(_INPUT)
    return "forward"


def _stored(makers: Mapping[str, Message], name: str, file: str) -> np.ndarray[Any, Any] | None:
    """The numbers that a variable of a loop starts from; None where they are not stored."""
    made = makers.get(name)
    for _ in range(_DEEPEST):
        if made is None or _COPY not in made:
            break
        made = makers.get(made.text(_INPUT))
    if made is None or _CONSTANT not in made:
        return None
    return flat(made.message(_CONSTANT).message(2), name, file).read()


class _Told:
    """Layers told as operations, and the constants that they read."""

    def __init__(self, file: str, path: str) -> None:
        self._file, self._path = file, path
        self._turned: dict[str, str] = {}
        self.constants: dict[str, Constant] = {}

    def operations(self, layers: Sequence[Message], returned: set[str]) -> Iterator[Operation]:
        for number, layer in enumerate(layers):
            outputs = tuple(layer.texts(_OUTPUT))
            if _COPY in layer and returned & {*outputs}:
                continue
            if _CONSTANT in layer:
                for output in outputs:
                    self._hold(output, flat(layer.message(_CONSTANT).message(2), output, self._file))
                continue
            inputs = tuple(layer.texts(_INPUT))
            kind, bound = self._bound(f"{self._path}/{layer.text(_NAME) or number}", layer, inputs)
            if kind == "neg":
                self._turned |= dict.fromkeys(outputs, inputs[0])
            yield Operation(kind, layer.text(_NAME), bound, {}, outputs, layer)

    def _hold(self, name: str, array: LazyArray) -> tuple[str, ...]:
        self.constants[name] = Made(name, array.shape, array.dtype, array.read)
        return (name,)

    def _number(self, name: str, value: float) -> tuple[str, ...]:
        self.constants[name] = Made(name, (1,), np.dtype(np.float32), lambda: np.array([value], np.float32))
        return (name,)

    def _bound(self, name: str, layer: Message, inputs: Sequence[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
        """The kind of a layer, and what each of its inputs binds."""
        if _LINEAR in layer:
            return self._product(name, layer.message(_LINEAR), inputs)
        if _ACTIVATION in layer:
            return _function(layer.message(_ACTIVATION)), {"x": tuple(inputs[:1])}
        number = next((number for number in _KINDS if number in layer), 0)
        kind, message = _KINDS.get(number, "other"), layer.message(number)
        bound: dict[str, tuple[str, ...]] = {
            key: (value,) for key, value in zip(_INPUTS.get(kind, ("x", "y")), inputs, strict=False)
        }
        if kind in ("gather", "scatter"):
            bound["axis"] = self._number(f"{name}/axis", message.integer(1))
        if kind == "scatter":
            self.constants[f"{name}/mode"] = Word(f"{name}/mode", _MODES.get(message.integer(2), "other"))
            bound["mode"] = (f"{name}/mode",)
        if kind in ("add", "mul") and len(inputs) != 2:
            bound["y"] = self._number(f"{name}/alpha", message.real(1) if 1 in message else float(kind == "mul"))
        turned = [value for value in inputs if value in self._turned]
        if kind == "add" and len(inputs) == 2 and len(turned) == 1:
            (other,) = (value for value in inputs if value not in self._turned)
            return "sub", {"x": (other,), "y": (self._turned[turned[0]],)}
        return kind, bound

    def _product(self, name: str, message: Message, inputs: Sequence[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
        if message.integer(22) or not inputs:
            return "other", {}
        sizes = (message.integer(2), message.integer(1))
        bound: dict[str, tuple[str, ...]] = {"x": (inputs[0],)}
        for number, own, shape in ((20, "weight", sizes), (21, "bias", sizes[:1])):
            if number in message:
                array = parameters(message.message(number), f"{name}/{own}", shape, self._file)
                bound[own] = self._hold(f"{name}/{own}", array)
        return "linear", bound


def _function(message: Message) -> str:
    """The activation of a layer; `neg` for -1 times its input, "other" for one that no GRU has."""
    if 5 in message:
        own = message.message(5)
        alpha, beta = (own.real(number) if number in own else 0.0 for number in (1, 2))
        return "neg" if (alpha, beta) == (-1.0, 0.0) else "other"
    return next((kind for number, kind in ((30, "tanh"), (40, "sigmoid")) if number in message), "other")
