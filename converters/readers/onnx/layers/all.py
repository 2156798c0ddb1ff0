"""Every layer of a graph: found node by node, put together and named, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from converters.model.layers import Layer
from converters.model.stacking import unstackable
from converters.readers.onnx.graph import chains, names, origins
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.computed import layer_of_loop, layers_of_steps
from converters.readers.onnx.layers.found import Found, shortened, weights
from converters.readers.onnx.layers.leftovers import leftovers
from converters.readers.onnx.layers.norms import recognise_norms
from converters.readers.onnx.layers.other import read_other
from converters.readers.onnx.layers.recurrent import OPERATORS, read_recurrent
from converters.readers.onnx.layers.repeated import once, without_echoes
from converters.readers.onnx.layers.stacks import put_together
from converters.readers.onnx.layers.time_axis import as_called
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, UnsafeCheckpoint

_OWN_PROBLEMS = (CoverageError, NotRepresentable, ShapeError, UnknownLayer)
"""What is wrong with one layer alone; anything else means that the file is damaged."""
_MOST_SHARED = 64 << 20
"""Bytes that layers may take in all beyond 32 times what is stored."""


class Graph(NamedTuple):
    """What a graph holds: its layers, the stored arrays that no node reads, and what else is to be told."""

    layers: tuple[Layer, ...]
    unused: tuple[str, ...]
    remarks: tuple[str, ...]
    found: tuple[Found, ...] = ()
    """What each layer stands for, in their order."""


def read_graph(root: Scope) -> Graph:
    """The layers of a linked graph, in the order in which data flows through them, else in the file's.

    Raises `ConversionError` for nodes that break their rules.
    """
    place = {node: number for number, node in enumerate(root.walk())}
    found = put_together(without_echoes(once(_with_norms(root, list(_with_steps(root, list(_found(root))))))))
    found = as_called([one for one in found if not _has_own_names(one)])
    _check_amount(found, root.model.stored())
    rest = leftovers(root, found)
    ordered = sorted([*found, *rest.found], key=lambda one: place[_gives(one)])
    named = [replace(one.layer, path=path) for one, path in zip(ordered, _paths(ordered), strict=True)]
    return Graph(tuple(_fed(ordered, named)), rest.unused, rest.remarks, tuple(ordered))


def _has_own_names(found: Found) -> bool:
    """Whether a layer is a person's own module, in which parameters are not called as in those of torch.nn.

    They pass through as they are stored, so that the person's module can load them. A kernel is one under any name:
    nothing else than a convolution computes with it.
    """
    convolves = any("conv" in part.cell.name for part in found.layer.parts)
    own = not found.layer.recurrent and not convolves and bool(found.layer.parts and found.leaves)
    return own and all(origins.is_parameter(*leaf) for leaf in found.leaves) and origins.has_other_name(found.originals)


def _gives(found: Found) -> Node:
    """The first node whose output leaves a layer: what the layer reads is made before it, and what reads it after."""
    if found.nodes[0] in found.proven and found.nodes[0].subgraphs:
        return found.nodes[0]
    inside = sorted(found.proven, key=lambda node: node.scope.places[node])
    return next((node for node in inside if _leaves(node, found.proven)), found.nodes[0])


def _leaves(node: Node, inside: Container[Node]) -> bool:
    """Whether something outside reads what a node makes."""
    made = [*filter(None, node.outputs)]
    return any(
        name in node.scope.outputs or any(one not in inside for one in node.scope.readers(name)) for name in made
    )


def _check_amount(found: Sequence[Found], stored: int) -> None:
    """Arrays that several layers share are written as often: no small file may become a large one by that."""
    amount = sum(array.size * array.dtype.itemsize for one in found for array in one.layer.stored())
    if amount > _MOST_SHARED + 32 * stored:
        raise UnsafeCheckpoint(f"too large: its {len(found)} layers take {amount} bytes, and {stored} are stored")


def _found(scope: Scope) -> Iterator[Found]:
    """The layers of a graph and of those inside it, nodes that share all weights not yet merged."""
    for node in scope.nodes:
        whole = layer_of_loop(node) if node.op in ("Loop", "Scan") and not node.domain else None
        if whole is not None:
            yield whole
            continue
        for inner in node.subgraphs.values():
            yield from _found(inner)
        if not scope.is_constant(node.output(0)):
            yield from _single(node)


def _single(node: Node) -> Iterator[Found]:
    """The layer of one node, or the reason why it cannot be read as the layer it seems to be."""
    try:
        if node.op in OPERATORS and not node.domain:
            yield Found(read_recurrent(node), (node,))
        else:
            other = read_other(node)
            if other is not None:
                yield other
    except _OWN_PROBLEMS as problem:
        yield Found(Layer("", node.op, unknown=problem, arrays=shortened(weights(node))), (node,))
    except ConversionError as problem:
        raise type(problem)(f"{node.called}: {problem}", array=problem.array) from None


def _with_steps(root: Scope, found: list[Found]) -> Iterator[Found]:
    """The same with recurrent layers that stand in the graph step by step, in the place of their products and sums."""
    steps = list(layers_of_steps(root, {node for one in found if one.layer.recurrent for node in one.nodes}))
    covered = {node for one in steps for node in one.nodes}
    yield from (one for one in found if one.layer.recurrent or not covered.intersection(one.nodes))
    yield from steps


def _with_norms(root: Scope, found: list[Found]) -> Iterator[Found]:
    """The same with norms that stand in the graph as their formula."""
    yield from found
    yield from recognise_norms(root, {node for one in found for node in one.nodes})


def _paths(ordered: Sequence[Found]) -> Iterator[str]:
    """The paths of layers; those of parameters are known."""
    readers = Counter(name for one in ordered for name in {*one.originals})
    taken: dict[str, int] = {}
    for one in ordered:
        known = one.layer.arrays and not one.layer.unknown
        yield one.layer.path if known else names.unique(_candidates(one, readers), taken)


def _candidates(found: Found, readers: Mapping[str, int]) -> Iterator[str]:
    recurrent = found.layer.recurrent
    if found.name and not (recurrent and origins.origin(found.originals)):
        yield found.name
    own, shared = ([name for name in found.originals if (readers[name] > 1) is many] for many in (False, True))
    yield from names.candidates(found.nodes[0], own, shared, recurrent=recurrent)


def _fed(found: Sequence[Found], named: Sequence[Layer]) -> Iterator[Layer]:
    """The layers, each recurrent one with the path of the layer whose outputs it reads, and whether it stacks on it."""
    by_node = {one.nodes[0]: layer for one, layer in zip(found, named, strict=True) if layer.recurrent}
    for one, layer in zip(found, named, strict=True):
        if layer.recurrent and one.nodes[0].op in OPERATORS:
            source = chains.feeder(one.nodes[0])
            before = by_node.get(source) if source is not None else None
            layer = _wired(layer, fed_by=(before.path,) if before is not None else ())
            if before is not None and not unstackable([before, layer]):
                layer = _wired(layer, stacks_on=before.path)
        yield layer


def _wired(layer: Layer, **wiring: Any) -> Layer:
    return replace(layer, wiring=replace(layer.wiring, **wiring))
