"""What goes wrong between layers: each as the values that a node would have given, for the rest to be worked out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Graph, Node
from converters.verification.evaluate import Values, run
from converters.verification.functions import activate
from converters.verification.mistakes.calls import of_layer
from converters.verification.mistakes.operations import FUNCTIONS, RULES, Row
from layouts.errors import ConversionError, printable
from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Slip:
    """A mistake at one node: what it gives instead. what, fix: as of a `Mistake`."""

    what: str
    fix: str
    node: Node
    made: Array


def slips(graph: Graph, values: Values, nodes: Sequence[Node]) -> Iterator[Slip]:
    """Every known mistake at these nodes, the last of them first."""
    for node in reversed(nodes):
        for what, fix, make in _of(graph, values, node):
            try:
                with np.errstate(all="ignore"):
                    made = np.asarray(make())
            except (ValueError, IndexError, ConversionError):
                continue
            yield Slip(what, fix, node, made)


def carried(graph: Graph, values: Values, slip: Slip, wanted: str) -> Array | None:
    """The value of a name where one node gives something else; None where that cannot be carried on to it."""
    changed: Values = {slip.node.outputs[0]: slip.made}
    for node in graph.nodes:
        if wanted in changed:
            break
        reads = {*node.inputs, node.mask}
        if node is slip.node or not reads & changed.keys():
            continue
        mask = np.asarray(changed.get(node.mask, values.get(node.mask)), bool) if node.mask else None
        try:
            with np.errstate(all="ignore"):
                made = run(node, [changed.get(name, values[name]) for name in node.inputs], mask)
        except (ValueError, IndexError, ConversionError):
            return None
        changed.update(zip(node.outputs, made, strict=False))
    return changed.get(wanted)


def _of(graph: Graph, values: Values, node: Node) -> Iterator[Row]:
    x = [values[name] for name in node.inputs]
    y = values[node.outputs[0]]
    name = printable(node.name)
    mask = np.asarray(values[node.mask], bool) if node.mask else None
    if node.layer is not None and isinstance(node.operation, op.Apply):
        yield from of_layer(node, node.layer, x, y, mask)
    elif x:
        yield f"{name} ({printable(node.class_name)}) is missing", f"apply it: {_told(node.operation)}", lambda: x[0]
    for rule in RULES.get(type(node.operation), ()):
        yield from rule(node, x, y)
    if node.mask and not isinstance(node.operation, op.Apply):
        yield f"the mask of {name} is ignored", "hand the mask on to it", lambda: run(node, x, None)[0]
    yield from _of_axes(name, y)
    yield from _of_others(graph, values, node, y)


def _told(operation: Any) -> str:
    return str(operation)


def _of_axes(name: str, y: Array) -> Iterator[Row]:
    """What is done to any value by mistake."""
    for function in FUNCTIONS:
        yield (
            f"{function} is applied to what {name} gives, and the source does not",
            f"leave {function} out",
            lambda function=function: activate(np.asarray(y, np.float64), op.Activation(function)),  # type: ignore[misc]
        )
    if y.ndim == 3:
        turned = (len(y), y.shape[2], y.shape[1])
        yield f"what {name} gives is reversed in time", "leave the flip out", lambda: y[:, ::-1]
        yield (
            f"steps and features of what {name} gives are exchanged",
            "permute(0, 2, 1) where channels go first, and back",
            lambda: y.swapaxes(1, 2),
        )
        yield (
            f"what {name} gives is reshaped where its axes have to be permuted",
            "permute(0, 2, 1), and not view or reshape",
            lambda: y.reshape(turned),
        )
        yield f"batch and time of what {name} gives are exchanged", "batch_first=True", lambda: y.swapaxes(0, 1)
        yield (
            f"batch and time of what {name} gives are reshaped into one another",
            "batch_first=True; transpose(0, 1), and not view or reshape",
            lambda: y.swapaxes(0, 1).reshape(y.shape),
        )
        yield f"only the last step of what {name} gives goes on", "hand on every step", lambda: y[:, -1]


def _of_others(graph: Graph, values: Values, node: Node, y: Array) -> Iterator[Row]:
    """Another value of the same shape in its place."""
    for other in graph.nodes:
        for output in other.outputs:
            if output not in node.outputs and values[output].shape == y.shape and values[output].dtype == y.dtype:
                yield (
                    f"what {printable(other.name)} gives stands where {printable(node.name)} belongs",
                    f"read the output of {printable(node.name)}",
                    lambda output=output: values[output],  # type: ignore[misc]
                )
