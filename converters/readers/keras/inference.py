"""The class of a layer without a configuration: what names and shapes tell for certain, and what they do not.

A kernel and a recurrent kernel give the number of gates, so the cell is certain; a bias of 8 blocks is CuDNN's, one of
two rows a GRU's with reset_after. Activations, epsilons, padding and more are in no array: they are assumed to be the
defaults of the file's version (`assumable`), said aloud, and can be stated by the user (`statements`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.keras.assumable import assumable
from converters.readers.keras.config import CellConfig, Leaf
from converters.readers.keras.layers import assemble, candidates, unknown
from converters.readers.keras.semantics import RECURRENT, Version
from converters.readers.keras.statements import Statements
from layouts import catalogue
from layouts.errors import ConversionError, UnknownLayer, printable
from layouts.layout import Layout

Arrays = dict[str, LazyArray]

_BLOCKS = {4: "LSTM", 3: "GRU", 1: "SimpleRNN"}
_CUDNN = {("LSTM", 8): "CuDNNLSTM", ("GRU", 6): "CuDNNGRU"}
_COMMON = {"Dense", "Embedding", "BatchNormalization", "LayerNormalization", "PReLU", "RMSNormalization"}


def infer(
    path: str,
    cells: Sequence[Arrays],
    directions: Sequence[tuple[str, int]],
    version: Version,
    statements: Statements,
    everything: Mapping[str, LazyArray],
    *,
    class_name: str = "",
    flipped: bool = False,
) -> Layer:
    """A layer from the names and shapes of its arrays, saying what was inferred and what was assumed.

    `class_name` is what its folder tells of its class, where it does.
    """
    named, name = statements.class_of(path) or class_name, path.rpartition("/")[2]
    try:
        found = [(named, True) if named else _class_of(cell, name) for cell in cells]
    except ConversionError as error:
        return unknown(Leaf(path, path, "", "unknown", {}, (CellConfig("unknown", {}),)), everything, error)
    classes = [each for each, _ in found]
    implied = [_config(each, cell, version) for each, cell in zip(classes, cells, strict=True)]
    both = directions[-1][0] == "backward"
    options = assumable(classes[0], implied[0], version, both=both)
    values, assumed = statements.settle(path, options, version, recurrent=classes[0] in RECURRENT)
    parts = tuple(
        CellConfig(each, config | values, "", direction, depth)
        for each, config, (direction, depth) in zip(classes, implied, directions, strict=True)
    )
    outer = "Bidirectional" if both else "RNN" if len(parts) > 1 else classes[0]
    layer = assemble(Leaf(path, path, "", outer, values, parts), cells, version, flipped=flipped)
    if layer.unknown:
        return layer
    if not all(certain for _, certain in found):
        assumed = {"class": classes[0], **assumed}
    if "rank" in values:
        layer = replace(layer, wiring=replace(layer.wiring, rank=values["rank"]))
    return replace(layer, assumed=assumed, inferred=f"{classes[0]} from the names and shapes of its arrays")


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
    if "U_i" in arrays and len(arrays["U_i"].shape) == 4:
        return _order_of_maps(arrays)
    if class_name not in ("GRU", "GRUCell"):
        return {}
    bias = arrays.get("bias")
    default = version.tensorflow or version.major >= 3 or version.number >= (2, 4) or not version.number
    return {"reset_after": len(bias.shape) == 2 if bias is not None else default}


def _order_of_maps(arrays: Arrays) -> dict[str, Any]:
    """Which axes of a ConvLSTM2D of Keras 1 hold its units: the first two of U_i with "th", the last two with "tf"."""
    state = arrays["U_i"].shape
    units = arrays["b_i"].shape[0] if "b_i" in arrays and arrays["b_i"].shape else None
    first, last = state[:2] == (units, units), state[2:] == (units, units)
    read = arrays["W_i"].shape if "W_i" in arrays else ()
    if first and last:
        last = read[1:2] == (units,)
    return {"dim_ordering": "th"} if first and not last else {}


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
    if dims > 3 or ("bias" in arrays and bias is None) or (bias is not None and bias not in (before, last)):
        return _nothing(arrays), False
    transposed = bias == before != last or (bias in (None, before) and "transpose" in name)
    return f"Conv{dims}DTranspose" if transposed else f"Conv{dims}D", bias is not None and before != last


def _nothing(arrays: Arrays) -> str:
    listed = ", ".join(f"{printable(name)} {array.shape}" for name, array in arrays.items())
    raise UnknownLayer(
        f"the file has no configuration, and the arrays {listed} fit no class of layer, or several: "
        "state it with assume={'LAYER.class': 'CLASS'}"
    )
