"""What every step of a traced module makes of real inputs: shapes, and which of their sizes stay open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx

from layouts.errors import ConversionError

Sizes = tuple[tuple[int, ...], ...]
"""The sizes of one axis in every run."""


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps what every node gives."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


class Runs:
    """The inputs as they are, and where the module takes it with one more along their first and second axis.

    So the sizes that follow the batch, or the time, differ from run to run, and all others are fixed.
    """

    def __init__(self, module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        self._module = module
        wanted = sum(node.op == "placeholder" for node in module.graph.nodes)
        if len(inputs) != wanted:
            raise ConversionError(f"trace: forward takes {wanted} tensors, and {len(inputs)} are given")
        self._runs = [self._run(inputs), *self._grown(inputs)]

    def _run(self, inputs: Sequence[torch.Tensor]) -> dict[fx.Node, Any]:
        recorder = _Recorder(self._module)
        recorder.run(*inputs)
        return recorder.values

    def _grown(self, inputs: Sequence[torch.Tensor]) -> Iterator[dict[fx.Node, Any]]:
        """The runs with one more along an axis of the first input, and along all that have as many there."""
        for axis in range(min(2, inputs[0].dim() if inputs else 0)):
            for longer in _longer(inputs, axis):
                try:
                    yield self._run(longer)
                except (
                    RuntimeError,
                    ValueError,
                    IndexError,
                    AssertionError,
                ):  # this size is fixed, or belongs to others
                    continue
                break

    def value(self, node: fx.Node) -> Any:
        """What a node gave for the inputs as they are."""
        return self._runs[0][node]

    def outputs(self) -> list[torch.Tensor]:
        """The tensors that the module gave, in order."""
        last = next(node for node in self._module.graph.nodes if node.op == "output")
        return list(flat(self.value(last)))

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
    elif isinstance(value, list | tuple):
        for each in value:
            yield from flat(each)


def _longer(inputs: Sequence[torch.Tensor], axis: int) -> Iterator[list[torch.Tensor]]:
    """The inputs with one more: along this axis of those that have as many there, or along every axis of that size."""
    size = inputs[0].shape[axis]
    yield [_more(x, [axis]) if x.dim() > axis and x.shape[axis] == size else x for x in inputs]
    yield [_more(x, [k for k in range(x.dim() - 1) if x.shape[k] == size] or []) for x in inputs]
    yield [_more(inputs[0], [axis]), *(_more(x, [1]) if x.dim() > 1 and x.shape[1] == size else x for x in inputs[1:])]


def _more(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    for axis in axes:
        x = torch.cat((x, x.narrow(axis, 0, 1)), dim=axis)
    return x
