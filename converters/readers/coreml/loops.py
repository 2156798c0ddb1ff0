"""A GRU that coremltools wrote as a loop, proved operation by operation: PyTorch's equations, and nothing else, fit.

The loop counts steps and keeps all states in one tensor. A step takes x and h at the counter, computes
r = σ(W x + U h), z = σ(…), n = tanh(W x + r U h), h' = (1 - z) n + z h, and puts h' behind. Source: `gru` of
coremltools.converters.mil.frontend.torch.ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from converters.readers.coreml.operation import Operation
from converters.readers.coreml.values import Constant

_STILL = ("cast", "squeeze", "expand_dims", "identity")
_ARRAYS = {
    "weight_ih": ("x", "weight"),
    "bias_ih": ("x", "bias"),
    "weight_hh": ("h", "weight"),
    "bias_hh": ("h", "bias"),
}


class Found(NamedTuple):
    """The constants of a GRU by the names of its layout, and the value outside the loop that it reads step by step.

    `adds`: a state is added to what stood in its place, which therefore has to be 0 before.
    """

    constants: dict[str, Constant]
    sequence: str
    adds: bool


class Loop(NamedTuple):
    """A loop's own values: the counter and the states within its body, and what becomes of them."""

    counter: str
    states: str
    next_counter: str
    next_states: str


def gru_of(loop: Loop, body: Mapping[str, Operation], constants: Mapping[str, Constant]) -> Found | None:
    """The GRU that the body of a loop computes, by the operations that make its values; None where it is none."""
    return _Proof(loop, body, constants).found()


class _Proof:
    """One body on its way to a GRU: every method gives None where an operation is not the one expected."""

    def __init__(self, loop: Loop, body: Mapping[str, Operation], constants: Mapping[str, Constant]) -> None:
        self._loop, self._body, self._constants = loop, body, constants

    def found(self) -> Found | None:
        step = self._made(self._loop.next_states, "scatter")
        counted = self._made(self._loop.next_counter, "add")
        if step is None or counted is None or self._still(step.reads("data")) != self._loop.states:
            return None
        mode = self._constants.get(step.reads("mode"))
        if self._still(step.reads("indices")) != self._loop.next_counter or self._numbers(step.reads("axis")) != [0]:
            return None
        if mode is None or mode.texts() not in (["update"], ["add"]):
            return None
        if counted.reads("x") != self._loop.counter or self._numbers(counted.reads("y")) != [1]:
            return None
        gates = self._gates(step.reads("updates"))
        return self._arrays(gates, mode.texts() == ["add"]) if gates else None

    def _gates(self, value: str) -> dict[str, tuple[Operation, Operation]] | None:
        """The two products of every gate behind h' = (1 - z) n + z h."""
        for left, right in self._pair(value, "add"):
            for kept, state in self._pair(right, "mul"):
                for rest, candidate in self._pair(left, "mul"):
                    if self._is_state(state) and self._is_rest(rest, kept):
                        z, n = self._sigmoid(kept), self._candidate(candidate)
                        if z and n:
                            return {"z": z, **n}
        return None

    def _is_rest(self, value: str, of: str) -> bool:
        """Whether a value is 1 - another."""
        made = self._made(value, "sub")
        return (
            made is not None
            and self._numbers(made.reads("x")) == [1]
            and self._still(made.reads("y")) == self._still(of)
        )

    def _candidate(self, value: str) -> dict[str, tuple[Operation, Operation]] | None:
        """r and n behind n = tanh(W x + r (U h))."""
        made = self._made(value, "tanh")
        for first, second in self._pair(made.reads("x"), "add") if made else ():
            for reset, product in self._pair(second, "mul"):
                r, w, u = self._sigmoid(reset), self._linear(first), self._linear(product)
                if r and w and u and self._is_input(w.reads("x")) and self._is_state(u.reads("x")):
                    return {"r": r, "n": (w, u)}
        return None

    def _sigmoid(self, value: str) -> tuple[Operation, Operation] | None:
        """The products of σ(W x + U h)."""
        made = self._made(value, "sigmoid")
        for first, second in self._pair(made.reads("x"), "add") if made else ():
            w, u = self._linear(first), self._linear(second)
            if w and u and self._is_input(w.reads("x")) and self._is_state(u.reads("x")):
                return w, u
        return None

    def _linear(self, value: str) -> Operation | None:
        return self._made(value, "linear")

    def _arrays(self, gates: Mapping[str, tuple[Operation, Operation]], adds: bool) -> Found | None:
        constants: dict[str, Constant] = {}
        sequences = set()
        for gate, products in gates.items():
            for name, (side, own) in _ARRAYS.items():
                read = products["xh".index(side)].reads(own)
                if read in self._constants:
                    constants[f"{gate}/{name}"] = self._constants[read]
                elif own == "weight" or read:
                    return None
            sequences.add(self._gathered(products[0].reads("x")))
        return Found(constants, sequences.pop(), adds) if len(sequences) == 1 else None

    def _is_state(self, value: str) -> bool:
        return self._gathered(value) == self._loop.states

    def _is_input(self, value: str) -> bool:
        return self._gathered(value) not in ("", self._loop.states)

    def _gathered(self, value: str) -> str:
        """The tensor of which a value is the part at the counter; '' where it is none."""
        made = self._made(value, "gather")
        if made is None or made.reads("indices") != self._loop.counter or self._numbers(made.reads("axis")) != [0]:
            return ""
        return self._still(made.reads("x"))

    def _pair(self, value: str, kind: str) -> Iterator[tuple[str, str]]:
        """The two operands of an operation, in either order."""
        made = self._made(value, kind)
        if made is not None:
            x, y = made.reads("x"), made.reads("y")
            yield from ((x, y), (y, x))

    def _made(self, value: str, kind: str) -> Operation | None:
        """The operation of this kind that makes a value, past those that change no element."""
        found = self._body.get(self._still(value))
        return found if found is not None and found.kind == kind else None

    def _still(self, value: str) -> str:
        """The value before the operations that change no element."""
        seen: set[str] = set()
        while value in self._body and self._body[value].kind in _STILL and value not in seen:
            seen.add(value)
            value = self._body[value].reads("x")
        return value

    def _numbers(self, value: str) -> list[float]:
        found = self._constants.get(value)
        return (
            [float(number) for number in found.numbers()]
            if found is not None and max(found.shape, default=1) < 2
            else []
        )
