"""Recurrent cells as classes of Keras 3 with every option of their own, and the folder of each in its layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from converters.model.layers import Layer, Part
from converters.targets.keras.network import words
from converters.targets.keras.network.sketch import Config, serialized
from converters.targets.keras.network.work import Planned
from layouts.options import STRETCHED

_CLASSES = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn": "SimpleRNN"}
MAPS = {f"conv_lstm{n}d": f"ConvLSTM{n}D" for n in (1, 2, 3)}
CELLS = frozenset({*_CLASSES, *MAPS})
Ways = Mapping[str, Sequence[Planned]]
"""The cells of each direction, from the first of a stack to the last."""
_SNAKE = {"LSTM": "lstm_cell", "GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}
_MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "ave", "pair": None, "stacked": None}


def function(name: str) -> str | None:
    """The activation of Keras 3, or the one that computes it of an argument which the weights stretch."""
    return words.fused(name) or next(filter(None, map(words.fused, STRETCHED.get(name, ()))), None)


def _place(module: Planned) -> tuple[str, int]:
    part = module.parts[0]
    return part.only or (part.direction, part.layer)


def by_way(modules: Sequence[Planned]) -> Ways:
    """The modules of a layer, one a cell, by their direction and in the order of their stack."""
    found: dict[str, list[Planned]] = {}
    for module in sorted(modules, key=lambda module: (_place(module)[0] != "forward", _place(module)[1])):
        found.setdefault(_place(module)[0], []).append(module)
    return found


def described(layer: Layer, ways: Ways, many: bool) -> tuple[str, Config]:
    """The class and the configuration of a layer of these directions."""
    told = layer.call
    common = {
        "return_sequences": told.sequences is not False,
        "return_state": many,
        "stateful": told.stateful,
    }
    backwards = told.direction in ("backward", "reverse")
    sides = []
    for way, cells in ways.items():
        flags = {**common, "go_backwards": backwards != (way == "backward")}
        flags["zero_output_for_mask"] = told.zeros_where_masked
        sides.append(_side(layer, cells, flags))
    if len(sides) == 1:
        return sides[0]
    named = [
        serialized(class_name, {"name": f"{way}_{layer.path.rpartition('/')[2]}", **config})
        for way, (class_name, config) in zip(ways, sides, strict=True)
    ]
    return "Bidirectional", {
        "layer": named[0],
        "backward_layer": named[1],
        "merge_mode": _MERGES[told.merge or "concat"],
    }


def _side(layer: Layer, cells: Sequence[Planned], flags: Config) -> tuple[str, Config]:
    """One direction: a layer, or a stack of cells in one."""
    if len(cells) == 1:
        class_name, config = _cell(cells[0])
        return class_name, {**config, **flags}
    stacked = [serialized(f"{class_name}Cell", config) for class_name, config in map(_cell, cells)]
    return "RNN", {"cell": serialized("StackedRNNCells", {"cells": stacked}), **flags}


def _cell(module: Planned) -> tuple[str, Config]:
    """A cell with every option of its own."""
    part, shapes = module.parts[0], {tensor.name: tensor.shape for tensor in module.tensors}
    name, settings = part.cell.name, part.recurrence
    config: Config = {"activation": function(settings.activation), "use_bias": "bias" in shapes}
    if str(module.tensors[0].dtype) == "bfloat16":
        config["recurrent_initializer"] = (
            "glorot_uniform"  # the usual one asks for what TensorFlow has not for bfloat16
        )
    if name != "rnn":
        config["recurrent_activation"] = function(settings.recurrent_activation)
    if name in MAPS:
        return MAPS[name], config | _map(part, shapes)
    config["units"] = shapes["recurrent_kernel"][0]
    if name.startswith("gru"):
        config["reset_after"] = name == "gru"
    return _CLASSES[name], config


def _map(part: Part, shapes: dict[str, tuple[int, ...]]) -> Config:
    size, options = shapes["kernel"][:-2], part.convolution
    usual = (1,) * len(size)
    return {
        "filters": shapes["recurrent_kernel"][-2],
        "kernel_size": list(size),
        "strides": list(
            options.strides if len(options.strides) == len(size) else (options.strides or (1,)) * len(size)
        ),
        "padding": options.padding,
        "dilation_rate": list(options.dilation if len(options.dilation) == len(size) else usual),
        "data_format": "channels_last",
    }


def folders(ways: Ways) -> Iterable[tuple[str, list[str]]]:
    """The folder of every cell, and its arrays."""
    for way, cells in ways.items():
        side = f"/{way}_layer" if len(ways) == 2 else ""
        counts: dict[str, int] = {}
        for module in cells:
            folder = f"{side}/cell"
            if len(cells) > 1:
                base = _SNAKE[_CLASSES[module.parts[0].cell.name]]
                counts[base] = counts.get(base, -1) + 1
                folder += f"/cells/{base}_{counts[base]}" if counts[base] else f"/cells/{base}"
            yield folder, [tensor.key for tensor in module.tensors]


def states(module: Planned) -> int:
    """How many states a cell has: h, or h and c."""
    return 2 if "lstm" in module.parts[0].cell.name else 1
