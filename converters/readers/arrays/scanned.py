"""Layers whose arrays have an axis of layers before their own: one stack, or one layer for each place on that axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from converters.model.layers import Layer
from converters.readers.arrays.recognition import last_word
from layouts.layout import DIRECTIONS

_LIFTED = "Scan"
"""What Flax puts before the name of a class that it scans as it is; the cells of another scanned class go without."""


def apart(layers: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, those scanned apart that are no stack by themselves.

    Cells that are scanned alone read one another. What is scanned together, as the layers of a block, alternates, and
    so does what reads another width than it gives: such layers come out one by one, which is exact whatever joins them.
    """
    beside = Counter(_parent(layer.path) for layer in layers if _is_scanned(layer))
    for layer in layers:
        if _is_scanned(layer) and not _is_stack(layer, beside[_parent(layer.path)]):
            yield from _one_by_one(layer)
        else:
            yield layer


def _is_scanned(layer: Layer) -> bool:
    return bool(layer.parts) and layer.parts[0].layout.layer_axis is not None


def _is_stack(layer: Layer, count: int) -> bool:
    sizes = layer.parts[0].solved()
    alone = count == 1 or last_word(layer.path).startswith(_LIFTED)
    return layer.recurrent and alone and (layer.parts[0].layers == 1 or sizes["input"] == sizes["state"])


def _one_by_one(layer: Layer) -> Iterator[Layer]:
    part = layer.parts[0]
    for number in range(part.layers):
        own = replace(part, only=(DIRECTIONS[0], number))
        yield replace(layer, path=f"{layer.path}/{number}".lstrip("/"), parts=(own,))


def _parent(path: str) -> str:
    return path[: len(path) - len(last_word(path))]
