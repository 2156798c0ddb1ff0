"""The machine: one pickle in, plain data out. Opcodes from a fixed list, bounded in number, depth and size.

Protocols 2 to 5 are read. Bytes are views of the file, so a large array costs nothing until it is asked for. What a
pickle names has to be in the caller's table; what it wants called is a function of that table, which checks its
arguments and builds a record. Refused are text opcodes of protocols 0 and 1, extension codes, buffers out of band, and
objects that are made by keywords. Source: the comments and tables of the standard library's pickletools.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.readers.pickled.records import Global, Inert
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

Find = Callable[[str, str], Global | None]
"""What a module's name means, or None where it may not be named."""
Persistent = Callable[[Any], Any]
"""What stands for a persistent id."""

_MOST_STEPS = 4_000_000
_LONGEST_NUMBER = 64
_LONGEST_LINE = 512
_NEWEST = 5


class Pickle(NamedTuple):
    """What a pickle held, and where it ended."""

    value: Any
    end: int


class _Mark:
    """Where a run of values begins on the stack."""


_MARK = _Mark()


def _no_persistent(_: Any) -> Any:
    raise UnsafeCheckpoint("the pickle refers to data outside itself")


def load(view: memoryview, find: Find, persistent: Persistent = _no_persistent, start: int = 0) -> Pickle:
    """Read the pickle that begins at `start`.

    Raises `UnsafeCheckpoint` for what may not be named or done, `UnreadableCheckpoint` where it is damaged.
    """
    machine = _Machine(view, find, persistent, start)
    try:
        return Pickle(machine.run(), machine.position)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise UnreadableCheckpoint("the pickle is damaged or truncated") from None


