"""Pairs a source layer with the module of the target that a person would write for it, and names every parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.layers import Layer, Part
from converters.model.names import module_name, parameter_name
from converters.model.stacking import difference, placed, unstackable
from converters.planning.choosing import check_asked, layout_for, of_cell, twin
from converters.planning.modules import Module, Tensor
from converters.planning.refusal import factors, reasons, refusal, stored_states, stretching, unstated, untold_groups
from converters.targets import Target
from layouts import catalogue
from layouts.cells import Piece
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.flatten import channels_first
from layouts.layout import Layout
from layouts.records import dataclass, field, replace
from layouts.repack import targets


@dataclass(frozen=True)
class Choices:
    """What the caller chose, the same for all layers.

    dtype: of what is written; None as stored. class_name: the target's class, where it keeps a cell in several.
    constants: what the target adds when it runs. dropins: layers that only a drop-in computes are welcome.
    calls: the calls of the layers are written too, and pass stored initial states. home: whose the source is; what goes
    back to the framework that it is of keeps its own names, recognised or not.
    """

    dtype: np.dtype[Any] | None = None
    class_name: str | None = None
    constants: Mapping[str, float] = field(default_factory=dict)
    dropins: bool = False
    calls: bool = False
    home: str = ""


def pair(layer: Layer, name: str, target: Target, choices: Choices = Choices()) -> list[Module]:
    """One module for a layer, or one for each cell where they differ too much for one, or the target's has but one."""
    if not layer.parts:
        passed = _passed_through(layer, layer.unknown, name, target, choices)
        return [(passed.problems and _of_alternatives(layer, name, target, choices)) or passed]
    layer = _at_home(layer, target, choices)
    unlike = difference(layer.parts)
    if not unlike:
        layout = layout_for(layer.parts, target, choices.class_name)
        if layout is None or (_is_whole(layout, layer.parts) and not target.lists(layout)):
            return [_module(name, (layer,), layer.parts, layout, target, choices)]
    cells = [replace(part, only=place) for part in layer.parts for place in _places(part)]
    labels = target.places([part.only for part in cells if part.only])
    return [
        _module(
            _joined(name, label),
            (layer,),
            (cell,),
            layout_for([cell], target, choices.class_name),
            target,
            choices,
            unlike,
        )
        for label, cell in zip(labels, cells, strict=True)
    ]


def _of_alternatives(layer: Layer, name: str, target: Target, choices: Choices) -> Module | None:
    """The module of a layer that may be one of several, where all of them write the same."""
    found = [pair(alternative, name, target, choices) for alternative in layer.alternatives]
    if not found or any(len(modules) != 1 for modules in found):
        return None
    from converters.planning.undecided import agreed

    return agreed(layer, [modules[0] for modules in found])


def _at_home(layer: Layer, target: Target, choices: Choices) -> Layer:
    """The layer; a cell of a source of the target's own, where others run by themselves, stays one for single steps."""
    own = choices.home == target.name and layer.recurrent and not layer.call.cell
    cell = own and all(_is_cell(part.layout, target) for part in layer.parts)
    return replace(layer, call=replace(layer.call, cell=True)) if cell else layer


def _is_cell(layout: Layout, target: Target) -> bool:
    """Whether a layout is the target's own, of one step, beside another of whole sequences."""
    others = (other for other in catalogue.of(target.name) if other.cell is layout.cell)
    return layout.framework == target.name and not layout.holds("layer") and any(o.holds("layer") for o in others)


def _is_whole(layout: Layout, parts: Sequence[Part]) -> bool:
    """Whether one module of this layout has a place for all directions and layers of these cells."""
    places = [place for part in parts for place in _places(part)]
    wanted = zip(("direction", "layer"), zip(*places, strict=True), strict=True)
    return all(len({*values}) == 1 or layout.holds(label) for label, values in wanted)


def _joined(name: str, label: str) -> str:
    return f"{name}.{label}" if name else label


def _places(part: Part) -> list[tuple[str, int]]:
    """Direction and layer of every cell of a part that is meant, layer by layer."""
    return [part.only] if part.only else [(way, part.layer + k) for k in range(part.layers) for way in part.ways]


def _stackable(layer: Layer, layout: Layout) -> Iterator[str]:
    """Where a graph has a node for each layer of a stack: how to make one module of them."""
    if layer.wiring.stacks_on and layout.holds("layer"):
        before, own = (printable(module_name(path)) for path in (layer.wiring.stacks_on, layer.path))
        yield f"reads exactly what {before} gives: stack={{'NAME': ['{before}', '{own}']}} makes one module of them"


def stack(members: Sequence[Layer], name: str, target: Target, choices: Choices = Choices()) -> Module:
    """Several layers as one module with `num_layers`. Raises `NotRepresentable` where they are no such stack."""
    why_not, parts = unstackable(members), tuple(placed(members))
    layout = None if why_not else layout_for(parts, target, choices.class_name)
    if layout is not None and not _is_whole(layout, parts):
        why_not = f"{target.called(layout)} has one layer"
    if why_not:
        listed = ", ".join(printable(layer.path) for layer in members)
        raise NotRepresentable(f"{listed} cannot be stacked as {printable(name)}: {why_not}", layer=members[0].path)
    return _module(name, tuple(members), parts, layout, target, choices)


