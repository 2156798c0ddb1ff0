"""What a recognised loop says about its layer beyond weights and options: what it reads and gives, order, mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from converters.readers.onnx.arithmetic.body import MOST_STEPS, Body
from converters.readers.onnx.arithmetic.cells import Match, difference
from converters.readers.onnx.arithmetic.observed import Run, roles
from converters.readers.onnx.arithmetic.run import Machine, Unfit, Values
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.errors import printable

_SAME = 1e-9
_REVERSED_LENGTH, _REVERSED_BATCH = 3, 2
_MOST_NODES = 40

Facts = dict[str, Any]


def facts(body: Body, found: Match, run: Run, count: int) -> Facts:
    """Everything but weights and options. Raises `Unfit` where the loop gives a value that no layer gives."""
    reads, masks = roles(body)
    node, (taker, source) = body.node, body.sequences[reads]
    axis = int(taker.attributes.get("axis", 0))
    _check_length(body, source, axis, count)
    before = _before_reversal(node, source, axis)
    mask = body.sequences[masks][1] if masks else ""
    if before and mask and not _before_reversal(node, mask, int(body.sequences[masks][0].attributes.get("axis", 0))):
        raise Unfit("it reads its sequence backwards and its mask forwards")
    output, mode = _output(body, found, run, bool(masks))
    given: Facts = {"reads": before or source, "gives": (output, *_finals(body, found))}
    given["return_sequences"] = bool(output) and not _last_only(node, output, axis)
    given |= {"time_major": True} if axis == 0 else {}
    given |= {"go_backwards": True} if run.backwards != bool(before) else {}
    given |= {"masked": True, "zero_output_for_mask": mode == "zero"} if masks else {}
    return given | dict(_initial(body, found))


def _check_length(body: Body, source: str, axis: int, count: int) -> None:
    """Where the file tells how long the sequence is, the loop has to run to its end."""
    declared = _declared_length(body.node, source, axis)
    if declared is not None and not body.lengths and declared != count and count < MOST_STEPS:
        raise Unfit(f"it makes {count} steps of a sequence of {declared}")


def _declared_length(node: Node, name: str, axis: int) -> int | None:
    for _ in range(_MOST_NODES):
        shape = node.scope.shape(name)
        if shape is not None and axis < len(shape) and shape[axis] is not None:
            return shape[axis]
        made_by = node.scope.producer(name)
        if made_by is None or made_by.op not in ("Transpose", "ReverseSequence", "Identity"):
            return None
        if made_by.op == "Transpose":
            order = made_by.attributes.get("perm")
            if not order or axis >= len(order):
                return None
            axis = order[axis]
        name = made_by.input(0)
    return None


def _before_reversal(node: Node, name: str, axis: int) -> str:
    """The value that was turned round, as a whole, to make this one; '' where none was."""
    made_by = node.scope.producer(name)
    if made_by is None or made_by.op != "ReverseSequence" or made_by.domain:
        return ""
    time = int(made_by.attributes.get("time_axis", 0))
    if time != axis or int(made_by.attributes.get("batch_axis", 1)) != 1 - axis:
        return ""
    return made_by.input(0) if _whole_length(made_by, axis) else ""


def _whole_length(reversal: Node, axis: int) -> bool:
    """Whether the lengths of a ReverseSequence are the whole length: they are computed for a sequence of 3 steps."""
    data, lengths = reversal.inputs[:2]
    sequence = np.zeros((_REVERSED_LENGTH, _REVERSED_BATCH, 1))
    values: Values = {data: sequence if axis == 0 else np.swapaxes(sequence, 0, 1)}
    try:
        nodes = _computing(reversal, lengths, values)
        made = Machine(nodes).run(values)[lengths]
    except (Unfit, KeyError):
        return False
    return made.shape == (_REVERSED_BATCH,) and bool(np.all(made == _REVERSED_LENGTH))


def _computing(node: Node, name: str, values: Values) -> list[Node]:
    """The nodes that compute a value out of those given; the constants that they need are added to these."""
    found: dict[Node, None] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        constant = node.scope.constant(name)
        made_by = node.scope.producer(name)
        if name in values:
            continue
        if constant is not None and constant.size <= _MOST_NODES:
            values[name] = constant.read()
        elif made_by is None or made_by.scope is not node.scope or len(found) > _MOST_NODES:
            raise Unfit("it depends on more than its sequence")
        elif made_by not in found:
            found[made_by] = None
            waiting += [one for one in made_by.inputs if one]
    return [one for one in node.scope.nodes if one in found]


def _finals(body: Body, found: Match) -> Iterator[str]:
    """The Loop's outputs for the final states."""
    for state in found.states:
        yield body.node.outputs[body.scope.inputs.index(state) - 2]


def _read(node: Node, output: str) -> bool:
    return bool(output) and (bool(node.scope.readers(output)) or output in node.scope.outputs)


