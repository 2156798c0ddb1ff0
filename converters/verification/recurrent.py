"""A recurrent layer as a model calls it: directions, masks, merging, states; its cells by `layouts.reference`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.layers import Layer, Part
from converters.model.settings import Call
from layouts import reference

Array = np.ndarray[Any, Any]
States = tuple[Array, ...]


def recurrent(layer: Layer, inputs: Sequence[Array], mask: Array | None) -> list[Array]:
    """What the layer gives: its outputs, one or, for a pair of directions, two; then its states where it gives them.

    inputs: x (batch, time, features), or (time, batch, …) with time_axis 0; then the initial states where there are.
    """
    call = layer.call
    x = np.asarray(inputs[0], np.float64)
    x = x.swapaxes(0, 1) if call.time_axis == 0 else x
    given = [np.asarray(state, np.float64) for state in inputs[1:]]
    ways = _ways(layer)
    if _on_both(ways):
        outputs, states = _layer_by_layer(ways, x, mask, given, call)
        found = _merged(outputs, call)
        return [*found, *states] if call.states or layer.wiring.is_node else found
    each = len(given) // max(1, sum(len(stack) for stack in ways.values()))
    outputs, states = [], []
    for way, stack in ways.items():
        flip = (way == "backward") != (call.direction in ("backward", "reverse"))
        y, final = _run(stack, x, mask, [given[k : k + each] for k in range(0, len(given), max(each, 1))], flip, call)
        given = given[each * len(stack) :]
        turned = way == "backward" or call.direction == "reverse"
        outputs.append(_shown(y, mask, flip, turned, call))
        states += [state for own in final for state in own]
    found = _merged(outputs, call)
    return [*found, *states] if call.states or layer.wiring.is_node else found


def _on_both(ways: dict[str, list[Part]]) -> bool:
    """Whether the layers of a stack read both directions of the one below, side by side."""
    stack = next(iter(ways.values()))
    return len(ways) == 2 and len(stack) > 1 and stack[1].solved()["input"] == 2 * stack[0].solved()["unit"]


def _layer_by_layer(
    ways: dict[str, list[Part]], x: Array, mask: Array | None, given: list[Array], call: Call
) -> tuple[list[Array], list[Array]]:
    """The outputs of both directions of the last layer, and the final states direction by direction."""
    depth = len(next(iter(ways.values())))
    each = len(given) // (2 * depth)
    finals: dict[tuple[int, int], States] = {}
    outputs: list[Array] = []
    for number in range(depth):
        outputs = []
        for k, (way, stack) in enumerate(ways.items()):
            start = [given[(k * depth + number) * each :][:each]] if each else []
            y, (final,) = _run(stack[number : number + 1], x, mask, start, way == "backward", call)
            finals[k, number] = final
            outputs.append(_shown(y, mask, way == "backward", way == "backward", replace(call, sequences=True)))
        x = np.concatenate(outputs, axis=-1)
        x = x.swapaxes(0, 1) if call.time_axis == 0 else x
    states = [state for k in range(2) for number in range(depth) for state in finals[k, number]]
    return outputs, states


def _ways(layer: Layer) -> dict[str, list[Part]]:
    """The cells of each direction, from the first layer of a stack to the last."""
    found: dict[str, list[Part]] = {}
    for part in layer.parts:
        for way in part.ways:
            found.setdefault(way, []).extend(replace(part, only=(way, part.layer + k)) for k in range(part.layers))
    return found


def _run(
    stack: Sequence[Part], x: Array, mask: Array | None, initial: Sequence[Sequence[Array]], flip: bool, call: Call
) -> tuple[Array, list[States]]:
    """Every cell of a stack in the order in which steps are read; outputs in that order too."""
    x, mask = (x[:, ::-1], None if mask is None else mask[:, ::-1]) if flip else (x, mask)
    finals = []
    for number, part in enumerate(stack):
        pieces = replace(part, flattened=()).unpack()
        start = tuple(initial[number]) if initial else None
        x, final = reference.forward(part.cell, pieces, x, options=part.recurrence, mask=mask, initial=start)
        if mask is not None:
            begun = np.cumsum(mask, axis=1) > 0
            zeros = call.zeros_where_masked or call.lengths
            x = np.where((mask if zeros else begun)[..., None], x, 0.0)
        finals.append(final)
    return x, finals


def _shown(y: Array, mask: Array | None, flip: bool, turned: bool, call: Call) -> Array:
    """The outputs as the layer gives them: the last one, or all of them, in the order of the source."""
    if call.sequences is False:
        return y[:, -1]
    y = y[:, ::-1] if turned else y
    return y.swapaxes(0, 1) if call.time_axis == 0 else y


def _merged(outputs: list[Array], call: Call) -> list[Array]:
    if len(outputs) == 1:
        return outputs
    forward, backward = outputs
    if call.merge == "pair":
        return outputs
    if call.merge == "stacked":
        return [np.stack(outputs, axis=1 + call.time_axis)]
    if call.merge in ("sum", "ave"):
        return [(forward + backward) / (2.0 if call.merge == "ave" else 1.0)]
    return [forward * backward if call.merge == "mul" else np.concatenate(outputs, axis=-1)]
