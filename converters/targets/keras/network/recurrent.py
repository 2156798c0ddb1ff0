"""Recurrent layers as layers of Keras 3: directions, stacks of cells, states, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from converters.model.graph import Node
from converters.model.layers import Layer
from converters.targets.keras.network import cells
from converters.targets.keras.network.sketch import Held, Tensor
from converters.targets.keras.network.work import Planned, Work
from layouts.errors import printable


def call(w: Work, node: Node, modules: Sequence[Planned], inputs: list[Held]) -> None:
    """Write one call; what the node makes is held from then on."""
    layer = node.layer
    if layer is None or not _possible(w, node, layer, modules):
        return
    ways = cells.by_way(modules)
    if list(ways) == ["backward"]:
        layer, ways = replace(layer, call=replace(layer.call, direction="reverse")), {"forward": ways["backward"]}
    x = _first(w, node, layer, inputs[0])
    x, named = w.masked(node, x, node.name, alone=not inputs[1:])
    states = [held.tensor for held in inputs[1:]]
    if len(ways) == 2 and _on_both(ways):
        _level_by_level(w, node, layer, ways, x, states, named)
        return
    if len(ways) == 2 and _by_itself(node, layer, ways):
        _one_by_one(w, node, layer, ways, x, states, named)
        return
    found = _layer(w, node, layer, ways, x, states, named)
    turned = [_turned(w, node, layer, held, number < _count(layer)) for number, held in enumerate(found)]
    _give(w, node, turned)


def _give(w: Work, node: Node, found: Sequence[Held]) -> None:
    for name, held in zip(node.outputs, found, strict=False):
        w.held[name] = replace(held, shape=w.shape(name))


def _count(layer: Layer) -> int:
    """How many outputs there are before the states."""
    return 2 if layer.call.merge == "pair" else 1


def _layer(
    w: Work,
    node: Node,
    layer: Layer,
    ways: cells.Ways,
    x: Held,
    states: Sequence[Tensor],
    named: Mapping[str, Any],
    way: str = "",
) -> list[Held]:
    """A layer of Keras of these directions: its outputs, then its states where the graph reads any.

    `way`: the one direction of two that it is by itself, or the level of a stack.
    """
    outputs = _count(layer) if len(ways) == 2 else 1
    many = len(node.outputs) > _count(layer)
    if many and x.timed:
        w.sketch.refuse(node, "a layer that gives its states on every step has no form in Keras 3")
    class_name, config = cells.described(layer, ways, many)
    given = {**named, "initial_state": _grouped(w, node, ways, states)} if states else named
    found = w.weighted(node, class_name, config, dict(cells.folders(ways)), x, given, way=way)
    mask = w.root(node.mask) if node.mask and layer.call.sequences is not False else ""
    count = outputs + (sum(cells.states(module) for own in ways.values() for module in own) if many else 0)
    tensors = [replace(found.tensor, number=number) for number in range(count)]
    return [Held(tensor, None, found.timed, mask if number < outputs else "") for number, tensor in enumerate(tensors)]


def _by_itself(node: Node, layer: Layer, ways: cells.Ways) -> bool:
    """Whether Keras 3's Bidirectional gives something else, so that each direction is a layer by itself.

    It zeros masked steps of its sequences, tells a wrong width of directions that differ in theirs, has no axis for
    directions, and puts maps side by side on their last axis: here the channels, which are not last in every source.
    """
    repeats = bool(node.mask) and layer.call.sequences is not False and not layer.call.zeros_where_masked
    widths = {own[-1].parts[0].solved()["unit"] for own in ways.values()}
    part = layer.parts[0]
    rows = part.cell.name in cells.MAPS and not part.convolution.channels_last and layer.call.merge == "concat"
    return repeats or len(widths) > 1 or layer.call.merge == "stacked" or rows


def _one_by_one(
    w: Work,
    node: Node,
    layer: Layer,
    ways: cells.Ways,
    x: Held,
    states: Sequence[Tensor],
    named: Mapping[str, Any],
) -> None:
    """Two layers, of which one reads from the end; then what the directions become together."""
    half = len(states) // 2
    outputs: list[Held] = []
    finals: list[Held] = []
    for way, own in (("forward", states[:half]), ("backward", states[half:])):
        first, *more = _layer(w, node, layer, {way: ways[way]}, x, own, named, way)
        if way == "backward" and layer.call.sequences is not False:
            flipped = w.sketch.function(f"{node.name}_flip", "Flip", [first.tensor], axis=first.axis(1))
            first = replace(first, tensor=flipped)
        outputs.append(replace(_turned(w, node, layer, first, True), mask=""))
        finals += [_turned(w, node, layer, held, False) for held in more]
    _give(w, node, [*_merged(w, node, layer, outputs), *finals])


def _on_both(ways: cells.Ways) -> bool:
    """Whether the layers of a stack read both directions of the one below, side by side."""
    sizes = [module.parts[0].solved() for module in ways["forward"]]
    return len(sizes) > 1 and sizes[1]["input"] == 2 * sizes[0]["unit"]


def _level_by_level(
    w: Work,
    node: Node,
    layer: Layer,
    ways: cells.Ways,
    x: Held,
    states: Sequence[Tensor],
    named: Mapping[str, Any],
) -> None:
    """A stack as one Bidirectional a level; states are told direction by direction."""
    depth = len(ways["forward"])
    each = len(states) // (2 * depth)
    finals: dict[tuple[int, int], list[Held]] = {}
    outputs = [x]
    for level in range(depth):
        last = level == depth - 1
        call = layer.call if last else replace(layer.call, sequences=True, merge="concat")
        own = {way: [modules[level]] for way, modules in ways.items()}
        starts = [each * (side * depth + level) for side in (0, 1)]
        given = [state for start in starts for state in states[start : start + each]]
        found = _layer(w, node, replace(layer, call=call), own, outputs[0], given, named, f"level{level}")
        count = _count(layer) if last else 1
        outputs, more = found[:count], found[count:]
        finals |= {(side, level): more[side * (len(more) // 2) : (side + 1) * (len(more) // 2)] for side in (0, 1)}
    if layer.call.merge == "stacked" or (node.mask and not layer.call.zeros_where_masked):
        w.sketch.refuse(node, "a stack of both directions under a mask, or with an axis for directions")
    ordered = [held for side in (0, 1) for level in range(depth) for held in finals[side, level]]
    turned = [_turned(w, node, layer, held, True) for held in outputs]
    _give(w, node, [*turned, *(_turned(w, node, layer, held, False) for held in ordered)])


def _merged(w: Work, node: Node, layer: Layer, outputs: list[Held]) -> list[Held]:
    """Both directions as one value, as the layer gives them."""
    how, (forward, backward) = layer.call.merge, outputs
    pair = [forward.tensor, backward.tensor]
    if how == "pair":
        return outputs
    if how == "stacked":
        axis = forward.axis(1 + layer.call.time_axis)
        return [replace(forward, tensor=w.sketch.function(node.name, "Stack", [pair], axis=axis))]
    if how in ("sum", "ave", "mul"):
        tensor = w.sketch.function(node.name, "Multiply" if how == "mul" else "Add", pair)
        tensor = w.sketch.function(node.name, "Divide", [tensor, 2]) if how == "ave" else tensor
        return [replace(forward, tensor=tensor)]
    return [replace(forward, tensor=w.sketch.function(node.name, "Concatenate", [pair], axis=-1))]


def _possible(w: Work, node: Node, layer: Layer, modules: Sequence[Planned]) -> bool:
    before = len(w.sketch.problems)
    for module in modules:
        part = module.parts[0]
        if any(tensor.name.endswith("peephole_weights") for tensor in module.tensors):
            w.sketch.refuse(node, "Keras 3 has no layer with peepholes")
        for function in (part.recurrence.activation, part.recurrence.recurrent_activation):
            if cells.function(function) is None:
                w.sketch.refuse(node, f"Keras 3 has no activation {printable(function)}")
    first = layer.parts[0].cell.name in cells.MAPS and not layer.parts[0].convolution.channels_last
    if first and node.mask and len(w.shape(node.mask) or ()) != 2:
        w.sketch.refuse(node, "a mask over the places of maps whose channels come first")
    if layer.call.lengths:
        w.sketch.refuse(node, "the lengths of its sequences have no form in Keras 3: a mask has")
    if len(cells.by_way(modules)) == 2 and layer.call.direction == "reverse":
        w.sketch.refuse(node, "both directions of a layer that itself reads from the end")
    return len(w.sketch.problems) == before


def _first(w: Work, node: Node, layer: Layer, x: Held) -> Held:
    """The sequence as Keras reads it: batch, time, and of maps the channels last."""
    part = layer.parts[0]
    if layer.call.time_axis == 0:
        return w.permuted(node, x, (1, 0, 2))
    if part.cell.name in cells.MAPS and not part.convolution.channels_last:
        count = int(part.cell.name[-2])
        return w.permuted(node, x, (0, 1, *range(3, count + 3), 2))
    return x


def _grouped(w: Work, node: Node, ways: cells.Ways, states: Sequence[Tensor]) -> list[Any]:
    """Initial states as Keras takes them: one list, or one a cell of a stack."""
    own = next(iter(ways.values()))
    if len(own) == 1:
        return list(states)
    if len(ways) == 2:
        w.sketch.refuse(node, "initial states of a stack of cells in both directions")
    each = [cells.states(module) for module in own]
    starts = [sum(each[:number]) for number in range(len(each))]
    return [list(states[start : start + count]) for start, count in zip(starts, each, strict=True)]


def _turned(w: Work, node: Node, layer: Layer, held: Held, is_output: bool) -> Held:
    """A value that Keras gives, with its steps and axes where the source has them."""
    told, part = layer.call, layer.parts[0]
    steps = is_output and told.sequences is not False
    if steps and told.direction == "reverse":
        flipped = w.sketch.function(f"{node.name}_flip", "Flip", [held.tensor], axis=held.axis(1))
        held = replace(held, tensor=flipped, mask="")
    if steps and told.time_axis == 0:
        return w.permuted(node, held, (1, 0, 2))
    if part.cell.name not in cells.MAPS or part.convolution.channels_last:
        return held
    count = int(part.cell.name[-2])
    order = (0, 1, count + 2, *range(2, count + 2)) if steps else (0, count + 1, *range(1, count + 1))
    return w.permuted(node, held, order)
