"""Recurrent layers as calls of their modules: directions, masks, merges, and states that are handed on.

The steps that count are moved to the front before a module runs, and its outputs back to where they belong, so that any
mask is exact: `helpers`. What comes behind them is read too, and does no harm to the outputs of one direction. The
other direction begins with it, and final states come after it: for these a drop-in is told how many steps count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.targets.pytorch.source.calling import (
    Finals,
    Run,
    Setting,
    after,
    called,
    counted,
    from_the_end,
    initial_states,
    run_of,
)
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import Planned, Writing
from layouts.errors import printable

_MERGED = {
    "concat": "torch.cat([{}, {}], dim=-1)",
    "sum": "{} + {}",
    "mul": "{} * {}",
    "ave": "({} + {}) / 2",
}


class Way(NamedTuple):
    """What one direction gives: its outputs and its last one, as text, and its final states layer by layer."""

    outputs: str
    last: str
    states: tuple[str, ...]


def recurrent(w: Writing, node: Node, planned: Sequence[Planned], values: list[Held]) -> list[Held]:
    """The outputs of a recurrent layer, and its states where it gives them."""
    assert node.layer is not None
    call, part = _as_called(w, node, node.layer), planned[0].parts[0]
    mask = w.held[node.mask].as_source().text if node.mask else ""
    setting = Setting(w, node, call, mask, "last" if call.sequences is False else "all")
    x = values[0].flattened(part.flattened) if part.flattened else values[0].as_source()
    x = x.joined()
    x = replace(x, text=f"{x.text}.transpose(0, 1)") if setting.turned else x
    initial = [value.as_source().text for value in values[1:]]
    if call.cell:
        ways = [_step_by_step(setting, planned[0], x.text, initial)]
    elif len(planned) == 1:
        ways = _whole(setting, planned[0], x.text, initial)
    else:
        ways = _cell_by_cell(setting, planned, x.text, initial)
    return _results(setting, ways)


def _as_called(w: Writing, node: Node, layer: Layer) -> Call:
    """How a layer is called; a node of a graph of values gives its states where somebody reads them."""
    call, many = layer.call, 2 if layer.call.merge == "pair" else 1
    states = call.states or (layer.wiring.is_node and any(w.uses[value] > 0 for value in node.outputs[many:]))
    return replace(call, states=states, zeros_where_masked=call.zeros_where_masked or call.lengths)


def _results(s: Setting, ways: Sequence[Way]) -> list[Held]:
    texts = [way.last if s.last == "last" else way.outputs for way in ways]
    if s.turned and s.last == "all":
        texts = [f"{text}.transpose(0, 1)" for text in texts]
    if len(ways) == 2 and s.call.merge == "stacked":
        texts = [f"torch.stack([{', '.join(texts)}], dim={1 + s.call.time_axis})"]
    elif len(ways) == 2 and s.call.merge in _MERGED:
        texts = [_MERGED[s.call.merge].format(*texts)]
    elif len(ways) == 2 and s.call.merge != "pair":
        s.w.refuse(s.node, f"merging its directions by {printable(s.call.merge)!r} is not known here")
    outputs = [Held(text) for text in texts]
    if s.call.states:
        outputs += [Held(text, wish=_called_state(text)) for way in ways for text in way.states]
    return [replace(held, shape=s.w.shape(value)) for held, value in zip(outputs, s.node.outputs, strict=False)]


def _called_state(text: str) -> str:
    return "c" if re.match(r"(torch\.where\([^,]*, )?(\w*_)?c\d*\[", text) else "h"


def _whole(s: Setting, planned: Planned, x: str, initial: Sequence[str]) -> list[Way]:
    """A layer that is one module, of one or both directions."""
    run = run_of(s, planned)
    turned = s.call.direction == "backward" or (run.ways == 1 and s.call.direction == "reverse")
    x, mask = from_the_end(s, x) if turned else (x, s.mask)
    x, further = counted(s, run, x, initial_states(s, run, planned, initial), mask)
    y, finals = called(s, run, f"{x}{further}", mask)
    finals = _keep(s, planned, finals, mask)
    states = _states(run, finals, initial, mask)
    if run.ways == 1:
        outputs = _spread(s, y, mask)
        outputs = f"{outputs}.flip({s.axis})" if s.call.direction == "reverse" else outputs
        return [Way(outputs, _last(s, finals, -1, mask, "-1:"), states[0])]
    if s.last == "all" and s.call.merge == "concat" and (not mask or s.call.zeros_where_masked):
        return [Way(_spread(s, y, mask), "", states[0] + states[1])]
    halves = _halves(s, y, mask) if s.last == "all" else ("", "")
    return [
        Way(halves[0], _last(s, finals, -2, mask, "-1:"), states[0]),
        Way(halves[1], _last(s, finals, -1, mask, ":1"), states[1]),
    ]


def _halves(s: Setting, y: str, mask: str) -> tuple[str, str]:
    """The outputs of both directions, where they are wanted one by one."""
    if mask and not s.call.zeros_where_masked:
        repeated = s.w.help("spread_repeated")
        ahead, back = f"{repeated}({y}, {mask})", f"{repeated}({y}, {mask}, backward=True)"
        s.w.put(f"ahead = {ahead}.chunk(2, dim=-1)[0]")
        s.w.put(f"back = {back}.chunk(2, dim=-1)[1]")
    else:
        s.w.put(f"ahead, back = {_spread(s, y, mask)}.chunk(2, dim=-1)")
    return "ahead", "back"


def _spread(s: Setting, y: str, mask: str) -> str:
    """The outputs of the steps that count where they belong, where every output is wanted."""
    if not mask or s.last != "all":
        return y
    helper = s.w.help("spread_zeros" if s.call.zeros_where_masked else "spread_repeated")
    return f"{helper}({y}, {mask})"


def _last(s: Setting, finals: Finals, place: int, mask: str, step: str) -> str:
    """The output of the last step that is read: the final state, zeros where no step was read, or that was masked."""
    text = finals.at(0, place)
    if mask and s.call.zeros_where_masked:
        return f"{text}.masked_fill(~{mask}[:, {step}], 0.0)"
    return f"{text}.masked_fill(~{mask}.any(1, keepdim=True), 0.0)" if mask and not finals.last else text


def _keep(s: Setting, planned: Planned, finals: Finals, mask: str) -> Finals:
    """Put the final states where the next call begins; a sequence without a step leaves them as they are."""
    names = s.w.kept.get(planned.name, ())
    for k, (name, state) in enumerate(zip(names, finals.names, strict=False)):
        if mask:
            s.w.put(f"{state} = torch.where({mask}.any(1)[:, None], {finals.whole(k)}, {name})")
        s.w.put(f"{name} = {state}.detach()")
    return Finals(finals.names, kept=True) if names else finals


def _states(run: Run, finals: Finals, initial: Sequence[str], mask: str) -> list[tuple[str, ...]]:
    """The final states of each direction, layer by layer; of a sequence without a step those it started from."""
    found: list[tuple[str, ...]] = []
    for way in range(run.ways):
        own = []
        for layer in range(run.depth):
            for k in range(len(finals.names)):
                given = initial[(way * run.depth + layer) * run.states + k :][:1]
                own.append(_held(finals, k, layer * run.ways + way, mask, given))
        found.append(tuple(own))
    return found


def _held(finals: Finals, number: int, place: int, mask: str, initial: Sequence[str]) -> str:
    state = finals.at(number, place)
    if not mask or finals.kept or (finals.last and not initial):
        return state
    none = f"{mask}.any(1, keepdim=True)"
    return f"torch.where({none}, {state}, {initial[0]})" if initial else f"{state}.masked_fill(~{none}, 0.0)"


def _step_by_step(s: Setting, planned: Planned, x: str, initial: Sequence[str]) -> Way:
    """A layer whose weights are those of a cell, called once for every step."""
    if s.mask:
        s.w.refuse(s.node, "a mask over a cell that is called step by step is not written yet")
    run, axis = run_of(s, planned), s.axis
    names, put = ("h", "c")[: run.states], s.w.put
    x = f"{x}.flip({axis})" if s.call.direction != "forward" else x
    units = planned.parts[0].solved()["unit"]
    for k, name in enumerate(names):
        zeros = f"{x}.new_zeros({x}.size({1 - axis}), {units})"
        put(f"{name} = {initial[k] if initial else zeros}")
    put("steps: list[Tensor] = []")
    put(f"for step in {x}.unbind({axis}):")
    states = ", ".join(names)
    put(f"    {states} = {run.module}(step, {f'({states})' if run.states == 2 else states})")
    put("    steps.append(h)")
    outputs = f"torch.stack(steps, dim={axis})"
    outputs = f"{outputs}.flip({axis})" if s.call.direction == "reverse" else outputs
    return Way(outputs, "h", names)


def _cell_by_cell(s: Setting, planned: Sequence[Planned], x: str, initial: Sequence[str]) -> list[Way]:
    """A layer that is a module for each of its cells: each direction by itself, each cell on the one below."""
    assert s.node.layer is not None
    places = [(way, part.layer + k) for part in s.node.layer.parts for k in range(part.layers) for way in part.ways]
    directions = list(dict.fromkeys(way for way, _ in places))
    sizes = [planned[k].parts[0].solved() for k, (_, layer) in enumerate(places) if layer == 1]
    if len(directions) == 2 and sizes and sizes[0]["input"] == 2 * sizes[0]["unit"]:
        s.w.refuse(s.node, "cells that read both directions of the layer below are not written yet")
    found, given = [], list(initial)
    for direction in directions:
        order = sorted((layer, k) for k, (way, layer) in enumerate(places) if way == direction)
        runs = [(run_of(s, planned[k]), planned[k]) for _, k in order]
        count = sum(run.states for run, _ in runs)
        backward = direction == "backward" or s.call.direction in ("backward", "reverse")
        found.append(_one_direction(s, runs, x, given[:count], backward, direction == "backward"))
        del given[:count]
    return found


def _one_direction(
    s: Setting, runs: Sequence[tuple[Run, Planned]], x: str, initial: Sequence[str], turned: bool, back: bool
) -> Way:
    """The cells of one direction, which reads the steps from the end where it is turned."""
    y, mask = from_the_end(s, x) if turned else (x, s.mask)
    prefix = "back" if back else "ahead"
    states: list[str] = []
    y, _ = counted(s, runs[0][0], y, "", mask)
    for number, (run, planned) in enumerate(runs):
        own = list(initial[number * run.states :][: run.states])
        hx = initial_states(s, run, planned, own)
        names = [f"{prefix}_{letter}{number if len(runs) > 1 else ''}" for letter in "hc"][: run.states]
        finals = _cell_called(s, run, prefix, f"{y}{counted(s, run, y, hx, mask)[1]}", names, mask)
        finals = _keep(s, planned, finals, mask)
        y = prefix
        states += [_held(finals, k, 0, mask, own[k : k + 1]) for k in range(len(finals.names))]
    outputs = _spread(s, s.across(y), mask)
    outputs = f"{outputs}.flip({s.axis})" if back or s.call.direction == "reverse" else outputs
    return Way(outputs, _last(s, finals, 0, mask, "-1:"), tuple(states))


def _cell_called(s: Setting, run: Run, prefix: str, given: str, names: Sequence[str], mask: str) -> Finals:
    """Write the call of the module of one cell, whose outputs replace those of the cell below."""
    kept = s.call.states or s.call.stateful
    if mask and not run.counts:
        s.w.put(f"{prefix}, _ = {run.module}({given})")
        return after(s, s.across(prefix), mask, names[0] if kept else "")
    wanted = [name if kept or (k == 0 and s.last == "last") else "_" for k, name in enumerate(names)]
    s.w.put(f"{prefix}, {f'({wanted[0]}, {wanted[1]})' if run.states == 2 else wanted[0]} = {run.module}({given})")
    return Finals(tuple(names))
