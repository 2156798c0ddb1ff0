"""If nodes whose condition is settled: the branch that is taken, in place of the node.

A condition is settled where it follows from stored numbers, from numbers that the caller states of inputs, and from
sizes that the graph fixes. An open size settles nothing: ONNX's own shape inference tells which are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.readers.onnx.file.messages import copied
from layouts.errors import UnsafeCheckpoint, printable

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

    from converters.readers.onnx.file.model import Model

_MOST_NODES, _MOST_ROUNDS = 20_000, 64


def settled(model: Model, given: Mapping[str, np.ndarray[Any, Any]]) -> Model:
    """The same model with the branches that are taken; the model itself where nothing is settled.

    Raises `UnsafeCheckpoint` for branches whose names cannot be told apart.
    """
    if not any(node.op_type == "If" for node in model.proto.graph.node) or _count(model.proto.graph) > _MOST_NODES:
        return model
    from converters.readers.onnx.graph.conditions import Conditions, Types

    proto = copied(model.proto)
    model = replace(model, proto=proto)
    types = Types()
    for _ in range(_MOST_ROUNDS):
        known = Conditions(model, given, types)
        chosen = {number: known.truth(node.input[0]) for number, node in enumerate(proto.graph.node) if _is_if(node)}
        if all(truth is None for truth in chosen.values()):
            break
        _inline(proto.graph, {number: truth for number, truth in chosen.items() if truth is not None})
    return model


def _is_if(node: NodeProto) -> bool:
    return node.op_type == "If" and node.domain in ("", "ai.onnx") and len(node.input) == 1


def _count(graph: GraphProto) -> int:
    return sum(1 for _ in _walk(graph))


def _walk(graph: GraphProto) -> Iterator[NodeProto]:
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            waiting += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _inline(graph: GraphProto, chosen: Mapping[int, bool]) -> None:
    """Put the nodes of the branches in place of these nodes."""
    nodes = list(graph.node)
    taken = {name for node in _walk(graph) for name in node.output} | {tensor.name for tensor in graph.initializer}
    counts = _defined(graph)
    made: list[NodeProto] = []
    for number, node in enumerate(nodes):
        if number in chosen:
            made += _branch(graph, node, chosen[number], counts, taken)
        else:
            made.append(node)
    copies = [copied(node) for node in made]
    del graph.node[:]
    graph.node.extend(copies)


def _defined(graph: GraphProto) -> dict[str, int]:
    """How often each name is defined, in this graph and in those inside it."""
    counts: dict[str, int] = {}
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        for name in _own_names(current):
            counts[name] = counts.get(name, 0) + 1
        waiting += [attribute.g for node in current.node for attribute in node.attribute if attribute.HasField("g")]
    return counts


def _own_names(graph: GraphProto) -> Iterator[str]:
    yield from (tensor.name for tensor in graph.initializer)
    yield from (value.name for value in graph.input)
    yield from (name for node in graph.node for name in node.output if name)


def _branch(
    graph: GraphProto, node: NodeProto, truth: bool, counts: Mapping[str, int], taken: set[str]
) -> list[NodeProto]:
    """The nodes of the branch that is taken, which make what the If made under its names."""
    wanted = "then_branch" if truth else "else_branch"
    body = next((a.g for a in node.attribute if a.name == wanted and a.HasField("g")), None)
    if body is None or len(body.output) != len(node.output):
        raise UnsafeCheckpoint(f"{printable(node.name or 'an If')}: its {wanted} does not make what the If makes")
    names = {name: _free(name, taken) for name in _own_names(body) if counts[name] > 1}
    makes = {name for inner in body.node for name in inner.output if name}
    pairs = [(one.name, other) for one, other in zip(body.output, node.output, strict=True) if other]
    for inside, outside in pairs:
        if inside in makes:
            names[inside] = outside
            makes.discard(inside)
    passed = [(inside, outside) for inside, outside in pairs if names.get(inside) != outside]
    for tensor in body.initializer:
        added = graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = names.get(tensor.name, tensor.name)
    copies = [_renamed(inner, names) for inner in body.node]
    return [*copies, *(_identity(names.get(inside, inside), outside) for inside, outside in passed)]


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}__{number}" in taken:
        number += 1
    taken.add(f"{name}__{number}")
    return f"{name}__{number}"


def _identity(inside: str, outside: str) -> NodeProto:
    from onnx import helper

    return helper.make_node("Identity", [inside], [outside])


def _renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A copy of a node that reads and makes values under other names, in the graphs inside it too."""
    copy = copied(node)
    _rename(copy, names)
    return copy


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    for field in (node.input, node.output):
        new = [names.get(name, name) for name in field]
        del field[:]
        field.extend(new)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            own = {*_own_names(attribute.g)}
            outer = {name: other for name, other in names.items() if name not in own}
            for inner in attribute.g.node:
                _rename(inner, outer)
            for value in attribute.g.output:
                value.name = outer.get(value.name, value.name)
