"""A graph as boxes and lines to be drawn: what comes in, every layer that is shown, what leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from converters.model import flow
from converters.model.graph import Graph, Node
from converters.model.layers import Layer
from converters.show import text
from converters.show.pictures.flow import Card
from converters.show.pictures.ranks import Line
from layouts.errors import printable

_DEEPEST = 6
"""Frames within frames."""


def cards(graph: Graph, link: Callable[[Layer], str]) -> tuple[list[Card], list[Line]]:
    """A box for every input, for every node that is shown, and for every output; `link`: where a layer is described."""
    rows, nodes = [*flow.graph_rows(graph)], flow.shown(graph)
    first, last = len(graph.inputs), len(graph.inputs) + len(nodes)
    calls = _calls(nodes)
    boxes = [_end(row) for row in rows[:first]]
    boxes += [_card(row, node, graph, link, calls) for row, node in zip(rows[first:last], nodes, strict=True)]
    boxes += [_end(row) for row in rows[last:]]
    return boxes, [*_lines(graph, nodes)]


def _end(row: text.Row) -> Card:
    name, kind, _, shape, dtype, _ = row.cells
    return Card(name or kind, kind if name else "", (f"{shape} {dtype}",), "end")


def _calls(nodes: list[Node]) -> dict[int, tuple[int, int]]:
    """Of layers that are called several times: which call a node is, and of how many."""
    by_layer: dict[int, list[Node]] = {}
    for node in nodes:
        if node.layer is not None:
            by_layer.setdefault(id(node.layer), []).append(node)
    shared = (own for own in by_layer.values() if len(own) > 1)
    return {id(node): (k + 1, len(own)) for own in shared for k, node in enumerate(own)}


def _card(
    row: text.Row, node: Node, graph: Graph, link: Callable[[Layer], str], calls: Mapping[int, tuple[int, int]]
) -> Card:
    name, class_name, _, sizes, _, settings = row.cells
    lines = [*sizes.splitlines(), *settings.splitlines()]
    if id(node) in calls:
        lines.insert(0, "shared: call {} of {}".format(*calls[id(node)]))
    if node.layer is not None and node.outputs:
        lines.append(f"gives {flow.shape_text(graph.values[node.outputs[0]])}")
    kind = "bad" if row.refused else "" if node.layer is not None else "plain"
    return Card(name, class_name, tuple(lines), kind, link(node.layer) if node.layer else "", _groups(node.name))


def _groups(path: str) -> tuple[str, ...]:
    """The models within models that a layer belongs to."""
    return tuple(printable(part) for part in path.split("/")[:-1] if part)[:_DEEPEST]


def _lines(graph: Graph, nodes: list[Node]) -> Iterator[Line]:
    """Lines from box to box; what only brings a layer to every step is passed through."""
    made = {value.name: k for k, value in enumerate(graph.inputs)}
    numbers = {id(node): len(graph.inputs) + k for k, node in enumerate(nodes)}
    for node in graph.nodes:
        number = numbers.get(id(node))
        if number is None:
            made |= {name: made[node.inputs[0]] for name in node.outputs if node.inputs[0] in made}
            continue
        yield from (Line(made[name], number) for name in node.inputs if name in made)
        if node.mask in made:
            yield Line(made[node.mask], number, True)
        made |= dict.fromkeys(node.outputs, number)
    last = len(graph.inputs) + len(nodes)
    yield from (Line(made[name], last + k) for k, name in enumerate(graph.outputs) if name in made)
