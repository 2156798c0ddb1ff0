"""Attention as layers of Keras 3: by heads, and without them; masks of keys, and of pairs of steps."""

from __future__ import annotations

from typing import Any

from converters.model import operations as op
from converters.model.graph import Node
from converters.targets.keras.network.sketch import Config, Held
from converters.targets.keras.network.work import Planned, Work


def heads(w: Work, node: Node, module: Planned, inputs: list[Held]) -> list[Held]:
    """A MultiHeadAttention of (query, value) or (query, value, key): what it gives, and its scores.

    Where a query sees no key, its scores are even, but in calls that ask for them: these leave nothing of them.
    """
    sizes, how = module.parts[0].solved(), node.operation
    settings = how if isinstance(how, op.Apply) else op.Apply()
    config = {
        "num_heads": sizes["head"],
        "key_dim": sizes["key"],
        "value_dim": sizes.get("value", sizes["key"]),
        "use_bias": any(tensor.name.endswith("bias") for tensor in module.tensors),
        "output_shape": sizes["out"],
    }
    held = [w.sketch.plain(each, node.name) for each in inputs]
    named, rank = _mask(w, node)
    scores = len(node.outputs) > 1 or settings.zeros
    if scores and (rank == 4 or (rank and not settings.zeros)):
        w.sketch.refuse(node, "scores under this mask, which Keras 3 leaves as nothing where a query sees no key")
    named |= {"use_causal_mask": True} if settings.causal else {}
    named |= {"return_attention_scores": True} if scores else {}
    query, value = held[0], held[min(1, len(held) - 1)]
    others = [each.tensor for each in (value, *held[2:])]
    found = w.weighted(node, "MultiHeadAttention", config, _roles(module), query, named, others)
    return [found, w.numbered(found, 1)]


def _mask(w: Work, node: Node) -> tuple[dict[str, Any], int]:
    """The argument that masks keys, or pairs of steps, and the axes of the mask; 0 where there is none."""
    if not node.mask:
        return {}, 0
    tensor, rank = w.mask(node.mask), len(w.shape(node.mask) or ())
    if rank not in (2, 3, 4):
        w.sketch.refuse(node, "a mask whose axes are not known")
    return {"value_mask" if rank == 2 else "attention_mask": tensor}, rank


def _roles(module: Planned) -> dict[str, list[str]]:
    """The folder of every projection, and its arrays."""
    found: dict[str, list[str]] = {}
    for role, folder in (("query", "query"), ("key", "key"), ("value", "value"), ("attention_output", "output")):
        own = [tensor for tensor in module.tensors if tensor.name.startswith(f"{role}/")]
        ordered = sorted(own, key=lambda tensor: tensor.name.endswith("bias"))
        found[f"/{folder}_dense"] = [tensor.key for tensor in ordered]
    return found


def scored(w: Work, node: Node, settings: op.DotAttention, inputs: list[Held]) -> list[Held]:
    """An Attention or AdditiveAttention of a list of values, with a learned scale where it has one."""
    if settings.score not in ("dot", "additive", "concat") or any(held.timed for held in inputs):
        w.sketch.refuse(node, f"attention by the score {settings.score}, or on every step")
    if any(len(shape) != 3 for shape in map(w.shape, node.inputs) if shape is not None):
        w.sketch.refuse(node, "attention of other axes than batch, steps and features, which Keras 3 does not compute")
    rank = len(w.shape(node.mask) or ()) if node.mask else 0
    if rank not in (0, 2):
        w.sketch.refuse(node, "a mask of pairs of steps, for which Attention of Keras 3 has no argument")
    modules = w.modules.get(id(node.layer), ()) if node.layer is not None else ()
    arrays = list(modules[0].tensors) if modules else []
    config: Config = {"use_scale": any(tensor.name == "scale" for tensor in arrays)}
    if settings.score != "additive":
        config["score_mode"] = settings.score
    held = [w.sketch.plain(each, node.name) for each in inputs]
    named: dict[str, Any] = {"use_causal_mask": True} if settings.causal else {}
    named |= {"mask": [None, w.mask(node.mask)]} if node.mask else {}
    named |= {"return_attention_scores": True} if len(node.outputs) > 1 else {}
    class_name = "AdditiveAttention" if settings.score == "additive" else "Attention"
    values = [each.tensor for each in held]
    if node.layer is None:
        tensor = w.sketch.layer(node.name, class_name, config, [values], **named)
        found = Held(tensor)
    else:
        folders = {"": [tensor.key for tensor in arrays]}
        found = w.weighted(node, class_name, config, folders, held[0], named, together=values)
    return [found, w.numbered(found, 1)]
