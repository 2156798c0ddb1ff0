"""Every layer of a graph: found node by node, named, stacked where PyTorch's names say so, nothing stored left out."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from converters import representability
from converters.arrays import LazyArray
from converters.checkpoint import Layer, Part
from converters.readers.onnx import chains, loops, names
from converters.readers.onnx.graph import Node, Scope
from converters.readers.onnx.loop_cells import Recovered
from converters.readers.onnx.loop_steps import recognise_steps
from converters.readers.onnx.recurrent import MOVING, OPERATORS, STATES, read_recurrent, weight_inputs
from converters.readers.onnx.surroundings import Found, read_surrounding
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable

Leaf = tuple[Scope, str]

_OWN_PROBLEMS = (CoverageError, NotRepresentable, ShapeError, UnknownLayer)
"""What is wrong with one layer alone; anything else means that the file is damaged."""
_SIZES_ONLY = ("Resize", "Upsample")
"""Operators whose constants say how large an output is, and are no weights."""
_OF_THE_CALL = ("reads", "gives", "initial_h", "initial_c", "sequence_lens")
"""Facts about one use of a layer, in which its uses may differ."""
_PARAMETER = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


class Graph(NamedTuple):
    """What a graph holds: its layers, and the stored arrays that no node reads."""

    layers: tuple[Layer, ...]
    unused: tuple[str, ...]


def read_graph(root: Scope) -> Graph:
    """The layers of a linked graph, in its order. Raises `ConversionError` for nodes that break their rules."""
    place = {node: number for number, node in enumerate(root.walk())}
    found = _stacked(_without_echoes(_once(_with_steps(root, list(_found(root))))))
    rest, unused = _rest(root, found)
    taken: dict[str, int] = {}
    named = {}
    for one in sorted([*found, *rest], key=lambda one: place[one.nodes[0]]):
        named[one.nodes[0]] = replace(one.layer, path=one.layer.path or names.unique(_candidates(one), taken))
    return Graph(tuple(_fed(named)), unused)


def _found(scope: Scope) -> Iterator[Found]:
    """The layers of a graph and of those inside it, nodes that share all weights not yet merged."""
    for node in scope.nodes:
        whole = _loop(node) if node.op in ("Loop", "Scan") and not node.domain else None
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
            surrounding = read_surrounding(node)
            if surrounding is not None:
                yield surrounding
    except _OWN_PROBLEMS as problem:
        yield Found(_unknown(node, problem), (node,))
    except ConversionError as problem:
        raise type(problem)(f"{node.called}: {problem}", array=problem.array) from None


def _unknown(node: Node, problem: ConversionError) -> Layer:
    arrays = {names.short(leaf): array for leaf, array in _weights(node)}
    return Layer("", node.op, unknown=problem, arrays=arrays)


def _weights(node: Node) -> Iterator[tuple[str, LazyArray]]:
    """The floating-point constants that a node reads, but for single numbers, which belong to its arithmetic."""
    for name in dict.fromkeys(filter(None, node.inputs)):
        array = node.scope.constant(name)
        if array is not None and array.is_floating and array.size > 1:
            yield name, array


def _loop(node: Node) -> Found | None:
    """A Loop whose body is a cell written as arithmetic; None for one that is to be read node by node."""
    inside = [one for body in node.subgraphs.values() for one in body.walk()]
    recovered = loops.recognise(node)
    if not isinstance(recovered, str):
        return _recovered(recovered, (node, *inside))
    weights = {name: array for one in inside for name, array in _weights(one)}
    if not weights or any(one.op in OPERATORS for one in inside):
        return None
    arrays = {names.short(name): array for name, array in weights.items()}
    return Found(Layer("", node.op, unknown=NotRepresentable(recovered), arrays=arrays), (node, *inside))


def _recovered(recovered: Recovered, nodes: tuple[Node, ...], name: str = "") -> Found:
    part = Part(recovered.layout, recovered.arrays, recovered.options)
    layer = Layer("", recovered.layout.spells, (part,), recovered.facts)
    return Found(layer, tuple(dict.fromkeys((*nodes, *recovered.nodes))), name)


def _with_steps(root: Scope, found: list[Found]) -> Iterator[Found]:
    """The same with recurrent layers that stand in the graph step by step, in the place of their products and sums."""
    covered = {node for one in found if one.layer.recurrent for node in one.nodes}
    steps = [
        _recovered(recovered, (), names.common(recovered.nodes))
        for scope in root.scopes()
        for recovered in recognise_steps(scope, covered)
    ]
    covered = {node for one in steps for node in one.nodes}
    yield from (one for one in found if one.layer.recurrent or not covered.intersection(one.nodes))
    yield from steps


def _leaves(found: Found) -> tuple[Leaf, ...]:
    """The stored arrays behind the weights of a layer, in the order in which its nodes read them."""
    read = [(node.scope, name) for node in found.nodes for name in _weight_names(node)]
    return tuple(dict.fromkeys((scope.home(leaf), leaf) for scope, name in read for leaf in scope.leaves(name)))


def _weight_names(node: Node) -> Iterator[str]:
    recurrent = node.op in OPERATORS and not node.domain
    yield from weight_inputs(node).values() if recurrent else (name for name, _ in _weights(node))


def _once(found: Iterable[Found]) -> list[Found]:
    """Nodes that do the same with the same weights are one layer, used several times."""
    kept: dict[object, Found] = {}
    for one in found:
        parts = tuple((part.layout, part.directions, part.direction, str(part.options)) for part in one.layer.parts)
        facts = {key: value for key, value in one.layer.facts.items() if key not in _OF_THE_CALL}
        key = (one.layer.kind, parts, str(facts), _leaves(one)) if parts else one.nodes[0]
        before = kept.setdefault(key, one)
        if before is not one:
            kept[key] = before._replace(nodes=(*before.nodes, *one.nodes))
    return list(kept.values())


def _without_echoes(found: Sequence[Found]) -> list[Found]:
    """Without products of a recurrent layer's weights alone: TensorFlow computes one step more to learn a shape."""
    recurrent = {leaf for one in found if one.layer.recurrent for leaf in _leaves(one)}
    return [one for one in found if one.layer.recurrent or not recurrent.issuperset(_leaves(one) or (None,))]


