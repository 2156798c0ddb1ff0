"""How the module of a recurrent layer is called: what it is given, and where its outputs and its states are then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from converters.model.graph import Node
from converters.model.settings import Call
from converters.targets.pytorch.source.writing import OUTPUTS, Planned, Writing


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
        """Whether the time is first in the source and for the module, and second where steps are masked."""
        return bool(self.mask) and self.call.time_axis == 0

    @property
    def axis(self) -> int:
        """The time of what is read, before masked steps are left out."""
        return 1 if self.mask else self.call.time_axis

    def across(self, text: str) -> str:
        """A sequence of the module as masks have it, and the other way round."""
        return f"{text}.transpose(0, 1)" if self.turned else text


class Run(NamedTuple):
    """One call of a module: how it is reached, its directions and depth, and the number of its states.

    counts: it is told how many steps count.
    """

    module: str
    ways: int
    depth: int
    states: int
    counts: bool

    @property
    def places(self) -> int:
        return self.ways * self.depth


class Finals(NamedTuple):
    """The final states of a call, as text.

    last: the last output that counts stands for the only one of them, zeros where none does. kept: they are those that
    the next call starts from, those of the call before where no step counts.
    """

    names: tuple[str, ...]
    last: bool = False
    kept: bool = False

    def at(self, state: int, place: int) -> str:
        """One state of one layer and direction, (batch, units)."""
        return self.names[state] if self.last else f"{self.names[state]}[{place}]"

    def whole(self, state: int) -> str:
        """With an axis for layers and directions in front."""
        return f"{self.names[state]}.unsqueeze(0)" if self.last else self.names[state]


def run_of(s: Setting, planned: Planned) -> Run:
    part = planned.parts[0]
    pieces = [piece for part in planned.parts for piece in part.pieces()]
    ways = len({piece.direction for piece in pieces})
    depth = 1 + max(piece.layer for piece in pieces)
    states = 2 if part.cell.name == "lstm" else 1
    inner = (s.call.states or s.call.stateful) and states * depth > 1
    if (s.mask and (ways > 1 or inner)) or (s.w.any_length and not s.call.cell):
        s.w.replaced.add(planned.name)
    counts = bool(s.mask) and (bool(planned.drop_in) or planned.name in s.w.replaced)
    return Run(s.w.attributes[planned.name], ways, depth, states, counts)


def counted(s: Setting, run: Run, x: str, hx: str, mask: str) -> tuple[str, str]:
    """What a module is given, and its further arguments, where a mask leaves steps out."""
    if not mask:
        return x, hx
    front = s.across(f"{s.w.help('valid_first')}({x}, {mask})")
    return front, f"{hx}, lengths={mask}.sum(1).clamp(min=1)" if run.counts else hx


def from_the_end(s: Setting, x: str) -> tuple[str, str]:
    """The steps from the end, and their mask."""
    if s.mask:
        s.w.put(f"read = {s.mask}.flip(1)")
    return f"{x}.flip({s.axis})", "read" if s.mask else ""


def called(s: Setting, run: Run, given: str, mask: str) -> tuple[str, Finals]:
    """Write the call of a module; returns what its outputs and its final states are called."""
    call, kept = f"{run.module}({given})", s.call.states or s.call.stateful
    y = "steps" if s.mask else OUTPUTS
    finals = Finals(("h", "c")[: run.states])
    if mask and not run.counts:
        s.w.put(f"{y}, _ = {call}")
        return s.across(y), after(s, s.across(y), mask, "h" if kept else "")
    if s.last != "last" and not kept:
        s.w.put(f"{y}, _ = {call}")
        return s.across(y), finals
    held = f"(h, {'c' if kept else '_'})" if run.states == 2 else "h"
    s.w.put(f"{y if s.last == 'all' else '_'}, {held} = {call}")
    return s.across(y), finals


def after(s: Setting, y: str, mask: str, name: str) -> Finals:
    """The state after the last step that counts, out of the outputs; in a variable where it has a name."""
    text = f"{s.w.help('last_valid')}({y}, {mask})" if name or s.last == "last" else ""
    if name:
        s.w.put(f"{name} = {text}")
    return Finals((name or text,), last=True)


def initial_states(s: Setting, run: Run, planned: Planned, initial: Sequence[str]) -> str:
    """The argument that tells the states to start from; '' where they are zero."""
    if s.call.stateful:
        return _kept(s, run, planned)
    if not initial:
        return ""
    ordered = [initial[place] for place in _in_order(run)]
    return argument([_joined(ordered[k :: run.states]) for k in range(run.states)])


def _in_order(run: Run) -> list[int]:
    """The places of states given direction by direction in the order of PyTorch, layer by layer."""
    cells = [way * run.depth + layer for layer in range(run.depth) for way in range(run.ways)]
    return [cell * run.states + k for cell in cells for k in range(run.states)]


def argument(states: Sequence[str]) -> str:
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
    return argument(given)


def _batch(s: Setting) -> str:
    return f"{s.w.held[s.node.inputs[0]].text}.size(0)"
