"""Attention as text: by heads, the call of a module; by itself, softmax(query × keyᵀ) × value.

Scores are told from masked steps by a number, as Keras does: where all are masked, they count alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.model.graph import Node
from converters.model.operations import Apply, DotAttention
from converters.targets.pytorch.source.held import Held
from converters.targets.pytorch.source.writing import Planned, Writing
from layouts.errors import printable


def dot_attention(
    w: Writing, node: Node, op: DotAttention, values: list[Held], planned: Sequence[Planned]
) -> list[Held]:
    """What attention without heads gives, and its weights where they are wanted."""
    query, value = (held.as_source().text for held in values[:2])
    key = values[2].as_source().text if len(values) > 2 else value
    shapes = [w.shape(output) for output in node.outputs]
    seen = _seen(w, node, op, query, key)
    if planned:
        name, wanted = w.attributes[planned[0].name], ("scores" if len(shapes) > 1 else "_")
        w.put(f"made, {wanted} = {name}({', '.join([query, key, value, *([seen] if seen else [])])})")
        return [Held(text, shape) for text, shape in zip(("made", "scores"), shapes, strict=False)]
    if op.score not in ("dot", "additive"):
        w.refuse(node, f"its score {printable(op.score)!r} is not known here")
    if op.score == "dot":
        w.put(f"scores = {query} @ {key}.transpose(-2, -1)")
    else:
        w.put(f"scores = torch.tanh({query}.unsqueeze(2) + {key}.unsqueeze(1)).sum(-1)")
    if seen:
        w.put(f"scores = scores - 1e9 * ~{seen}")
    shares = "torch.softmax(scores, dim=-1)"
    if len(shapes) == 1:
        return [Held(f"{shares} @ {value}", shapes[0])]
    w.put(f"scores = {shares}")
    return [Held(f"scores @ {value}", shapes[0]), Held("scores", shapes[1])]


def _seen(w: Writing, node: Node, op: DotAttention, query: str, key: str) -> str:
    """Which keys each query sees; '' where all."""
    mask = f"{w.held[node.mask].as_source().text}.unsqueeze(1)" if node.mask else ""
    if not op.causal:
        return mask
    w.put(f"seen = {_earlier(query, key)}")
    if mask:
        w.put(f"seen = seen & {mask}")
    return "seen"


def _earlier(query: str, key: str) -> str:
    sizes = f"{query}.size(1), {key}.size(1)"
    return f"torch.ones({sizes}, dtype=torch.bool, device={query}.device).tril()"


def heads(w: Writing, node: Node, planned: Sequence[Planned], values: list[Held]) -> list[Held]:
    """What attention by heads gives, and its weights where they are wanted; values are query, value and perhaps key."""
    query, value = (held.as_source().text for held in values[:2])
    key = values[2].as_source().text if len(values) > 2 else value
    how = node.operation if isinstance(node.operation, Apply) else Apply()
    part, scores, module = planned[0].parts[0], len(node.outputs) > 1, w.attributes[planned[0].name]
    mask = w.held[node.mask].as_source().text if node.mask else ""
    rank = len(w.shape(node.mask) or (None, None)) if node.mask else 0
    if rank == 2 and not how.causal:
        said = _hidden_keys(w, mask, query)
        mask = f"{mask}.unsqueeze(1)"
    else:
        mask = _pairs(w, mask, rank, how.causal, query, key)
        said = _hidden_pairs(w, mask, rank, part.solved()["head"], query, key) if mask else ""
    said += ", average_attn_weights=False" if scores else ", need_weights=False"
    call, shapes = f"{module}({query}, {key}, {value}{said})", [w.shape(output) for output in node.outputs]
    if not scores and not how.zeros:
        return [Held(f"{call}[0]", shapes[0])]
    w.put(f"made, {'scores' if scores else '_'} = {call}")
    biased = "output_bias" in {piece.slot for piece in part.pieces()}
    texts = _nothing_seen(w, mask, module, biased) if how.zeros else _MADE
    return [Held(text, shape) for text, shape in zip(texts, shapes, strict=False)]


_MADE = ("made", "scores")


def _nothing_seen(w: Writing, mask: str, module: str, biased: bool) -> tuple[str, str]:
    """Where a query sees no key, weights are zero, and what comes out is the bias alone."""
    w.put(f"some = {mask}.any(-1, keepdim=True)")
    scores = "scores.masked_fill(~some.unsqueeze(1), 0.0)"
    if not biased:
        return "made.masked_fill(~some, 0.0)", scores
    return f"torch.where(some, made, {module}.out_proj.bias)", scores


def _hidden_keys(w: Writing, mask: str, query: str) -> str:
    """The argument for keys that no query sees."""
    w.put(f"hidden = -1e9 * (~{mask}).to({query}.dtype)")
    return ", key_padding_mask=hidden"


def _pairs(w: Writing, mask: str, rank: int, causal: bool, query: str, key: str) -> str:
    """Which keys each query sees, with an axis for heads where the mask has one; '' where it sees all."""
    if not causal:
        return mask
    w.put(f"seen = {_earlier(query, key)}")
    if rank:
        w.put(f"seen = seen & {mask}{'.unsqueeze(1)' if rank == 2 else ''}")
    return "seen"


def _hidden_pairs(w: Writing, mask: str, rank: int, count: int, query: str, key: str) -> str:
    """The argument for pairs, one matrix for all or one for every head of every row."""
    w.put(f"hidden = -1e9 * (~{mask}).to({query}.dtype)")
    if rank:
        sizes = f"{query}.size(0), {count}, {query}.size(1), {key}.size(1)"
        wide = "hidden" if rank == 4 else "hidden.unsqueeze(1)"
        w.put(f"hidden = {wide}.expand({sizes}).flatten(0, 1)")
    return ", attn_mask=hidden"
