"""The class of a layer without a configuration: what names and shapes tell for certain, and what they do not.

A kernel and a recurrent kernel give the number of gates, so the cell is certain; a bias of 8 blocks is CuDNN's, one of
two rows a GRU's with reset_after. Activations are in no array: they are assumed to be the defaults of the file's
version, said aloud, and can be stated by the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.keras.config import CellConfig, Leaf
from converters.readers.keras.layers import (
    assemble,
    candidates,
    unknown,
    with_assumptions,
)
from converters.readers.keras.semantics import RECURRENT, Version
from layouts import catalogue
from layouts.errors import ConversionError, UnknownLayer, printable
from layouts.layout import Layout

Arrays = dict[str, LazyArray]
Stated = Mapping[str, str]
"""Layer -> class, as the user states it."""

_BLOCKS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}
_CUDNN = {("LSTM", 8): "CuDNNLSTM", ("GRU", 6): "CuDNNGRU"}
_COMMON = {"Dense", "Embedding", "BatchNormalization", "LayerNormalization", "PReLU", "RMSNormalization"}


def infer(
    path: str,
    cells: Sequence[Arrays],
    directions: Sequence[tuple[str, int]],
    version: Version,
    stated: Stated,
    everything: Mapping[str, LazyArray],
    flipped: bool = False,
) -> Layer:
    """A layer from the names and shapes of its arrays, saying what was inferred and what was assumed."""
    name = path.rpartition("/")[2]
    try:
        found = [(stated[path], True) if path in stated else _class_of(cell, name) for cell in cells]
    except ConversionError as error:
        return unknown(Leaf(path, path, "", "unknown", {}, (CellConfig("unknown", {}),)), everything, error)
    classes = [class_name for class_name, _ in found]
    configs = [_config(class_name, cell, version) for class_name, cell in zip(classes, cells, strict=True)]
    parts = tuple(
        CellConfig(class_name, config, "", direction, depth)
        for class_name, config, (direction, depth) in zip(classes, configs, directions, strict=True)
    )
    outer = "Bidirectional" if parts[-1].direction == "backward" else "RNN" if len(parts) > 1 else classes[0]
    layer = assemble(Leaf(path, path, "", outer, {}, parts), cells, version, flipped=flipped)
    if layer.unknown:
        return layer
    inferred = f"{classes[0]} from the names and shapes of its arrays"
    if not layer.recurrent:
        return with_assumptions(layer, {} if all(certain for _, certain in found) else {"class": classes[0]}, inferred)
    layout, computed = layer.parts[0].layout, layer.parts[0].options
    open_ = [name for name in _ASSUMED if name in layout.cell.chooses and name not in layout.implies]
    assumed = {name: getattr(computed, name) for name in open_}
    if classes[0] in ("GRU", "GRUCell") and not any("bias" in cell for cell in cells):
        assumed |= layout.when
    return with_assumptions(layer, assumed, inferred)


_ASSUMED = ("activation", "recurrent_activation")
"""The options of a recurrent cell that no array tells."""


def _config(class_name: str, arrays: Arrays, version: Version) -> dict[str, Any]:
    """The little configuration that arrays imply; without a bias a GRU's variant is its version's default."""
    return _absent(arrays) | _implied(class_name, arrays, version)


def _absent(arrays: Arrays) -> dict[str, Any]:
    """The options that switch off what is not stored."""
    names = {name.rpartition("/")[2] for name in arrays}
    switches = {"use_bias": {"bias", "b"}, "scale": {"gamma"}, "center": {"beta"}}
    return {option: False for option, switched in switches.items() if not switched & names}


def _implied(class_name: str, arrays: Arrays, version: Version) -> dict[str, Any]:
    if "W" in arrays and "b" in arrays and len(arrays["W"].shape) > 2:
        first, last, out = arrays["W"].shape[0], arrays["W"].shape[-1], arrays["b"].shape[0]
        return {"dim_ordering": "th"} if first == out != last else {}
    if class_name not in ("GRU", "GRUCell"):
        return {}
    bias = arrays.get("bias")
    default = version.tensorflow or version.major >= 3 or version.number >= (2, 4) or not version.number
    return {"reset_after": len(bias.shape) == 2 if bias is not None else default}


def _class_of(arrays: Arrays, name: str) -> tuple[str, bool]:
    """The class of these names and shapes, and whether they are certain of it; `UnknownLayer` where they tell none."""
    if {"kernel", "recurrent_kernel"} <= set(arrays):
        return _recurrent_class(arrays), True
    if {"W", "U"} <= set(arrays):
        return _BLOCKS.get(_gates(arrays["W"], arrays["U"]), "") or _nothing(arrays), True
    if "W" in arrays and (hint := _default_name(name)):
        return hint, True
    if set(arrays) == {"W"}:
        return _nothing(arrays), False
    if "W" in arrays and len(arrays["W"].shape) > 2:
        return _keras1_convolution(arrays), False
    if "kernel" in arrays and len(arrays["kernel"].shape) > 2:
        return _convolution(arrays, name)
    ranks = {key: len(array.shape) for key, array in arrays.items()}
    fitting = [c for c in catalogue.layers("keras") if _described_by(c, ranks)]
    common = [c for c in fitting if c in _COMMON or c in RECURRENT or len(fitting) == 1] or fitting
    return (
        (common[0], len(common) == 1 or common[0] in ("Dense", "BatchNormalization"))
        if common
        else (_nothing(arrays), False)
    )


def _default_name(name: str) -> str:
    """The class after which Keras 1 named a layer by itself: 'convolution2d_1' is a Convolution2D."""
    classes = {class_name.lower(): class_name for class_name in catalogue.layers("keras")}
    return classes.get(re.sub(r"_\d{1,6}$", "", name), "")


def _described_by(class_name: str, ranks: Mapping[str, int]) -> bool:
    return any(
        all(expected.get(key) == rank for key, rank in ranks.items()) and _complete(layout, ranks)
        for layout, expected in _expected_ranks(class_name)
    )


@cache
def _expected_ranks(class_name: str) -> list[tuple[Layout, dict[str, int]]]:
    """Every layout of a class with the rank of each of its arrays."""
    return [(layout, {e.name: len(e.pattern.axes) for e in layout.entries()}) for layout in candidates(class_name)]


def _complete(layout: Layout, ranks: Mapping[str, int]) -> bool:
    slots = layout.cell.slots
    needed = [
        e.name
        for e in layout.entries()
        if not all(slots[t.template].optional for t in e.pattern.targets if t.template in slots)
    ]
    return all(name in ranks for name in needed)


def _recurrent_class(arrays: Arrays) -> str:
    class_name = _BLOCKS.get(_gates(arrays["kernel"], arrays["recurrent_kernel"]), "")
    bias = arrays.get("bias")
    units = arrays["recurrent_kernel"].shape[0]
    if bias is not None and len(bias.shape) == 1 and units:
        class_name = _CUDNN.get((class_name, bias.shape[0] // units), class_name)
    return class_name or _nothing(arrays)


def _gates(kernel: LazyArray, recurrent: LazyArray) -> int:
    if len(kernel.shape) != 2 or len(recurrent.shape) != 2 or not recurrent.shape[0]:
        return 0
    gates, rest = divmod(recurrent.shape[1], recurrent.shape[0])
    return 0 if rest else gates


def _keras1_convolution(arrays: Arrays) -> str:
    """A convolution of two or three axes, when the bias tells its outputs; a transposed one looks the same."""
    rank, ends = len(arrays["W"].shape), (arrays["W"].shape[0], arrays["W"].shape[-1])
    outputs = arrays["b"].shape[:1] if "b" in arrays else ()
    line = rank == 4 and arrays["W"].shape[1] == 1
    if (
        rank not in (4, 5)
        or not outputs
        or sum(end == outputs[0] for end in ends) != 1
        or (line and ends[1] == outputs[0])
    ):
        return _nothing(arrays)
    return f"Convolution{rank - 2}D"


def _convolution(arrays: Arrays, name: str) -> tuple[str, bool]:
    *_, before, last = arrays["kernel"].shape
    bias = arrays["bias"].shape[0] if "bias" in arrays and len(arrays["bias"].shape) == 1 else None
    dims = len(arrays["kernel"].shape) - 2
    if dims > 3 or (bias is not None and bias not in (before, last)):
        return _nothing(arrays), False
    transposed = bias == before != last or (bias in (None, before) and "transpose" in name)
    return f"Conv{dims}DTranspose" if transposed else f"Conv{dims}D", bias is not None and before != last


def _nothing(arrays: Arrays) -> str:
    listed = ", ".join(f"{printable(name)} {array.shape}" for name, array in arrays.items())
    raise UnknownLayer(
        f"the file has no configuration, and the arrays {listed} do not tell the layer's class: "
        "state it with --assume LAYER.class=CLASS"
    )
