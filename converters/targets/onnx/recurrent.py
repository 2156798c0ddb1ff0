"""Recurrent layers as LSTM, GRU and RNN nodes, with the masks, directions and states around them.

A mask may leave out any step. The nodes of ONNX know the lengths of sequences and no more, so the steps that count are
moved to the front of each sequence, and the outputs back to where they belong: a step that is left out repeats the
output before it, or gives zeros, as the layer does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.model.graph import Node
from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.targets.onnx import conv_lstm
from converters.targets.onnx.emission import Emission, Held, refused
from converters.targets.onnx.functions import INNER
from layouts.layout import DIRECTIONS

_FORWARD, _BACKWARD = DIRECTIONS
_NODES = {"lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU", "rnn": "RNN"}


class Steps(NamedTuple):
    """Where the steps that count are: `order` of the steps, those first; `before`, how many count before each."""

    mask: str
    order: str
    lengths: str
    before: str


class Cell(NamedTuple):
    """One direction of one layer, or both: the kind of its node, its cell, and its arrays."""

    kind: str
    part: Part
    arrays: Mapping[str, str]


def recurrent(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> list[str]:
    """What the layer gives: outputs, or a pair of them, then its states where it gives them."""
    layer = node.layer
    assert layer is not None, node.name
    call = layer.call
    if conv_lstm.computes(layer):
        outputs, states = conv_lstm.recurrent(e, node, inputs, mask)
        return [*_merged(e, outputs, call), *states] if call.states else _merged(e, outputs, call)
    x = inputs[0] if call.time_axis == 0 else e.permuted(inputs[0], (1, 0, 2))
    steps = _steps(e, mask) if mask else None
    runs = _Runs(e, node, layer, steps)
    outputs, states = runs.all(_stacks(e, node), x, list(inputs[1:]))
    found = _merged(e, outputs, call)
    return [*found, *states] if call.states or layer.wiring.is_node else found


def _stacks(e: Emission, node: Node) -> list[dict[str, Cell]]:
    """Layer by layer, the cell of each direction; one that holds both stands under 'both'."""
    found: dict[int, dict[str, Cell]] = {}
    for held in e.held(node):
        part = held.parts[0]
        kind = _NODES.get(part.cell.name)
        if kind is None:
            raise refused(node, f"ONNX has no {part.cell.name.replace('_', ' ')}")
        ways = _ways(held)
        way = "both" if len(ways) > 1 else next(iter(ways))
        number = part.only[1] if part.only else part.layer
        found.setdefault(number, {})[way] = Cell(kind, part, held.arrays)
    return [found[number] for number in sorted(found)]


def _ways(held: Held) -> set[str]:
    """The directions of what was planned as one."""
    only = held.parts[0].only
    return {only[0]} if only else {way for part in held.parts for way in part.ways}


def _steps(e: Emission, mask: str) -> Steps:
    """The steps of a mask (batch, time)."""
    counted = e.cast(mask, np.int64)
    time = e.size(mask, 1)
    places = e.op("Range", e.constant(np.array(0)), e.op("Squeeze", time), e.constant(np.array(1)))
    later = e.op("Where", mask, e.op("Sub", time, places), e.op("Neg", places))
    _, order = e.ops("TopK", e.cast(later, np.float32), time, count=2, axis=1, largest=1, sorted=1)
    lengths = e.cast(e.op("ReduceSum", counted, e.ints(1), keepdims=0), np.int32)
    before = e.op("CumSum", counted, e.constant(np.array(1)), exclusive=1)
    return Steps(mask, order, lengths, before)


class _Runs:
    """The cells of one layer at work. Sequences are (time, batch, features) here, states (batch, units)."""

    def __init__(self, e: Emission, node: Node, layer: Layer, steps: Steps | None) -> None:
        self.e, self.node, self.call, self.steps = e, node, layer.call, steps

    def all(self, stack: Sequence[dict[str, Cell]], x: str, given: list[str]) -> tuple[list[str], list[str]]:
        """The outputs of each direction of the last layer, as the layer gives them, and the states in its order."""
        ways = _of(stack[0])
        each = len(given) // (len(ways) * len(stack))
        apart = len(ways) > 1 and len(stack) > 1 and not _reads_both(stack)
        feeds = dict.fromkeys(ways, self._compact(x))
        finals: dict[tuple[str, int], list[str]] = {}
        for number, cells in enumerate(stack):
            starts = {way: given[(k * len(stack) + number) * each :][:each] for k, way in enumerate(ways)}
            found = self._layer(cells, feeds, starts)
            finals |= {(way, number): states for way, (_, states) in found.items()}
            feeds = {way: found[way][0] for way in ways}
            if len(ways) > 1 and not apart and number < len(stack) - 1:
                feeds = dict.fromkeys(ways, self.e.op("Concat", *feeds.values(), axis=-1))
        shown = [self._shown(feeds[way], way) for way in ways]
        return shown, [s for way in ways for number in range(len(stack)) for s in finals[way, number]]

    def _backwards(self, way: str) -> bool:
        return (way == _BACKWARD) != (self.call.direction in ("backward", "reverse"))

    def _layer(
        self, cells: dict[str, Cell], feeds: dict[str, str], starts: dict[str, list[str]]
    ) -> dict[str, tuple[str, list[str]]]:
        """Of each direction the outputs of the steps that count, in the order of the input, and the final states."""
        if "both" in cells:
            parts = zip(*starts.values(), strict=True)
            stacked = [self.e.op("Concat", *map(self._alone, pair), axis=0) for pair in parts]
            y, states = self._node(cells["both"], "bidirectional", feeds[_FORWARD], stacked)
            taken = {way: self.e.constant(np.array(k)) for k, way in enumerate(DIRECTIONS)}
            return {
                way: (self.e.op("Gather", y, k, axis=1), self._held(self._each(states, k), starts[way]))
                for way, k in taken.items()
            }
        found = {}
        for way, cell in cells.items():
            direction = "reverse" if self._backwards(way) else "forward"
            y, states = self._node(cell, direction, feeds[way], [self._alone(state) for state in starts[way]])
            first = self.e.constant(np.array(0))
            found[way] = self.e.op("Gather", y, first, axis=1), self._held(self._each(states, first), starts[way])
        return found

    def _alone(self, state: str) -> str:
        return self.e.op("Unsqueeze", state, self.e.ints(0))

    def _each(self, states: Sequence[str], direction: str) -> list[str]:
        return [self.e.op("Gather", state, direction, axis=0) for state in states]

    def _node(self, cell: Cell, direction: str, x: str, states: Sequence[str]) -> tuple[str, list[str]]:
        """One node: outputs (time, directions, batch, units), and final states (directions, batch, units)."""
        if states and len(states) != (2 if cell.kind == "LSTM" else 1):
            raise refused(self.node, f"it is given {len(states)} initial states of a cell")
        lengths = self.steps.lengths if self.steps else ""
        inputs = [x, cell.arrays["W"], cell.arrays["R"], cell.arrays.get("B", ""), lengths, *states]
        if "P" in cell.arrays:
            inputs += [""] * (7 - len(inputs)) + [cell.arrays["P"]]
        while not inputs[-1]:
            inputs.pop()
        count = 3 if cell.kind == "LSTM" else 2
        y, *final = self.e.ops(cell.kind, *inputs, count=count, **_attributes(self.node, cell, direction))
        return y, final

    def _held(self, states: Sequence[str], start: Sequence[str]) -> list[str]:
        """Final states; of a sequence without any step that counts those with which it began."""
        if self.steps is None:
            return list(states)
        none = self.e.op("Equal", self.steps.lengths, self.e.constant(np.array(0, np.int32)))
        none = self.e.op("Unsqueeze", none, self.e.ints(1))
        begun = list(start) or [self.e.number(0.0)] * len(states)
        return [self.e.op("Where", none, old, new) for old, new in zip(begun, states, strict=True)]

    def _compact(self, x: str) -> str:
        """The steps that count at the front of every sequence."""
        if self.steps is None:
            return x
        return self._gathered(x, self.steps.order)

    def _gathered(self, x: str, order: str) -> str:
        """(time, batch, features) with the steps of each sequence in the order of places (batch, time)."""
        places = self.e.op("Unsqueeze", self.e.permuted(order, (1, 0)), self.e.ints(2))
        wide = self.e.op("Expand", places, self.e.op("Shape", x))
        return self.e.op("GatherElements", x, wide, axis=0)

    def _shown(self, y: str, way: str) -> str:
        """The outputs as the layer gives them: of every step, or the last one, in the order of the source."""
        backwards, call = self._backwards(way), self.call
        y = self._spread(y, backwards) if self.steps else y
        if call.sequences is False:
            return self.e.op("Gather", y, self.e.constant(np.array(0 if backwards else -1)), axis=0)
        turned = way == _BACKWARD or call.direction == "reverse"
        y = self.e.reversed(y, 0) if backwards != turned else y
        return y if call.time_axis == 0 else self.e.permuted(y, (1, 0, 2))

    def _spread(self, y: str, backwards: bool) -> str:
        """The outputs of the steps that count, back where they belong; the others repeat one, or are zero."""
        e, steps = self.e, self.steps
        assert steps is not None
        counted = e.cast(steps.mask, np.int64)
        place = steps.before if backwards else e.op("Sub", e.op("Add", steps.before, counted), e.ints(1))
        last = e.op("Sub", e.op("Unsqueeze", e.cast(steps.lengths, np.int64), e.ints(1)), e.ints(1))
        is_there = e.op("LessOrEqual", place, last) if backwards else e.op("GreaterOrEqual", place, e.ints(0))
        if self.call.zeros_where_masked or self.call.lengths:
            is_there = steps.mask
        inside = e.op("Max", e.op("Min", place, last), e.ints(0))
        shown = e.op("Unsqueeze", e.permuted(is_there, (1, 0)), e.ints(2))
        return e.op("Where", shown, self._gathered(y, inside), e.number(0.0))


def _of(cells: dict[str, Cell]) -> list[str]:
    """The directions of one layer, forward first."""
    return list(DIRECTIONS) if "both" in cells else [way for way in DIRECTIONS if way in cells]


def _reads_both(stack: Sequence[dict[str, Cell]]) -> bool:
    """Whether the second layer reads both directions of the first, side by side."""
    first, second = (next(iter(cells.values())).part for cells in stack[:2])
    return bool(second.solved()["input"] == 2 * first.solved()["unit"])


def _attributes(node: Node, cell: Cell, direction: str) -> dict[str, Any]:
    """The attributes of a node: its activations with their numbers, clip, and what makes its variant."""
    own, sizes = cell.part.recurrence, cell.part.solved()
    names = {"LSTM": [own.recurrent_activation, own.activation, own.output_activation or own.activation]}
    names |= {"GRU": [own.recurrent_activation, own.activation], "RNN": [own.activation]}
    strange = [name for name in names[cell.kind] if name not in INNER]
    if strange:
        raise refused(node, f"the {cell.kind} of ONNX has no activation {strange[0]}")
    inner = [INNER[name] for name in names[cell.kind]] * (2 if direction == "bidirectional" else 1)
    found: dict[str, Any] = {"hidden_size": sizes["unit"], "activations": [each.name for each in inner]}
    found["direction"] = direction
    for name in ("alpha", "beta"):
        told = [getattr(each, name) for each in inner if getattr(each, name) is not None]
        found |= {f"activation_{name}": told} if told else {}
    if own.clip is not None:
        found["clip"] = own.clip
    if cell.kind == "LSTM" and own.input_forget:
        found["input_forget"] = 1
    if cell.kind == "GRU":
        found["linear_before_reset"] = int(cell.part.cell.name == "gru")
    return found


def _merged(e: Emission, outputs: list[str], call: Call) -> list[str]:
    """Two directions as one output, or as a pair."""
    if len(outputs) == 1 or call.merge == "pair":
        return outputs
    if call.merge == "stacked":
        axis = e.ints(1 + call.time_axis)
        return [e.op("Concat", *(e.op("Unsqueeze", y, axis) for y in outputs), axis=1 + call.time_axis)]
    if call.merge in ("sum", "ave"):
        total = e.op("Add", *outputs)
        return [e.op("Mul", total, e.number(0.5)) if call.merge == "ave" else total]
    return [e.op("Mul", *outputs) if call.merge == "mul" else e.op("Concat", *outputs, axis=-1)]
