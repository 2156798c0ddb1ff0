"""Steps of simple recurrent layers, joined to chains, where the product with the input is one for all steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from converters.readers.onnx.arithmetic.machine import Unfit
from converters.readers.onnx.arithmetic.nodes import ARITHMETIC, CUTS, Products, Share, Use, upstream
from converters.readers.onnx.graph.scope import Node

_MOST_ADDED, _MOST_BEFORE, _NODES_A_STEP = 8, 24, 24


class ChainedStep(NamedTuple):
    """One step: the product with the state, the constants added to it, and the share of the input.

    `sums` are the product itself and the sums after each addition; the activation reads the last.
    """

    use: Use
    added: tuple[str, ...]
    share: Share
    sums: tuple[str, ...]


class Role(NamedTuple):
    """An array of the layer: the constants that nodes read it by, and whether it is transposed in PyTorch."""

    names: tuple[str, ...]
    transposed: bool = False


class Chain(NamedTuple):
    """The steps in their order. `initial` is the initial state; '' where a first step from zeros has no product."""

    steps: tuple[ChainedStep, ...]
    initial: str

    @property
    def reads(self) -> str:
        """The sequence."""
        return self.steps[0].share.use.value

    @property
    def length(self) -> int:
        """The number of steps, the one from zeros included."""
        return len(self.steps) + (not self.initial)

    @property
    def between(self) -> tuple[str, ...]:
        """The values that hold the state after each step but the last."""
        return tuple(step.use.value for step in self.steps[bool(self.initial) :])

    def roles(self) -> Iterator[tuple[str, Role]]:
        """The arrays of the layer by PyTorch's names; biases only where they are."""
        uses = {"weight_ih": [self.steps[0].share.use], "weight_hh": [step.use for step in self.steps]}
        for name, own in uses.items():
            transposed = {not use.node.attributes.get("transB", 0) for use in own}
            if len(transposed) > 1:
                raise Unfit("its matrix is read in two orientations")
            yield name, Role(tuple(dict.fromkeys(use.node.input(1) for use in own)), transposed.pop())
        added = {"bias_ih": [step.share.added for step in self.steps], "bias_hh": [step.added for step in self.steps]}
        for name, constants in added.items():
            if {len(one) for one in constants} == {1}:
                yield name, Role(tuple(dict.fromkeys(one[0] for one in constants)))
            elif any(constants):
                raise Unfit("not one constant is added to each of its products")


def chains(graph: Products) -> Iterator[Chain]:
    """The steps that have parts of one product as the shares of their input.

    The recurrent matrix does not tell which belong together: the exporter stores a large one again for each step.
    """
    found: dict[Node, list[ChainedStep]] = {}
    for use in graph.uses.values():
        shape = graph.shape(use.node.input(1))
        step = step_of(graph, use) if len(shape) == 2 and shape[0] == shape[1] else None
        if step is not None and step.share.cut:
            found.setdefault(step.share.use.node, []).append(step)
    yield from (_chain(graph, steps) for steps in found.values())


def step_of(graph: Products, use: Use) -> ChainedStep | None:
    """The step that starts with a product; None where what is added to it is no other product, or a part of one."""
    sums, added = [use.node.output(0)], [name for name in use.node.inputs[2:] if name]
    while all(map(graph.scope.is_constant, added)):
        readers = graph.scope.readers(sums[-1])
        if len(readers) != 1 or not graph.has(readers[0], ("Add",)) or len(sums) > _MOST_ADDED:
            return None
        added += [name for name in readers[0].inputs if name != sums[-1]]
        sums.append(readers[0].output(0))
    share = graph.share(added[-1])
    return ChainedStep(use, tuple(added[:-1]), share, tuple(sums)) if share and share.use.node is not use.node else None


def _chain(graph: Products, steps: Sequence[ChainedStep]) -> Chain:
    """Steps in the order of the graph, which is theirs if they are one chain: the proof would fail otherwise.

    The first one has an initial state where this is not computed from the input.
    """
    place = graph.scope.places
    ordered = tuple(sorted(steps, key=lambda step: place[step.use.node]))
    first, product = ordered[0].use.value, ordered[0].share.use.node
    try:
        before = upstream(
            graph.scope, [first], lambda name: _own(graph, name), _MOST_BEFORE, {ordered[0].share.use.value}
        )
    except Unfit:
        before = ()
    return Chain(ordered, "" if product in before else first)


def _own(graph: Products, name: str) -> Node | None:
    node = None if graph.scope.is_constant(name) else graph.scope.producer(name)
    return node if graph.has(node, (*ARITHMETIC, *CUTS)) else None


def computing(graph: Products, chain: Chain, last: str = "") -> tuple[Node, ...]:
    """The nodes that compute the sums of all steps out of the sequence. `last`: one value more.

    Those of the first step may be constant, where the initial state is: they are computed all the same.
    """
    sums = {name for step in chain.steps for name in step.sums}

    def maker(name: str) -> Node | None:
        if name not in sums and graph.scope.is_constant(name):
            return None
        node = graph.scope.producer(name)
        if node is None or not graph.has(node, (*ARITHMETIC, *CUTS)):
            raise Unfit("it depends on more than one sequence")
        return node

    wanted = [*(step.sums[-1] for step in chain.steps), last]
    return upstream(graph.scope, wanted, maker, _NODES_A_STEP * chain.length, {chain.reads, chain.initial})
