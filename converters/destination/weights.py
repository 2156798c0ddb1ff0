"""Weights for a given model of Keras: layers matched by name, else by type, shapes and order; then laid out for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.destination.levels import Fit, Level, Place, fit, levels, placed, places, slopes
from converters.model.checkpoint import Checkpoint
from converters.model.names import Rename, module_name
from converters.model.tree import Tree
from converters.planning.coverage import warnings
from converters.planning.pairing import Choices
from converters.planning.plan import Plan
from converters.readers.keras.config import Leaf
from converters.readers.keras.like import Like, read_like
from converters.targets import KERAS
from converters.targets.keras import KERAS2, files
from layouts import catalogue
from layouts.errors import ConversionError, CoverageError, ShapeError, printable
from layouts.records import dataclass


def for_model(
    checkpoint: Checkpoint, like: Any, suffix: str, rename: Mapping[str, str], choices: Choices
) -> tuple[Plan, Tree]:
    """The plan for a model's weights, and the tree of its file.

    Raises `CoverageError` where a layer goes nowhere, a place stays empty, or several matches are possible, and
    `ShapeError` where a name agrees and the layer does not fit.
    """
    if suffix not in (".weights.h5", ".h5", ".hdf5"):
        raise ConversionError(f"like= gives names for weights: .weights.h5 or .h5, not {suffix}")
    model = read_like(like)
    found = _matched(checkpoint, model, rename, choices)
    modules = tuple(module for each in found for module in each.modules)
    told = (*warnings(checkpoint, checkpoint.layers), *(remark for each in found for remark in each.remarks))
    plan = Plan(checkpoint, _target(model), modules, choices, True, told)
    arrays = {tensor.key: tensor for tensor in plan.tensors}
    slots, shapes = list(_slots(model, found)), {key: shape for each in found for key, shape in slopes(each)}
    if suffix == ".weights.h5":
        return plan, _numbered(slots, arrays, shapes)
    return plan, files.by_layer(_grouped(slots), arrays, shapes, "", model.version.text)


def _target(model: Like) -> Any:
    return KERAS if model.version.major >= 3 else KERAS2


def _matched(checkpoint: Checkpoint, model: Like, rename: Mapping[str, str], choices: Choices) -> list[Fit]:
    unknown = [layer for layer in checkpoint.layers if layer.unknown is not None]
    if unknown:
        raise CoverageError(
            f"{printable(unknown[0].path)}: {unknown[0].unknown}: it goes nowhere in {printable(model.name)}",
            path=checkpoint.path,
        )
    free, every = list(levels(checkpoint)), list(places(model))
    order = {id(place): number for number, place in enumerate(every)}
    renames = Rename(rename, dict.fromkeys([*(layer.path for layer in checkpoint.layers), *(x.name for x in free)]), {})
    named = {renames.apply(level.name): level for level in free}
    pairs = [(named[module_name(place.name)], place) for place in every if module_name(place.name) in named]
    found = [_by_name(level, place, model, choices) for level, place in pairs]
    taken = {id(one) for pair in pairs for one in pair}
    left = [place for place in every if id(place) not in taken]
    found += _by_structure([level for level in free if id(level) not in taken], left, model, choices)
    return sorted(found, key=lambda each: order[id(each.place)])


def _fit(level: Level, place: Place, model: Like, choices: Choices) -> Fit | str:
    return fit(level, place, model.version, _target(model), choices)


def _by_name(level: Level, place: Place, model: Like, choices: Choices) -> Fit:
    found = _fit(level, place, model, choices)
    if isinstance(found, str):
        raise ShapeError(
            f"{printable(level.name)} does not fit {printable(place.name)} of {printable(model.name)}: {found}",
            layer=level.layer.path,
        )
    return found


def _by_structure(free: list[Level], waiting: list[Place], model: Like, choices: Choices) -> Iterator[Fit]:
    """Levels and places that fit each other pair up in order, where there are as many of the one as of the other."""
    left = list(waiting)
    while left:
        place = left[0]
        sources = [level for level in free if isinstance(_fit(level, place, model, choices), Fit)]
        rivals = [
            other for other in left if any(isinstance(_fit(each, other, model, choices), Fit) for each in sources)
        ]
        if not sources:
            raise CoverageError(_nothing_fills(place, free, model, choices))
        if len(sources) > len(rivals):
            raise CoverageError(
                f"{_named(sources)}: {len(sources)} layers of the source, and in {printable(model.name)} there "
                f"{'are' if len(rivals) > 1 else 'is'} {', '.join(printable(other.name) for other in rivals)} alone"
            )
        if len(sources) != len(rivals):
            raise CoverageError(
                f"ambiguous match: {_named(sources)} into {', '.join(printable(other.name) for other in rivals)}. "
                f"Settle it by name, e.g. rename={{{sources[0].name!r}: {rivals[0].name!r}}}"
            )
        for level, rival in zip(sources, rivals, strict=True):
            yield _by_name(level, rival, model, choices)
            free.remove(level)
            left.remove(rival)
    if free:
        raise CoverageError(f"{_named(free)}: no layer of {printable(model.name)} is there for these weights")


def _named(found: Sequence[Level]) -> str:
    return ", ".join(printable(level.name) for level in found)


def _nothing_fills(place: Place, free: Sequence[Level], model: Like, choices: Choices) -> str:
    """What stands in the way of the layers of the place's own kind; where there are none, what there is."""
    wanted = place.cells[0].class_name
    kinds = {layout.cell for layout in catalogue.layers(KERAS.name).get(wanted, ())}
    alike = [level for level in free if level.parts[0].cell in kinds]
    why = [f"{printable(level.name)}: {_fit(level, place, model, choices)}" for level in alike[:3]]
    others = ", ".join(f"{printable(level.name)} ({printable(level.layer.class_name)})" for level in free[:5])
    told = "; ".join(why) or f"It is a {wanted}, and what is left of the source is {others or 'nothing'}"
    return f"nothing fills the layer {printable(place.name)} of {printable(model.name)}. {told}"


