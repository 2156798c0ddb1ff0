"""Recurrent layers that stand in a graph as arithmetic, by what `arithmetic` proves of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from converters.model.layers import Layer, Part
from converters.readers.onnx.arithmetic.recovered import Recovered
from converters.readers.onnx.graph import names
from converters.readers.onnx.graph.scope import PRODUCTS, Node, Scope
from converters.readers.onnx.layers.found import Found, shortened, weights
from converters.readers.onnx.layers.recurrent import OPERATORS
from layouts.errors import NotRepresentable


def layer_of_loop(node: Node) -> Found | None:
    """The layer of a Loop whose body is a cell written as arithmetic; None for one that is to be read node by node."""
    from converters.readers.onnx.arithmetic import loops

    inside = [one for body in node.subgraphs.values() for one in body.walk()]
    recovered = loops.recognise(node)
    if not isinstance(recovered, str):
        return _recovered(recovered, (node, *inside))
    read = {name: array for one in inside for name, array in weights(one).items()}
    if not read or any(one.op in OPERATORS for one in inside):
        return None
    unknown = Layer("", node.op, unknown=NotRepresentable(recovered), arrays=shortened(read))
    return Found(unknown, (node, *inside))


def _recovered(recovered: Recovered, loop: tuple[Node, ...], name: str = "") -> Found:
    """The layer of a Loop, or of steps that stand in the graph itself."""
    part = Part(recovered.layout, recovered.arrays, recovered.options)
    layer = Layer("", recovered.layout.class_name, (part,), recovered.call, recovered.wiring)
    proven = loop or tuple(_leading_to(recovered.wiring.gives, recovered.nodes))
    scope = proven[0].scope
    stored = frozenset(leaf for array in recovered.stored for leaf in scope.leaves(array, measured=False))
    return Found(layer, tuple(dict.fromkeys((*loop, *recovered.nodes))), name, frozenset(proven), stored, recovered)


def _leading_to(names: Iterable[str], nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes that these values depend on: what else stood by when they were run is proven to be nothing."""
    wanted = {*names}
    for node in sorted(nodes, key=lambda node: node.scope.places[node], reverse=True):
        if wanted.intersection(filter(None, node.outputs)):
            wanted.update(node.inputs)
            yield node


def layers_of_steps(root: Scope, covered: Set[Node]) -> Iterator[Found]:
    """The layers that stand in a graph step by step: each has a product with its input, and one with its state."""
    for scope in root.scopes():
        if sum(node.op in PRODUCTS and node not in covered for node in scope.nodes) > 1:
            from converters.readers.onnx.arithmetic.steps import recognise_steps

            for recovered in recognise_steps(scope, covered):
                yield _recovered(recovered, (), names.common(recovered.nodes))
