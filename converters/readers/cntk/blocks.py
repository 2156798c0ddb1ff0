"""The blocks of a CNTK model that have parameters, as layers: what they compute is read from the functions in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call, Wiring
from converters.readers.cntk.values import Reading
from layouts import catalogue
from layouts.errors import OF_A_LAYER, NotRepresentable, UnknownLayer, UnreadableCheckpoint, printable
from layouts.options import Convolution, Normalization, Options, Recurrence

_BLOCK, _NO_OP, _PAST, _FUTURE, _CONVOLUTION, _BATCH_NORM = 57, 62, 37, 38, 33, 40
_INPUT, _PARAMETER, _CONSTANT = 0, 2, 3
_FUNCTIONS = {1: "sigmoid", 75: "sigmoid", 2: "tanh", 3: "relu"}
"""The operations that are activations."""
_EXPECTED = {"LSTM": Counter(sigmoid=3, tanh=2), "GRU": Counter(sigmoid=2, tanh=1)}
Function = Mapping[str, Any]


def layers_of(reading: Reading, functions: Sequence[Any], variables: Sequence[Any]) -> Iterator[Layer]:
    """The layers of a model, those of blocks first, then every parameter that stands in none."""
    return _Model(reading, functions, variables).layers()


class _Model:
    """One model: its functions and variables by their identities."""

    def __init__(self, reading: Reading, functions: Sequence[Any], variables: Sequence[Any]) -> None:
        if not all(isinstance(one, dict) and isinstance(one.get("uid"), str) for one in (*functions, *variables)):
            raise UnreadableCheckpoint("a function or variable of this model has no identity")
        self._reading = reading
        self._functions: dict[str, Function] = {one["uid"]: one for one in functions}
        self._variables: dict[str, Function] = {one["uid"]: one for one in variables}
        self._names: Counter[str] = Counter()

    def layers(self) -> Iterator[Layer]:
        seen: set[str] = set()
        blocks = [one for one in self._functions.values() if one.get("op") == _BLOCK]
        known = catalogue.layers("cntk")
        for block in blocks:
            own = self._parameters(block)
            if block.get("block_function_op_name") in (*known, "LayerNormalization") and own:
                seen |= {*own}
                yield self._layer(block, own)
        for uid, variable in self._variables.items():
            if uid not in seen and variable.get("kind") == _PARAMETER:
                path = self._unique(str(variable.get("name") or uid))
                text = "a parameter that stands in no layer that is known here"
                array = self._reading.array(variable, path)
                yield Layer(path, "unknown", unknown=UnknownLayer(text, layer=path), arrays={path: array})

    def _parameters(self, block: Function) -> dict[str, Function]:
        """The parameters that a block reads, and the constants with a name, which are statistics."""
        found = {uid: self._variables[uid] for uid in _texts(block.get("inputs")) if uid in self._variables}
        return {
            uid: one
            for uid, one in found.items()
            if one.get("kind") == _PARAMETER or (one.get("kind") == _CONSTANT and one.get("name"))
        }

    def _layer(self, block: Function, own: Mapping[str, Function]) -> Layer:
        kind = str(block["block_function_op_name"])
        path = self._unique(self._named(block) or kind)
        arrays: dict[str, LazyArray] = {}
        try:
            for one in own.values():
                name = str(one.get("name", ""))
                if name in arrays:
                    raise UnknownLayer(f"two parameters are called {printable(name)}")
                arrays[name] = self._reading.array(one, f"{path}/{name}")
            refused = next((one for one in catalogue.refusals("cntk") if one.meets(arrays, True)), None)
            if refused is not None:
                raise NotRepresentable(f"{refused.class_name}: {refused.why}")
            shapes = {name: array.shape for name, array in arrays.items()}
            layout = catalogue.choose("cntk", kind, {}, shapes)
            part = Part(layout, arrays)
            options, call = self._settings(block, kind, part)
            wiring, assumed = self._rank(block) if kind == "BatchNormalization" else (Wiring(), {})
            part = replace(part, options=options) if options else part
            return Layer(path, kind, (part,), call, wiring, assumed)
        except OF_A_LAYER as error:
            error.layer = path
            return Layer(path, kind, unknown=error, arrays=arrays)

    def _rank(self, block: Function) -> tuple[Wiring, dict[str, int]]:
        """The axes of a norm's input: told where it is an input of the model, else assumed to be those of maps."""
        read = [self._variables.get(text) for text in _texts(block.get("inputs"))]
        shapes = [
            one["shape"] for one in read if one and one.get("kind") == _INPUT and isinstance(one.get("shape"), tuple)
        ]
        if len(shapes) == 1:
            return Wiring(rank=1 + len(shapes[0])), {}
        spatial = any(_of(one).get("spatial") for one in self._inside(block))
        return Wiring(rank=4 if spatial else 2), {"rank": 4 if spatial else 2}

    def _settings(self, block: Function, kind: str, part: Part) -> tuple[Options | None, Call]:
        inside = list(self._inside(block))
        functions = Counter(_FUNCTIONS[one["op"]] for one in inside if one.get("op") in _FUNCTIONS)
        if part.cell.recurrent:
            return self._recurrence(kind, functions), self._call(block)
        activation = next(iter(functions), "linear")
        attributes = [_of(one) for one in inside if one.get("op") in (_CONVOLUTION, _BATCH_NORM)]
        if kind == "Convolution":
            return _convolution(attributes), Call(activation=activation)
        if kind == "BatchNormalization" and attributes:
            epsilon = attributes[0].get("epsilon")
            return Normalization(epsilon=float(epsilon) if isinstance(epsilon, float) else 1e-5), Call()
        return None, Call(activation=activation)

    @staticmethod
    def _recurrence(kind: str, functions: Counter[str]) -> Recurrence:
        """The activations of a cell. Raises `UnknownLayer` where they are not those that it has by default."""
        if kind == "RNNStep" and sum(functions.values()) == 1:
            return Recurrence(activation=next(iter(functions)))
        if functions != _EXPECTED.get(kind):
            listed = ", ".join(f"{count} × {name}" for name, count in functions.items()) or "none that is known"
            raise UnknownLayer(f"its activations are {listed}: which gate has which is not followed")
        return Recurrence()

    def _call(self, block: Function) -> Call:
        """The direction, by the delays that a block reads, and whether they start from anything but zero."""
        delays = [
            self._functions[uid] for uid in self._producers(block) if self._functions[uid].get("op") in (_PAST, _FUTURE)
        ]
        ways = {one["op"] for one in delays}
        if len(ways) > 1 or any(_of(one).get("offset") != 1 for one in delays):
            raise UnknownLayer("it reads states of other steps than the one before")
        starts = [self._variables.get(_texts(one.get("inputs"))[-1]) for one in delays]
        stored = any(one is None or self._is_not_zero(one) for one in starts)
        return Call(direction="reverse" if ways == {_FUTURE} else "forward", initial_h="stored" if stored else "")

    def _is_not_zero(self, variable: Function) -> bool:
        return variable.get("kind") != _CONSTANT or bool(np.any(self._reading.array(variable, "initial state").read()))

    def _producers(self, function: Function) -> Iterator[str]:
        """The functions whose outputs a function reads."""
        for text in _texts(function.get("inputs")):
            uid = text.rpartition("_Output_")[0]
            if uid in self._functions:
                yield uid

    def _inside(self, block: Function) -> Iterator[Function]:
        """The functions that a block is made of: from its root back to what it reads from outside."""
        composite = block.get("block_function_composite")
        root = composite.get("root") if isinstance(composite, dict) else None
        waiting, seen = [root] if isinstance(root, str) else [], set()
        while waiting:
            uid = waiting.pop()
            if uid in seen or uid not in self._functions:
                continue
            seen.add(uid)
            function = self._functions[uid]
            yield function
            inner = function.get("block_function_composite")
            waiting += [
                *self._producers(function),
                *([inner["root"]] if isinstance(inner, dict) and "root" in inner else []),
            ]

    def _named(self, block: Function) -> str:
        """The name of a block: its own, or that of the recurrence around it."""
        if block.get("name"):
            return str(block["name"])
        output = f"{block['uid']}_Output_0"
        after = (
            one for one in self._functions.values() if one.get("op") == _NO_OP and output in _texts(one.get("inputs"))
        )
        return next((str(one["name"]) for one in after if one.get("name")), "")

    def _unique(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name] - 1}"


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _of(function: Function) -> Mapping[str, Any]:
    found = function.get("attributes")
    return found if isinstance(found, dict) else {}


def _convolution(attributes: Sequence[Mapping[str, Any]]) -> Convolution:
    """Strides, dilation and padding; sizes stand in reverse, those of the channels last."""
    if len(attributes) != 1:
        raise UnknownLayer("it is no single convolution")
    (own,) = attributes
    strides, dilation = (tuple(own.get(key) or ())[::-1] for key in ("strides", "dilation"))
    padded = [bool(item) for item in own.get("autoPadding") or ()][::-1]
    spatial = padded[1:] if len(padded) > 1 else padded
    if any(spatial) != all(spatial):
        raise UnknownLayer("it pads some of its axes and not others")
    kernel = tuple(own.get("kernelShape") or ())[::-1][1:]
    if any(spatial) and (any(step != 1 for step in strides[1:]) or any(size % 2 == 0 for size in kernel)):
        raise UnknownLayer("it pads by itself with strides or an even kernel, in a way that is not followed")
    if own.get("transpose") or own.get("groups", 1) != 1:
        raise UnknownLayer("it is a transposed convolution, or one in groups")
    return Convolution(strides[1:], dilation[1:], padding="same" if any(spatial) else "valid")
