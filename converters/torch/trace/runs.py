"""What every step of a traced module makes of real inputs: shapes, and which of their sizes stay open."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import fx, nn

from layouts.errors import NotRepresentable

Sizes = tuple[tuple[int, ...], ...]
"""The sizes of one axis in every run."""
_FIXED = (RuntimeError, ValueError, IndexError, AssertionError, TypeError)
"""What code raises that takes no other sizes."""


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps what every node gives."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


class Runs:
    """The inputs as they are, and where the module takes it with one more along an axis of one.

    So the sizes that follow the batch, or the time, differ from run to run, and all others are fixed. Of a module whose
    code counts its steps the graph holds as many as it was given: a run in which the graph does not give what the
    module does is none, and that size is fixed.
    """

    def __init__(self, module: nn.Module, walked: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        self._module, self._walked = module, walked
        self.counted: list[tuple[int, int]] = []
        first = self._run(inputs)
        if not self._agrees(first, self._given(inputs)):
            raise NotRepresentable(
                "what its forward code gives is another thing each time, or hangs on more than sizes"
            )
        self._runs = [first]
        for place, longer in _grown(inputs):
            self._try(place, longer)

    def choices(self) -> Iterator[Runs]:
        """All runs; then without one of those with longer inputs; then the inputs as they are alone."""
        yield self
        for number in range(len(self._runs) - 1, 0, -1):
            yield self._only(number)
        if len(self._runs) > 2:
            yield self._only(*range(1, len(self._runs)))

    def _only(self, *without: int) -> Runs:
        found = copy.copy(self)
        found._runs = [run for number, run in enumerate(self._runs) if number not in without]
        return found

    def _try(self, place: tuple[int, int], choices: Iterable[list[torch.Tensor]]) -> None:
        """Keep the first of some runs with longer inputs in which the graph is right."""
        for longer in choices:
            try:
                own = self._given(longer)
            except _FIXED:  # this size is fixed, or belongs to others
                continue
            with suppress(*_FIXED):
                run = self._run(longer)
                if self._agrees(run, own):
                    self._runs.append(run)
                    return
            self.counted.append(place)
            return

    def _given(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What the module gives."""
        return list(flat(self._module(*(x.clone() for x in inputs))))

    def _run(self, inputs: Sequence[torch.Tensor]) -> dict[fx.Node, Any]:
        recorder = _Recorder(self._walked)
        recorder.run(*(x.clone() for x in inputs))
        return recorder.values

    def _agrees(self, run: dict[fx.Node, Any], own: Sequence[torch.Tensor]) -> bool:
        """Whether a run gave what the module gives."""
        pairs = itertools.zip_longest(own, flat(run[self._output]))
        return all(a is not None and b is not None and a.shape == b.shape and _close(a, b) for a, b in pairs)

    @property
    def _output(self) -> fx.Node:
        found: fx.Node = next(node for node in self._walked.graph.nodes if node.op == "output")
        return found

    def value(self, node: fx.Node) -> Any:
        """What a node gave for the inputs as they are."""
        return self._runs[0][node]

    def cases(self) -> Iterator[tuple[list[torch.Tensor], list[torch.Tensor]]]:
        """The inputs and the outputs of every run, in order."""
        for run in self._runs:
            yield [run[node] for node in run if node.op == "placeholder"], list(flat(run[self._output]))

    def each(self, node: fx.Node) -> list[Any]:
        """What a node gave in every run."""
        return [run[node] for run in self._runs]

    def sizes(self, node: fx.Node, path: Sequence[int] = ()) -> Sizes:
        """Of every axis its size in each run; of a tensor within what the node gave, by its places."""
        shapes = []
        for run in self._runs:
            value = run[node]
            for place in path:
                value = value[place]
            shapes.append(tuple(value.shape))
        return tuple(zip(*shapes, strict=True))

    def shape(self, node: fx.Node, path: Sequence[int] = ()) -> tuple[int | None, ...]:
        """The fixed sizes, and None for those that are open."""
        return tuple(sizes[0] if len({*sizes}) == 1 else None for sizes in self.sizes(node, path))


def flat(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of what a module gives, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from flat(each)


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=1e-5, equal_nan=True)


def _grown(inputs: Sequence[torch.Tensor]) -> Iterator[tuple[tuple[int, int], Iterator[list[torch.Tensor]]]]:
    """For the batch and the time of every input, and the width of a picture, ways to make it longer, each once."""
    seen: set[tuple[int, ...]] = set()
    for number, x in enumerate(inputs):
        for axis in [*range(min(2, x.dim())), *([3] if x.dim() == 4 else [])]:
            if (axis, x.shape[axis]) not in seen:
                seen |= {(axis, x.shape[axis])}
                yield (number, axis), _longer(inputs, number, axis)


def _longer(inputs: Sequence[torch.Tensor], number: int, axis: int) -> Iterator[list[torch.Tensor]]:
    """One more along an axis: of all inputs that have as many there, along every axis of that size, of this one alone.

    A list of lengths, of which the largest is that size, grows with it.
    """
    size = inputs[number].shape[axis]
    if axis:
        yield [_more(x, [axis]) if x.dim() > axis and x.shape[axis] == size else _lengths(x, size) for x in inputs]
    yield [_more(x, [axis]) if x.dim() > axis and x.shape[axis] == size else x for x in inputs]
    yield [_more(x, [k for k in range(max(x.dim() - 1, 1)) if x.shape[k] == size]) for x in inputs]
    other = [_more(x, [1]) if x.dim() > 1 and x.shape[1] == size else x for x in inputs]
    yield [_more(x, [axis]) if k == number else other[k] for k, x in enumerate(inputs)]
    yield [_more(x, [axis]) if k == number else x for k, x in enumerate(inputs)]


def _lengths(x: torch.Tensor, size: int) -> torch.Tensor:
    told = x.dim() == 1 and not x.is_floating_point() and x.dtype != torch.bool and len(x) and int(x.max()) == size
    return x + (x == size) if told else x


def _more(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    for axis in axes:
        x = torch.cat((x, x.narrow(axis, -1, 1)), dim=axis)
    return x
