"""What a loop gathers: a value that each step only puts its own output into, at the next place or always at the first.

Without Flex operations the converter writes a list of steps as a tensor, which every step cuts into what stands before
its place and behind it, and joins again. Source: lower_static_tensor_list.cc in tensorflow/compiler/mlir/lite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.tflite.model import Model, Operation

_SETS = "custom FlexTensorListSetItem"
_DEEPEST = 8


class List(NamedTuple):
    """A value that is gathered: the tensor of the body that each step puts into it, and whether only the last stays."""

    item: int
    last: bool


def lists(model: Model, condition: int, body: int, starts: Sequence[LazyArray | None]) -> Mapping[int, List]:
    """The carried values of a loop that are lists, by their places. `starts`: what is stored of the first values."""
    look = _Look(model, condition, body, starts)
    found = ((k, look.list_of(k)) for k in range(len(starts)))
    return {k: one for k, one in found if one is not None}


class _Look:
    """The body of one loop."""

    def __init__(self, model: Model, condition: int, body: int, starts: Sequence[LazyArray | None]) -> None:
        self._model, self._condition, self._body, self._starts = model, condition, body, starts
        self._inputs, self._outputs = model.ends[body]
        self._asked = model.ends[condition][0]
        self._read = {tensor for one in model.of_graph(condition) for tensor in one.inputs}
        self._readers: dict[int, list[Operation]] = {}
        for one in model.of_graph(body):
            for tensor in {*one.inputs}:
                self._readers.setdefault(tensor, []).append(one)

    def list_of(self, k: int) -> List | None:
        """The list that a carried value is; None where anything but its own change reads it."""
        before, after = self._inputs[k], self._outputs[k]
        maker, readers = self._maker(after), self._readers.get(before, [])
        if maker is None or before == after or self._outputs.count(before) or self._asked[k] in self._read:
            return None
        if maker.kind == "RESHAPE" and not readers:
            return List(maker.inputs[0], True) if self._is_one_step(after, maker.inputs[0]) else None
        if maker.kind == _SETS and readers == [maker] and maker.inputs[0] == before and len(maker.inputs) == 3:
            return self._of_flex(maker)
        if maker.kind == "CONCATENATION" and not maker.option(0, "i") and not maker.option(1, "b"):
            return self._of_parts(k, maker, readers)
        return None

    def _of_flex(self, maker: Operation) -> List | None:
        _, place, item = maker.inputs
        if self._is_counter(place):
            return List(item, False)
        return List(item, True) if self._numbers(place) == [0] else None

    def _of_parts(self, k: int, joint: Operation, readers: Sequence[Operation]) -> List | None:
        """What stands before, the new step, and what stands behind: of as many steps as the loop makes."""
        if len(joint.inputs) != 3 or len(readers) != 2:
            return None
        left, middle, right = map(self._maker, joint.inputs)
        whole = self._starts[k]
        if middle is None or middle.kind not in ("RESHAPE", "EXPAND_DIMS") or whole is None or not whole.shape:
            return None
        item = middle.inputs[0]
        if not self._is_one_step(joint.inputs[1], item) or whole.shape[0] != self._steps():
            return None
        cuts = [
            one for one in (left, right) if one is not None and one.kind == "SLICE" and one.inputs[0] == self._inputs[k]
        ]
        if len(cuts) != 2:
            return None
        start, size = (self._place(cuts[0].inputs[n]) for n in (1, 2))
        begin, rest = (self._place(cuts[1].inputs[n]) for n in (1, 2))
        joined = (start, size, begin, rest) == ((0, 0), ("place", -1), ("next", 0), (-1, -1))
        return List(item, False) if joined else None

    def _place(self, tensor: int) -> tuple[int | str, int | None]:
        """A first number, "place" for the counter and "next" for one more; and the one that all others are."""
        numbers = self._numbers(tensor)
        if numbers:
            return numbers[0], _only(numbers[1:])
        joint = self._maker(tensor)
        if joint is None or joint.kind not in ("CONCATENATION", "PACK") or len(joint.inputs) < 2:
            return "", None
        first, others = self._still(joint.inputs[0]), [n for t in joint.inputs[1:] for n in self._numbers(t) or [-2]]
        word = "place" if self._is_counter(first) else "next" if self._is_next(first) else ""
        return word, _only(others)

    def _is_counter(self, tensor: int) -> bool:
        """Whether a value is the number of the step: carried, 0 at first, and one more each time."""
        tensor = self._still(tensor)
        if tensor not in self._inputs:
            return False
        k = self._inputs.index(tensor)
        start = self._starts[k]
        zero = start is not None and start.size == 1 and not start.is_floating and not start.read().any()
        return zero and self._is_one_more(self._outputs[k], tensor)

    def _is_next(self, tensor: int) -> bool:
        counters = (k for k, own in enumerate(self._inputs) if self._is_counter(own))
        return any(self._is_one_more(tensor, self._inputs[k]) for k in counters)

    def _is_one_more(self, tensor: int, before: int) -> bool:
        made = self._maker(tensor)
        if made is None or made.kind != "ADD" or before not in made.inputs:
            return False
        return [self._numbers(other) for other in made.inputs if other != before] == [[1]]

    def _steps(self) -> int | None:
        """How many steps a loop makes that ends where its counters reach a stored number; None for any other one."""
        inputs, waiting = self._asked, [*self._model.ends[self._condition][1]]
        makers = {tensor: one for one in self._model.of_graph(self._condition) for tensor in one.outputs}
        limits: set[int] = set()
        for _ in range(_DEEPEST):
            made = makers.get(waiting.pop()) if waiting else None
            if made is None:
                break
            if made.kind == "LOGICAL_AND":
                waiting += made.inputs
                continue
            limit = (
                self._numbers(made.inputs[1], self._condition) if made.kind == "LESS" and len(made.inputs) == 2 else []
            )
            known = len(limit) == 1 and made.inputs[0] in inputs
            if not known or not self._is_counter(self._inputs[inputs.index(made.inputs[0])]):
                return None
            limits.update(limit)
        return limits.pop() if len(limits) == 1 and not waiting else None

    def _is_one_step(self, tensor: int, item: int) -> bool:
        """Whether a tensor has the shape of a value with an axis of one in front."""
        own, inner = (self._model.described(self._body, one)[1] for one in (tensor, item))
        return own is not None and inner is not None and own == (1, *inner)

    def _still(self, tensor: int) -> int:
        """The value before reshapes."""
        for _ in range(_DEEPEST):
            made = self._maker(tensor)
            if made is None or made.kind not in ("RESHAPE", "EXPAND_DIMS"):
                break
            tensor = made.inputs[0]
        return tensor

    def _maker(self, tensor: int) -> Operation | None:
        found = self._model.makers.get((self._body, tensor))
        return found if found is not None and found.inputs else None

    def _numbers(self, tensor: int, graph: int | None = None) -> list[int]:
        """The few whole numbers of a stored tensor; none of any other one."""
        array = self._model.constant(self._body if graph is None else graph, tensor)
        few = array is not None and array.dtype.kind == "i" and array.size <= 8
        return [int(number) for number in array.read().reshape(-1)] if few and array is not None else []


def _only(numbers: Sequence[int]) -> int | None:
    """The number that all are."""
    return numbers[0] if numbers and len({*numbers}) == 1 else None