def _output(body: Body, found: Match, run: Run, masked: bool) -> tuple[str, str]:
    """The Loop's output with all steps, '' where nothing reads one, and what it holds at masked steps.

    Raises `Unfit` for an output that is read and that no recurrent layer has.
    """
    stacked = list(zip(body.stacked, body.node.outputs[body.carried :], strict=False))
    known = {value: _mode(body, found, run, value, masked) for value, _ in stacked}
    for value, output in stacked:
        if _read(body.node, output) and not known[value]:
            raise Unfit(f"its output {printable(output)} is none of a recurrent layer's")
    modes = {mode for value, output in stacked if _read(body.node, output) and (mode := known[value])}
    if len(modes) > 1:
        raise Unfit("it gives its outputs in two ways")
    _check_states(body, found, run, [value for value, _ in stacked if known[value]])
    mode = modes.pop() if modes else next((mode for mode in known.values() if mode), "state")
    return next((output for value, output in stacked if _read(body.node, output) and known[value]), ""), mode


def _check_states(body: Body, found: Match, run: Run, outputs: list[str]) -> None:
    """The final value of a state that is neither h nor c has to be the last output."""
    for name in body.states:
        output = body.node.outputs[body.scope.inputs.index(name) - 2]
        last = any(_same(run, body.after(name), one) for one in outputs)
        if name not in found.states and _read(body.node, output) and not last:
            raise Unfit(f"its output {printable(output)} is none of a recurrent layer's")


def _mode(body: Body, found: Match, run: Run, value: str, masked: bool) -> str:
    """What an output is: 'state', h itself; at masked steps 'repeat', the output before, or 'zero'; '' for none."""
    h = body.after(found.states[0])
    if _same(run, value, h):
        return "state"
    for name in (*body.states, *body.held) if masked else ():
        if _same(run, value, h, masked=name):
            return _masked_mode(body, run, value, name)
    return ""


def _masked_mode(body: Body, run: Run, value: str, name: str) -> str:
    """Zeros, or the output of the step before: either has to start with zeros, as Keras has it."""
    if not is_zero(body.node, body.initial(name)):
        raise Unfit("what it gives before the first step that is not masked is not zero")
    if name in body.held:
        return "zero"
    return "repeat" if _same(run, value, body.after(name)) else ""


def _same(run: Run, value: str, other: str, masked: str = "") -> bool:
    """Whether two values are equal at every step that was observed; where masked, the other is that of this name."""
    for step, made in zip(run.steps, run.values, strict=True):
        expected = made[other]
        if masked and step.mask is not None and expected.shape == made[masked].shape:
            expected = np.where(step.mask[:, None], expected, made[masked])
        if difference(made[value], expected) > _SAME:
            return False
    return True


def _last_only(node: Node, output: str, axis: int) -> bool:
    """Whether every reader of the outputs takes the last step alone."""
    readers = node.scope.readers(output)
    return output not in node.scope.outputs and bool(readers) and all(_takes_last(one, axis) for one in readers)


def _takes_last(node: Node, axis: int) -> bool:
    if node.op == "Gather":
        return int(node.attributes.get("axis", 0)) == axis and _numbers(node, 1) == [-1]
    if node.op != "Slice":
        return False
    starts, axes = (
        (node.attributes.get("starts"), node.attributes.get("axes"))
        if "starts" in node.attributes
        else (_numbers(node, 1), _numbers(node, 3))
    )
    return starts == [-1] and (axes or [0]) == [axis]


def _numbers(node: Node, place: int) -> list[int]:
    constant = node.scope.constant(node.input(place)) if node.input(place) else None
    return [int(one) for one in constant.read().reshape(-1)] if constant is not None and constant.size == 1 else []


def _initial(body: Body, found: Match) -> Iterator[tuple[str, str]]:
    """What is known of the initial states: nothing to say of zeros, 'input', or 'stored' for other constants."""
    for name, state in zip(("initial_h", "initial_c"), found.states, strict=False):
        start = body.initial(state)
        if not is_zero(body.node, start):
            yield name, "stored" if body.node.scope.is_constant(start) else "input"


def measuring(node: Node, stored: tuple[str, ...]) -> tuple[Node, ...]:
    """Nodes outside the loop that read its weights for nothing but the size of what they make.

    Keras computes a first step of a masked layer beside the loop, to know how large an output is.
    """
    found: dict[Node, None] = {}
    waiting = [reader for name in stored for reader in node.scope.readers(name)]
    while waiting:
        one = waiting.pop()
        if one is node or one in found or one.scope is not node.scope:
            continue
        found[one] = None
        waiting += [reader for made in one.outputs if one.op != "Shape" for reader in node.scope.readers(made)]
    return tuple(one for one in node.scope.nodes if one in found and _ends_in_shapes(one, found))


def _ends_in_shapes(node: Node, among: dict[Node, None]) -> bool:
    """Whether nothing but sizes comes of what a node makes."""
    waiting, seen = [node], {node}
    while waiting:
        one = waiting.pop()
        if one.op == "Shape":
            continue
        readers = {reader for made in one.outputs for reader in one.scope.readers(made)}
        if not readers or not readers <= among.keys() or any(made in one.scope.outputs for made in one.outputs):
            return False
        waiting += readers - seen
        seen |= readers
    return True
