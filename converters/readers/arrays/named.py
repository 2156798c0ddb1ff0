"""Arrays by name out of a file that may say whose they are: read as that framework's, or as the caller states.

A file that does not say is read as PyTorch's where nothing speaks against it, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays import mapping
from converters.readers.opened import Request
from layouts import catalogue
from layouts.errors import ConversionError, printable

_USUAL = "pytorch"


class Named(NamedTuple):
    """The arrays of a file, what it says beside them, and whose they are as far as it tells."""

    path: str
    arrays: dict[str, LazyArray]
    metadata: Mapping[str, str]
    framework: str | None
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def checkpoint_of(found: Named, container: str, request: Request) -> Checkpoint:
    """The layers of these arrays. Raises `ConversionError` where somebody has to say whose they are."""
    whose = request.framework or found.framework
    remarks = found.remarks
    if whose is None:
        _check_usual(found.arrays)
        whose = _USUAL
        remarks += (f"the file does not say whose arrays it holds: read as {_USUAL}'s; framework= says otherwise",)
    if whose == _USUAL:
        from converters.readers.pytorch.layers import checkpoint
        from converters.readers.pytorch.states import State

        return checkpoint(found.path, container, State(found.arrays, found.unused, remarks), request.assume)
    made = mapping.checkpoint_of(found.path, container, found.arrays, whose, request.assume)
    return replace(made, unused=(*found.unused, *made.unused), remarks=(*remarks, *made.remarks))


def _check_usual(arrays: Mapping[str, LazyArray]) -> None:
    """Raise where an array has a name that other frameworks give, and PyTorch does not."""
    for name in arrays:
        if not any(short in catalogue.names(_USUAL) for short in _tails(name)):
            others = [one for one in catalogue.frameworks() if _knows(one, name)]
            if others:
                raise ConversionError(
                    f"{printable(name)} is no name of PyTorch's, but one of {', '.join(others)}: framework= says "
                    "whose arrays these are"
                )


def _knows(framework: str, name: str) -> bool:
    return framework != "gateport" and any(short in catalogue.names(framework) for short in _tails(name))


def _tails(name: str) -> Iterator[str]:
    """Every name that an array may have within its layer."""
    yield name
    yield from (name[k + 1 :] for k, letter in enumerate(name) if letter in "/.")
