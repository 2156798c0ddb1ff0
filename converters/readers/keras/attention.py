"""Calls of attention layers: queries, values and keys in their order, and the masks of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.model.shapes import after, after_layer
from converters.readers.keras import masks
from converters.readers.keras.draft import BOOLEAN, Flow
from converters.readers.keras.operations import operation
from converters.readers.keras.semantics import Version
from converters.readers.keras.site import Site


def many_heads(site: Site) -> list[Flow]:
    """A MultiHeadAttention: (query, value) or (query, value, key), by place or by name."""
    named, layer = site.given.named, site.layer
    if layer is None or layer.unknown is not None:
        return site.unknown(" ".join(str(layer and layer.unknown).split()))
    told = {"query": None, "value": None, "key": None, **dict(zip(("query", "value", "key"), site.flows, strict=False))}
    told |= {word: named[word] for word in told if isinstance(named.get(word), Flow)}
    query, value = told["query"], told["value"]
    if not isinstance(query, Flow) or not isinstance(value, Flow):
        return site.unknown("attention without a value")
    flows = {word: flow for word, flow in told.items() if isinstance(flow, Flow)}
    why = _heads_not_known(site, list(flows.values()))
    if why:
        return site.unknown(why)
    own = _masks_of_heads(site, flows)
    mask = _joined(site, own)
    shape = after_layer(layer, site.draft.shape(query.value))
    shapes = [shape, *_scores(site, query, flows.get("key") or value, layer.parts[0].solved()["head"])]
    inputs = [flow.value for flow in flows.values()]
    applied = op.Apply(named.get("use_causal_mask") is True, bool(mask) and _softmax_gives_zeros(site))
    made = site.give(applied, inputs, shapes, mask)
    return [Flow(made[0], own["query"]), *map(Flow, made[1:])]


_MASKED_SINCE, _DELETED_SINCE, _ZEROS_SINCE = (2, 10), (3, 8), (3, 10)
"""Since when heads read the masks of what they are called with, since when they take them off it, and since when a
softmax of Keras gives zeros where all is masked.

