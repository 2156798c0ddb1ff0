"""Arrays by name out of a file that may say whose they are: read as that framework's, or as the caller states.

A file that does not say is read as PyTorch's where nothing speaks against it, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.readers.arrays import mapping
from converters.readers.opened import Request
from layouts import catalogue
from layouts.errors import ConversionError, ShapeError, UnknownLayer, printable
from layouts.fitting import Fit, fits

_USUAL = "pytorch"


class Named(NamedTuple):
    """The arrays of a file, what it says beside them, and whose they are as far as it tells."""

    path: str
    arrays: dict[str, LazyArray]
    metadata: Mapping[str, str]
    framework: str | None
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    told: Mapping[str, Any] = MappingProxyType({})


def checkpoint_of(found: Named, container: str, request: Request) -> Checkpoint:
    """The layers of these arrays. Raises `ConversionError` where somebody has to say whose they are."""
    whose = request.framework or found.framework
    if whose is None:
        remarks = (f"the file does not say whose arrays it holds: read as {_USUAL}'s; framework= says otherwise",)
        made = _read(found, container, _USUAL, request.assume)
        _check_others(made.layers)
        return replace(made, remarks=(*made.remarks, *remarks))
    return _read(found, container, whose, request.assume)


def _read(found: Named, container: str, framework: str, assume: Mapping[str, Any]) -> Checkpoint:
    """The layers of the arrays of one framework."""
    if framework == _USUAL:
        from converters.readers.pytorch.layers import checkpoint
        from converters.readers.pytorch.states import State

        return checkpoint(found.path, container, State(found.arrays, found.unused, found.remarks), assume)
    made = mapping.checkpoint_of(found.path, container, found.arrays, framework, assume, found.unused, found.told)
    return replace(made, remarks=(*found.remarks, *made.remarks))


def _check_others(layers: Iterable[Layer]) -> None:
    """Raise where a layer that PyTorch does not have is a recurrent one of other frameworks, by names and shapes."""
    for layer in layers:
        if layer.unknown is not None:
            shapes = {name: array.shape for name, array in layer.arrays.items()}
            others = [one for one in catalogue.frameworks() if one != _USUAL and _recurs(one, shapes)]
            if others and not _fits(_USUAL, shapes):
                listed = ", ".join(map(printable, shapes))
                raise ConversionError(
                    f"{printable(layer.path) or 'the arrays'} ({listed}): no layer of PyTorch's, but one of "
                    f"{', '.join(others)}: framework= says whose arrays these are",
                    layer=layer.path,
                )


def _recurs(framework: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether arrays of these names and shapes are a recurrent layer of a framework."""
    named = catalogue.names(framework).of_all(shapes)
    return any(layout.cell.recurrent for layout in named) and any(
        fit.layout.cell.recurrent for fit in _fits(framework, shapes)
    )


def _fits(framework: str, shapes: Mapping[str, tuple[int, ...]]) -> list[Fit]:
    """The layers of a framework that arrays of these names and shapes may be."""
    try:
        return fits(framework, shapes, {})
    except (ShapeError, UnknownLayer):
        return []
