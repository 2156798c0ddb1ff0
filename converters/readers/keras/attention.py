"""Calls of attention layers: queries, values and keys in their order, and the masks of each."""

from __future__ import annotations

from typing import Any

from converters.model import operations as op
from converters.model.shapes import after_layer
from converters.readers.keras import masks
from converters.readers.keras.draft import Flow
from converters.readers.keras.operations import operation
from converters.readers.keras.site import Site, flows_in


def many_heads(site: Site) -> list[Flow]:
    """A MultiHeadAttention: (query, value) or (query, value, key), by place or by name."""
    named, layer = site.given.named, site.layer
    if layer is None or layer.unknown is not None:
        return site.unknown(" ".join(str(layer and layer.unknown).split()))
    told = {"query": None, "value": None, "key": None, **dict(zip(("query", "value", "key"), site.flows, strict=False))}
    told |= {word: named[word] for word in told if isinstance(named.get(word), Flow)}
    query, value, key = told["query"], told["value"], told["key"]
    why = _not_known(named)
    if not isinstance(query, Flow) or not isinstance(value, Flow) or why:
        return site.unknown(why or "attention without a value")
    given = {word: _mask(named.get(f"{word}_mask"), flow) for word, flow in told.items() if isinstance(flow, Flow)}
    if given["query"]:
        made = site.unknown("heads whose queries are masked: Keras attends evenly there, PyTorch does not")
        return [Flow(flow.value, given["query"]) for flow in made]
    read = [mask for word, mask in given.items() if mask and word != "query"]
    inputs = [flow.value for flow in (query, value, key) if isinstance(flow, Flow)]
    shape = after_layer(layer, site.draft.shape(query.value))
    mask = masks.both(site.draft, site.path, read) if read else ""
    (found,) = site.give(op.Apply(named.get("use_causal_mask") is True), inputs, [shape], mask)
    return [Flow(found)]


def _mask(named: Any, flow: Flow) -> str:
    """The mask that a call names for one of its inputs, or the one that comes with it."""
    return named.value if isinstance(named, Flow) else flow.mask


def _not_known(named: Any) -> str:
    if any(flows_in(named.get("attention_mask"))):
        return "attention under an attention_mask of its own"
    return "attention that gives its scores too" if named.get("return_attention_scores") is True else ""


def dot(site: Site) -> list[Flow]:
    """Attention or AdditiveAttention: a list of query, value and perhaps key. Masked queries give zeros."""
    flows, named = site.flows, site.given.named
    found = operation(site.leaf.class_name, site.leaf.config, site.version, None)
    why = found.why if isinstance(found, op.Unknown) else _not_known(named)
    if site.layer is not None and site.layer.unknown is not None:
        why = " ".join(str(site.layer.unknown).split())
    if len(flows) not in (2, 3) or why or not isinstance(found, op.DotAttention):
        return site.unknown(why or "attention of other than two or three values")
    causal = found.causal or named.get("use_causal_mask") is True
    told = named.get("mask")
    pair = told if isinstance(told, list) and len(told) >= 2 else [None, None]
    query, value = _mask(pair[0], flows[0]), _mask(pair[1], flows[1])
    inputs = [flow.value for flow in flows]
    name = f"{site.name}:all" if query else site.name
    made = site.compute(op.DotAttention(found.score, causal), inputs, name=name, mask=value, layer=site.layer)
    if query:
        made = site.compute(op.Masked(), [made, query])
    return [Flow(made, query)]
