"""A layer as a row of a table and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.model.layers import Layer, Part
from converters.model.settings import told
from converters.model.stacking import bidirectional
from converters.show import text
from layouts.errors import printable
from layouts.options import ConvolutionalRecurrence, Recurrence

_WIRED = ("fed_by", "rank", "stacks_on", "reads", "gives", "transposed")
"""How a layer is wired: nothing that a port needs."""


def layer_row(layer: Layer) -> text.Row:
    """Its path, class, sizes, arrays and settings."""
    cells = (
        printable(layer.path),
        printable(layer.class_name),
        "\n".join(_sizes(part) for part in layer.parts) or "?",
        "\n".join(_arrays(layer)),
        "\n".join(_settings(layer)),
    )
    return text.Row(cells, refused=layer.unknown is not None)


def layer_data(layer: Layer) -> dict[str, Any]:
    """Everything that is known of a layer, as JSON has it."""
    return {
        "path": layer.path,
        "class_name": layer.class_name,
        "cells": [_part_data(part) for part in layer.parts],
        "arrays": {name: _array_data(array) for name, array in layer.arrays.items()},
        "call": _plain(told(layer.call)),
        "wiring": _plain(told(layer.wiring)),
        "inferred": layer.inferred or None,
        "assumed": dict(layer.assumed),
        "unknown": str(layer.unknown) if layer.unknown else None,
        "parameters": sum(array.size for array in layer.stored()),
    }


def _part_data(part: Part) -> dict[str, Any]:
    return {
        "cell": part.cell.name,
        "layout": part.layout.name,
        "direction": part.direction,
        "layer": part.layer,
        "sizes": part.solved(),
        "options": {name: getattr(part.options, name) for name in part.cell.chooses},
        "arrays": {name: _array_data(array) for name, array in part.arrays.items()},
    }


def _array_data(array: Any) -> dict[str, Any]:
    return {"name": array.name, "shape": list(array.shape), "dtype": str(array.dtype)}


def _plain(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}


def _sizes(part: Part) -> str:
    sizes = part.solved()
    if part.cell.recurrent:
        both = len(part.ways) > 1
        direction = ", both directions" if both else ", backward" if bidirectional([part]) else ""
        return f"{sizes['input']} → {sizes['unit']}{direction}"
    return ", ".join(f"{word} {size}" for word, size in sizes.items())


def _arrays(layer: Layer) -> Iterator[str]:
    for arrays in (layer.arrays, *(part.arrays for part in layer.parts)):
        for name, array in arrays.items():
            yield f"{printable(name)} {'×'.join(map(str, array.shape)) or 'scalar'} {array.dtype}"


def _settings(layer: Layer) -> Iterator[str]:
    if layer.unknown:
        yield " ".join(str(layer.unknown).split())
        return
    stored = [*_options(layer.parts[0])] if layer.parts else []
    for name, value in (*stored, *told(layer.call), *told(layer.wiring, but=_WIRED)):
        yield f"{name}={printable(value)}" + (" (assumed)" if name in layer.assumed else "")
    if layer.inferred:
        yield f"inferred: {layer.inferred}"


def _options(part: Part) -> Iterator[tuple[str, Any]]:
    """Activations always, for a port needs them; of the rest what is not as usual, and the variant of the layer."""
    shown = (
        ("activation", "recurrent_activation") if isinstance(part.options, Recurrence | ConvolutionalRecurrence) else ()
    )
    for name in part.cell.chooses:
        value = getattr(part.options, name)
        if name in shown or value != getattr(part.cell.options, name):
            yield name, value
    if part.cell.recurrent:
        yield from part.layout.when.items()
