"""The functions of a SavedModel with the variables that each reads: what its signatures compute, as one graph.

Source: saved_object_graph.proto; the last inputs of a function are those that are bound to objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.message import Message
from converters.readers.tensorflow.functions import Flattening, Function, library
from converters.readers.tensorflow.graph import Edge, Graph, Node
from converters.readers.tensorflow.objects import Object
from layouts.errors import CheckpointError

_GRAPH, _OBJECTS = 2, 7
"""The fields of a MetaGraphDef that hold its graph and its objects."""
_SIGNATURE = "signature_wrapper"
_TRAINING = ("traced_save", "traced_restore", "traced_delete")
_NOTHING = Message(memoryview(b""))


class Seen(NamedTuple):
    """A graph, and the nodes of variables in it, by the names of their arrays."""

    graph: Graph
    nodes: Mapping[str, Node]


class Bound(NamedTuple):
    """A function, and the objects that its last inputs are."""

    name: str
    objects: list[int]


def seen(meta: Message, known: Sequence[Object], arrays: Mapping[str, LazyArray]) -> Seen | None:
    """What the functions of a SavedModel compute of its variables; None where they are none, or too many to follow."""
    try:
        functions = library(meta.message(_GRAPH))
        bound = [one for one in _bound(meta) if one.name in functions]
        flat = Flattening(functions)
        for one in bound:
            flat.call(one.name, _arguments(functions.function(one.name), one.objects, known))
    except CheckpointError:
        return None
    variables = {one.key: Node(one.key, "VarHandleOp", (), _NOTHING) for one in known if one.key in arrays}
    graph = Graph([*variables.values(), *flat.nodes])
    return Seen(graph, {arrays[key].name: node for key, node in variables.items()}) if bound else None


def _bound(meta: Message) -> list[Bound]:
    """The functions that serve, or where none is made for that, all that do not save."""
    entries = [(entry.text(1), entry.message(2)) for entry in meta.message(_OBJECTS).messages(2)]
    found = [Bound(name, value.integers(2)) for name, value in entries if not any(word in name for word in _TRAINING)]
    return [one for one in found if _SIGNATURE in one.name] or found


def _arguments(function: Function, objects: Sequence[int], known: Sequence[Object]) -> list[Edge]:
    """The inputs of a function: what a caller gives, and the variables that are bound."""
    return [*_given(len(function.inputs) - len(objects)), *_variables(objects, known)]


def _given(count: int) -> Iterator[Edge]:
    return (Edge(f"#given{number}", 0) for number in range(count))


def _variables(objects: Sequence[int], known: Sequence[Object]) -> Iterator[Edge]:
    for number in objects:
        key = known[number].key if 0 <= number < len(known) else ""
        yield Edge(key or f"#object{number}", 0)
