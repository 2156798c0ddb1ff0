"""The operations of a Core ML program (MIL) that have weights, as layers; a loop with weights in it is none of them.

A program has functions, each with one block that counts; a block has operations, whose inputs name the outputs of
others. Constants are operations `const`. Source: MIL.proto of coremltools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.readers.coreml.operations import KINDS, Kind
from converters.readers.coreml.values import Constant
from converters.readers.coreml.weights import Blobs
from converters.readers.message import Message
from converters.readers.source import Source
from layouts.errors import (
    OF_A_LAYER,
    NotRepresentable,
    UnknownLayer,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    printable,
)

_MOST = 200_000
_DEEPEST = 16
_NAMED = re.compile(r"(.+)_weight")


class Operation(NamedTuple):
    """One operation: its type, its own name, the names that its inputs bind, the constants that stand in them."""

    kind: str
    name: str
    inputs: Mapping[str, tuple[str, ...]]
    inner: Mapping[str, Message]
    outputs: tuple[str, ...]
    message: Message


def program_layers(source: Source, program: Message) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers of every function of a program, and what else has to be said."""
    functions = {entry.text(1): entry.message(2) for entry in program.messages(2)}
    if not functions:
        raise UnreadableCheckpoint("the program has no function", path=source.path)
    reading = _Program(source.path)
    layers: list[Layer] = []
    for name, function in functions.items():
        block = next((entry.message(2) for entry in function.messages(3)), None)
        if block is None:
            raise UnreadableCheckpoint(f"the function {printable(name)} has no block", path=source.path)
        layers += reading.layers(block, f"{name}/" if len(functions) > 1 else "")
    return tuple(layers), tuple(dict.fromkeys(reading.remarks))


