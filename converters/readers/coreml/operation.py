"""One operation of a Core ML program: its type, its own name, and what its inputs bind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from converters.readers.message import Message


class Operation(NamedTuple):
    """One operation: its type, its own name, the names that its inputs bind, the constants that stand in them."""

    kind: str
    name: str
    inputs: Mapping[str, tuple[str, ...]]
    inner: Mapping[str, Message]
    outputs: tuple[str, ...]
    message: Message

    def reads(self, name: str) -> str:
        """The one value that an input binds; '' where it binds none or several."""
        values = self.inputs.get(name, ())
        return values[0] if len(values) == 1 else ""
