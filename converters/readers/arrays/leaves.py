"""Arrays one after another in one file, each with NumPy's header and without a name, as Equinox writes the leaves of a
module. Source: equinox.tree_serialise_leaves.

What they are follows from the names that a caller states, `assume={"names": "cell.weight_ih cell.weight_hh …"}`, or
from the classes of the layers in order, `assume={"order": "cell=LSTMCell head=Linear"}`; of one layer its class is
enough, `assume={"class": "LSTMCell"}`. Arrays are mapped where they stand. Numbers of Python that a module holds as
settings, a rate of dropout, are leaves too: they are left out by name. A line of JSON may stand before the arrays, as
the guide of Equinox has it for the sizes of a model: it is shown, and not looked into.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from converters.model.arrays import Array, LazyArray, bfloat16
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays import ordered
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.arrays.npz import Header, header
from converters.readers.opened import Opened, Request
from converters.readers.source import Source
from layouts import catalogue
from layouts.errors import CheckpointError, UnknownLayer, UnreadableCheckpoint, UnsafeCheckpoint, printable

MAGIC = b"\x93NUMPY"
STATEMENT = "names"
_MOST_LEAVES = 100_000
_LONGEST_LINE = 1 << 16
_LONGEST_HEADER = 10_064
_PYTHON = ("float64", "int64", "bool", "complex128")
"""The dtypes under which NumPy keeps Python's own numbers; JAX has float32 where it is not told otherwise."""


def is_leaves(opened: Opened) -> bool:
    """Whether more than one array stands here, or less: one alone is a plain file of NumPy."""
    start = _start(opened.source)
    if start is None:
        return False
    try:
        first = _header(opened.source, start, "arr_0")
    except CheckpointError:
        return False
    return bool(start) or first.start + _size(first) != len(opened.source)


def _start(source: Source) -> int | None:
    """Where the first array begins: at once, or behind a line of JSON; None where none does."""
    at = bytes(source.view[:_LONGEST_LINE]).find(b"\n") + 1 if bytes(source.view[:1]) == b"{" else 0
    return at if bytes(source.view[at : at + len(MAGIC)]) == MAGIC else None


def read_leaves(opened: Opened, request: Request) -> Checkpoint:
    """The layers of the arrays under their stated names. Raises `UnknownLayer` where nothing tells the names."""
    leaves, framework = list(_leaves(opened.source)), request.framework or "equinox"
    arrays = {leaf.name: leaf for leaf in leaves if not _is_setting(leaf)}
    others = [leaf.name for leaf in leaves if _is_setting(leaf)]
    assume = {key: value for key, value in request.assume.items() if key != STATEMENT}
    if STATEMENT in request.assume:
        arrays, others = _named(leaves, str(request.assume[STATEMENT]))
    elif not {ordered.STATEMENT, ordered.CLASS} & {*assume}:
        raise UnknownLayer(_question(arrays, framework), path=opened.path)
    checkpoint = checkpoint_of(opened.path, "arrays without names", arrays, framework, assume, others)
    line = str(opened.source.view[: _start(opened.source)], "utf-8", "replace").strip()
    remark = f"the file begins with what its writer noted: {printable(line)}"
    return replace(checkpoint, remarks=(*checkpoint.remarks, remark)) if line else checkpoint


def _question(arrays: Mapping[str, LazyArray], framework: str) -> str:
    """How a caller says what the arrays are."""
    known = ", ".join(catalogue.orders(framework))
    return (
        f"these {len(arrays)} arrays of the shapes {_shapes([*arrays.values()])} have no names: state the classes of "
        f"the layers in order, assume={{'{ordered.STATEMENT}': 'cell=LSTMCell head=Linear'}} of {known}; of one "
        f"layer alone its class, assume={{'{ordered.CLASS}': 'LSTMCell'}}; or the names, "
        f"assume={{'{STATEMENT}': 'cell.weight_ih cell.weight_hh …'}}"
    )


def _shapes(leaves: list[LazyArray]) -> str:
    return ", ".join(str(leaf.shape) for leaf in leaves[:12]) + ", …" * (len(leaves) > 12)


def _leaves(source: Source) -> Iterator[LazyArray]:
    """Every array of the file; nothing may stand between them or behind."""
    at, number = _start(source) or 0, 0
    while at < len(source):
        if number >= _MOST_LEAVES:
            raise UnsafeCheckpoint(f"the file holds more than {_MOST_LEAVES} arrays", path=source.path)
        name = f"arr_{number}"
        found = _header(source, at, name)
        end = at + found.start + _size(found)
        if end > len(source):
            raise UnreadableCheckpoint(
                f"the file is truncated: {name} ends at byte {end}, and the file has {len(source)}", path=source.path
            )
        yield _array(source, at, name, found)
        at, number = end, number + 1


def _header(source: Source, at: int, name: str) -> Header:
    """The header of one array; two bytes that NumPy has no name for are JAX's bfloat16, its only such type."""
    found = header(bytes(source.view[at : at + _LONGEST_HEADER]), name, source.path, unnamed=2)
    return found._replace(dtype=bfloat16()) if found.dtype.kind == "V" else found


def _size(found: Header) -> int:
    return math.prod(found.shape) * found.dtype.itemsize


def _array(source: Source, at: int, name: str, found: Header) -> LazyArray:
    start, dtype = at + found.start, found.dtype

    def read() -> Array:
        flat = np.frombuffer(source.view[start : start + _size(found)], dtype)
        array = flat.reshape(found.shape, order="F" if found.fortran else "C")
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))

    return LazyArray(name, found.shape, dtype.newbyteorder("="), read, source.release)


def _is_setting(leaf: LazyArray) -> bool:
    return not leaf.shape and leaf.dtype.name in _PYTHON


def _named(leaves: list[LazyArray], stated: str) -> tuple[dict[str, LazyArray], list[str]]:
    """The arrays under their stated names: one for every leaf, or for every one that is no number of Python."""
    names = [name for name in re.split(r"[\s,]+", stated.strip()) if name]
    own = leaves if len(names) == len(leaves) else [leaf for leaf in leaves if not _is_setting(leaf)]
    if len(names) != len(own) or len({*names}) != len(names):
        twice = next((name for name in names if names.count(name) > 1), None)
        why = f"{printable(twice)} stands twice" if twice else f"{len(names)} names, and {len(own)} arrays"
        raise UnknownLayer(f"assume={{'{STATEMENT}': …}}: {why}, of the shapes {_shapes(own)}")
    arrays = {name: replace(leaf, name=name) for name, leaf in zip(names, own, strict=True)}
    return arrays, [leaf.name for leaf in leaves if leaf not in own]