@dataclass(frozen=True, eq=False)
class Slot:
    """A layer of the model as its files keep it: the keys of its arrays by the folder of each cell."""

    leaf: Leaf
    name: str
    class_name: str
    arrays: Mapping[str, Sequence[str]]
    late: frozenset[str]
    """The keys that a group of several layers lists behind the others: those that are not trained."""


_NOT_TRAINED = {"moving_mean", "moving_variance"}
_ROLES = {"query": "query", "key": "key", "value": "value", "attention_output": "output"}


def _slots(model: Like, found: Sequence[Fit]) -> Iterator[Slot]:
    """Every layer of the model, those without weights too."""
    seen: set[str] = set()
    for leaf in model.model.leaves():
        if leaf.path in seen:
            continue
        seen.add(leaf.path)
        own = [
            (cell, module)
            for each in found
            if each.place.leaf.path == leaf.path
            for cell, module in zip(each.place.cells, each.modules, strict=True)
        ]
        order = {cell.folder: number for number, cell in enumerate(leaf.cells)}
        own.sort(key=lambda pair: order[pair[0].folder])
        arrays: dict[str, list[str]] = {}
        late: set[str] = set()
        for cell, module in own:
            for tensor in sorted(placed(module, cell), key=lambda tensor: _role(tensor.name)[0]):
                arrays.setdefault(cell.folder + _folder(tensor.name, model), []).append(tensor.key)
                if tensor.name in _NOT_TRAINED or not leaf.trainable:
                    late.add(tensor.key)
        yield Slot(leaf, leaf.group, leaf.class_name, arrays, frozenset(late))


def _role(name: str) -> tuple[int, str]:
    """The projection of attention that an array belongs to, and its place among them."""
    role = name.rpartition("/")[0]
    return (list(_ROLES).index(role), _ROLES[role]) if role in _ROLES else (0, "")


def _folder(name: str, model: Like) -> str:
    role = _role(name)[1]
    return f"/{'_' * (model.version.major < 3)}{role}_dense" if role else ""


def _storage(leaf: Leaf) -> str:
    """The folder of a layer; nested models that Keras 2 called Model are Functional wherever such files are read."""
    return re.sub(r"(?<=/)model(?=(_\d+)?/layers)", "functional", leaf.storage)


def _numbered(slots: Sequence[Slot], arrays: files.Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Tree:
    """The folders that the configuration tells, and no names: versions differ in which folders have one."""
    leaves = [
        files.leaf(f"{_storage(slot.leaf)}{folder}/vars/{number}", arrays[key], shapes)
        for slot in slots
        for folder, keys in slot.arrays.items()
        for number, key in enumerate(keys)
    ]
    return Tree(tuple(leaves), ("vars", *(f"{_storage(slot.leaf)}/vars" for slot in slots)))


def _grouped(slots: Sequence[Slot]) -> Iterator[files.Group]:
    """One group a layer of the outermost model: what it holds, trained arrays first."""
    found: dict[str, list[Slot]] = {}
    for slot in slots:
        found.setdefault(slot.name, []).append(slot)
    for name, own in found.items():
        places = [
            (f"{slot.leaf.path.removeprefix(name)}{folder}", key, key in slot.late)
            for slot in own
            for folder, keys in slot.arrays.items()
            for key in keys
        ]
        ordered = sorted(places, key=lambda place: place[2])
        yield files.Group(name, own[0].class_name, [(folder, key) for folder, key, _ in ordered])
