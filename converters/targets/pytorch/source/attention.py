"""Attention without a module of its own: softmax(query × keyᵀ) × value."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.model.graph import Node
from converters.model.operations import DotAttention
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import Writing
from layouts.errors import printable


def dot_attention(w: Writing, node: Node, op: DotAttention, values: list[Held]) -> Held:
    """Scores are told from masked steps by a number, as Keras does: where all are masked, they count alike."""
    held = [value.as_source().text for value in values]
    query, value = held[:2]
    if node.layer is not None:
        w.refuse(node, "the learned scale of its scores has no place in a module of torch.nn")
    key = held[2] if len(held) > 2 else value
    if op.score not in ("dot", "additive"):
        w.refuse(node, f"its score {printable(op.score)!r} is not known here")
    if op.score == "dot":
        w.put(f"scores = {query} @ {key}.transpose(1, 2)")
    else:
        w.put(f"scores = torch.tanh({query}.unsqueeze(2) + {key}.unsqueeze(1)).sum(-1)")
    if node.mask:
        w.put(f"scores = scores - 1e9 * ~{w.held[node.mask].as_source().text}.unsqueeze(1)")
    if op.causal:
        w.put("scores = scores - 1e9 * torch.ones_like(scores).triu(1)")
    return Held(f"torch.softmax(scores, dim=-1) @ {value}", w.shape(node.outputs[0]))


LOWER: Mapping[type, Callable[..., Held]] = {DotAttention: dot_attention}
