"""The steps of a simple recurrent layer that is written out, one after another, and what each takes from the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from converters.readers.onnx.arithmetic.run import ELEMENTWISE, Unfit
from converters.readers.onnx.arithmetic.search import ARITHMETIC, CUTS
from converters.readers.onnx.arithmetic.stage import Stage, Use
from converters.readers.onnx.graph.scope import Node

_DEEPEST, _MOST = 8, 16
_NODES_A_STEP = 24


class Source(NamedTuple):
    """The product with the input's weights that a value comes from, the constants added on the way, and whether it is
    a part that was cut out."""

    use: Use
    added: tuple[str, ...]
    cut: bool


class Link(NamedTuple):
    """One step: the product with the state, the constants added to it, and what the input adds. `sums`: the product
    with more and more of these added."""

    use: Use
    added: tuple[str, ...]
    source: Source
    sums: tuple[str, ...]

    @property
    def total(self) -> str:
        """What the activation reads."""
        return self.sums[-1]


class Chain(NamedTuple):
    """The steps in their order. `start`: what the state of the first one is computed from where that is a step itself,
    whose product of zeros the exporter has computed; None where the first one has an initial state."""

    links: tuple[Link, ...]
    start: Source | None

    @property
    def reads(self) -> str:
        """The sequence."""
        return self.links[0].source.use.value

    @property
    def initial(self) -> str:
        """The initial state, '' where the first step is from zeros."""
        return "" if self.start else self.links[0].use.value

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.links) + (self.start is not None)


def links_of(stage: Stage) -> dict[Node, list[Link]]:
    """The steps whose share of the input is a part of a product, by that product: those of one layer stand together.

    The recurrent matrix does not tell which belong together: PyTorch's exporter stores a large one again for each step.
    """
    found: dict[Node, list[Link]] = {}
    for use in stage.uses.values():
        shape = stage.shape(use.node.input(1))
        link = link_of(stage, use) if len(shape) == 2 and shape[0] == shape[1] else None
        if link is not None and link.source.cut:
            found.setdefault(link.source.use.node, []).append(link)
    return found


def link_of(stage: Stage, use: Use) -> Link | None:
    """The step that starts with a product; None where what is added to it is no other product, or a part of one."""
    value, added = use.node.output(0), list[str]()
    sums = [value]
    given = use.node.input(2)
    if stage.scope.is_constant(given):
        added, given = [given], ""
    while not given and len(added) < _DEEPEST:
        readers = stage.scope.readers(value)
        if len(readers) != 1 or readers[0].op != "Add" or readers[0] not in stage.place:
            return None
        others = [name for name in readers[0].inputs if name != value]
        value = readers[0].output(0)
        sums.append(value)
        if len(others) != 1:
            return None
        if stage.scope.is_constant(others[0]):
            added += others
        else:
            (given,) = others
    source = source_of(stage, given) if given else None
    return Link(use, tuple(added), source, tuple(sums)) if source and source.use.node is not use.node else None


def source_of(stage: Stage, name: str) -> Source | None:
    """The product that a value is, or is a part of, with what was added; None for anything else."""
    added, cut = list[str](), False
    for _ in range(_DEEPEST):
        node = stage.scope.producer(name)
        if node is None or node not in stage.place or node.domain:
            return None
        use = stage.uses.get(node)
        if use is not None:
            bias = node.input(2)
            fits = not bias or stage.scope.is_constant(bias)
            return Source(use, (*added, *filter(None, [bias])), cut) if fits else None
        lacking = [one for one in node.inputs if one and not stage.scope.is_constant(one)]
        if node.op not in (*CUTS, "Add") or len(lacking) != 1 or (node.op != "Add" and lacking[0] != node.input(0)):
            return None
        added += [one for one in node.inputs if one not in lacking] if node.op == "Add" else []
        cut |= node.op != "Add"
        (name,) = lacking
    return None


def in_order(stage: Stage, links: Sequence[Link]) -> Chain:
    """Each step after the one whose state it takes. Raises `Unfit` where they are not one chain."""
    totals = {link.total: link for link in links}
    following: dict[str, Link] = {}
    firsts: list[tuple[Link, Source | None]] = []
    for link in links:
        before, start = _before(stage, link, totals)
        if before is None:
            firsts.append((link, start))
        elif following.setdefault(before.total, link) is not link:
            raise Unfit("its steps branch")
    if len(firsts) != 1:
        raise Unfit("its steps do not follow each other")
    (last, start), ordered = firsts[0], [firsts[0][0]]
    while last.total in following and len(ordered) < len(links):
        last = following[last.total]
        ordered.append(last)
    if len(ordered) < len(links):
        raise Unfit("its steps do not follow each other")
    return Chain(tuple(ordered), start)


def _before(stage: Stage, link: Link, totals: dict[str, Link]) -> tuple[Link | None, Source | None]:
    """The step that makes the state of a step, or else the part of the input that this is computed from alone."""
    found: list[Link] = []
    starts: list[Source] = []
    waiting, seen, foreign = [link.use.value], set[str](), False
    while waiting and not foreign:
        name = waiting.pop()
        if name in seen or stage.scope.is_constant(name):
            continue
        seen.add(name)
        node = stage.scope.producer(name)
        source = source_of(stage, name)
        if name in totals:
            found.append(totals[name])
        elif source is not None and source.use.node is link.source.use.node:
            starts.append(source)
        elif node is None or node not in stage.place or node.domain or node.op not in (*ELEMENTWISE, *CUTS):
            foreign = True
        else:
            waiting += [one for one in node.inputs if one]
            foreign = len(seen) > _MOST
    if found and (len(found) > 1 or starts or foreign):
        raise Unfit("its state is computed from more than the step before")
    alone = len(starts) == 1 and not foreign
    return (found[0] if found else None), (starts[0] if alone else None)


def computing(stage: Stage, chain: Chain, last: str = "") -> list[Node]:
    """The nodes that compute the sums of all steps out of the sequence, in the order of the graph.

    The first sum may be constant, where the initial state is: it is computed all the same. `last`: one value more.
    """
    known, sums = {chain.reads, chain.initial}, {name for link in chain.links for name in link.sums}
    found: dict[Node, None] = {}
    waiting = [link.total for link in chain.links] + [last] * bool(last)
    while waiting:
        name = waiting.pop()
        node = stage.scope.producer(name)
        if name in known or node in found or (name not in sums and stage.scope.is_constant(name)):
            continue
        if node is None or node not in stage.place or node.domain or node.op not in (*ARITHMETIC, *CUTS):
            raise Unfit("it depends on more than one sequence")
        found[node] = None
        waiting += [one for one in node.inputs if one]
        if len(found) > _NODES_A_STEP * chain.steps:
            raise Unfit("its steps are too long")
    return sorted(found, key=lambda node: stage.place[node])


def behind(stage: Stage, total: str) -> list[Node]:
    """What is computed from a sum and from numbers alone, one number at a time: the last state is among it."""
    have, found = {total}, dict[Node, None]()
    waiting = list(stage.scope.readers(total))
    while waiting and len(found) < _MOST:
        node = waiting.pop(0)
        if node in found or node not in stage.place or node.domain or node.op not in ELEMENTWISE:
            continue
        if all(name in have or _is_number(stage, name) for name in node.inputs if name):
            found[node] = None
            have.update(filter(None, node.outputs))
            waiting += [reader for name in node.outputs if name for reader in stage.scope.readers(name)]
    return sorted(found, key=lambda node: stage.place[node])


def _is_number(stage: Stage, name: str) -> bool:
    constant = stage.scope.constant(name)
    return constant is not None and constant.size == 1
