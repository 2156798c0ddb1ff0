"""MessagePack, as far as Flax writes it: every value with the place where its bytes stand; nothing is copied.

Source: the specification at github.com/msgpack/msgpack. Bounded by the bytes that are there, in depth and in count.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass

_DEEPEST = 100
_MOST_VALUES = 1_000_000


class Extension(NamedTuple):
    """A value of a type of its writer's own: the number of the type, and where its bytes stand."""

    code: int
    start: int
    end: int


class Raw(NamedTuple):
    """Bytes: where they stand."""

    start: int
    end: int


_FIXED: dict[int, Any] = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    **{0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"},
    **{0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"},
}
_LENGTHS = {
    **{0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I")},
    **{0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I")},
    **{0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I")},
    **{0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")},
}
_SHORT = ((0x80, 0x90, "map", 15), (0x90, 0xA0, "list", 15), (0xA0, 0xC0, "text", 31))
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


class Token(NamedTuple):
    """What a first byte announces: a kind of value, its length or count, and where its content starts."""

    kind: str
    length: int
    start: int


@dataclass
class Reader:
    """Reads values one after another from `at` to `stop`."""

    view: memoryview
    at: int
    stop: int
    left: int = _MOST_VALUES

    def value(self, depth: int = 0) -> Any:
        """The next value: numbers, text, lists and dicts as themselves, bytes and extensions by their place.

        Raises `CheckpointError` for what is damaged, too deep, or has one key twice.
        """
        first = self._number(">B")
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        if first in _FIXED:
            return _FIXED[first]
        if first in _NUMBERS:
            return self._number(_NUMBERS[first])
        return self._long(self._token(first), depth)

    def step(self) -> Any:
        """The next value, but of a map, a list or an extension its announcement alone: what it holds follows."""
        first = self._number(">B")
        if first in _FIXED or first in _NUMBERS or first < 0x80 or first >= 0xE0:
            self.at -= 1
            return self.value()
        token = self._token(first)
        if token.kind == "extension":
            return Extension(self._number(">b"), self.at, self.at + token.length)
        return token if token.kind in ("map", "list") else self._long(token, 0)

    def _long(self, token: Token, depth: int) -> Any:
        """A value that has a length."""
        if token.kind in ("map", "list"):
            return self._several(token, depth)
        if token.kind == "extension":
            code = self._number(">b")
            return Extension(code, *self._bytes(token.length))
        start, end = self._bytes(token.length)
        return self._text(start, end) if token.kind == "text" else Raw(start, end)

    def _token(self, first: int) -> Token:
        if first in _LENGTHS:
            kind, form = _LENGTHS[first]
            return Token(kind, self._number(form), self.at)
        if first in _FIXED_EXTENSIONS:
            return Token("extension", _FIXED_EXTENSIONS[first], self.at)
        for low, high, kind, mask in _SHORT:
            if low <= first < high:
                return Token(kind, first & mask, self.at)
        raise damaged(self.at - 1, f"the byte {first:#04x}, which begins no value")

    def _several(self, token: Token, depth: int) -> Any:
        needed = token.length * (2 if token.kind == "map" else 1)
        if needed > self.stop - self.at:
            raise damaged(token.start, f"{needed} values where {self.stop - self.at} bytes follow")
        self.left -= needed
        if self.left < 0:
            raise UnsafeCheckpoint(f"the file holds more than {_MOST_VALUES} values")
        if depth >= _DEEPEST:
            raise UnsafeCheckpoint(f"the file is nested deeper than {_DEEPEST} levels")
        if token.kind == "list":
            return [self.value(depth + 1) for _ in range(token.length)]
        return self._map(token.length, depth)

    def _map(self, count: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(count):
            start = self.at
            key = self.value(depth + 1)
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise damaged(start, "a key that is no name")
            if str(key) in found:
                raise UnsafeCheckpoint(f"the key {printable(repr(key))} appears twice in one map")
            found[str(key)] = self.value(depth + 1)
        return found

    def _text(self, start: int, end: int) -> str:
        try:
            return str(self.view[start:end], "utf-8")
        except UnicodeDecodeError:
            raise damaged(start, "a text that is not UTF-8") from None

    def _bytes(self, length: int) -> tuple[int, int]:
        start = self.at
        if length > self.stop - start:
            raise damaged(start, f"a value of {length} bytes where {self.stop - start} follow")
        self.at = start + length
        return start, self.at

    def _number(self, form: str) -> Any:
        start, end = self._bytes(struct.calcsize(form))
        return struct.unpack(form, self.view[start:end])[0]


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that is no map or list of maps, by its full name; what is nested is joined by '/'."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if (isinstance(inner, dict) and CHUNKED not in inner) or isinstance(inner, list):
            yield from leaves(inner, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", inner


CHUNKED = "__msgpack_chunked_array__"
"""The key by which Flax marks an array of more than 1 GB, which it cuts into pieces."""


def damaged(at: int, what: str) -> UnreadableCheckpoint:
    """The error of bytes that are no MessagePack."""
    return UnreadableCheckpoint(f"damaged or truncated msgpack: {what} at byte {at}")
