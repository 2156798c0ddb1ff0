"""The model of one recurrent node, and the values of its inputs, for any `Node` of `onnx_variations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx_single import GATES, STATES, UNITS, WEIGHTS, Case, arrays_of
from onnx_variations import Node

from layouts.axes import Array

DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "float16")} | {
    "bfloat16": np.dtype(ml_dtypes.bfloat16)
}

_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_FROM_TORCH = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's blocks, i o f c and z r h, by their places in PyTorch's i f g o and r z n."""


def values_of(node: Node) -> dict[str, Array]:
    """What each input of the node reads, in the node's type; lengths are int32."""
    optional = ("B",) * node.bias + ("P",) * node.peepholes + ("sequence_lens",) * bool(node.lengths)
    states = {"": (), "h": STATES[:1]}.get(node.states, STATES[: 2 if node.kind == "LSTM" else 1])
    found = arrays_of(Case(node.kind, {"direction": node.direction}, (*optional, *states)))
    if node.states == "zeros":
        found |= {name: np.zeros_like(found[name]) for name in states}
    if node.layout:
        found |= {name: np.ascontiguousarray(found[name].swapaxes(0, 1)) for name in ("X", *states)}
    return {
        name: array if name == "sequence_lens" else array.astype(DTYPES[node.dtype]) for name, array in found.items()
    }


def inputs_of(node: Node) -> set[str]:
    """Which of the node's inputs are inputs of the graph."""
    found = {"X"} | (set(WEIGHTS) if node.weights == "inputs" else set())
    found |= set(STATES) if node.states in ("input", "h") else set()
    return found | ({"sequence_lens"} if node.lengths == "input" else set())


def model_of(node: Node, values: Mapping[str, Array]) -> onnx.ModelProto:
    """The node in a graph that gives it its inputs as its fields say. Before opset 9 initializers are inputs too."""
    made = _Graph(node)
    for name, array in values.items():
        made.give(name, array)
    read = [name if name in values else "" for name in _INPUTS]
    while not read[-1]:
        read.pop()
    made.add(node.kind, read, list(node.outputs), name="rnn", **node.attributes)
    kind = helper.np_dtype_to_tensor_dtype(DTYPES[node.dtype])
    axes = {name: ["time", "directions", "batch", "units"][name != "Y" :] for name in node.outputs}
    outputs = [helper.make_tensor_value_info(name, kind, [f"{name}_{axis}" for axis in axes[name]]) for name in axes]
    graph = helper.make_graph(made.nodes, "node", made.inputs, outputs, made.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)], ir_version=made.ir_version)


class _Graph:
    """Nodes, inputs and initializers of a graph in the making."""

    def __init__(self, node: Node) -> None:
        self.node, self.ir_version = node, 3 if node.opset < 9 else 8
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[TensorProto] = []

    def give(self, name: str, array: Array) -> None:
        """Make the value `name`, in the way that the node's fields say."""
        if name in inputs_of(self.node):
            self.inputs.append(_info(name, array))
        elif name not in WEIGHTS or self.node.weights == "initializers":
            self.store(name, array)
        elif self.node.weights == "constants":
            self.add("Constant", [], [name], value=numpy_helper.from_array(array))
        elif self.node.weights == "transposed":
            order = [*range(array.ndim - 2), array.ndim - 1, array.ndim - 2]
            self.store(f"{name}_stored", np.ascontiguousarray(array.transpose(order)))
            self.add("Transpose", [f"{name}_stored"], [name], perm=order)
        else:
            self.slice(name, array)

    def store(self, name: str, array: Array) -> str:
        self.initializers.append(numpy_helper.from_array(array, name))
        if self.ir_version < 4:
            self.inputs.append(_info(name, array))
        return name

    def add(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def slice(self, name: str, array: Array) -> None:
        """Stored as PyTorch has it; blocks sliced, put in ONNX's order and given an axis of directions."""
        halves = [self.unsqueeze(self.one(name, way, half), f"{name}_{way}") for way, half in enumerate(array)]
        self.add("Concat", halves, [name], axis=0)

    def one(self, name: str, way: int, array: Array) -> str:
        suffix = "_reverse" if way or self.node.direction == "reverse" else ""
        if name == "P":
            return self.store(f"peepholes{suffix}", array)
        stored = {"W": ["weight_ih"], "R": ["weight_hh"], "B": ["bias_ih", "bias_hh"]}[name]
        parts = np.split(array, len(stored))
        blocks = [self.blocks(f"rnn.{own}_l0{suffix}", part) for own, part in zip(stored, parts, strict=True)]
        return blocks[0] if len(blocks) == 1 else self.add("Concat", blocks, [f"{name}_{way}_both"], axis=0)

    def blocks(self, name: str, array: Array) -> str:
        order = _FROM_TORCH[self.node.kind]
        gates = np.split(array, GATES[self.node.kind])
        self.store(name, np.concatenate([gates[order.index(place)] for place in range(len(order))]))
        cut = [self.cut(name, f"{name}_{place}", place * UNITS) for place in order]
        return self.add("Concat", cut, [f"{name}_ordered"], axis=0)

    def cut(self, name: str, made: str, start: int) -> str:
        bounds = {"starts": [start], "ends": [start + UNITS], "axes": [0]}
        if self.node.opset < 10:
            return self.add("Slice", [name], [made], **bounds)
        stored = [self.store(f"{made}_{key}", np.array(value)) for key, value in bounds.items()]
        return self.add("Slice", [name, *stored], [made])

    def unsqueeze(self, name: str, made: str) -> str:
        if self.node.opset < 13:
            return self.add("Unsqueeze", [name], [made], axes=[0])
        return self.add("Unsqueeze", [name, self.store(f"{made}_axes", np.array([0]))], [made])


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
