"""Attention as nodes, by heads and without them, under masks of keys and of pairs of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.graph import Node
from converters.model.layers import Part
from converters.targets.onnx.emission import Emission

Arrays = Mapping[str, str]


def heads(e: Emission, node: Node, part: Part, w: Arrays, inputs: Sequence[str], mask: str) -> list[str]:
    """Heads of softmax(query × keyᵀ / √width) × value, and their shares; inputs (query, value), or (…, key) too."""
    query, value = inputs[0], inputs[min(1, len(inputs) - 1)]
    key, sizes, how = inputs[2] if len(inputs) > 2 else value, part.solved(), node.operation
    parts = {"query": query, "key": key, "value": value}
    own = {role: _head(e, x, w, role, sizes["head"]) for role, x in parts.items()}
    scores = e.op("MatMul", own["query"], e.permuted(own["key"], (0, 1, 3, 2)))
    scores = e.op("Mul", scores, e.number(1.0 / math.sqrt(sizes["key"])))
    pairs = e.op("Unsqueeze", mask, e.ints(*_MISSING[e.rank(node.mask)])) if mask else ""
    seen = _seen(e, pairs, query, key, getattr(how, "causal", False))
    shares = _shares(e, scores, seen, getattr(how, "zeros", False))
    mixed = e.permuted(e.op("MatMul", shares, own["value"]), (0, 2, 1, 3))
    found = e.op("MatMul", e.shaped(mixed, 0, 0, -1), w["output B"])
    return [e.op("Add", found, w["output bias"]) if "output bias" in w else found, shares]


_MISSING: Mapping[int, Sequence[int]] = {2: (1, 2), 3: (1,), 4: ()}
"""The axes that a mask lacks of (batch, heads, query, key)."""


def _head(e: Emission, x: str, w: Arrays, role: str, heads: int) -> str:
    """(batch, heads, steps, width)."""
    found = e.op("MatMul", x, w[f"{role} B"])
    found = e.op("Add", found, w[f"{role} bias"]) if f"{role} bias" in w else found
    return e.permuted(e.shaped(found, 0, 0, heads, -1), (0, 2, 1, 3))


def scored(e: Emission, node: Node, inputs: Sequence[str], mask: str) -> list[str]:
    """softmax(scores) × value without heads, and the shares; the scale is the weight of the node's layer."""
    settings: Any = node.operation
    w = e.held(node)[0].arrays if node.layer is not None else {}
    query, value, key = inputs[0], inputs[1], inputs[2 if len(inputs) > 2 else 1]
    scores = _dots(e, node, query, key, w) if settings.score == "dot" else _sums(e, settings.score, query, key, w)
    pairs = e.op("Unsqueeze", mask, e.ints(1)) if mask and e.rank(node.mask) == 2 else mask
    shares = _shares(e, scores, _seen(e, pairs, query, key, settings.causal), False)
    return [e.op("MatMul", shares, value), shares]


def _scaled(e: Emission, x: str, scale: str | None) -> str:
    return e.op("Mul", x, scale) if scale else x


def _dots(e: Emission, node: Node, query: str, key: str, w: Arrays) -> str:
    *outer, steps, features = range(e.rank(node.inputs[-1]))
    return _scaled(e, e.op("MatMul", query, e.permuted(key, (*outer, features, steps))), w.get("scale"))


def _sums(e: Emission, score: str, query: str, key: str, w: Arrays) -> str:
    """sum(scale × tanh(query + key)); by "concat" the scale is within, and a weight of all stands before it."""
    both = e.op("Add", e.op("Unsqueeze", query, e.ints(2)), e.op("Unsqueeze", key, e.ints(1)))
    if score == "concat":
        each = e.op("Tanh", _scaled(e, both, w.get("scale")))
    else:
        each = _scaled(e, e.op("Tanh", both), w.get("scale"))
    return _scaled(e, e.op("ReduceSum", each, e.ints(-1), keepdims=0), w.get("score_weight"))


def _seen(e: Emission, pairs: str, query: str, key: str, causal: bool) -> str:
    """Which keys each query sees, as it goes with the scores; '' where it is all of them."""
    if not causal:
        return pairs
    rows, columns = (e.op("Range", *_counted(e, e.op("Squeeze", e.size(x, 1)))) for x in (query, key))
    before = e.op("LessOrEqual", e.op("Unsqueeze", columns, e.ints(0)), e.op("Unsqueeze", rows, e.ints(1)))
    return e.op("And", pairs, before) if pairs else before


def _counted(e: Emission, count: str) -> tuple[str, str, str]:
    return e.constant(np.array(0)), count, e.constant(np.array(1))


def _shares(e: Emission, scores: str, seen: str, zeros: bool) -> str:
    """What each key weighs: nothing where it is not seen; all the same, or with `zeros` nothing, where none is."""
    if not seen:
        return e.op("Softmax", scores, axis=-1)
    least = e.number(float(np.finfo(e.kind).min))
    found = e.op("Softmax", e.op("Where", seen, scores, least), axis=-1)
    return e.op("Where", seen, found, e.number(0.0)) if zeros else found
