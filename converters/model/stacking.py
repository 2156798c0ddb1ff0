"""Whether cells or layers are one recurrent stack: of one kind and size, each reading what the one before gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.model.layers import Layer, Part

_ACTIVATIONS = ("activation", "recurrent_activation", "output_activation")


def bidirectional(parts: Sequence[Part]) -> bool:
    """Whether any of these cells runs backwards."""
    return any("backward" in part.ways for part in parts)


def difference(parts: Sequence[Part]) -> str:
    """Why these cells cannot be one module with several directions and layers; '' when they can."""
    first, sizes = parts[0], [part.solved() for part in parts]
    if any(part.cell is not first.cell for part in parts):
        return "their types differ"
    unlike = [name for name in first.cell.chooses if any(_value(part, name) != _value(first, name) for part in parts)]
    if unlike:
        named = sorted({*unlike} - {*_ACTIVATIONS})
        return f"they differ in {', '.join(named)}" if named else "their activations differ"
    if len({size.get("unit") for size in sizes}) > 1:
        return f"their units differ ({', '.join(str(size.get('unit')) for size in sizes)})"
    if any(part.flattened for part in parts) and any(part.layer for part in parts):
        return "the first of them reads a flattened feature map"
    found = [{way for part in parts if part.layer == k for way in part.ways} for k in {part.layer for part in parts}]
    if any(ways != found[0] for ways in found):
        return "some run in one direction and some in both"
    for part, size in zip(parts, sizes, strict=True):
        wanted = size["state"] * len(found[0]) if part.layer else sizes[0].get("input")
        if len(parts) > 1 and size["input"] != wanted:
            return f"{part.direction} layer {part.layer} reads {size['input']} features where {wanted} arrive"
    return ""


def _value(part: Part, option: str) -> object:
    return getattr(part.options, option)


def unstackable(members: Sequence[Layer]) -> str:
    """Why these layers cannot become one stack, in this order; '' when they can."""
    for before, layer in zip((None, *members), members, strict=False):
        if not layer.recurrent:
            return f"{layer.path} is a {layer.class_name}, and only recurrent layers stack"
        if layer.call.direction != "forward":
            return f"{layer.path} goes backwards"
        why_not = _apart(before, layer) if before is not None else ""
        if why_not:
            return why_not
    return difference(placed(members))


def _apart(before: Layer, layer: Layer) -> str:
    """Why one layer does not read what the one before gives, as the layers of a stack do."""
    if layer.call.time_axis != before.call.time_axis:
        return f"of {before.path} and {layer.path} one has the time first, and the other the batch"
    if layer.call.lengths != before.call.lengths:
        return f"of {before.path} and {layer.path} only one is given the lengths of the sequences"
    fed_by = layer.wiring.fed_by
    if fed_by is not None and fed_by != (before.path,):
        return f"{layer.path} reads from {', '.join(fed_by) or 'the input'}, not from {before.path} alone"
    if before.call.sequences is False:
        return f"{before.path} returns its last output only"
    if before.call.merge not in ("", "concat", "stacked"):
        return f"{before.path} merges its directions by {before.call.merge}"
    return ""


def placed(members: Sequence[Layer]) -> list[Part]:
    """The cells of layers that follow one another, each at its place in the stack."""
    found: list[Part] = []
    for layer in members:
        height = max((part.layer + part.layers for part in found), default=0)
        found += [replace(part, layer=height + part.layer) for part in layer.parts]
    return found
