"""Cells that a framework's wrappers hold as one stack come out as one layer, as far as their sizes allow it.

How wrappers name their cells is data, `ARRANGEMENTS` of the framework's layouts. Whether cells are one stack is decided
by `model.stacking.difference`, as everywhere: kinds, options, units, and that each reads what the one before gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converters.model.assumptions import TRUTH, Assumptions
from converters.model.layers import Layer, Part
from converters.model.stacking import bidirectional, difference, placed
from converters.readers.arrays.recognition import said
from layouts import catalogue
from layouts.arrangements import RESIDUAL, Arrangement, Place
from layouts.errors import UnknownLayer
from layouts.layout import DIRECTIONS

Member = tuple[Place, Layer]


def stacks(path: str, framework: str) -> Iterator[str]:
    """The paths of every stack in which a cell of this path may stand."""
    todo = [path]
    for arrangement in catalogue.arrangements(framework):
        found = {place.stack for one in todo if (place := arrangement.place(one))}
        todo += found
        yield from found


def joined(layers: Iterable[Layer], framework: str, assumptions: Assumptions) -> tuple[Layer, ...]:
    """The layers, with every stack that its wrappers tell as one layer, in the place of its first cell."""
    found = tuple(layers)
    arrangements = catalogue.arrangements(framework)
    for arrangement in arrangements:
        others = [other for other in arrangements if other is not arrangement]
        found = tuple(_Joining(arrangement, others, assumptions).of(found))
    return found


class _Joining:
    """One arrangement at work."""

    def __init__(self, arrangement: Arrangement, others: Sequence[Arrangement], assumptions: Assumptions) -> None:
        self._arrangement, self._others, self._assumptions = arrangement, others, assumptions

    def of(self, layers: Sequence[Layer]) -> Iterator[Layer]:
        groups: dict[tuple[str, str], list[Member]] = {}
        for layer in layers:
            place = self._place(layer)
            if place is not None:
                groups.setdefault((place.stack, place.rest), []).append((place, layer))
        groups = dict(_as_one(groups))
        groups = {key: group for key, group in groups.items() if not self._beside(key[0], group, layers)}
        owners = {id(layer): key for key, group in groups.items() for _, layer in group}
        several = {key: [other for other, _ in groups].count(key[0]) > 1 for key in groups}
        wholes = {
            key: None if several[key] and len(group) == 1 else self._whole(_path(key, alone=not several[key]), group)
            for key, group in groups.items()
        }
        for layer in layers:
            whole = wholes.get(owners.get(id(layer), ("", "")))
            if whole is None or id(layer) not in owners:
                yield self._alone(layer)
            elif layer is groups[owners[id(layer)]][0][1]:
                yield whole

    def _alone(self, layer: Layer) -> Layer:
        """A layer that stays apart; one under a wrapper of two directions may be the one that runs backwards."""
        place = self._place(layer) if self._arrangement.merge == "pair" else None
        backward = place is not None and place.value == DIRECTIONS[1] and layer.call.direction == DIRECTIONS[0]
        return replace(layer, call=replace(layer.call, direction="reverse")) if backward else layer

    def _place(self, layer: Layer) -> Place | None:
        """Where a cell stands, if it is one of these, and nothing below it tells of another stack."""
        known = self._arrangement.classes
        if not layer.recurrent or (known and layer.class_name not in {*known, *known.values()}):
            return None
        if self._arrangement.label != "direction" and self._residual(layer):
            return None
        place = self._arrangement.place(layer.path)
        return None if place and any(other.place(place.rest) for other in self._others) else place

    def _residual(self, layer: Layer) -> bool | None:
        """Whether the output of a cell is added to what it reads, which is no stack; None where nobody says so."""
        stated = self._assumptions.of(layer.path).get(RESIDUAL)
        if stated is None:
            return None
        self._assumptions.use(stated)
        return bool(stated.parsed(TRUTH))

    def _may_add(self, layer: Layer) -> bool:
        """Whether nobody says if a cell stands in a wrapper that adds what it reads to what it gives, which it may."""
        place, wrapped = self._place(layer), self._arrangement.residual
        may = bool(wrapped) and place is not None and re.fullmatch(wrapped, place.rest) is not None
        return may and self._residual(layer) is None and _adds(layer)

    def _beside(self, stack: str, group: Sequence[Member], layers: Sequence[Layer]) -> bool:
        """Whether one cell alone stands in a row with other layers: a row of anything, and no stack of cells."""
        if len(group) > 1 or self._arrangement.label == "direction":
            return False
        others = (self._arrangement.place(layer.path) for layer in layers if layer is not group[0][1])
        return any(place and place.stack == stack for place in others)

    def _whole(self, path: str, group: Sequence[Member]) -> Layer | None:
        """The one layer that these cells are; None where they stay apart."""
        members = sorted(group, key=lambda member: _order(member[0].value))
        values, layers = [place.value for place, _ in members], [layer for _, layer in members]
        found = [layer for layer in self._ways(path, values, layers) if not difference(layer.parts)]
        return _question(path, found) if len(found) > 1 else next(iter(found), None)

    def _ways(self, path: str, values: Sequence[int | str], layers: Sequence[Layer]) -> Iterator[Layer]:
        """Every way in which cells under these labels may be one stack."""
        label, stated = self._arrangement.label, self._assumptions.of(path).get("class")
        if label == "direction":
            if tuple(values) == DIRECTIONS:
                yield self._layer(path, layers, _both(*layers))
        elif list(values) == [*range(len(values))]:
            two = stated is not None and stated.value in self._arrangement.classes.values()
            if not two:
                yield self._layer(path, layers, placed(layers))
            if label == "number" and not len(layers) % 2 and (two or not stated):
                pairs = zip(layers[::2], layers[1::2], strict=True)
                parts = placed([replace(pair[0], parts=tuple(_both(*pair))) for pair in pairs])
                yield self._layer(path, layers, parts)

    def _layer(self, path: str, layers: Sequence[Layer], parts: Sequence[Part]) -> Layer:
        first, both = layers[0], bidirectional(parts)
        name = self._arrangement.classes.get(first.class_name, first.class_name) if both else first.class_name
        call = first.call if first.call.merge or not both else replace(first.call, merge=self._arrangement.merge)
        assumed = {option: value for layer in layers for option, value in layer.assumed.items()}
        if any(map(self._may_add, layers)):
            assumed[RESIDUAL] = False
        return replace(first, path=path, class_name=name, parts=tuple(parts), call=call, assumed=assumed)


def _adds(layer: Layer) -> bool:
    """Whether what a cell reads is as wide as what it gives, so that they may be added."""
    sizes = layer.parts[0].solved()
    return sizes.get("input") == sizes.get("projection", sizes.get("unit"))


def _path(key: tuple[str, str], *, alone: bool) -> str:
    """The path of a stack; with what is below it where several kinds of cells stand in one."""
    return key[0] if alone else "/".join(filter(None, key))


def _as_one(groups: Mapping[tuple[str, str], list[Member]]) -> Iterator[tuple[tuple[str, str], list[Member]]]:
    """The cells of one stack as one group where every place has one alone, whatever its user calls each."""
    stacks: dict[str, list[tuple[str, str]]] = {}
    for key in groups:
        stacks.setdefault(key[0], []).append(key)
    for stack, keys in stacks.items():
        members = [member for key in keys for member in groups[key]]
        once = (
            len({place.value for place, _ in members})
            == len(members)
            > 1
            == len({one.class_name for _, one in members})
        )
        if len(keys) > 1 and once and all(rest for _, rest in keys):
            yield (stack, ""), members
        else:
            yield from ((key, groups[key]) for key in keys)


def _question(path: str, found: Sequence[Layer]) -> Layer:
    """Arrays that are a stack of one direction as well as one of two."""
    ways = " or ".join(said(path, "class", layer.class_name) for layer in found)
    text = f"the arrays fit {len(found[0].parts)} layers of one direction, and half as many of two. State which: {ways}"
    arrays = {array.name: array for array in found[0].stored()}
    return Layer(path, "unknown", unknown=UnknownLayer(text, layer=path), arrays=arrays)


def _order(value: int | str) -> int:
    return value if isinstance(value, int) else DIRECTIONS.index(value)


def _both(forward: Layer, backward: Layer) -> list[Part]:
    """The cells of two directions, layer by layer."""
    turned = [replace(part, direction=DIRECTIONS[1]) for part in backward.parts]
    return sorted((*forward.parts, *turned), key=lambda part: part.layer)
