"""What a layer of arrays computes: what its layout fixes, what is stated, and the framework's defaults for the rest.

Arrays tell no activation, epsilon or stride. Whatever is taken from a default is recorded as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.assumptions import FUSED, KINDS, NUMBER, Kind, Statement, as_text, kind_of
from converters.model.layers import Layer, Part
from converters.model.settings import Call, Wiring
from layouts import catalogue, cells
from layouts.cells import Cell
from layouts.errors import ConversionError, printable
from layouts.fitting import Fit
from layouts.flatten import MAPS
from layouts.layout import Layout
from layouts.records import dataclass, replace

_SELDOM = {
    "output_activation",
    "clip",
    "input_forget",
    "cell_clip",
    "projection_clip",
    "pads",
    "output_padding",
    "output_shape",
} | {
    "channels_last",
    "axes",
    "rms_scaling",
}
"""Options that are only worth a word in a framework that declares a default of its own for them."""

_ONE = {"strides": 1, "dilation": 1}
_INPUTS = ("in", "input")
_SPATIAL = ("depth", "height", "width")


@dataclass(frozen=True)
class Recognised:
    """What layer some arrays are: the fit, its class, what is stated of it, and what of the choice was assumed."""

    fit: Fit
    class_name: str
    stated: Mapping[str, Statement]
    sizes: Mapping[str, int]
    assumed: Mapping[str, Any]

    @property
    def layout(self) -> Layout:
        return self.fit.layout


def fixed(layout: Layout) -> dict[str, tuple[Any, ...]]:
    """Options that every layer of a layout has, and their value, or the several that mean the same."""
    computed = {name: values for name, values in layout.computes.items() if len({*values} - {None}) <= 1}
    return computed | {name: (value,) for name, value in layout.implies.items()}


def open_options(layout: Layout) -> list[str]:
    """The options that a layer of this layout may have, and its arrays do not tell."""
    told = {*fixed(layout)} | ({"groups"} if "multiplier" in _words(layout.cell) else set())
    return [name for name in layout.cell.chooses if name not in told]


def kinds(layout: Layout) -> dict[str, Kind]:
    """Everything that can be stated of a layer of this layout, but its class, and the kind of each value."""
    found = {key: kind_of(value) for key, value in layout.when.items()}
    found |= dict.fromkeys(layout.asked, NUMBER) | dict.fromkeys(layout.beside, FUSED)
    found |= {name: KINDS[name] for name in open_options(layout)}
    words = _words(layout.cell)
    found |= {"flattened": KINDS["flattened"]} if words & {*_INPUTS} and not words & {*_SPATIAL} else {}
    return found | ({"rank": KINDS["rank"]} if layout.cell.name in ("batch_norm", "group_norm") else {})


def known_options(framework: str) -> set[str]:
    """Everything that can be stated of some layer of a framework."""
    return {*KINDS, *(option for layout in catalogue.of(framework) for option in (*layout.when, *layout.asked))}


def takes(path: str, layout: Layout, statement: Statement) -> bool:
    """Whether a statement may be true of a layer of this layout.

    An activation that is stated of all layers is meant of recurrent ones: behind others there are different ones.
    """
    option, known = statement.option, fixed(layout)
    if option in layout.beside and path and not statement.owner:
        return False
    if option in layout.when:
        return bool(statement.parsed(kind_of(layout.when[option])) == layout.when[option])
    if option in known:
        return statement.parsed(KINDS[option]) in known[option]
    return option in kinds(layout)


def stateable(path: str, layouts: Iterable[Layout]) -> str:
    """What can be stated of a layer, as a sentence."""
    options = dict.fromkeys(("class", *(option for layout in layouts for option in kinds(layout))))
    where = f" of {printable(path)}" if path else ""
    return f"What can be stated{where}: {', '.join(options)}"


def layer_of(path: str, arrays: Mapping[str, LazyArray], found: Recognised) -> Layer:
    """The layer, with what is stated, and the defaults of its framework for what is not."""
    layout, stated, fit = found.layout, found.stated, found.fit
    known = kinds(layout)
    values = {option: statement.parsed(known[option]) for option, statement in stated.items() if option in known}
    options = {name: values[name] for name in open_options(layout) if name in values}
    flattened = values.get("flattened", ())
    part = Part(
        layout,
        arrays,
        replace(layout.options, **options),
        {name: values[name] for name in layout.asked if name in values},
        directions=fit.directions if len(fit.directions) > 1 else (),
        layers=fit.layers,
        given=found.sizes,
        flattened=flattened,
    )
    _check_axes(part, stated)
    usual = layout.beside.get("activation")
    call = Call(activation=values.get("activation", usual) if usual is not None else "linear")
    wiring = Wiring(rank=values.get("rank"), flattened=flattened)
    defaults = {name: value for name, value in _untold(layout) if name not in values}
    return Layer(path, found.class_name, (part,), call, wiring, {**found.assumed, **defaults})


def _untold(layout: Layout) -> Iterator[tuple[str, Any]]:
    """What has to be assumed of a layer where nothing is stated, in a person's terms."""
    for name in open_options(layout):
        value = getattr(layout.options, name)
        if layout.cell is cells.GROUP_NORM and name == "groups" and not value:
            continue
        if name in layout.defaults or (name not in _SELDOM and value is not None):
            yield name, _shown(name, value)
    yield from layout.beside.items()
    if layout.cell.name == "batch_norm":
        yield "rank", 2


def _shown(name: str, value: Any) -> Any:
    """A default as it is stated: 1 for strides of which none is told."""
    return as_text(value) if value and isinstance(value, tuple) else _ONE.get(name, value) if value == () else value


def _words(cell: Cell) -> set[str]:
    return {word for slot in cell.slots.values() for word in slot.dims}


def _check_axes(part: Part, stated: Mapping[str, Statement]) -> None:
    """Statements with a number for each axis have as many as there are axes, and a map is as large as what reads it."""
    for name in {"strides", "dilation", "output_padding", "output_shape"} & {*stated}:
        count = sum(word in part.solved() for word in _SPATIAL)
        if len(getattr(part.options, name)) not in (1, count):
            raise ConversionError(f"{stated[name].said}: this layer has {count} axes, so one number, or {count}")
    if part.flattened:
        width = next(size for word, size in part.solved().items() if word in _INPUTS)
        if math.prod(part.flattened) != width or len(part.flattened) not in MAPS:
            text = f"expected 2 to 4 sizes, channels last, that make {width}"
            raise ConversionError(f"{stated['flattened'].said}: {text}; {as_text(part.flattened)} does not")
