"""Whether the PyTorch module computes what the source layer computes: a sentence for every reason that it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from converters.model.checkpoint import Layer, Part
from layouts.errors import printable
from layouts.layout import Layout
from layouts.reference import ACTIVATIONS

_FORMULAS = {
    "hard_sigmoid_0.2": "hard_sigmoid (clip(0.2 x + 0.5, 0, 1)",
    "hard_sigmoid_1/6": "hard_sigmoid (clip(x / 6 + 0.5, 0, 1)",
}
_SENTENCES = {
    "clip": "it clips what goes into its activations to ±{value:.7g}, and nn.{module} does not",
    "input_forget": "its forget gate is 1 minus its input gate (input_forget), and nn.{module} computes one of its own",
}
_ACTIVATIONS = ("activation", "recurrent_activation", "output_activation")


def reasons(layer: Layer, parts: Sequence[Part], target: Layout) -> Iterator[str]:
    """Why `target`'s module gives other outputs than these cells of the layer; nothing when it gives the same."""
    first = parts[0]
    if first.cell.name == "gru_reset_before":
        option = next((f"{key}={value}" for key, value in first.layout.when.items()), "reset_after=False")
        yield f"a GRU with {option} resets the state before the matrix product, and nn.GRU after it"
    if any(piece.slot == "peephole" for piece in first.pieces()):
        yield "it has peepholes, and nn.LSTM has none"
    if _starts_backwards(layer):
        yield "its forward layer goes backwards, so both directions come out in another order"
    if layer.facts.get("rms_scaling"):
        yield "rms_scaling=True is another equation than nn.LayerNorm's"
    for option, possible in target.computes.items():
        value = first.options.get(option)
        if value is not None and value not in possible:
            yield _difference(first, option, value, target)
    sizes = first.solved()
    for one, other in target.equal:
        left, right = (math.prod(sizes[word] for word in words.split()) for words in (one, other))
        if left != right:
            yield f"nn.{target.spells} needs {one.replace(' ', ' × ')} = {other}, and here they are {left} and {right}"


def _difference(part: Part, option: str, value: Any, target: Layout) -> str:
    """One option that the module does not have, in words."""
    if option in _SENTENCES:
        return _SENTENCES[option].format(value=value, module=target.spells)
    computed = " or ".join(map(str, target.computes[option]))
    return f"its {option} is {_explained(part, str(value))}, and nn.{target.spells} computes {computed}"


def _explained(part: Part, value: str) -> str:
    if value not in _FORMULAS:
        return printable(value)
    version = ", as this version of the file has it" if part.layout.framework == "keras" else ""
    return f"{_FORMULAS[value]}{version})"


def drop_in(layer: Layer, parts: Sequence[Part]) -> bool:
    """Whether the layers of `converters.nn` compute these cells: every activation is known, and time runs one way."""
    options = parts[0].options
    known = all((options.get(key) or "tanh") in ACTIVATIONS for key in _ACTIVATIONS)
    clip = options.get("clip")
    return known and (clip is None or 0.0 < clip < math.inf) and not _starts_backwards(layer)


def _starts_backwards(layer: Layer) -> bool:
    """Whether the forward layer of a bidirectional one goes backwards, which no module says."""
    return bool(layer.facts.get("go_backwards")) and bidirectional(layer.parts)


def ways(part: Part) -> tuple[str, ...]:
    """The directions of one part, whether its arrays hold one or both."""
    return part.directions or (part.direction,)


def bidirectional(parts: Sequence[Part]) -> bool:
    """Whether any of these cells runs backwards."""
    return any("backward" in ways(part) for part in parts)


def difference(parts: Sequence[Part]) -> str:
    """Why these cells cannot be one module of PyTorch, with its directions and layers; '' when they can."""
    first, sizes = parts[0], [part.solved() for part in parts]
    if any(part.cell is not first.cell for part in parts):
        return "their types differ"
    told = {key for part in parts for key in part.options}
    unlike = {key for key in told if any(part.options.get(key) != first.options.get(key) for part in parts)}
    if unlike:
        named = sorted(unlike - {*_ACTIVATIONS})
        return f"they differ in {', '.join(named)}" if named else "their activations differ"
    if len({size.get("unit") for size in sizes}) > 1:
        return f"their units differ ({', '.join(str(size.get('unit')) for size in sizes)})"
    if any(part.flattened for part in parts) and any(part.depth for part in parts):
        return "the first of them reads a flattened map"
    found = [{way for part in parts if part.depth == depth for way in ways(part)} for depth in {p.depth for p in parts}]
    if any(way != found[0] for way in found):
        return "some run in one direction and some in both"
    for part, size in zip(parts, sizes, strict=True):
        wanted = size["state"] * len(found[0]) if part.depth else sizes[0].get("input")
        if len(parts) > 1 and size["input"] != wanted:
            return f"{part.direction} layer {part.depth} reads {size['input']} features where {wanted} arrive"
    return ""


def unstackable(members: Sequence[Layer]) -> str:
    """Why these layers cannot become one module with `num_layers`, in this order; '' when they can."""
    for before, layer in zip((None, *members), members, strict=False):
        if not layer.recurrent:
            return f"{layer.path} is a {layer.kind}, and only recurrent layers stack"
        if layer.facts.get("go_backwards") or layer.facts.get("direction") == "reverse":
            return f"{layer.path} goes backwards"
        if before is None:
            continue
        if bool(layer.facts.get("time_major")) != bool(before.facts.get("time_major")):
            return f"of {before.path} and {layer.path} one has the time first, and the other the batch"
        if layer.facts.get("sequence_lens") != before.facts.get("sequence_lens"):
            return f"of {before.path} and {layer.path} only one is given the lengths of the sequences"
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
        depth = max((part.depth + part.layers for part in found), default=0)
        found += [replace(part, depth=depth + part.depth) for part in layer.parts]
    return found
