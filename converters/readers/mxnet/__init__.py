"""MXNet's `.params`: a list of arrays and their names, and the `-symbol.json` beside it where there is one."""

from __future__ import annotations

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import checkpoint_of
from converters.readers.mxnet.params import read_list
from converters.readers.mxnet.symbol import told_beside
from converters.readers.opened import Opened, Request
from layouts.errors import CoverageError, UnreadableCheckpoint, printable


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a `.params` file; what its symbol tells of them counts as if the caller had stated it."""
    found: dict[str, LazyArray] = {}
    for full, array in read_list(opened.source).items():
        name = full.removeprefix("arg:").removeprefix("aux:")
        if found.setdefault(name, array) is not array:
            raise CoverageError(f"{printable(name)} is there as an argument and as an auxiliary state", array=name)
    told = told_beside(opened.path, found)
    return checkpoint_of(opened.path, "arrays (.params)", found, "mxnet", {**told, **request.assume})


def refuse_symbol(opened: Opened, _: Request) -> Checkpoint:
    """Say which file to give instead of a symbol."""
    raise UnreadableCheckpoint(
        "this is the graph of an MXNet model, without its weights: give the .params file that stands beside it",
        path=opened.path,
    )
