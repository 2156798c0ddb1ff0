"""The operations of a Core ML program (MIL) that have weights, as layers; a loop with weights in it is none of them.

A program has functions, each with one block that counts; a block has operations, whose inputs name the outputs of
others. Constants are operations `const`. Source: MIL.proto of coremltools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.readers.coreml.block import Blocks
from converters.readers.coreml.compressed import PREFIX, expanded
from converters.readers.coreml.loops import Loop, gru_of
from converters.readers.coreml.names import Paths
from converters.readers.coreml.operation import Operation
from converters.readers.coreml.operations import KINDS, Kind
from converters.readers.coreml.values import Constant, Stored
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
from layouts.frameworks import coreml

_DEEPEST = 16
_COMPRESSED = "weights are stored compressed: they are those that the program expands them to"
_NAMED = re.compile(r"(.+)_weight")


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
        self._path, self._blocks = path, Blocks(path)
        self._paths = Paths()
        self._makers: dict[str, Operation] = {}
        self.remarks: list[str] = []

    def layers(self, block: Message, prefix: str) -> Iterator[Layer]:
        operations = list(self._blocks.operations(block))
        constants: dict[str, Constant] = {}
        computed: dict[str, str] = {}
        self._makers |= {output: one for one in operations for output in one.outputs}
        for one in operations:
            if one.kind == "const":
                constants |= self._blocks.constant(one)
            elif one.kind.startswith(PREFIX):
                constants |= self._expanded(one, constants)
            computed |= dict.fromkeys(one.outputs, one.kind)
        for one in operations:
            if one.kind != "const" and not (one.kind.startswith(PREFIX) and one.outputs[0] in constants):
                yield from self._layer(one, constants, computed, prefix)

    def _expanded(self, one: Operation, constants: Mapping[str, Constant]) -> dict[str, Constant]:
        """What an operation makes of compressed constants."""
        found = expanded(one, self._blocks.given(one, constants))
        self.remarks += [_COMPRESSED] * bool(found)
        return found

    def _layer(
        self, one: Operation, constants: Mapping[str, Constant], computed: Mapping[str, str], prefix: str
    ) -> Iterator[Layer]:
        """The layer that an operation is; or an unknown one, where it reads weights that no layer here has."""
        bound = {name: constants[value] for name, (value, *_) in _with_values(one) if value in constants}
        bound |= {
            name: Stored(value, f"{one.name}.{name}", self._blocks.blobs, self._path)
            for name, value in one.inner.items()
        }
        kind = KINDS.get(one.kind)
        own = {name: bound[name] for name in kind.arrays if name in bound} if kind else {}
        if kind is not None and own:
            path = prefix + self._paths.unique(_path(one, own))
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
        if one.kind == "while_loop":
            layer = self._gru(one, constants, prefix)
            if layer is not None:
                yield layer
                return
        inside = [name for block in one.message.messages(4) for name in self._weights(block, constants, 0)]
        if inside:
            text = (
                "a loop or branch with weights in it, such as a GRU becomes: it is not recognised as a layer; convert "
                "the model that this one was made of"
            )
            found = {constants[name].name: constants[name].array() for name in inside if name in constants}
            path = prefix + self._paths.unique(one.name)
            yield Layer(path, one.kind, unknown=NotRepresentable(text, layer=path), arrays=found)
            return
        weights = {name: constant for name, constant in bound.items() if _is_weight(constant)}
        if weights:
            path = prefix + self._paths.unique(one.name)
            text = f"{', '.join(weights)} of {printable(one.kind)}, which is no layer that is known here"
            arrays = {name: constant.array() for name, constant in weights.items()}
            yield Layer(path, one.kind, unknown=UnknownLayer(text, layer=path), arrays=arrays)

    def _gru(self, one: Operation, constants: Mapping[str, Constant], prefix: str) -> Layer | None:
        """The GRU that a loop computes; None where its body is another."""
        blocks = list(one.message.messages(4))
        names = [[value.text(1) for value in block.messages(1)] for block in blocks]
        if len(blocks) != 2 or len(names[1]) != 2 or len(blocks[1].texts(2)) != 2:
            return None
        operations = list(self._blocks.operations(blocks[1]))
        own = {
            name: constant
            for op in operations
            if op.kind == "const"
            for name, constant in self._blocks.constant(op).items()
        }
        body = {output: op for op in operations for output in op.outputs if op.kind != "const"}
        found = gru_of(Loop(*names[1], *blocks[1].texts(2)), body, {**constants, **own})
        if found is None:
            return None
        counter, start = one.inputs.get("loop_vars", ()) if len(one.inputs.get("loop_vars", ())) == 2 else ("", "")
        if counter not in constants or constants[counter].numbers() != [0]:
            return None
        zero = start in constants and not np.any(constants[start].array().read())
        if found.adds and not zero:
            return None
        arrays = {name: constant.array() for name, constant in found.constants.items()}
        part = Part(coreml.GRU_LOOP, arrays)
        part.solved()
        path = prefix + self._paths.unique(one.name)
        call = Call(sequences=True, time_axis=0, initial_h="" if zero else "input", direction=self._way(found.sequence))
        return Layer(path, "gru", (part,), call)

    def _way(self, sequence: str) -> str:
        """The direction of a loop, by whether what it reads was turned around before."""
        made = self._makers.get(sequence)
        for _ in range(_DEEPEST):
            if made is None or made.kind == "reverse":
                break
            made = self._makers.get(made.reads("x")) if made.kind in ("transpose", "cast") else None
        return "reverse" if made is not None and made.kind == "reverse" else "forward"

    def _weights(self, block: Message, constants: Mapping[str, Constant], depth: int) -> Iterator[str]:
        """The names of weights that a block reads, its own and those of the blocks around it."""
        if depth > _DEEPEST:
            raise UnsafeCheckpoint("the program is nested too deeply", path=self._path)
        for one in self._blocks.operations(block):
            if one.kind == "const":
                yield from (name for name, constant in self._blocks.constant(one).items() if _is_weight(constant))
            values = [value for _, listed in one.inputs.items() for value in listed]
            yield from (value for value in values if value in constants and _is_weight(constants[value]))
            for inner in one.message.messages(4):
                yield from self._weights(inner, constants, depth + 1)


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
