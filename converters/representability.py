"""Whether the PyTorch module computes what the source layer computes: a sentence for every reason that it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from converters.checkpoint import Layer, Part
from layouts.layout import Layout
from layouts.reference import ACTIVATIONS

_FORMULAS = {
    "hard_sigmoid_0.2": "hard_sigmoid (clip(0.2 x + 0.5, 0, 1), as this version of the file has it)",
    "hard_sigmoid_1/6": "hard_sigmoid (clip(x / 6 + 0.5, 0, 1), as this version of the file has it)",
}


def reasons(layer: Layer, parts: Sequence[Part], target: Layout) -> Iterator[str]:
    """Why `target`'s module gives other outputs than these cells of the layer; nothing when it gives the same."""
    first = parts[0]
    if first.cell.name == "gru_reset_before":
        yield "a GRU with reset_after=False resets the state before the matrix product, and nn.GRU after it"
    if any(piece.slot == "peephole" for piece in first.pieces()):
        yield "it has peepholes, and nn.LSTM has none"
    if _starts_backwards(layer):
        yield "its forward layer goes backwards, so both directions come out in another order"
    if layer.facts.get("rms_scaling"):
        yield "rms_scaling=True is another equation than nn.LayerNorm's"
    for option, possible in target.computes.items():
        value = first.options.get(option, possible[0])
        if value not in possible:
            computed = " or ".join(map(str, possible))
            yield f"its {option} is {_explained(value)}, and nn.{target.spells} computes {computed}"
    sizes = first.solved()
    for one, other in target.equal:
        left, right = (math.prod(sizes[word] for word in words.split()) for words in (one, other))
        if left != right:
            yield f"nn.{target.spells} needs {one.replace(' ', ' × ')} = {other}, and here they are {left} and {right}"


def _explained(value: Any) -> str:
    return _FORMULAS.get(str(value), str(value))


def drop_in(layer: Layer, parts: Sequence[Part]) -> bool:
    """Whether the layers of `converters.nn` compute these cells: every activation is known, and time runs one way."""
    known = all(parts[0].options.get(key, "tanh") in ACTIVATIONS for key in ("activation", "recurrent_activation"))
    return known and not _starts_backwards(layer)


def _starts_backwards(layer: Layer) -> bool:
    """Whether the forward layer of a bidirectional one goes backwards, which no module says."""
    return bool(layer.facts.get("go_backwards")) and any(part.direction == "backward" for part in layer.parts)


def difference(parts: Sequence[Part]) -> str:
    """Why these cells cannot be one module of PyTorch, with its directions and layers; '' when they can."""
    first, sizes = parts[0], [part.solved() for part in parts]
    if any(part.cell is not first.cell for part in parts):
        return "their types differ"
    if any(dict(part.options) != dict(first.options) for part in parts):
        return "their activations differ"
    if len({size.get("unit") for size in sizes}) > 1:
        return f"their units differ ({', '.join(str(size.get('unit')) for size in sizes)})"
    if any(part.flattened for part in parts) and any(part.depth for part in parts):
        return "the first of them reads a flattened map"
    ways = [{part.direction for part in parts if part.depth == depth} for depth in {part.depth for part in parts}]
    if any(way != ways[0] for way in ways):
        return "some run in one direction and some in both"
    directions = len({part.direction for part in parts})
    for part, size in zip(parts, sizes, strict=True):
        wanted = size["unit"] * directions if part.depth else sizes[0].get("input")
        if len(parts) > 1 and size["input"] != wanted:
            return f"{part.direction} layer {part.depth} reads {size['input']} features where {wanted} arrive"
    return ""


def unstackable(members: Sequence[Layer]) -> str:
    """Why these layers cannot become one module with `num_layers`, in this order; '' when they can."""
    for before, layer in zip((None, *members), members, strict=False):
        if not layer.recurrent:
            return f"{layer.path} is a {layer.kind}, and only recurrent layers stack"
        if layer.facts.get("go_backwards"):
            return f"{layer.path} goes backwards"
        if before is None:
            continue
        fed_by = layer.facts.get("fed_by")
        if fed_by is not None and fed_by != (before.path,):
            return f"{layer.path} reads from {', '.join(fed_by) or 'the input'}, not from {before.path} alone"
        if before.facts.get("return_sequences") is False:
            return f"{before.path} returns its last output only"
        if before.facts.get("merge_mode", "concat") != "concat":
            return f"{before.path} merges its directions by {before.facts['merge_mode']}"
    return difference(placed(members))


def placed(members: Sequence[Layer]) -> list[Part]:
    """The cells of layers that follow one another, each at its depth in the stack."""
    found: list[Part] = []
    for layer in members:
        depth = 1 + max((part.depth for part in found), default=-1)
        found += [replace(part, depth=depth + part.depth) for part in layer.parts]
    return found
