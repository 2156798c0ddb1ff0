"""A graph as rows of a table and as plain data: what comes in, every layer in the order of the flow, what leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from converters.model import operations as op
from converters.model import rows
from converters.model.graph import Graph, Node, Shape, Value
from converters.model.layers import Layer
from converters.show import text
from layouts.errors import printable

COLUMNS = ("layer", "class", "from", "sizes", "arrays", "settings")


def graph_rows(graph: Graph) -> Iterator[text.Row]:
    """Inputs with shapes and dtypes, a row a call, outputs."""
    sources = _sources(graph)
    for value in graph.inputs:
        yield text.Row((printable(value.name), "input", "", shape_text(value), value.dtype, ""))
    seen: set[int] = set()
    for node in shown(graph):
        yield _row(node, graph, sources, id(node.layer) in seen)
        seen |= {id(node.layer)} if node.layer else set()
    for name in graph.outputs:
        value = graph.values[name]
        yield text.Row(("", "output", f"← {printable(sources.get(name, name))}", shape_text(value), value.dtype, ""))


def shown(graph: Graph) -> list[Node]:
    """The nodes that are layers, or masks: without those that only bring a layer to every step."""
    timed = {node.name for node in graph.nodes if not isinstance(node.operation, op.MergeTime | op.SplitTime)}
    return [node for node in graph.nodes if not _brings(node, timed)]


def _brings(node: Node, timed: set[str]) -> bool:
    return isinstance(node.operation, op.MergeTime | op.SplitTime) and node.name in timed


def _sources(graph: Graph) -> dict[str, str]:
    """Values that no shown node makes, and those that they are made of; what leaves every step keeps its name."""
    made = {name for node in shown(graph) for name in node.outputs}
    found: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node.operation, op.MergeTime) and not made & set(node.outputs):
            found |= {name: found.get(node.inputs[0], node.inputs[0]) for name in node.outputs}
    return found


def _row(node: Node, graph: Graph, sources: dict[str, str], again: bool) -> text.Row:
    read = "\n".join(f"← {printable(sources.get(name, name))}" for name in node.inputs)
    masked = [f"mask={printable(sources.get(node.mask, node.mask))}"] if node.mask else []
    name = _name(node, graph)
    if node.layer is not None and not again:
        _, class_name, sizes, arrays, settings = rows.layer_row(node.layer).cells
        settings = "\n".join([*settings.splitlines(), *masked])
        return text.Row((name, class_name, read, sizes, arrays, settings), node.layer.unknown is not None)
    told = ["the same layer again"] if again else list(operation_texts(node.operation))
    told = [type(node.operation).__name__, *told] if node.class_name == "mask" else told
    cells = (name, printable(node.class_name), read, shape_text(graph.values[node.outputs[0]]), "")
    return text.Row((*cells, "\n".join([*told, *masked])), isinstance(node.operation, op.Unknown))


def _name(node: Node, graph: Graph) -> str:
    """The path of the layer; behind it which call it is, or that it is its mask."""
    first = node.outputs[0]
    plain = node.class_name.startswith("TimeDistributed") or not first.startswith(node.name)
    return printable(node.name if plain else first)


def shape_text(value: Value) -> str:
    """(batch, 7, 5); ? where a size is open, and nothing where the shape is not known."""
    return _text(value.shape) if value.shape is not None else "?"


def _text(shape: Shape) -> str:
    sizes = ["batch" if not number and size is None else size or "?" for number, size in enumerate(shape)]
    return f"({', '.join(map(str, sizes))})"


def operation_texts(operation: op.Operation) -> Iterator[str]:
    """What an operation does, setting by setting, without those that are as usual."""
    for field in fields(operation):
        value = getattr(operation, field.name)
        if value != field.default:
            yield value if field.name == "why" else f"{field.name}={_value(value)}"


def operation_line(node: Node) -> str:
    """What a node does, in neutral words: 'Concatenate(axis=1) of lstm, dense'."""
    if isinstance(node.operation, op.Unknown):
        return printable(node.operation.why)
    settings = ", ".join(operation_texts(node.operation))
    read = ", ".join(map(printable, node.inputs))
    return f"{type(node.operation).__name__}{f'({settings})' if settings else ''} of {read}"


def _value(value: Any) -> str:
    return "×".join(map(str, value)) if _plain(value) else printable(value)


def _plain(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, int) and each >= 0 for each in value)


def graph_data(graph: Graph) -> dict[str, Any]:
    """Everything of a graph, as JSON has it."""
    return {
        "inputs": [value.name for value in graph.inputs],
        "nodes": [_node_data(node) for node in graph.nodes],
        "outputs": list(graph.outputs),
        "values": {name: {"shape": _listed(value.shape), "dtype": value.dtype} for name, value in graph.values.items()},
    }


def _listed(shape: Shape | None) -> list[int | None] | None:
    return None if shape is None else list(shape)


def _node_data(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "class_name": node.class_name,
        "operation": {"name": type(node.operation).__name__, **vars(node.operation)},
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "mask": node.mask or None,
        "layer": node.layer.path if node.layer else None,
    }


def missing(graph: Graph, layers: tuple[Layer, ...]) -> list[Layer]:
    """Layers that no node calls."""
    called = {node.layer.path for node in graph.nodes if node.layer}
    return [layer for layer in layers if layer.path not in called]
