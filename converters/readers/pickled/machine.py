"""The machine: one pickle in, plain data out. Opcodes from a fixed list, bounded in number, depth and size.

Protocols 2 to 5 are read. Bytes are views of the file, so a large array costs nothing until it is asked for. What a
pickle names has to be in the caller's table; what it wants called is a function of that table, which checks its
arguments and builds a record. Refused are text opcodes of protocols 0 and 1, extension codes, buffers out of band, and
objects that are made by keywords. Source: the comments and tables of the standard library's pickletools.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from converters.readers.pickled.opcodes import STEPS, STOP
from converters.readers.pickled.stack import Find, Persistent, Stack
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint

_MOST_STEPS = 2_000_000


class Pickle(NamedTuple):
    """What a pickle held, and where it ended."""

    value: Any
    end: int


def _no_persistent(_: Any) -> Any:
    raise UnsafeCheckpoint("the pickle refers to data outside itself")


def load(view: memoryview, find: Find, persistent: Persistent = _no_persistent, start: int = 0) -> Pickle:
    """Read the pickle that begins at `start`.

    Raises `UnsafeCheckpoint` for what may not be named or done, `UnreadableCheckpoint` where it is damaged.
    """
    stack = Stack(view, find, persistent, start)
    try:
        return Pickle(_run(stack), stack.position)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise UnreadableCheckpoint("the pickle is damaged or truncated") from None


def _run(stack: Stack) -> Any:
    """Step by step to the end; the one value that is left."""
    view, steps = stack.view, STEPS
    for _ in range(_MOST_STEPS):
        code = view[stack.position]
        stack.position += 1
        if code == STOP:
            return stack.only()
        if code not in steps:
            raise UnsafeCheckpoint(f"the pickle uses the opcode {bytes([code])!r}, which is not read here")
        steps[code](stack)
    raise UnsafeCheckpoint(f"the pickle takes more than {_MOST_STEPS} steps")
