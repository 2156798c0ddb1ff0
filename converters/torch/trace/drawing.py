"""The graph of a traced module, node by node."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from converters.model.graph import Graph, Value
from converters.model.layers import Layer
from converters.torch.trace import modules, operations
from converters.torch.trace.runs import Runs
from converters.torch.trace.sketch import Made, Name, Sketch, dtype_of
from layouts.errors import NotRepresentable


def drawn(walked: fx.GraphModule, runs: Runs, layers: dict[str, Layer]) -> Graph:
    """The whole graph. Raises `NotRepresentable` for the first node that is not known."""
    sketch, inputs, outputs = Sketch(walked, runs, layers), list[Value](), list[str]()
    for node in walked.graph.nodes:
        if node.op == "output":
            outputs = [str(name) for name in _flat(sketch.of(node.args[0]))]
        elif node.op == "placeholder":
            name = sketch.value(node.name, runs.shape(node), dtype_of(runs.value(node)))
            inputs.append(sketch.values[name])
            sketch.made[node] = name
        else:
            sketch.made[node] = _made(sketch, node)
    if not outputs:
        raise NotRepresentable("the module gives no tensor")
    return Graph(tuple(inputs), tuple(sketch.nodes), tuple(outputs), sketch.values)


def _made(sketch: Sketch, node: fx.Node) -> Made:
    if node.op == "call_module":
        return modules.drawn(sketch, node)
    return operations.constant(sketch, node) if node.op == "get_attr" else operations.drawn(sketch, node)


def _flat(made: Made) -> list[Name]:
    if isinstance(made, Name):
        return [made]
    if isinstance(made, list | tuple | Mapping):
        return [name for each in (made.values() if isinstance(made, Mapping) else made) for name in _flat(each)]
    raise NotRepresentable("the module gives something that is no tensor")
