"""DyNet's text files: `ParameterCollection.save`, and the `.data` of `dynet.save`.

A line `#Parameter# {name} {sizes} {bytes} ZERO_GRAD`, the numbers on a line of their own, column by column; with
FULL_GRAD another line of gradients. `bytes` counts both lines. Source: `TextFileSaver` in dynet/io.cc.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.opened import Opened, Request
from converters.readers.source import Source
from layouts.errors import CoverageError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_HEADER = re.compile(rb"#(Lookup)?Parameter# (\S+) \{([\d,]{1,100})\} (\d{1,18}) (ZERO|FULL)_GRAD\n")
_LONGEST = 10_000
_MOST_PARAMETERS = 1_000_000


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a DyNet file. Raises `UnreadableCheckpoint` for what is damaged."""
    found: dict[str, LazyArray] = {}
    for name, array in _parameters(opened.source):
        if found.setdefault(name, array) is not array:
            raise CoverageError(f"two parameters are called {printable(name)}", array=name)
    return checkpoint_of(opened.path, "parameters (text)", found, "dynet", request.assume)


def _parameters(source: Source) -> Iterator[tuple[str, LazyArray]]:
    at, count = 0, 0
    while at < len(source):
        match = _HEADER.match(bytes(source.view[at : at + _LONGEST]))
        if match is None:
            raise _damaged(source, "no header of a parameter", at)
        start, size = at + match.end(), int(match[4])
        if size > len(source) - start:
            raise _damaged(source, f"a parameter of {size} bytes where {len(source) - start} follow", at)
        count += 1
        if count > _MOST_PARAMETERS:
            raise UnsafeCheckpoint(f"more than {_MOST_PARAMETERS} parameters", path=source.path)
        name = match[2].decode(errors="backslashreplace").strip("/")
        shape = tuple(int(size) for size in match[3].split(b",") if size)
        lines = 1 if match[5] == b"ZERO" else 2
        yield name + "/lookup" * bool(match[1]), _array(source, name, shape, (start, start + size), lines)
        at = start + size


def _array(source: Source, name: str, shape: tuple[int, ...], place: tuple[int, int], lines: int) -> LazyArray:
    """The first line of numbers that stand from one place to the other."""
    start, stop = place
    if 2 * math.prod(shape) * lines > stop - start + 1:
        raise _damaged(source, f"{printable(name)} has fewer numbers than its sizes claim", start)

    def read() -> Array:
        text = bytes(source.view[start:stop]).split(b"\n")
        try:
            numbers = np.array(text[0].split(), np.float32)
        except ValueError:
            raise _damaged(source, f"{printable(name)} holds what is no number", start) from None
        if numbers.size != math.prod(shape) or len([line for line in text if line.strip()]) > lines:
            raise _damaged(source, f"{printable(name)} has {numbers.size} numbers of {math.prod(shape)}", start)
        return numbers.reshape(shape, order="F")

    return LazyArray(name, shape, np.dtype(np.float32), read, source.release)


def _damaged(source: Source, why: str, at: int) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(f"damaged or truncated DyNet file: {why} at byte {at}", path=source.path)
