"""Stored arrays of no layer: parameters of PyTorch, arithmetic that is not known, and what nothing reads."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from converters.model.arrays import LazyArray
from converters.model.layers import Layer
from converters.readers.onnx.graph import names
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import Found, Leaf, shortened, stored_weights
from converters.readers.onnx.layers.recurrent import MOVING
from layouts.errors import UnknownLayer, printable

_SIZES_ONLY = ("Resize", "Upsample")
"""Operators whose constants say how large an output is, and are no weights."""
_PASSED = "strict=False (--no-strict) passes what it reads through under its own name"
_PARAMETER = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


class _End(NamedTuple):
    """Where a value goes, moved or computed on with other constants: into a layer or not, and into which node first."""

    layer: bool
    node: Node


def leftovers(root: Scope, found: Sequence[Found]) -> tuple[list[Found], tuple[str, ...]]:
    """A layer for what only arithmetic reads, by the node that reads it or by its module; and what no node reads."""
    ends = _ends(root, {node for one in found for node in one.nodes})
    traced = not names.by_dynamo(root)
    readers: dict[Node, dict[str, LazyArray]] = {}
    modules: dict[str, tuple[dict[str, LazyArray], Node]] = {}
    unused = []
    for leaf, array in stored_weights(root):
        end = ends.get(leaf)
        if end is None:
            unused.append(leaf[1])
        elif end.layer or end.node.op in _SIZES_ONLY:
            continue
        elif _is_parameter(leaf, traced):
            module, _, own = leaf[1].rpartition(".")
            modules.setdefault(module, ({}, end.node))[0][own] = array
        else:
            readers.setdefault(end.node, {})[leaf[1]] = array
    return [*_unknown(readers), *_parameters(modules)], tuple(unused)


def _ends(root: Scope, covered: Container[Node]) -> dict[Leaf, _End]:
    """Where every value of the graph goes, found backwards, so that each node is looked at once."""
    ends: dict[Leaf, _End] = {}
    for node in reversed([*root.walk()]):
        end = _End(node in covered, node)
        if node not in covered and (node.op in MOVING or node.scope.is_constant(node.output(0))):
            further = [ends[node.scope, name] for name in node.outputs if (node.scope, name) in ends]
            if not further:
                continue
            end = _End(any(one.layer for one in further), further[0].node)
        for name in filter(None, node.inputs):
            leaf = node.scope.home(name), name
            ends[leaf] = _End(end.layer or (leaf in ends and ends[leaf].layer), end.node)
    return ends


def _unknown(readers: Mapping[Node, Mapping[str, LazyArray]]) -> Iterator[Found]:
    """Nodes of which no layout knows what they do with the arrays that they read."""
    for node, arrays in readers.items():
        what = ", ".join(printable(name) for name in arrays)
        domain = f" of {printable(node.domain)}" if node.domain else ""
        exact = all(array.is_floating for array in arrays.values())
        way_out = _PASSED if exact else "its weights are quantized, so export the model before that is done"
        problem = UnknownLayer(f"no layout describes this node{domain}, which reads {what}: {way_out}")
        yield Found(Layer("", node.op, unknown=problem, arrays=shortened(arrays)), (node,))


def _parameters(modules: Mapping[str, tuple[dict[str, LazyArray], Node]]) -> Iterator[Found]:
    """Parameters of PyTorch that arithmetic reads, such as those of a norm that was exported as its formula."""
    for module, (arrays, node) in modules.items():
        yield Found(Layer(module.replace(".", "/"), "Parameter", arrays=arrays), (node,))


def _is_parameter(leaf: Leaf, traced: bool) -> bool:
    """Whether an array carries the name of a parameter of PyTorch, as its exporters leave it.

    The dynamo exporter gives results that it folded names without dots, as it does for parameters of the whole model.
    """
    scope, name = leaf
    if scope.model.proto.producer_name != "pytorch" or scope.producer(name) is not None:
        return False
    return bool(_PARAMETER.fullmatch(name)) and ("." in name or traced)