class _Machine:
    def __init__(self, view: memoryview, find: Find, persistent: Persistent, start: int) -> None:
        self._view, self._find, self._persistent = view, find, persistent
        self.position = start
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Step by step to the end; the one value that is left."""
        for _ in range(_MOST_STEPS):
            code = self._view[self.position]
            self.position += 1
            if code == _STOP:
                return self._last()
            step = _STEPS.get(code)
            if step is None:
                raise UnsafeCheckpoint(f"the pickle uses the opcode {bytes([code])!r}, which is not read here")
            step(self)
        raise UnsafeCheckpoint(f"the pickle takes more than {_MOST_STEPS} steps")

    def _last(self) -> Any:
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise UnreadableCheckpoint("the pickle is damaged: it does not end with one value")
        return self._stack[0]

    def take(self, count: int) -> memoryview:
        """The next bytes, all of which have to be there."""
        piece = self._view[self.position : self.position + count]
        if len(piece) < count:
            raise UnreadableCheckpoint(f"the pickle is truncated: it claims {count} bytes, and {len(piece)} follow")
        self.position += count
        return piece

    def number(self, form: str) -> Any:
        """A number of a fixed size, little-endian."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def line(self) -> str:
        """A line of text of at most 512 bytes."""
        text, newline, _ = bytes(self._view[self.position : self.position + _LONGEST_LINE]).partition(b"\n")
        if not newline:
            raise UnreadableCheckpoint("the pickle is damaged: a name does not end")
        self.position += len(text) + 1
        return text.decode()

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise UnreadableCheckpoint("the pickle is damaged: it takes a value where there is none")
        return self._stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def to_mark(self) -> list[Any]:
        """The values since the last mark, which are taken off."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                found = self._stack[place + 1 :]
                del self._stack[place:]
                return found
        raise UnreadableCheckpoint("the pickle is damaged: there is no mark")

    def mark(self) -> None:
        self.push(_MARK)

    def protocol(self) -> None:
        found = self.number("B")
        if not 2 <= found <= _NEWEST:
            raise UnsafeCheckpoint(f"the pickle is of protocol {found}; 2 to {_NEWEST} are read")

    def frame(self) -> None:
        length = self.number("Q")
        if length > len(self._view) - self.position:
            raise UnreadableCheckpoint("the pickle is truncated: a frame reaches beyond the end")

    def integer(self, count: int) -> None:
        """A whole number of `count` bytes in two's complement."""
        if count > _LONGEST_NUMBER:
            raise UnsafeCheckpoint(f"the pickle holds a whole number of {count} bytes")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def text(self, count: int) -> None:
        self.push(str(self.take(count), "utf-8", "surrogatepass"))

    def old_text(self, count: int) -> None:
        """Text of Python 2, each byte a character."""
        self.push(str(self.take(count), "latin-1"))

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def put(self, place: int) -> None:
        self._memo[place] = self.top()

    def get(self, place: int) -> None:
        if place not in self._memo:
            raise UnreadableCheckpoint("the pickle is damaged: it refers to what it has not built")
        self.push(self._memo[place])

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self.top()

    def append(self, values: list[Any]) -> None:
        """More for the list below."""
        target = self.top()
        if not isinstance(target, list):
            raise UnreadableCheckpoint("the pickle is damaged: it appends to what is no list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        """More for the dictionary below; no key twice."""
        target = self.top()
        if not isinstance(target, dict) or len(values) % 2:
            raise UnreadableCheckpoint("the pickle is damaged: it sets an item of what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            _check_key(key)
            if key in target:
                raise UnsafeCheckpoint(f"the pickle sets {printable(repr(key))} twice in one dictionary")
            target[key] = value

    def named(self, module: str, name: str) -> None:
        """Look up what the pickle names."""
        found = self._find(module, name)
        if found is None:
            raise refused(module, name)
        self.push(found)

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise UnreadableCheckpoint("the pickle is damaged: a name is no text")
        self.named(module, name)

    def reduce(self) -> None:
        """What calling the function below with these arguments stands for."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            raise UnreadableCheckpoint("the pickle is damaged: arguments are no tuple")
        if not isinstance(function, Global) or function.call is None:
            what = str(function) if isinstance(function, Global) else f"a {type(function).__name__}"
            raise UnsafeCheckpoint(f"the pickle wants to call {printable(what)}: nothing of a pickle is called here")
        self.push(function.call(arguments))

    def build(self) -> None:
        """The state of the object below; that of a dictionary are attributes, which are no entries."""
        state, target = self.pop(), self.top()
        if isinstance(target, Inert):
            target.state = state
        elif hasattr(target, "build"):
            target.build(state)
        elif not isinstance(target, dict):
            raise UnsafeCheckpoint("the pickle sets the state of what has none")

    def outside(self) -> None:
        self.push(self._persistent(self.pop()))


def refused(module: str, name: str) -> UnsafeCheckpoint:
    """The error for a name that is not in the table."""
    what = printable(f"{module}.{name}")
    return UnsafeCheckpoint(
        f"the pickle names {what}, which is no array and is never imported or called here: load the file where it "
        "comes from, and save the weights alone, as torch.save(model.state_dict(), path)"
    )


def _check_key(key: Any) -> None:
    """Keys are names and numbers: to hash anything else may never end."""
    plain = (str, int, float, type(None), Global)
    pair = isinstance(key, tuple) and all(isinstance(part, plain) for part in key)
    if not isinstance(key, plain) and not pair:
        raise UnsafeCheckpoint(f"the pickle has a {type(key).__name__} as a key of a dictionary")


def _constant(value: Any) -> Callable[[_Machine], None]:
    return lambda m: m.push(value)


def _sized(form: str, step: Callable[[_Machine, int], None]) -> Callable[[_Machine], None]:
    """A step that takes as many bytes as a number before them says; a negative count is damage."""

    def run(machine: _Machine) -> None:
        count = machine.number(form)
        if count < 0:
            raise UnreadableCheckpoint("the pickle is damaged: a length is negative")
        step(machine, count)

    return run


def _drop(machine: _Machine) -> None:
    machine.pop()


def _bytes(machine: _Machine, count: int) -> None:
    machine.push(machine.take(count))


_STOP = ord(".")
_STEPS: Mapping[int, Callable[[_Machine], None]] = {
    0x80: _Machine.protocol,
    0x95: _Machine.frame,
    ord("("): _Machine.mark,
    ord("0"): _drop,
    ord("2"): lambda m: m.push(m.top()),
    ord("N"): _constant(None),
    0x88: _constant(True),
    0x89: _constant(False),
    ord("J"): lambda m: m.push(m.number("i")),
    ord("K"): lambda m: m.push(m.number("B")),
    ord("M"): lambda m: m.push(m.number("H")),
    0x8A: _sized("B", _Machine.integer),
    0x8B: _sized("i", _Machine.integer),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    ord("X"): _sized("I", _Machine.text),
    0x8C: _sized("B", _Machine.text),
    0x8D: _sized("Q", _Machine.text),
    ord("U"): _sized("B", _Machine.old_text),
    ord("T"): _sized("i", _Machine.old_text),
    ord("B"): _sized("I", _bytes),
    ord("C"): _sized("B", _bytes),
    0x8E: _sized("Q", _bytes),
    0x96: _sized("Q", _bytes),
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
    ord("q"): lambda m: m.put(m.number("B")),
    ord("r"): lambda m: m.put(m.number("I")),
    0x94: _Machine.memoize,
    ord("h"): lambda m: m.get(m.number("B")),
    ord("j"): lambda m: m.get(m.number("I")),
    ord("c"): lambda m: m.named(m.line(), m.line()),
    0x93: _Machine.stack_global,
    ord("R"): _Machine.reduce,
    0x81: _Machine.reduce,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.outside,
}
"""The opcodes that are read. A set is kept as a list: nothing here asks whether something is in it."""