Sources: `MultiHeadAttention.call` of keras 2.6 to 2.12, and of keras 3.0 to 3.15; `Softmax.call` of the same.
"""


def softmax_gives_zeros(version: Version) -> bool:
    """Whether the softmax layer leaves masked places with nothing, even where all are masked."""
    return version.number >= _ZEROS_SINCE


def _softmax_gives_zeros(site: Site) -> bool:
    """The same of heads: those that give scores, or drop some in training, use that layer, and others a function."""
    dropout, scores = site.leaf.config.get("dropout"), site.given.named.get("return_attention_scores") is True
    return softmax_gives_zeros(site.version) and (scores or bool(dropout))


def takes_masks(site: Site) -> bool:
    """Whether a call leaves its values without their masks, for whoever reads them later."""
    return site.leaf.class_name == "MultiHeadAttention" and site.version.number >= _DELETED_SINCE


def _heads_not_known(site: Site, flows: Sequence[Flow]) -> str:
    config = site.leaf.config
    if config.get("use_gate") or config.get("sliding_window"):
        return "heads with a gate, or that see a window of steps alone"
    if config.get("attention_axes") not in (None, [1], 1):
        return "heads that attend over other axes than the steps"
    if any(len(shape) != 3 for shape in site.draft.shapes(flow.value for flow in flows) if shape is not None):
        return "heads of values with more axes than batch, steps and features"
    own = site.given.named.get("attention_mask")
    if isinstance(own, Flow):
        shape = site.draft.shape(own.value)
        ranks = (3,) if _softmax_gives_zeros(site) else (3, 4)
        return "" if shape is not None and len(shape) in ranks else "an attention_mask whose axes are not known here"
    return "" if own is None else "an attention_mask of stored numbers"


def _masks_of_heads(site: Site, flows: Mapping[str, Flow]) -> dict[str, str]:
    """The masks of query, value and key, and of pairs of steps; '' where there is none."""
    named, version = site.given.named, site.version
    told = {word: _mask(named.get(f"{word}_mask"), flow) for word, flow in flows.items()}
    if version.number >= _DELETED_SINCE:
        told["query"] = flows["query"].mask
    if version.number < _MASKED_SINCE:
        told = dict.fromkeys(told, "")
    own = named.get("attention_mask")
    return told | {"pairs": _truth(site, own) if isinstance(own, Flow) else ""}


def _truth(site: Site, flow: Flow) -> str:
    """A mask that is an input: numbers are True where they are not zero."""
    if site.draft.values[flow.value].dtype == BOOLEAN:
        return flow.value
    return site.draft.mask(site.path, op.MaskOf(indices=True), [flow.value])


def _joined(site: Site, told: Mapping[str, str]) -> str:
    """One mask: of the keys alone (batch, key), or of pairs (batch, query, key), perhaps with heads before them."""
    draft, path = site.draft, site.path
    keys = [mask for word, mask in told.items() if mask and word in ("value", "key")]
    key = masks.both(draft, path, keys) if keys else ""
    if not told["query"] and not told["pairs"]:
        return key
    heads = bool(told["pairs"]) and len(draft.shape(told["pairs"]) or ()) == 4
    found = [told["pairs"]] if told["pairs"] else []
    for mask, axis in ((told["query"], 2), (key, 1)):
        if mask:
            wide = draft.mask(path, op.AddAxis(axis), [mask])
            found.append(draft.mask(path, op.AddAxis(1), [wide]) if heads else wide)
    return masks.both(draft, path, found)


def _scores(site: Site, query: Flow, key: Flow, heads: int | None) -> list[Shape | None]:
    """The shape of the scores, where the call gives them."""
    if site.given.named.get("return_attention_scores") is not True:
        return []
    one, other = site.draft.shapes([query.value, key.value])
    if not one or not other:
        return [None]
    return [(one[0], *([heads] if heads else []), *one[1:-1], other[-2])]


def _mask(named: Any, flow: Flow) -> str:
    """The mask that a call names for one of its inputs, or the one that comes with it."""
    return named.value if isinstance(named, Flow) else flow.mask


def dot(site: Site) -> list[Flow]:
    """Attention or AdditiveAttention: a list of query, value and perhaps key. Masked queries give zeros."""
    flows, named = site.flows, site.given.named
    found = operation(site.leaf.class_name, site.leaf.config, site.version, None)
    if not isinstance(found, op.DotAttention):
        return site.unknown(found.why if isinstance(found, op.Unknown) else "")
    told = named.get("mask")
    pair = told if isinstance(told, list) and len(told) >= 2 else [None, None]
    query, value = _mask(pair[0], flows[0]), _mask(pair[1], flows[1])
    inputs = [flow.value for flow in flows]
    settings = replace(found, causal=found.causal or named.get("use_causal_mask") is True)
    if why := _dot_not_known(site, plain=settings == op.DotAttention() and not (query or value or site.layer)):
        return site.unknown(why)
    shape = after(settings, site.draft.shapes(inputs))
    scores = _scores(site, flows[0], flows[-1], None)
    name = f"{site.name}:all" if query else site.name
    made = replace(site, name=name).give(settings, inputs, [shape, *scores], value)
    if query:
        made[0] = site.compute(op.Masked(), [made[0], query])
    return [Flow(made[0], query), *map(Flow, made[1:])]


def _dot_not_known(site: Site, *, plain: bool) -> str:
    """Why attention without heads is not known; `plain` is that of any axes: dots alone, and every step seen."""
    if site.layer is not None and site.layer.unknown is not None:
        return " ".join(str(site.layer.unknown).split())
    if len(site.flows) not in (2, 3):
        return "attention of other than two or three values"
    ranks = {len(shape) for shape in site.draft.shapes(flow.value for flow in site.flows) if shape is not None}
    if len(ranks) > 1 or (not plain and ranks - {3}):
        return "attention with a mask, a scale or sums, of values with other axes than batch, steps and features"
    return ""