def _stacked(found: Sequence[Found]) -> list[Found]:
    """Nodes whose weights carry the names of one module of PyTorch, with its layers' numbers, become that module."""
    modules: dict[tuple[Scope, str], dict[int, Found]] = {}
    for one in found:
        source = _origin(one)
        if source is not None and source.depth is not None and one.nodes[0].op in OPERATORS:
            modules.setdefault((one.nodes[0].scope, source.module), {}).setdefault(source.depth, one)
    merged: dict[Node, Found | None] = {}
    for layers in modules.values():
        members = [layers[depth] for depth in sorted(layers)]
        if len(members) > 1 and sorted(layers) == [*range(len(members))] and _one_stack(members):
            merged |= dict.fromkeys((one.nodes[0] for one in members[1:]), None)
            merged[members[0].nodes[0]] = _merged(members)
    kept = [merged.get(one.nodes[0], one) for one in found]
    return [_cell(one) for one in kept if one is not None]


def _origin(found: Found) -> names.Origin | None:
    if not found.layer.recurrent:
        return None
    return names.origin(leaf for _, leaf in _leaves(found))


def _one_stack(members: Sequence[Found]) -> bool:
    fed = all(chains.feeder(b.nodes[0]) is a.nodes[0] for a, b in pairwise(members))
    layers = [replace(one.layer, path="", facts={**one.layer.facts, "fed_by": ("",)}) for one in members]
    return fed and not representability.unstackable(layers)


def _merged(members: Sequence[Found]) -> Found:
    layers = [one.layer for one in members]
    states = {name: layer.facts[name] for layer in layers for name in STATES if layer.facts.get(name) == "input"}
    states |= {name: "stored" for layer in layers for name in STATES if layer.facts.get(name) == "stored"}
    facts = {**layers[0].facts, **states, "gives": layers[-1].facts["gives"]}
    layer = replace(layers[0], parts=tuple(representability.placed(layers)), facts=facts)
    return Found(layer, tuple(node for one in members for node in one.nodes))


