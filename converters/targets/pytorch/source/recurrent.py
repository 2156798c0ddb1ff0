"""Recurrent layers as calls of their modules: directions, masks, merges, and states that are handed on.

Masked steps are taken out before a module runs and filled in behind it, so that any mask is exact: `helpers`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.settings import Call
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import OUTPUTS, Planned, Writing
from layouts.errors import printable

_MERGED = {
    "concat": "torch.cat([{}, {}], dim=-1)",
    "sum": "{} + {}",
    "mul": "{} * {}",
    "ave": "({} + {}) / 2",
}


class Run(NamedTuple):
    """One call of a module: how it is reached, its directions and depth, and the number of its states."""

    module: str
    ways: int
    depth: int
    states: int

    @property
    def places(self) -> int:
        return self.ways * self.depth


class Way(NamedTuple):
    """What one direction gives: its outputs and its last one, as text, and its final states layer by layer."""

    outputs: str
    last: str
    states: tuple[str, ...]


class Setting(NamedTuple):
    """What a layer's call needs to know at every turn."""

    w: Writing
    node: Node
    call: Call
    mask: str
    """The mask of the steps in the order of the source; '' where there is none."""
    last: str
    """Which outputs are wanted: "all" or "last"."""

    @property
    def turned(self) -> bool:
        """Whether the time is first in the source, and second where steps are masked."""
        return bool(self.mask) and self.call.time_axis == 0

    @property
    def axis(self) -> int:
        """The time of what the module reads."""
        return 1 if self.mask else self.call.time_axis


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


def _run_of(w: Writing, planned: Planned) -> Run:
    part = planned.parts[0]
    pieces = [piece for part in planned.parts for piece in part.pieces()]
    ways = len({piece.direction for piece in pieces})
    depth = 1 + max(piece.layer for piece in pieces)
    return Run(w.attributes[planned.name], ways, depth, 2 if part.cell.name == "lstm" else 1)


def _whole(s: Setting, planned: Planned, x: str, initial: Sequence[str]) -> list[Way]:
    """A layer that is one module, of one or both directions."""
    run = _run_of(s.w, planned)
    turned = run.ways == 1 and s.call.direction in ("backward", "reverse")
    mask = s.mask and (f"{s.mask}.flip(1)" if turned else s.mask)
    x = f"{x}.flip({s.axis})" if turned else x
    if s.mask:
        if turned:
            s.w.put(f"read = {mask}")
            mask = "read"
        x = f"{s.w.help('pack_valid')}({x}, {mask})"
    y, finals = _called(s, run, x, _initial(s, run, planned, initial))
    _keep(s, planned, finals, mask)
    states = _states(s, run, finals, initial, mask)
    if run.ways == 1:
        outputs = _unpacked(s, y, mask)
        outputs = f"{outputs}.flip({s.axis})" if s.call.direction == "reverse" else outputs
        return [Way(outputs, _last(s, finals, -1, mask, "-1:"), states[0])]
    if s.last == "all" and s.call.merge == "concat" and (not mask or s.call.zeros_where_masked):
        return [Way(_unpacked(s, y, mask), "", states[0] + states[1])]
    halves = _halves(s, y, mask) if s.last == "all" else ("", "")
    return [
        Way(halves[0], _last(s, finals, -2, mask, "-1:"), states[0]),
        Way(halves[1], _last(s, finals, -1, mask, ":1"), states[1]),
    ]


def _halves(s: Setting, y: str, mask: str) -> tuple[str, str]:
    """The outputs of both directions, where they are wanted one by one."""
    if mask and not s.call.zeros_where_masked:
        repeated = s.w.help("unpack_repeated")
        ahead, back = f"{repeated}({y}, {mask})", f"{repeated}({y}, {mask}, backward=True)"
        s.w.put(f"ahead = {ahead}.chunk(2, dim=-1)[0]")
        s.w.put(f"back = {back}.chunk(2, dim=-1)[1]")
    else:
        s.w.put(f"ahead, back = {_unpacked(s, y, mask)}.chunk(2, dim=-1)")
    return "ahead", "back"


