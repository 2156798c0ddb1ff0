"""The places that a model of Keras has for weights, the cells of a source, and whether one goes into the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.planning.modules import Module, Tensor
from converters.planning.pairing import Choices, pair
from converters.readers.keras.config import CellConfig, Leaf
from converters.readers.keras.contradictions import check_names, check_sizes, switched_on
from converters.readers.keras.layers import needs_arrays
from converters.readers.keras.like import Like
from converters.readers.keras.semantics import GRUS, Version, options
from converters.targets import KERAS, Target
from layouts import cells
from layouts.errors import ConversionError, printable
from layouts.layout import SIDES
from layouts.options import STRETCHED, Normalization, Recurrence
from layouts.records import dataclass, replace


@dataclass(frozen=True, eq=False)
class Level:
    """A layer of a source, or one level of a stack of cells: a cell for each direction."""

    layer: Layer
    name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """A layer of the model, or one level of a stack of cells in it."""

    leaf: Leaf
    name: str
    cells: tuple[CellConfig, ...]


def levels(checkpoint: Checkpoint) -> Iterator[Level]:
    """Every level of every layer that is known, in the source's order."""
    for layer in checkpoint.layers:
        found: dict[int, list[Part]] = {}
        for part in layer.parts:
            for number in range(part.layers):
                for way in part.ways:
                    only = (way, part.layer + number) if part.cell.recurrent else None
                    found.setdefault(part.layer + number, []).append(replace(part, only=only))
        for number, parts in found.items():
            yield Level(layer, f"{layer.path}.{number}" if len(found) > 1 else layer.path, tuple(parts))


def places(like: Like) -> Iterator[Place]:
    """Every level of every layer with weights, in the model's order; a shared layer once."""
    seen: set[str] = set()
    for leaf in like.model.leaves():
        if leaf.path in seen or not needs_arrays(leaf):
            continue
        seen.add(leaf.path)
        found: dict[int, list[CellConfig]] = {}
        for cell in leaf.cells:
            found.setdefault(cell.depth, []).append(cell)
        for depth, own in found.items():
            yield Place(leaf, f"{leaf.path}.{depth}" if len(found) > 1 else leaf.path, tuple(own))


@dataclass(frozen=True, eq=False)
class Fit:
    """A level in a place: a planned module for each cell, and what a person should know."""

    level: Level
    place: Place
    modules: tuple[Module, ...]
    remarks: tuple[str, ...] = ()


def fit(level: Level, place: Place, version: Version, target: Target, choices: Choices) -> Fit | str:
    """The modules of a level in a place; or why it does not go there."""
    more = _more(place.leaf)
    if more:
        return more
    if len(level.parts) != len(place.cells):
        return f"{len(level.parts)} directions, and the model has {len(place.cells)}"
    modules: list[Module] = []
    remarks: list[str] = []
    for part, cell in zip(level.parts, place.cells, strict=True):
        found = _module(level, part, place, cell, target, choices)
        why_not = found if isinstance(found, str) else _contradiction(part, cell, found, version)
        if isinstance(found, str) or why_not:
            return why_not
        modules.append(found)
        remarks += _epsilon(part, cell, found, version, place)
    return Fit(level, place, tuple(modules), tuple(remarks))


def _more(leaf: Leaf) -> str:
    """What a layer of the model keeps beside the weights of its cell, which no source tells."""
    if "SpectralNormalization" in "".join(leaf.wrappers):
        return "a SpectralNormalization keeps a vector of its own, which no source tells"
    return "the model has LoRA arrays, which no source tells" if leaf.config.get("lora_rank") else ""


def _module(level: Level, part: Part, place: Place, cell: CellConfig, target: Target, choices: Choices) -> Module | str:
    name = "/".join(filter(None, (place.name, cell.direction if len(place.cells) > 1 else "")))
    own = replace(choices, class_name=cell.class_name)
    try:
        found = pair(replace(level.layer, parts=(part,)), name, target, own)
        check_sizes(cell, part)
        if found[0].layout is not None:
            check_names(cell, found[0].layout, [tensor.name for tensor in placed(found[0], cell)])
    except ConversionError as error:
        return " ".join(str(error).split())
    return found[0]


def placed(module: Module, cell: CellConfig) -> list[Tensor]:
    """The arrays of a module that the model has: without those of a constant that it goes without."""
    slots = {piece.slot for part in module.parts for piece in part.pieces()}
    held = {
        entry.name: {target.template.format(side=side) for target in entry.pattern.targets for side in SIDES}
        for entry in (module.layout.entries() if module.layout is not None else ())
    }
    return [t for t in module.tensors if held.get(t.name, slots) & slots or switched_on(t.name, cell.config)]


def slopes(found: Fit) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The shapes of slopes, one a channel: with an axis of one for every axis that shares them."""
    for cell, module in zip(found.place.cells, found.modules, strict=True):
        shared, part = cell.config.get("shared_axes"), module.parts[0]
        if part.cell is cells.PRELU and isinstance(shared, list | tuple):
            own = part.layout.framework == KERAS.name
            shape = next(iter(part.shapes.values())) if own else (*[1] * len(shared), part.solved()["channel"])
            yield from ((tensor.key, shape) for tensor in module.tensors)


def _contradiction(part: Part, cell: CellConfig, module: Module, version: Version) -> str:
    """What the model computes otherwise than the source; '' where it computes the same."""
    if module.problems:
        return " ".join(str(module.problems[0]).split())
    if cell.class_name in GRUS:
        after = bool(cell.config.get("reset_after", False))
        if after != (part.cell is cells.GRU):
            return f"the model has reset_after={after}, and the source the other GRU"
    own = part.options
    if module.layout is None or not isinstance(own, Recurrence):
        return ""
    wanted: Any = options(cell.class_name, cell.config, version, module.layout)
    for option in ("activation", "recurrent_activation"):
        have, asked = getattr(own, option), getattr(wanted, option)
        stretched = option in module.layout.stretches and asked in STRETCHED.get(have, {}) and bool(module.factors)
        if option in part.cell.chooses and have != asked and not stretched:
            return f"its {option} is {printable(have)}, and that of the model {printable(asked)}"
    return ""


def _epsilon(part: Part, cell: CellConfig, module: Module, version: Version, place: Place) -> Iterator[str]:
    """A norm whose number is another one: weights do not tell it."""
    if module.layout is None or not isinstance(part.options, Normalization):
        return
    wanted: Any = options(cell.class_name, cell.config, version, module.layout)
    if None not in (part.options.epsilon, wanted.epsilon) and part.options.epsilon != wanted.epsilon:
        yield (
            f"{printable(place.name)}: epsilon is {part.options.epsilon} in the source and {wanted.epsilon} in the "
            f"model: build the model with epsilon={part.options.epsilon}"
        )
