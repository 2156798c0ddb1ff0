"""Whether a layer reads a feature map that was flattened; what the user states of it where no configuration tells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from converters.model.layers import Layer
from converters.readers.keras.semantics import Version
from converters.readers.keras.statements import Statements
from layouts.errors import ConversionError, printable

_OPTION = "flattened"


def reads_flattened(layer: Layer, sizes: tuple[int, ...]) -> bool:
    """Whether this layer's input axis is the flattened map, and the order of its features can matter."""
    return _features(layer) == math.prod(sizes) and math.prod(sizes[:-1]) > 1


def _features(layer: Layer) -> int | None:
    """The length of the one axis of features that a layer reads; None where it has none that can be cut."""
    words = ("in", "input")
    lengths = {part.solved().get(word) for part in layer.parts for word in words if not part.layer} - {None}
    views = all(isinstance(text, str) for part in layer.parts for text in part.layout.arrays.values())
    return lengths.pop() if views and layer.unknown is None and len(lengths) == 1 else None


def with_flattened(layers: Sequence[Layer], statements: Statements, version: Version) -> Iterator[Layer]:
    """The layers of a file without a configuration: nobody can know whether a map was flattened into one of them.

    That no map was is assumed, and said where a map of some convolution of the file would fit: where its channels
    divide the features that the layer reads.
    """
    channels = {size for layer in layers for size in _channels(layer)}
    for layer in layers:
        features = _features(layer) if any(_is_reader(part.cell.name) for part in layer.parts) else None
        if features is None:
            yield layer
            continue
        fits = any(features % size == 0 and features > size for size in channels)
        options = {_OPTION: () if fits else None}
        values, assumed = statements.settle(layer.path, options, version, recurrent=layer.recurrent)
        sizes = values.get(_OPTION, ())
        if sizes and math.prod(sizes) != features:
            raise ConversionError(
                f"assume {printable(layer.path)}.{_OPTION}: a map of {' × '.join(map(str, sizes))} has "
                f"{math.prod(sizes)} features, and the layer reads {features}",
                layer=layer.path,
            )
        yield _cut(replace(layer, assumed={**layer.assumed, **assumed}), sizes)


def _cut(layer: Layer, sizes: tuple[int, ...]) -> Layer:
    if not sizes or not reads_flattened(layer, sizes):
        return layer
    parts = tuple(part if part.layer else replace(part, flattened=sizes) for part in layer.parts)
    return replace(layer, parts=parts, wiring=replace(layer.wiring, flattened=sizes))


def _is_reader(cell: str) -> bool:
    return cell == "linear" or cell.startswith(("lstm", "gru", "rnn"))


def _channels(layer: Layer) -> Iterator[int]:
    """The channels that a convolution gives."""
    for part in layer.parts:
        sizes = part.solved()
        if "depthwise" in part.cell.name:
            yield sizes["in"] * sizes["multiplier"]
        elif "conv" in part.cell.name or part.cell.name.startswith("locally"):
            yield sizes["unit" if "lstm" in part.cell.name else "out"]
