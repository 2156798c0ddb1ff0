"""What a Loop that was proven gives: which outputs hold all steps, from which end it reads, what masked steps give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.model.settings import Call, Wiring
from converters.readers.onnx.arithmetic.constants import Bench
from converters.readers.onnx.arithmetic.loop_body import MOST_STEPS, Body, Taker
from converters.readers.onnx.arithmetic.machine import Machine, Unfit, Values
from converters.readers.onnx.arithmetic.nodes import in_order, upstream
from converters.readers.onnx.arithmetic.prover import Proof, difference
from converters.readers.onnx.arithmetic.recovered import initial_states
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.errors import printable
from layouts.records import dataclass

_SAME = 1e-9
_REVERSED_LENGTH, _REVERSED_BATCH = 3, 2
_MOST_NODES = 40


@dataclass(frozen=True)
class Loop:
    """A Loop whose body is proven: what takes the input and the mask, and which cell it is."""

    body: Body
    x: Taker
    mask: Taker | None
    proof: Proof

    @property
    def node(self) -> Node:
        return self.body.node

    @property
    def states(self) -> tuple[str, ...]:
        """The carried values that are h, or h and c."""
        return self.proof.claim.states.before

    @property
    def h(self) -> str:
        """The value of the body that is the new h."""
        return self.body.after(self.states[0])

    def same(self, value: str, other: str, masked: str = "") -> bool:
        """Whether two values were equal at every step; at masked steps, where `masked` is given, equal to that."""
        for _, mask, values in self.proof.samples:
            if not {value, other, masked or other} <= values.keys():
                return False
            expected = values[other] if mask is None or not masked else np.where(mask, values[other], values[masked])
            if difference(values[value], expected) > _SAME:
                return False
        return True


def called(loop: Loop, steps: int, backwards: bool, bench: Bench) -> tuple[Call, Wiring]:
    """How the graph calls a layer that makes so many steps, and what it reads and gives.

    Raises `Unfit` for a value that no layer gives, and where the file tells another length of the sequence.
    """
    node, x, mask = loop.node, loop.x, loop.mask
    declared = _declared_length(node, x)
    if declared not in (None, steps) and not loop.body.lengths and steps < MOST_STEPS:
        raise Unfit(f"it makes {steps} steps of a sequence of {declared}")
    before = _before_reversal(node, x, bench)
    if before and mask and not _before_reversal(node, mask, bench):
        raise Unfit("it reads its sequence backwards and its mask forwards")
    output, mode = _output(loop)
    h, c = initial_states(node, map(loop.body.initial, loop.states))
    call = Call(
        sequences=bool(output) and not _last_only(node, output),
        direction="backward" if backwards != bool(before) else "forward",
        time_axis=x.axis,
        masked=mask is not None,
        zeros_where_masked=mask is not None and mode == "zero",
        initial_h=h,
        initial_c=c,
    )
    return call, Wiring(reads=before or x.sequence, gives=(output, *map(loop.body.final, loop.states)))


def masked_by(loop: Loop, bench: Bench) -> str:
    """The value that masks its steps, in the order of the sequence; '' where none does."""
    if loop.mask is None:
        return ""
    return _before_reversal(loop.node, loop.mask, bench) or loop.mask.sequence


def _declared_length(node: Node, taker: Taker) -> int | None:
    name, axis = taker.sequence, taker.axis
    for _ in range(_MOST_NODES):
        shape = node.scope.shape(name)
        if shape is not None and -len(shape) <= axis < len(shape) and shape[axis] is not None:
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


def _before_reversal(node: Node, taker: Taker, bench: Bench) -> str:
    """The value that was reversed, as a whole, to make the sequence; '' where none was."""
    made_by = node.scope.producer(taker.sequence)
    if made_by is None or made_by.op != "ReverseSequence" or made_by.domain:
        return ""
    axes = int(made_by.attributes.get("time_axis", 0)), int(made_by.attributes.get("batch_axis", 1))
    return made_by.input(0) if axes == (taker.axis, 1 - taker.axis) and _whole_length(made_by, axes[0], bench) else ""


def _whole_length(reversal: Node, axis: int, bench: Bench) -> bool:
    """Whether the lengths of a ReverseSequence are the whole length: they are computed for a sequence of 3 steps."""
    scope, data, lengths = reversal.scope, reversal.input(0), reversal.input(1)
    sequence = np.zeros((_REVERSED_LENGTH, _REVERSED_BATCH, 1))
    values: Values = {data: sequence if axis == 0 else np.swapaxes(sequence, 0, 1)}

    def maker(name: str) -> Node | None:
        constant, node = scope.constant(name), scope.producer(name)
        if constant is not None and constant.size <= _MOST_NODES:
            values[name] = constant.read()
            return None
        if node is None or node.scope is not scope:
            raise Unfit("it depends on more than its sequence")
        return node

    try:
        nodes = upstream(scope, [lengths], maker, _MOST_NODES, {data})
        made = Machine(nodes, bench.budget).run(values)[lengths]
    except Unfit:
        return False
    return made.shape == (_REVERSED_BATCH,) and bool(np.all(made == _REVERSED_LENGTH))


def _output(loop: Loop) -> tuple[str, str]:
    """The Loop's output with all steps, '' where nothing reads one, and what it holds at masked steps.

    Raises `Unfit` for an output that is read and that no recurrent layer has.
    """
    modes = {value: _mode(loop, value) for value, _ in loop.body.stacked}
    read = {output: modes[value] for value, output in loop.body.stacked if _is_read(loop.node, output)}
    wrong = next((output for output, mode in read.items() if not mode), "") or _wrong_state(loop, modes)
    if wrong:
        raise Unfit(f"its output {printable(wrong)} is none of a recurrent layer's")
    if len(set(read.values())) > 1:
        raise Unfit("it gives its outputs in two ways")
    mode = next(filter(None, (*read.values(), *modes.values())), "state")
    return next(iter(read), ""), mode


def _is_read(node: Node, output: str) -> bool:
    return bool(output) and (bool(node.scope.readers(output)) or output in node.scope.outputs)


def _wrong_state(loop: Loop, modes: dict[str, str]) -> str:
    """The final value of a state that is neither h, nor c, nor the last output; '' where there is none."""
    for name in loop.body.states:
        last = any(mode and loop.same(loop.body.after(name), value) for value, mode in modes.items())
        if name not in loop.states and _is_read(loop.node, loop.body.final(name)) and not last:
            return loop.body.final(name)
    return ""


def _mode(loop: Loop, value: str) -> str:
    """What an output is: 'state', h itself; at masked steps 'repeat', the output before, or 'zero'; '' for none.

    Either of these has to start with zeros, as Keras has it.
    """
    if loop.same(value, loop.h):
        return "state"
    carried = (*loop.body.states, *loop.body.held) if loop.mask else ()
    name = next((name for name in carried if loop.same(value, loop.h, masked=name)), "")
    if name and not is_zero(loop.node, loop.body.initial(name)):
        raise Unfit("the output before the first step that is not masked is not zero")
    if name in loop.body.held:
        return "zero"
    return "repeat" if name and loop.same(value, loop.body.after(name)) else ""


def _last_only(node: Node, output: str) -> bool:
    """Whether every reader of the outputs takes the last step alone; a Loop has the steps in front."""
    readers = node.scope.readers(output)
    return output not in node.scope.outputs and bool(readers) and all(_takes_last(one, 0) for one in readers)


def _takes_last(node: Node, axis: int) -> bool:
    if node.op == "Gather":
        return int(node.attributes.get("axis", 0)) == axis and _numbers(node, 1) == [-1]
    if node.op != "Slice":
        return False
    if "starts" in node.attributes:
        starts, axes = node.attributes["starts"], node.attributes.get("axes")
    else:
        starts, axes = _numbers(node, 1), _numbers(node, 3)
    forwards = not node.input(4) or _numbers(node, 4) == [1]
    return starts == [-1] and (axes or [0]) == [axis] and forwards


def _numbers(node: Node, place: int) -> list[int]:
    constant = node.scope.constant(node.input(place)) if node.input(place) else None
    return [int(one) for one in constant.read().reshape(-1)] if constant is not None and constant.size == 1 else []


def measuring(node: Node, stored: Sequence[str]) -> tuple[Node, ...]:
    """Nodes outside the loop that read its weights for nothing but the size of what they make.

    Keras computes a first step of a masked layer beside the loop, to know how large an output is.
    """
    scope, found = node.scope, dict[Node, None]()
    waiting = [reader for name in stored for reader in scope.readers(name)]
    while waiting:
        one = waiting.pop()
        if one is not node and one not in found and one.scope is scope:
            found[one] = None
            waiting += [reader for made in one.outputs if one.op != "Shape" for reader in scope.readers(made)]
    sizes: set[Node] = set()
    for one in reversed(in_order(scope, found)):
        readers = {reader for made in one.outputs for reader in scope.readers(made)}
        if one.op == "Shape" or (readers and readers <= sizes and not set(one.outputs) & set(scope.outputs)):
            sizes.add(one)
    return in_order(scope, sizes)
