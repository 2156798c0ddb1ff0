"""Runs a converted layer of an ONNX graph on the value that its node read, and gives what its node gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from equivalence import load
from onnx import numpy_helper
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.planning.modules import Module

Array = np.ndarray[Any, Any]
Values = Mapping[str, Array]
Tensors = Mapping[str, torch.Tensor]

_LENGTHS, _INITIAL = 4, (5, 6)


def cast(model: onnx.ModelProto, values: Values) -> dict[str, Array]:
    """What Cast nodes make of known values: lengths, which are no floating-point numbers, are not recorded."""
    known = dict(values)
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in known:
            known.setdefault(node.output[0], known[node.input[0]])
    return known


def node_of(model: onnx.ModelProto, output: str) -> onnx.NodeProto | None:
    """The node of the main graph that makes a value."""
    return next((node for node in model.graph.node if output in node.output), None)


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """The stored arrays of the main graph."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made = [node for node in model.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]
    return stored | {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in made}


def outputs(module: Module, tensors: Tensors, values: Values, model: onnx.ModelProto) -> Iterator[tuple[str, Array]]:
    """Each value that the layer gives, by name, computed by the module of the plan's constructor.

    In float64 where the weights are, else in float32.
    """
    double = tensors[module.tensors[0].key].dtype == torch.float64
    built = load(module, tensors, torch.float64 if double else torch.float32)
    (layer,) = module.layers
    nodes = _nodes(model, next(filter(None, layer.wiring.gives)), layer.parts) if layer.recurrent else []
    if layer.recurrent and not nodes and layer.call.initial_h:
        return  # arithmetic does not tell which values its states are
    if layer.call.cell:
        made = _stepped(built, layer, values)
    elif layer.recurrent:
        made = _recurrent(built, layer, values, nodes)
    else:
        made = [_surrounding(built, layer.parts[0].cell.name, values[layer.wiring.reads])]
    yield from zip(layer.wiring.gives, made, strict=False)


def _nodes(model: onnx.ModelProto, output: str, parts: Sequence[Part]) -> list[onnx.NodeProto]:
    """The recurrent nodes of a layer, one for each of its depths, the last one making `output`; none for arithmetic."""
    last = node_of(model, output)
    alike = [node for node in model.graph.node if last is not None and node.op_type == last.op_type]
    until = alike.index(last) + 1 if last in alike else 0
    depth = 1 + max(part.layer for part in parts)
    return alike[until - depth : until] if last is not None and last.op_type in ("LSTM", "GRU", "RNN") else []


def _states(nodes: Sequence[onnx.NodeProto], call: Call, values: Values, by_batch: bool) -> list[Array]:
    """The initial states of all layers, (layers × directions, batch, units); none where they are zeros."""
    names = [k for k, name in zip(_INITIAL, ("initial_h", "initial_c"), strict=True) if name in call.initial]
    axis = 1 if by_batch else 0
    return [np.concatenate([values[node.input[k]] for node in nodes], axis) for k in names]


def _recurrent(built: nn.Module, layer: Layer, values: Values, nodes: Sequence[onnx.NodeProto]) -> list[Array]:
    """Y, Y_h and Y_c as ONNX lays them out; of a Loop without the axis of directions."""
    call = layer.call
    first, kind = call.time_axis == 0 or layer.wiring.transposed, next(built.parameters()).dtype
    x = torch.from_numpy(np.ascontiguousarray(values[layer.wiring.reads])).to(kind)
    x = x[None] if call.single_step else x if first else x.transpose(0, 1)
    given = [torch.from_numpy(state).to(kind) for state in _states(nodes, call, values, not first)]
    given = given if first else [state.transpose(0, 1).contiguous() for state in given]
    states = None if not given else tuple(given) if len(given) > 1 else given[0]
    reverse = call.direction == "reverse"
    built.batch_first = False
    x = x.flip(0) if call.direction != "forward" else x
    with torch.no_grad():
        if call.lengths:
            lengths = torch.from_numpy(values[nodes[0].input[_LENGTHS]].astype(np.int64))
            packed, final = built(pack_padded_sequence(x, lengths, enforce_sorted=False), states)
            y, _ = pad_packed_sequence(packed, total_length=len(x))
        else:
            y, final = built(x, states)
    y = y.flip(0) if reverse else y
    ways = 2 if built.bidirectional else 1
    finals = [state[-ways:] for state in (final if isinstance(final, tuple) else (final,))]
    if not nodes:
        return [y.numpy(), *(state[0].numpy() for state in finals)]
    y = torch.stack(y.chunk(ways, dim=-1), dim=1)
    if not first:
        y, finals = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in finals]
    return [y.numpy(), *(state.numpy() for state in finals)]


def _stepped(built: nn.Module, layer: Layer, values: Values) -> list[Array]:
    """The final states of a cell that is called for every step; nothing in the place of a sequence."""
    x = torch.from_numpy(np.ascontiguousarray(values[layer.wiring.reads])).to(next(built.parameters()).dtype)
    steps = [x] if x.ndim == 2 else x.unbind(0 if layer.wiring.transposed else layer.call.time_axis)
    states = None
    with torch.no_grad():
        for step in reversed(steps) if layer.call.direction == "backward" else steps:
            states = built(step, states)
    return [np.zeros(0), *(state.numpy() for state in (states if isinstance(states, tuple) else (states,)))]


def _surrounding(built: nn.Module, cell: str, x: Array) -> Array:
    given = torch.from_numpy(np.ascontiguousarray(x))
    kind = torch.long if cell == "embedding" else next(built.parameters()).dtype
    with torch.no_grad():
        return built(given.to(kind)).numpy()
