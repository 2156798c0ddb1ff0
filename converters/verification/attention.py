"""Attention in NumPy float64, by heads and without them, under masks of keys and of pairs of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.model.operations import Apply
from converters.verification.functions import softmax
from converters.verification.weights import Weights

Array = np.ndarray[Any, Any]


def heads(w: Weights, inputs: Sequence[Array], mask: Array | None, how: Apply) -> list[Array]:
    """What heads give, and their weights, of (query, value) or (query, value, key), as Keras calls it.

    mask: (batch, key), (batch, query, key) or (batch, heads, query, key).
    """
    query, value, key = (
        inputs[0],
        inputs[min(1, len(inputs) - 1)],
        inputs[2 if len(inputs) > 2 else min(1, len(inputs) - 1)],
    )
    q, k, v = (
        np.einsum("bti,hki->bthk", x, _role(w, role)) + _role_bias(w, role)
        for x, role in ((query, "query"), (key, "key"), (value, "value"))
    )
    scores = np.einsum("bqhk,bshk->bhqs", q, k) / math.sqrt(q.shape[-1])
    weights = softmax(masked_scores(scores, _of_pairs(mask), how.causal))
    if how.zeros:
        weights = np.where(_seen(scores, _of_pairs(mask), how.causal), weights, 0.0)
    mixed = np.einsum("bhqs,bshv->bqhv", weights, v)
    return [np.asarray(np.einsum("bqhv,ohv->bqo", mixed, w("output_weight")) + w("output_bias")), weights]


def _of_pairs(mask: Array | None) -> Array | None:
    """A mask as it goes with scores (batch, heads, query, key)."""
    if mask is None or mask.ndim == 4:
        return mask
    return mask[:, None] if mask.ndim == 3 else mask[:, None, None, :]


def masked_scores(scores: Array, mask: Array | None, causal: bool) -> Array:
    """Scores (…, query, key) of which those left out weigh nothing; where all are, they weigh the same."""
    seen = _seen(scores, mask, causal)
    none = ~seen.any(axis=-1, keepdims=True)
    return np.where(none, 0.0, np.where(seen, scores, -math.inf))


def _seen(scores: Array, mask: Array | None, causal: bool) -> Array:
    """Which keys each query sees."""
    seen = np.ones(scores.shape, bool) if mask is None else np.broadcast_to(mask, scores.shape)
    return seen & (np.tri(*scores.shape[-2:]) > 0) if causal else seen


def _role(w: Weights, role: str) -> Array:
    own = w.maybe(f"{role}_weight")
    return w("input_weight", role=role) if own is None else own


def _role_bias(w: Weights, role: str) -> Array:
    own = w.maybe(f"{role}_bias")
    return w("input_bias", role=role) if own is None else own


def scored(score: str, w: Weights, inputs: Sequence[Array], mask: Array | None, causal: bool) -> list[Array]:
    """What attention without heads gives, and its weights: scores of every query step against every key step.

    inputs: (query, value) or (query, value, key). mask: (batch, key) or (batch, query, key).
    Dots alone may have any axes before the steps.
    """
    query, value, key = inputs[0], inputs[1], inputs[2 if len(inputs) > 2 else 1]
    scale = w("scale", 1.0)
    if score == "dot":
        scores = scale * (query @ key.swapaxes(-1, -2))
    else:
        both = query[:, :, None] + key[:, None]
        each = np.tanh(scale * both) if score == "concat" else scale * np.tanh(both)
        scores = w("score_weight", 1.0) * each.sum(axis=-1)
    pairs = mask[:, None, :] if mask is not None and mask.ndim == 2 else mask
    shares = softmax(masked_scores(scores, pairs, causal))
    return [np.asarray(shares @ value), shares]
