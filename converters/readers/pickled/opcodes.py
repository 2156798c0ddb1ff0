"""The opcodes that are read, and what each does; any other ends the reading."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from converters.readers.pickled.stack import BYTE, DOUBLE, LONG, SHORT, SIGNED, WORD, Stack
from layouts.errors import UnreadableCheckpoint


def _constant(value: Any) -> Callable[[Stack], None]:
    return lambda m: m.push(value)


def _sized(form: struct.Struct, step: Callable[[Stack, int], None]) -> Callable[[Stack], None]:
    """A step that takes as many bytes as a number before them says; a negative count is damage."""

    def run(stack: Stack) -> None:
        count = stack.number(form)
        if count < 0:
            raise UnreadableCheckpoint("the pickle is damaged: a length is negative")
        step(stack, count)

    return run


def _drop(stack: Stack) -> None:
    stack.pop()


def _bytes(stack: Stack, count: int) -> None:
    stack.push(stack.take(count))


STOP = ord(".")
STEPS: Mapping[int, Callable[[Stack], None]] = {
    0x80: Stack.protocol,
    0x95: Stack.frame,
    ord("("): Stack.mark,
    ord("0"): _drop,
    ord("2"): lambda m: m.push(m.top()),
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("J"): lambda m: m.push(m.number(SIGNED)),
    ord("K"): lambda m: m.push(m.number(BYTE)),
    ord("M"): lambda m: m.push(m.number(SHORT)),
    0x8A: _sized(BYTE, Stack.integer),
    0x8B: _sized(SIGNED, Stack.integer),
    ord("G"): lambda m: m.push(m.number(DOUBLE)),
    ord("X"): _sized(WORD, Stack.text),
    0x8C: _sized(BYTE, Stack.text),
    0x8D: _sized(LONG, Stack.text),
    ord("U"): _sized(BYTE, Stack.old_text),
    ord("T"): _sized(SIGNED, Stack.old_text),
    ord("B"): _sized(WORD, _bytes),
    ord("C"): _sized(BYTE, _bytes),
    0x8E: _sized(LONG, _bytes),
    0x96: _sized(LONG, _bytes),
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.to_mark())),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    ord("]"): lambda m: m.push([]),
    ord("l"): lambda m: m.push(m.to_mark()),
    0x8F: lambda m: m.push([]),
    0x90: lambda m: m.append(m.to_mark()),
    0x91: lambda m: m.push(tuple(m.to_mark())),
    ord("a"): lambda m: m.append([m.pop()]),
    ord("e"): lambda m: m.append(m.to_mark()),
    ord("}"): lambda m: m.push({}),
    ord("s"): lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    ord("u"): lambda m: m.set_items(m.to_mark()),
    ord("q"): lambda m: m.put(m.number(BYTE)),
    ord("r"): lambda m: m.put(m.number(WORD)),
    0x94: Stack.memoize,
    ord("h"): lambda m: m.get(m.number(BYTE)),
    ord("j"): lambda m: m.get(m.number(WORD)),
    ord("c"): lambda m: m.named(m.line(), m.line()),
    0x93: Stack.stack_global,
    ord("R"): Stack.reduce,
    0x81: Stack.reduce,
    ord("b"): Stack.build,
    ord("Q"): Stack.outside,
}
"""The opcodes that are read. A set is kept as a list: nothing here asks whether something is in it."""
