"""A graph as the statements of `forward`: one function for each kind of node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.model.graph import Node
from converters.model.names import parameter_name
from converters.model.operations import BY_HAND, Apply, DotAttention, Stored, Unknown
from converters.targets.pytorch.source import arrangement, elementwise, windows
from converters.targets.pytorch.source.attention import dot_attention, heads
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.layers import weighted
from converters.targets.pytorch.source.map_sequences import map_sequence
from converters.targets.pytorch.source.recurrent import recurrent
from converters.targets.pytorch.source.writing import Writing

_LOWER: Mapping[type, Callable[..., Held]] = {
    **arrangement.LOWER,
    **elementwise.LOWER,
    **windows.LOWER,
}
_REFUSED = Held("x")


def lower(w: Writing, node: Node) -> None:
    """Write what a node computes, or note why nobody can."""
    if isinstance(node.operation, Stored):
        w.held[node.outputs[0]] = _parameter(w, node, node.operation)
        return
    values = [w.held[value] for value in node.inputs]
    w.define(node, _made(w, node, values))


def _parameter(w: Writing, node: Node, op: Stored) -> Held:
    """A parameter is read where it stands."""
    own, (module,) = parameter_name(op.name), w.modules_of(node)
    (key,) = (tensor.key for tensor in module.tensors if tensor.name == own)
    return Held(w.attributes[key], w.shape(node.outputs[0]))


def _made(w: Writing, node: Node, values: list[Held]) -> list[Held]:
    if id(node) in w.custom:
        return _by_somebody_else(w, node, values)
    if isinstance(node.operation, Unknown):
        w.refuse(node, node.operation.why)
        w.strange = w.strange or (node.name if node.operation.why.endswith(BY_HAND) else "")
        return [_REFUSED] * len(node.outputs)
    if isinstance(node.operation, Apply):
        return _layer(w, node, values)
    if isinstance(node.operation, DotAttention):
        return dot_attention(w, node, node.operation, values, w.modules_of(node))
    return [_LOWER[type(node.operation)](w, node, node.operation, values)]


def _layer(w: Writing, node: Node, values: list[Held]) -> list[Held]:
    planned = w.modules_of(node)
    problems = [problem for module in planned for problem in module.problems]
    if problems or not planned or not planned[0].parts:
        w.problems += problems
        if not problems:
            w.refuse(node, "no module computes it")
        return [_REFUSED] * len(node.outputs)
    if planned[0].parts[0].cell.name.startswith("conv_lstm"):
        return map_sequence(w, node, planned, values)
    if planned[0].parts[0].cell.name.startswith("attention"):
        return heads(w, node, planned, values)
    if planned[0].parts[0].cell.recurrent:
        return recurrent(w, node, planned, values)
    return [weighted(w, node, planned, values)]


def _by_somebody_else(w: Writing, node: Node, values: list[Held]) -> list[Held]:
    """A module that the caller of `build` gives, called with the node's inputs as the source has them."""
    inputs = ", ".join(value.as_source().text for value in values)
    call = f"{w.custom[id(node)]}({inputs})"
    if len(node.outputs) == 1:
        return [Held(call, w.shape(node.outputs[0]))]
    w.put(f"made = {call}")
    return [Held(f"made[{k}]", w.shape(value)) for k, value in enumerate(node.outputs)]