def _cell(found: Found) -> Found:
    """A layer whose weights carry the names of nn.LSTMCell and its like becomes that module."""
    source = _origin(found)
    if source is None or source.depth is not None:
        return found
    return found._replace(layer=replace(found.layer, facts={**found.layer.facts, "cell": True}))


def _candidates(found: Found) -> Iterator[str]:
    if found.name:
        yield found.name
    yield from names.candidates(found.nodes[0], [leaf for _, leaf in _leaves(found)])


def _fed(named: Mapping[Node, Layer]) -> Iterator[Layer]:
    """The layers, each recurrent one with the path of the layer whose outputs it reads, and whether it stacks on it."""
    for node, layer in named.items():
        if layer.recurrent and node.op in OPERATORS:
            source = chains.feeder(node)
            before = named.get(source) if source is not None else None
            layer = replace(layer, facts={**layer.facts, "fed_by": (before.path,) if before is not None else ()})
            if before is not None and not representability.unstackable([before, layer]):
                layer = replace(layer, facts={**layer.facts, "stacks_on": before.path})
        yield layer


def _rest(root: Scope, found: Sequence[Found]) -> tuple[list[Found], tuple[str, ...]]:
    """Stored arrays of no layer, by the node that reads them or as parameters of PyTorch; and the unread."""
    covered = {node for one in found for node in one.nodes}
    readers: dict[Node, dict[str, LazyArray]] = {}
    modules: dict[str, tuple[dict[str, LazyArray], Node]] = {}
    unused = []
    for scope, name, array in _stored_weights(root):
        last = list(_last_readers(scope, name, covered))
        if not last and name not in scope.outputs:
            unused.append(name)
        elif last and not covered.intersection(last) and last[0].op not in _SIZES_ONLY:
            module, _, own = name.rpartition(".")
            if _is_parameter(scope, name):
                modules.setdefault(module, ({}, last[0]))[0][own] = array
            else:
                readers.setdefault(last[0], {})[name] = array
    rest = [_unread(node, arrays) for node, arrays in readers.items()]
    return [*rest, *(_parameters(module, *both) for module, both in modules.items())], tuple(unused)


def _stored_weights(root: Scope) -> Iterator[tuple[Scope, str, LazyArray]]:
    """Every stored array of floating-point numbers, but for single numbers, which belong to arithmetic."""
    for scope in root.scopes():
        for name in scope.stored():
            array = scope.constant(name)
            if array is not None and array.is_floating and array.size > 1:
                yield scope, name, array


def _last_readers(scope: Scope, name: str, covered: Container[Node]) -> Iterator[Node]:
    """The nodes that read a stored array, as it is, moved, or computed on with other constants; layers among them."""
    waiting, seen = [(scope, name)], {(scope, name)}
    while waiting:
        scope, name = waiting.pop()
        for reader in scope.readers(name):
            passes_on = reader.scope.is_constant(reader.output(0)) or reader.op in MOVING
            if reader in covered or not passes_on:
                yield reader
                continue
            made = {(reader.scope, one) for one in reader.outputs if one} - seen
            seen |= made
            waiting += made


def _unread(node: Node, arrays: Mapping[str, LazyArray]) -> Found:
    """A node of which no layout knows what it does with the arrays that it reads."""
    what = ", ".join(printable(name) for name in arrays)
    domain = f" of {printable(node.domain)}" if node.domain else ""
    problem = UnknownLayer(f"no layout describes this node{domain}, which reads {what}")
    return Found(Layer("", node.op, unknown=problem, arrays={names.short(k): v for k, v in arrays.items()}), (node,))


def _parameters(module: str, arrays: Mapping[str, LazyArray], node: Node) -> Found:
    """Parameters of PyTorch that arithmetic reads, such as those of a norm that was exported as its formula."""
    return Found(Layer(module.replace(".", "/"), "Parameter", arrays=arrays), (node,))


def _is_parameter(scope: Scope, name: str) -> bool:
    """Whether an array carries the name of a parameter of PyTorch, as its exporters leave it.

    The dynamo exporter gives results that it folded names without dots, as it does for parameters of the whole model.
    """
    if scope.model.proto.producer_name != "pytorch" or scope.producer(name) is not None:
        return False
    return bool(_PARAMETER.fullmatch(name)) and ("." in name or not names.by_dynamo(scope))
