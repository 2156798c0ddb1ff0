"""Which of a framework's layouts is that of some cells: a place for every weight, and a class that computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converters.model.layers import Layer, Part
from converters.planning.refusal import computes
from converters.targets import Target
from layouts import catalogue, cells
from layouts.errors import NotRepresentable, printable
from layouts.layout import Layout


def layout_for(parts: Sequence[Part], target: Target, class_name: str | None = None) -> Layout | None:
    """The target's layout for these cells; None where it, and its drop-ins, have none."""
    slots = {piece.slot for part in parts for piece in part.pieces()}
    try:
        found = catalogue.target(target.frameworks, [parts[0].cell], slots, class_name)
    except NotRepresentable:
        if class_name is not None:
            raise
        return None
    return found if class_name is not None else _computing(found, parts, slots, target)


def _computing(layout: Layout, parts: Sequence[Part], slots: set[str], target: Target) -> Layout:
    """The layout; where its class has other functions fixed than the cell, that of another class which has them."""
    if all(computes(part, layout, target) for part in parts):
        return layout
    others = (one for one in catalogue.of(layout.framework) if one.cell is layout.cell and _is_other(one, layout))
    fitting = (one for one in others if slots <= one.slots | {"recurrent_bias"})
    return next((one for one in fitting if all(computes(part, one, target) for part in parts)), layout)


def _is_other(layout: Layout, usual: Layout) -> bool:
    """Whether a layout is of another class for whole layers, as the usual one is, and not an older name of its own."""
    return "(" not in layout.class_name and layout.holds("layer") == usual.holds("layer")


def of_cell(layout: Layout, target: Target) -> Layout:
    """The layout of the class that computes one step, where the framework has one."""
    own = catalogue.layers(layout.framework).get(f"{layout.class_name}Cell", ())
    return next((one for one in own if one.cell is layout.cell), layout) if layout.framework == target.name else layout


def twin(part: Part, target: Target) -> str:
    """Of the two cells that are called GRU the one that the target has."""
    twins = {cells.GRU: (cells.GRU_RESET_BEFORE, "before"), cells.GRU_RESET_BEFORE: (cells.GRU, "after")}
    other, how = twins.get(part.cell, (None, ""))
    has = any(one.cell is other for framework in target.frameworks for one in catalogue.of(framework))
    return f": its GRU resets the state {how} the matrix product, which is another equation" if has else ""


def check_asked(layer: Layer, layout: Layout, constants: Mapping[str, float]) -> None:
    """Raise `NotRepresentable` for a number that the target adds when it runs, where nobody says which."""
    for option in layout.asked:
        if option not in constants:
            raise NotRepresentable(
                f"{printable(layer.path)}: {layout.name} adds {option} when it runs, and no array tells it: state what "
                f"yours adds, constants={{'{option}': 1.0}}",
                layer=layer.path,
            )