def _unpacked(s: Setting, y: str, mask: str) -> str:
    if not mask:
        return y
    helper = s.w.help("unpack_zeros" if s.call.zeros_where_masked else "unpack_repeated")
    return f"{helper}({y}, {mask})"


def _last(s: Setting, finals: Sequence[str], place: int, mask: str, step: str) -> str:
    """The output of the last step that is read: the final state, zeros where no step was read, or that was masked."""
    text = f"{finals[0]}[{place}]"
    if not mask:
        return text
    empty = f"~{mask}[:, {step}]" if s.call.zeros_where_masked else f"~{mask}.any(1, keepdim=True)"
    return f"{text}.masked_fill({empty}, 0.0)"


def _called(s: Setting, run: Run, x: str, hx: str) -> tuple[str, tuple[str, ...]]:
    """Write the call of a module; returns what its outputs and its final states are called."""
    call, wanted = f"{run.module}({x}{hx})", s.last == "last" or s.call.states or s.call.stateful
    y = "steps" if s.mask else OUTPUTS
    finals = ("h", "c")[: run.states]
    if not wanted:
        s.w.put(f"{y}, _ = {call}")
        return y, finals
    cell = "c" if s.call.states or s.call.stateful else "_"
    held = f"(h, {cell})" if run.states == 2 else "h"
    s.w.put(f"{y if s.last == 'all' else '_'}, {held} = {call}")
    return y, finals


def _initial(s: Setting, run: Run, planned: Planned, initial: Sequence[str]) -> str:
    """The argument that tells the states to start from; '' where they are zero."""
    if s.call.stateful:
        return _kept(s, run, planned)
    if not initial:
        return ""
    ordered = [initial[place] for place in _in_order(run)]
    return _argument([_joined(ordered[k :: run.states]) for k in range(run.states)])


def _in_order(run: Run) -> list[int]:
    """The places of states given direction by direction in the order of PyTorch, layer by layer."""
    cells = [way * run.depth + layer for layer in range(run.depth) for way in range(run.ways)]
    return [cell * run.states + k for cell in cells for k in range(run.states)]


def _argument(states: Sequence[str]) -> str:
    return f", ({', '.join(states)})" if len(states) == 2 else f", {states[0]}"


def _joined(states: Sequence[str]) -> str:
    """States of layers and directions with an axis for these in front."""
    return f"{states[0]}.unsqueeze(0)" if len(states) == 1 else f"torch.stack([{', '.join(states)}])"


def _kept(s: Setting, run: Run, planned: Planned) -> str:
    """The argument of states that are kept between calls, in buffers; the first call may have any batch."""
    part, batch = planned.parts[0], (s.w.shape(s.node.inputs[0]) or (None,))[0]
    sizes = part.solved()
    widths = [sizes["state"], sizes["unit"]][: run.states]
    found = []
    for letter, width in zip("hc", widths, strict=False):
        name = s.w.buffer(f"{planned.name}_{letter}", (run.places, batch or 1, width))
        found.append(name)
    s.w.kept[planned.name] = tuple(found)
    given = found if batch else [f"{name}.expand(-1, {_batch(s)}, -1).contiguous()" for name in found]
    return _argument(given)


def _batch(s: Setting) -> str:
    return f"{s.w.held[s.node.inputs[0]].text}.size(0)"


def _keep(s: Setting, planned: Planned, finals: Sequence[str], mask: str) -> None:
    """Put the final states where the next call begins; a sequence without a step leaves them as they are."""
    for name, final in zip(s.w.kept.get(planned.name, ()), finals, strict=False):
        if mask:
            final = f"torch.where({mask}.any(1)[:, None], {final}, {name})"
        s.w.put(f"{name} = {final}.detach()")


