"""What the machine builds beside numbers, text, lists and dictionaries: arrays, and objects that are left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from converters.model.arrays import LazyArray
from converters.readers.source import Source

Arguments = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Global:
    """Something that a pickle may name. `call` gives what calling it would make, out of arguments that it checks."""

    module: str
    name: str
    call: Callable[[Arguments], Any] | None = None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Inert:
    """An object that is no array, kept as what it was made of: nothing here looks into it."""

    kind: str
    arguments: Arguments = ()
    state: Any = None


@runtime_checkable
class Record(Protocol):
    """An array as a pickle describes it."""

    def lazy(self, name: str, source: Source) -> LazyArray:
        """The array under this name. Raises `UnsafeCheckpoint` where it claims more than is stored."""


def sizes(value: Any) -> tuple[int, ...] | None:
    """A shape, or strides: a tuple of at most 32 whole numbers from 0 up; None where it is none."""
    plain = isinstance(value, tuple) and len(value) <= 32 and all(type(size) is int for size in value)
    return value if plain and all(0 <= size < 1 << 62 for size in value) else None
