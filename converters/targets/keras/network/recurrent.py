"""Recurrent layers as layers of Keras 3: directions, stacks of cells, states, masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from converters.model.graph import Node
from converters.model.layers import Layer, Part
from converters.targets.keras.network import words
from converters.targets.keras.network.sketch import Config, Held, Tensor, serialized
from converters.targets.keras.network.work import Planned, Work
from layouts.errors import printable
from layouts.options import STRETCHED

_CLASSES = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn": "SimpleRNN"}
_MAPS = {f"conv_lstm{n}d": f"ConvLSTM{n}D" for n in (1, 2, 3)}
CELLS = frozenset({*_CLASSES, *_MAPS})
_SNAKE = {"LSTM": "lstm_cell", "GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}
_MERGES = {"concat": "concat", "sum": "sum", "mul": "mul", "ave": "ave", "pair": None, "stacked": None}


def call(w: Work, node: Node, modules: Sequence[Planned], inputs: list[Held]) -> None:
    """Write one call; what the node makes is held from then on."""
    layer = node.layer
    if layer is None or not _possible(w, node, layer, modules):
        return
    ways = _ways(modules)
    x = _first(w, node, layer, inputs[0])
    states = inputs[1:]
    x, named = w.masked(node, x, node.name, alone=not states)
    mask = w.root(node.mask) if node.mask else ""
    if len(ways) == 2 and mask and layer.call.sequences is not False and not layer.call.zeros_where_masked:
        w.sketch.refuse(node, "both directions repeat their last output at masked steps, and Keras 3 gives zeros there")
    many = len(node.outputs) > (2 if layer.call.merge == "pair" else 1)
    class_name, config = _described(layer, ways, many)
    if states:
        named["initial_state"] = _grouped(w, node, ways, [held.tensor for held in states])
    found = w.weighted(node, class_name, config, dict(_folders(ways)), x, named)
    _given(w, node, layer, replace(found, mask=mask if layer.call.sequences is not False else ""))


def _possible(w: Work, node: Node, layer: Layer, modules: Sequence[Planned]) -> bool:
    before = len(w.sketch.problems)
    for module in modules:
        part = module.parts[0]
        if any(tensor.name.endswith("peephole_weights") for tensor in module.tensors):
            w.sketch.refuse(node, "Keras 3 has no layer with peepholes")
        for function in (part.recurrence.activation, part.recurrence.recurrent_activation):
            if _function(function) is None:
                w.sketch.refuse(node, f"Keras 3 has no activation {printable(function)}")
    if layer.call.lengths:
        w.sketch.refuse(node, "the lengths of its sequences have no form in Keras 3: a mask has")
    if "backward" in _ways(modules) and layer.call.direction == "reverse":
        w.sketch.refuse(node, "both directions of a layer that itself reads from the end")
    return len(w.sketch.problems) == before


def _function(name: str) -> str | None:
    """The activation of Keras 3, or the one that computes it of an argument which the weights stretch."""
    return words.fused(name) or next(filter(None, map(words.fused, STRETCHED.get(name, ()))), None)


def _place(module: Planned) -> tuple[str, int]:
    part = module.parts[0]
    return part.only or (part.direction, part.layer)


def _ways(modules: Sequence[Planned]) -> dict[str, list[Planned]]:
    """The cells of each direction, from the first of a stack to the last."""
    found: dict[str, list[Planned]] = {}
    for module in sorted(modules, key=lambda module: (_place(module)[0] != "forward", _place(module)[1])):
        found.setdefault(_place(module)[0], []).append(module)
    return found


def _first(w: Work, node: Node, layer: Layer, x: Held) -> Held:
    """The sequence as Keras reads it: batch, time, and of maps the channels last."""
    part = layer.parts[0]
    if layer.call.time_axis == 0:
        return replace(w.permuted(node, x, (1, 0, 2)), mask=x.mask)
    if part.cell.name in _MAPS and not part.convolution.channels_last:
        count = int(part.cell.name[-2])
        return replace(w.permuted(node, x, (0, 1, *range(3, count + 3), 2)), mask=x.mask)
    return x


def _described(layer: Layer, ways: dict[str, list[Planned]], many: bool) -> tuple[str, Config]:
    """The class and the configuration of the whole layer."""
    told = layer.call
    common = {
        "return_sequences": told.sequences is not False,
        "return_state": many,
        "stateful": told.stateful,
    }
    backwards = told.direction in ("backward", "reverse")
    sides = []
    for way, cells in ways.items():
        flags = {**common, "go_backwards": backwards != (way == "backward" and len(ways) == 2)}
        if "conv" not in cells[0].parts[0].cell.name:
            flags["zero_output_for_mask"] = told.zeros_where_masked and told.sequences is not False
        sides.append(_side(layer, cells, flags))
    if len(sides) == 1:
        return sides[0]
    named = [
        serialized(class_name, {"name": f"{way}_{layer.path.rpartition('/')[2]}", **config})
        for way, (class_name, config) in zip(ways, sides, strict=True)
    ]
    return "Bidirectional", {"layer": named[0], "backward_layer": named[1], "merge_mode": _MERGES[told.merge or "concat"]}


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
    config: Config = {"activation": _function(settings.activation), "use_bias": "bias" in shapes}
    if name != "rnn":
        config["recurrent_activation"] = _function(settings.recurrent_activation)
    if name in _MAPS:
        return _MAPS[name], config | _map(part, shapes)
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
        "strides": list(options.strides if len(options.strides) == len(size) else (options.strides or (1,)) * len(size)),
        "padding": options.padding,
        "dilation_rate": list(options.dilation if len(options.dilation) == len(size) else usual),
        "data_format": "channels_last",
    }


def _folders(ways: dict[str, list[Planned]]) -> Iterable[tuple[str, list[str]]]:
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


def _grouped(w: Work, node: Node, ways: dict[str, list[Planned]], states: Sequence[Tensor]) -> list[Any]:
    """Initial states as Keras takes them: one list, or one a cell of a stack."""
    cells = next(iter(ways.values()))
    if len(cells) == 1:
        return list(states)
    if len(ways) == 2:
        w.sketch.refuse(node, "initial states of a stack of cells in both directions")
    each = [2 if "lstm" in module.parts[0].cell.name else 1 for module in cells]
    starts = [sum(each[:number]) for number in range(len(each))]
    return [list(states[start : start + count]) for start, count in zip(starts, each, strict=True)]


def _given(w: Work, node: Node, layer: Layer, found: Held) -> None:
    """The values that the layer gives, turned back to where the source has them."""
    told, count = layer.call, len(node.outputs)
    pair = told.merge == "pair"
    for number in range(count):
        w.give(node, found.tensor, found.timed, found.mask if number < 1 + pair else "", number)
    if told.merge == "stacked":
        w.sketch.refuse(node, "directions on an axis of their own")
    outputs = node.outputs[: 1 + pair]
    for name in outputs:
        held = w.held[name]
        if told.direction == "reverse" and told.sequences is not False:
            flipped = w.sketch.function(node.name, "Flip", [held.tensor], axis=held.axis(1))
            held = replace(held, tensor=flipped, mask="")
        if told.time_axis == 0 and told.sequences is not False:
            held = w.permuted(node, held, (1, 0, 2))
        w.held[name] = held
    _maps_back(w, node, layer)


def _maps_back(w: Work, node: Node, layer: Layer) -> None:
    part = layer.parts[0]
    if part.cell.name not in _MAPS or part.convolution.channels_last:
        return
    count = int(part.cell.name[-2])
    for number, name in enumerate(node.outputs):
        timed = number == 0 and layer.call.sequences is not False
        order = (0, 1, count + 2, *range(2, count + 2)) if timed else (0, count + 1, *range(1, count + 1))
        w.held[name] = w.permuted(node, w.held[name], order)