def _states(s: Setting, run: Run, finals: Sequence[str], initial: Sequence[str], mask: str) -> list[tuple[str, ...]]:
    """The final states of each direction, layer by layer; of a sequence without a step those it started from."""
    found: list[tuple[str, ...]] = []
    for way in range(run.ways):
        own = []
        for layer in range(run.depth):
            for k, name in enumerate(finals):
                number = layer * run.ways + way
                given = initial[(way * run.depth + layer) * run.states + k :][:1]
                own.append(_held(f"{name}[{number}]", mask, given))
        found.append(tuple(own))
    return found


def _held(state: str, mask: str, initial: Sequence[str]) -> str:
    if not mask:
        return state
    if not initial:
        return f"{state}.masked_fill(~{mask}.any(1, keepdim=True), 0.0)"
    return f"torch.where({mask}.any(1, keepdim=True), {state}, {initial[0]})"


def _step_by_step(s: Setting, planned: Planned, x: str, initial: Sequence[str]) -> Way:
    """A layer whose weights are those of a cell, called once for every step."""
    run, axis = _run_of(s.w, planned), s.axis
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
    if s.call.stateful:
        s.w.refuse(s.node, "a stateful layer whose cells are modules of their own is not written yet")
    assert s.node.layer is not None
    places = [(way, part.layer + k) for part in s.node.layer.parts for k in range(part.layers) for way in part.ways]
    directions = list(dict.fromkeys(way for way, _ in places))
    sizes = [planned[k].parts[0].solved() for k, (_, layer) in enumerate(places) if layer == 1]
    if len(directions) == 2 and sizes and sizes[0]["input"] == 2 * sizes[0]["unit"]:
        s.w.refuse(s.node, "cells that read both directions of the layer below are not written yet")
    found, given = [], list(initial)
    for direction in directions:
        order = sorted((layer, k) for k, (way, layer) in enumerate(places) if way == direction)
        runs = [(_run_of(s.w, planned[k]), planned[k]) for _, k in order]
        count = sum(run.states for run, _ in runs)
        backward = direction == "backward" or s.call.direction in ("backward", "reverse")
        found.append(_one_direction(s, runs, x, given[:count], backward, direction == "backward"))
        del given[:count]
    return found


def _one_direction(
    s: Setting, runs: Sequence[tuple[Run, Planned]], x: str, initial: Sequence[str], turned: bool, back: bool
) -> Way:
    """The cells of one direction, which reads the steps from the end where it is turned."""
    mask, flip = s.mask, f".flip({s.axis})" if turned else ""
    y, prefix = f"{x}{flip}", "back" if back else "ahead"
    if mask and turned:
        s.w.put(f"read = {mask}.flip(1)")
        mask = "read"
    if mask:
        y = f"{s.w.help('pack_valid')}({y}, {mask})"
    states: list[str] = []
    for number, (run, _) in enumerate(runs):
        own = list(initial[number * run.states :][: run.states])
        hx = _argument([f"{state}.unsqueeze(0)" for state in own]) if own else ""
        names = [f"{prefix}_{letter}{number if len(runs) > 1 else ''}" for letter in "hc"][: run.states]
        wanted = [name if s.call.states or (k == 0 and s.last == "last") else "_" for k, name in enumerate(names)]
        s.w.put(f"{prefix}, {f'({wanted[0]}, {wanted[1]})' if run.states == 2 else wanted[0]} = {run.module}({y}{hx})")
        y = prefix
        states += [_held(f"{name}[0]", mask, own[k : k + 1]) for k, name in enumerate(names)]
    last = _last(s, [names[0]], 0, mask, "-1:")
    outputs = _unpacked(s, y, mask)
    outputs = f"{outputs}.flip({s.axis})" if back or s.call.direction == "reverse" else outputs
    return Way(outputs, last, tuple(states))
