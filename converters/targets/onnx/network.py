"""A graph as a model of ONNX: its nodes in order; the weights stand behind it, and are known by name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from converters.model import operations as op
from converters.model.graph import Graph, Node, Value
from converters.targets.onnx import conv_lstm
from converters.targets.onnx.emission import IR, OPSET, Emission, Held, refused
from converters.targets.onnx.layers import applied
from converters.targets.onnx.operations import operated
from converters.targets.onnx.recurrent import recurrent
from layouts.errors import NotRepresentable, printable

_OPEN = {0: "batch", 1: "time"}
"""What sizes are called that are not known before the model runs; those behind the batch of several inputs may differ,
and runtimes take sizes of one name for the same."""


def model_of(graph: Graph, held: Mapping[int, Sequence[Held]], kind: np.dtype[Any]) -> ModelProto:
    """The model without the numbers of its weights, whose names `held` tells for every layer by its identity.

    `kind` is the dtype of all weights. Raises `NotRepresentable` with every node that ONNX does not compute.
    """
    e = Emission(graph, held, kind)
    open_sizes = _OPEN if len(graph.inputs) == 1 else {0: "batch"}
    inputs = [_input(e, value, open_sizes) for value in graph.inputs]
    problems = list(_written(e, graph))
    if problems:
        raise NotRepresentable("\n".join(str(problem) for problem in problems), layout="onnx")
    outputs = [_output(e, graph.values.get(name, Value(name)), open_sizes) for name in graph.outputs]
    whole = helper.make_graph(e.nodes, "model", inputs, outputs, list(e.constants.values()))
    operators = [helper.make_opsetid("", OPSET)]
    return helper.make_model(whole, producer_name="gateport", opset_imports=operators, ir_version=IR)


def _written(e: Emission, graph: Graph) -> Iterator[NotRepresentable]:
    """Every node in turn; those that ONNX does not compute, after which nothing is written any more."""
    broken = False
    for node in graph.nodes:
        try:
            if broken:
                _check(node)
                continue
            made = _outputs(e, node)
        except NotRepresentable as problem:
            broken = True
            yield problem
        else:
            for value, name in zip(node.outputs, made, strict=False):
                e.bind(value, name)


def _check(node: Node) -> None:
    if isinstance(node.operation, op.Unknown):
        raise refused(node, node.operation.why)


def _outputs(e: Emission, node: Node) -> list[str]:
    _check(node)
    inputs = [e.of(name) for name in node.inputs]
    mask = e.of(node.mask) if node.mask else ""
    if not isinstance(node.operation, op.Apply):
        return operated(e, node, inputs, mask)
    steps = node.layer is not None and (node.layer.recurrent or conv_lstm.computes(node.layer))
    return recurrent(e, node, inputs, mask) if steps else applied(e, node, inputs, mask)


def _input(e: Emission, value: Value, sizes: Mapping[int, str]) -> ValueInfoProto:
    """An input under the source's own name; whole numbers and truths stay what they are."""
    name = e.name(value.name)
    e.bind(value.name, name)
    return _info(name, value, e.kind, sizes)


def _output(e: Emission, value: Value, sizes: Mapping[int, str]) -> ValueInfoProto:
    """An output under the name that the source has for it."""
    own = e.of(value.name)
    name = e.name(value.name)
    e.nodes.append(helper.make_node("Identity", [own], [name], name=e.name("output")))
    return _info(name, value, e.kind, sizes)


def _info(name: str, value: Value, floating: np.dtype[Any], open_sizes: Mapping[int, str]) -> ValueInfoProto:
    """A value with open sizes by name, in its own dtype where that is one of whole numbers or truths."""
    whole = value.dtype.startswith(("int", "uint", "bool"))
    kind = np.dtype(value.dtype) if whole else floating
    if value.shape is None:
        raise NotRepresentable(f"{printable(value.name)}: the source does not tell how many axes it has", layout="onnx")
    sizes = [
        open_sizes.get(axis, f"{printable(value.name)}_{axis}") if size is None else size
        for axis, size in enumerate(value.shape)
    ]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), sizes)