class _Program:
    """One program on its way to layers."""

    def __init__(self, path: str) -> None:
        self._path, self._blobs = path, Blobs(path)
        self._left = _MOST
        self._names: set[str] = set()
        self.remarks: list[str] = []

    def layers(self, block: Message, prefix: str) -> Iterator[Layer]:
        operations = list(self._operations(block))
        constants: dict[str, Constant] = {}
        computed: dict[str, str] = {}
        for one in operations:
            if one.kind == "const":
                constants |= self._constant(one)
            computed |= dict.fromkeys(one.outputs, one.kind)
        for one in operations:
            if one.kind != "const":
                yield from self._layer(one, constants, computed, prefix)

    def _operations(self, block: Message) -> Iterator[Operation]:
        for message in block.messages(3):
            self._left -= 1
            if self._left < 0:
                raise UnsafeCheckpoint(f"the program has more than {_MOST} operations", path=self._path)
            inputs, inner = {}, {}
            for entry in message.messages(2):
                bindings = list(entry.message(2).messages(1))
                inputs[entry.text(1)] = tuple(binding.text(1) for binding in bindings if 1 in binding)
                if len(bindings) == 1 and 2 in bindings[0]:
                    inner[entry.text(1)] = bindings[0].message(2)
            outputs = tuple(output.text(1) for output in message.messages(3))
            attributes = {entry.text(1): entry.message(2) for entry in message.messages(5)}
            named = attributes.get("name")
            name = Constant(named, "name", self._blobs, self._path).texts() if named else []
            yield Operation(message.text(1), (*name, *outputs, "operation")[0], inputs, inner, outputs, message)

    def _constant(self, one: Operation) -> dict[str, Constant]:
        value = next((entry.message(2) for entry in one.message.messages(5) if entry.text(1) == "val"), None)
        if value is None or not one.outputs or 1 not in value.message(2):
            return {}
        return {one.outputs[0]: Constant(value, one.outputs[0], self._blobs, self._path)}

    def _layer(
        self, one: Operation, constants: Mapping[str, Constant], computed: Mapping[str, str], prefix: str
    ) -> Iterator[Layer]:
        """The layer that an operation is; or an unknown one, where it reads weights that no layer here has."""
        bound = {name: constants[value] for name, (value, *_) in _with_values(one) if value in constants}
        bound |= {
            name: Constant(value, f"{one.name}.{name}", self._blobs, self._path) for name, value in one.inner.items()
        }
        kind = KINDS.get(one.kind)
        own = {name: bound[name] for name in kind.arrays if name in bound} if kind else {}
        if kind is not None and own:
            path = prefix + self._unique(_path(one, own))
            yield self._known(path, kind, one, bound, computed)
        else:
            yield from self._unknown(one, bound, constants, prefix)

    def _known(
        self, path: str, kind: Kind, one: Operation, bound: Mapping[str, Constant], computed: Mapping[str, str]
    ) -> Layer:
        try:
            missing = [
                name for name in kind.arrays if name in one.inputs and name not in bound and name not in one.inner
            ]
            if missing:
                (value,) = one.inputs[missing[0]][:1] or ("",)
                made = computed.get(value, "an input")
                raise UnknownLayer(
                    f"{missing[0]} is no constant but made by {printable(made)}: decompress the model first"
                )
            arrays: dict[str, LazyArray] = {name: bound[name].array() for name in kind.arrays if name in bound}
            made_of = kind.make(bound, arrays)
            part = Part(made_of.layout, arrays, directions=made_of.directions)
            part = replace(part, options=made_of.options) if made_of.options is not None else part
            part.solved()
            self.remarks += [remark.format(printable(path)) for remark in made_of.remarks]
            h, c = (_state(one, bound, name) for name in ("initial_h", "initial_c"))
            return Layer(path, one.kind, (part,), replace(made_of.call, initial_h=h, initial_c=c))
        except OF_A_LAYER as error:
            error.layer = path
            return Layer(path, "unknown", unknown=error)

    def _unknown(
        self, one: Operation, bound: Mapping[str, Constant], constants: Mapping[str, Constant], prefix: str
    ) -> Iterator[Layer]:
        """A loop with weights in it, or constants of several elements that go into an operation of another kind."""
        inside = [name for block in one.message.messages(4) for name in self._weights(block, constants, 0)]
        if inside:
            text = (
                "a loop or branch with weights in it, such as a GRU becomes: it is not recognised as a layer; convert "
                "the model that this one was made of"
            )
            found = {constants[name].name: constants[name].array() for name in inside if name in constants}
            path = prefix + self._unique(one.name)
            yield Layer(path, one.kind, unknown=NotRepresentable(text, layer=path), arrays=found)
            return
        weights = {name: constant for name, constant in bound.items() if _is_weight(constant)}
        if weights:
            path = prefix + self._unique(one.name)
            text = f"{', '.join(weights)} of {printable(one.kind)}, which is no layer that is known here"
            arrays = {name: constant.array() for name, constant in weights.items()}
            yield Layer(path, one.kind, unknown=UnknownLayer(text, layer=path), arrays=arrays)

    def _weights(self, block: Message, constants: Mapping[str, Constant], depth: int) -> Iterator[str]:
        """The names of weights that a block reads, its own and those of the blocks around it."""
        if depth > _DEEPEST:
            raise UnsafeCheckpoint("the program is nested too deeply", path=self._path)
        for one in self._operations(block):
            if one.kind == "const":
                yield from (name for name, constant in self._constant(one).items() if _is_weight(constant))
            values = [value for _, listed in one.inputs.items() for value in listed]
            yield from (value for value in values if value in constants and _is_weight(constants[value]))
            for inner in one.message.messages(4):
                yield from self._weights(inner, constants, depth + 1)

    def _unique(self, name: str) -> str:
        path, count = name, 1
        while path in self._names:
            path, count = f"{name}_{count}", count + 1
        self._names.add(path)
        return path


def _state(one: Operation, bound: Mapping[str, Constant], name: str) -> str:
    """Where an initial state comes from: '' for zeros, 'stored' for other constants, else 'input'."""
    if name not in one.inputs:
        return ""
    if name not in bound:
        return "input"
    return "stored" if np.any(bound[name].array().read()) else ""


def _with_values(one: Operation) -> Iterator[tuple[str, tuple[str, ...]]]:
    return ((name, values) for name, values in one.inputs.items() if values)


def _is_weight(constant: Constant) -> bool:
    """Whether a constant holds several numbers with fractions that are not all zero."""
    if not constant.is_floating or not constant.shape or max(constant.shape) < 2:
        return False
    return bool(np.any(constant.array().read()))


def _path(one: Operation, own: Mapping[str, Constant]) -> str:
    """The name of a layer: that of its weight, as converters keep it of the source, or of the operation."""
    match = next((match for constant in own.values() if (match := _NAMED.fullmatch(constant.name))), None)
    return match[1] if match else one.name