def own_names(layer: Layer) -> dict[str, LazyArray]:
    """The arrays of a layer that no layout describes, by the names they have in the source."""
    found = {parameter_name(name): array for name, array in layer.arrays.items()}
    if len(found) != len(layer.arrays):
        raise CoverageError(f"{printable(layer.path)}: two of its arrays have one name as parameters", layer=layer.path)
    return found


_WITHOUT_CONSTANT = {"projection", "peephole"}
"""Slots that a framework either has a place for or not: no number stands for a missing one."""


def _module(
    name: str,
    layers: tuple[Layer, ...],
    parts: tuple[Part, ...],
    layout: Layout | None,
    target: Target,
    choices: Choices,
    apart: str = "",
) -> Module:
    """One module out of these cells; `apart` says why it is not the only one of its layer."""
    first = layers[0]
    if layout is None:
        slots = {piece.slot for part in parts for piece in part.pieces()}
        own = [slot for slot in parts[0].cell.slots if slot in slots & _WITHOUT_CONSTANT]
        what = " with ".join([parts[0].cell.name.replace("_", " "), *own])
        reason = NotRepresentable(f"{target.library} has no module for {what}{twin(parts[0], target)}")
        arrays = {array: lazy for part in parts for array, lazy in part.arrays.items()}
        return _passed_through(replace(first, parts=(), arrays=arrays), reason, name, target, choices)
    layout = of_cell(layout, target) if first.call.cell else layout
    why = tuple(reasons(first, parts, layout, target))
    drop_in = bool(why) and target.drop_in(first, parts)
    constructor = target.constructor(first, parts, not why)
    refused = why and not (drop_in and choices.dropins)
    problems: list[ConversionError] = [refusal(first, why, layout, constructor, drop_in)] if refused else []
    problems += () if choices.calls else stored_states(layers, target)
    problems += (*unstated(layers), *(untold_groups(layers) if constructor else ()))
    notes = [f"one module for each cell: {apart}"] if apart else [*_stackable(first, layout)] * (len(layers) == 1)
    notes += dict.fromkeys(note for layer in layers for note in target.notes(layer, apart))
    notes += stretching(parts[0], layout, target)
    times = factors(parts[0], layout, target)
    if target.channels_last:
        parts = tuple(replace(part, flattened=()) for part in parts)
    layout = channels_first(layout, len(parts[0].flattened)) if parts[0].flattened else layout
    check_asked(first, layout, choices.constants)
    tensors = tuple(_tensors(name, layout, parts, target, choices))
    why = why if drop_in else ()
    return Module(name, layers, parts, layout, tensors, constructor, tuple(notes), why, (*problems,), times)


def _dummies(parts: Sequence[Part], dtype: np.dtype[Any] | None) -> dict[Piece, Any]:
    """The pieces of a module with their shapes and dtypes and no memory, for planning."""
    found: dict[Piece, Any] = {}
    for part in parts:
        kind = dtype or np.result_type(*(part.arrays[name].dtype for name in part.shapes))
        for piece, shape in part.pieces().items():
            found[piece] = np.broadcast_to(np.zeros((), kind), shape)
    return found


def _tensors(name: str, layout: Layout, parts: Sequence[Part], target: Target, choices: Choices) -> Iterator[Tensor]:
    for array in targets(layout, _dummies(parts, choices.dtype), parts[0].given):
        yield Tensor(target.key(name, array.name), array.name, array.shape, array.dtype.newbyteorder("="))
    at_home = parts[0].layout is layout
    for constant in (name for name in layout.constants if not at_home or name in parts[0].arrays):
        yield Tensor(target.key(name, constant), constant, (), np.dtype(np.int64))


def _passed_through(
    layer: Layer, reason: ConversionError | None, name: str, target: Target, choices: Choices
) -> Module:
    """Arrays under their own names: PyTorch's parameters, or with a problem those of a layer that is not known."""
    tensors = tuple(
        Tensor(target.key(name, short), short, array.shape, choices.dtype or array.dtype.newbyteorder("="))
        for short, array in own_names(layer).items()
    )
    unrecognised = isinstance(reason, UnknownLayer | CoverageError | ShapeError)
    if reason is None or (unrecognised and target.keeps_own and choices.home == target.name):
        notes = (f"{target.title}'s own parameters, under their own names",)
        return Module(name, (layer,), (), None, tensors, notes=notes)
    known = unrecognised or isinstance(reason, NotRepresentable)
    problem = (type(reason) if known else UnknownLayer)(
        f"{printable(layer.path)} ({printable(layer.class_name)}): {reason}", layer=layer.path, array=reason.array
    )
    notes = ("no layout describes it: its arrays pass through under their own names",)
    return Module(name, (layer,), (), None, tensors, notes=notes, problems=(problem,))
