"""The stack and the memo of the machine, and what its opcodes do to them: they take bytes, and build plain data."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from converters.readers.pickled.records import Global, Inert
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable

Find = Callable[[str, str], Global | None]
"""What a module's name means, or None where it may not be named."""
Persistent = Callable[[Any], Any]
"""What stands for a persistent id."""

_MOST_HANDED = 2_000_000
_LONGEST_NUMBER = 64
_LONGEST_LINE = 512
_NEWEST = 5
_MANY = (dict, list, tuple)
BYTE, SHORT, WORD, LONG = (struct.Struct("<" + form) for form in "BHIQ")
SIGNED, DOUBLE = struct.Struct("<i"), struct.Struct(">d")


class _Mark:
    """Where a run of values begins on the stack."""


MARK = _Mark()


class Stack:
    """One pickle on its way to a value: where the reading stands, what is built, and what is kept for later."""

    def __init__(self, view: memoryview, find: Find, persistent: Persistent, start: int) -> None:
        self.view, self._find, self._persistent = view, find, persistent
        self.position = start
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._handed = 0

    def only(self) -> Any:
        """The one value that is left at the end."""
        if len(self._stack) != 1 or self._stack[0] is MARK:
            raise UnreadableCheckpoint("the pickle is damaged: it does not end with one value")
        return self._stack[0]

    def take(self, count: int) -> memoryview:
        """The next bytes, all of which have to be there."""
        piece = self.view[self.position : self.position + count]
        if len(piece) < count:
            raise UnreadableCheckpoint(f"the pickle is truncated: it claims {count} bytes, and {len(piece)} follow")
        self.position += count
        return piece

    def number(self, form: struct.Struct) -> Any:
        """A number of a fixed size."""
        (found,) = form.unpack_from(self.view, self.position)
        self.position += form.size
        return found

    def line(self) -> str:
        """A line of text of at most 512 bytes."""
        text, newline, _ = bytes(self.view[self.position : self.position + _LONGEST_LINE]).partition(b"\n")
        if not newline:
            raise UnreadableCheckpoint("the pickle is damaged: a name does not end")
        self.position += len(text) + 1
        return text.decode()

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if not self._stack or self._stack[-1] is MARK:
            raise UnreadableCheckpoint("the pickle is damaged: it takes a value where there is none")
        return self._stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def to_mark(self) -> list[Any]:
        """The values since the last mark, which are taken off."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is MARK:
                found = self._stack[place + 1 :]
                del self._stack[place:]
                return found
        raise UnreadableCheckpoint("the pickle is damaged: there is no mark")

    def mark(self) -> None:
        self.push(MARK)

    def protocol(self) -> None:
        found = self.number(BYTE)
        if not 2 <= found <= _NEWEST:
            raise UnsafeCheckpoint(f"the pickle is of protocol {found}; 2 to {_NEWEST} are read")

    def frame(self) -> None:
        length = self.number(LONG)
        if length > len(self.view) - self.position:
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
        self._handed += sum([len(one) for one in arguments if isinstance(one, _MANY)])
        if self._handed > _MOST_HANDED:
            raise UnsafeCheckpoint(f"the pickle hands over more than {_MOST_HANDED} values to what it calls")
        self.push(function.call(arguments))

    def build(self) -> None:
        """The state of the object below; that of a dictionary are attributes, which are no entries."""
        state, target = self.pop(), self.top()
        if isinstance(target, Inert):
            target.state = state
        elif hasattr(target, "build"):
            target.build(state)
            if hasattr(target, "follow"):
                target.follow(self.take)
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
