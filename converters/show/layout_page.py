"""The table of gate orders as a page of pictures, drawn from the layouts themselves: it grows with the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.show.blocks import Names, blocks_picture
from converters.show.gates import key, strip
from converters.show.layouts import chosen
from converters.show.pictures.elements import Element, element
from converters.show.pictures.page import beside, listed, page, table
from converters.show.wording import sentences
from layouts import catalogue
from layouts.cells import Cell
from layouts.errors import NotRepresentable
from layouts.layout import Layout
from layouts.moves import Moves, Stored, moves
from layouts.regions import schematic

_LENGTH = 5


def layout_page(framework: str | None, class_name: str | None, targets: Sequence[str]) -> str:
    """All recurrent layouts of all frameworks, those of one framework, or of one layer of it.

    targets: into whose arrays the pictures lead. Raises as `layouts.layout_tables`.
    """
    found = chosen(framework, class_name)
    title = " ".join(filter(None, ("The order of gates", framework and f"in {framework}", class_name)))
    numbers = {layout: f"l{k}" for k, layout in enumerate(found)}
    tables = (part for cell in dict.fromkeys(own.cell for own in found) for part in _of_cell(cell, found, numbers))
    pictures = (_section(layout, anchor, targets) for layout, anchor in numbers.items())
    return page(title, [element("h1", title), *tables, element("h2", "Every layout"), *pictures])


def _of_cell(cell: Cell, found: Sequence[Layout], numbers: dict[Layout, str]) -> Iterator[Element]:
    """The layouts of one cell as rows: the same gates in the same colours, in the order of each."""
    own = [layout for layout in found if layout.cell is cell]
    yield element("h2", cell.name.replace("_", " "))
    if cell.gates:
        yield key([cell])
    yield table(("layer", "gates", "arrays", "beside"), [_row(layout, numbers[layout]) for layout in own])


def _row(layout: Layout, anchor: str) -> list[Element | str]:
    axes = [f"{name}: {text if isinstance(text, str) else text.stored}" for name, text in layout.arrays.items()]
    lines = element("div", *(element("div", element("code", line)) for line in axes))
    beside = element("div", *(element("div", line) for line in _beside(layout)))
    gates: Element | str = strip(layout) if layout.gates else "–"
    return [element("a", layout.name, href=f"#{anchor}"), gates, lines, beside]


def _beside(layout: Layout) -> Iterator[str]:
    """Under which conditions a layout holds, and what it does that is no move."""
    yield from (f"when {name}={value}" for name, value in layout.when.items())
    yield from (f"adds {value} to {gate} when it runs" for gate, value in layout.added.items())
    if layout.negated:
        yield f"{', '.join(layout.negated)} in the opposite sense"
    held = {(region.array, piece.gate) for piece, region in schematic(layout, _LENGTH).items() if piece.gate}
    if held and len(held) == len({array for array, _ in held}):
        yield "an array for each gate"


def _section(layout: Layout, anchor: str, targets: Sequence[str]) -> Element:
    target = _target(layout, targets)
    title = f"{layout.name} → {target.name}" if target else layout.name
    drawing, told = layout_picture(layout, target)
    words = listed([*_beside(layout), *told])
    return element("section", element("h3", title), key([layout.cell]), beside(drawing, words), id=anchor)


def layout_picture(layout: Layout, target: Layout | None) -> tuple[Element, list[str]]:
    """Where the blocks of a layout stand, and where they go in the target's, with what is done to them in sentences."""
    stored = {piece: Stored(layout, region) for piece, region in schematic(layout, _LENGTH).items()}
    found = moves(stored, target, _sizes(layout.cell)) if target else Moves((), ())
    names = Names(sizes=False)
    title = f"{layout.name} into {target.name}" if target else layout.name
    return blocks_picture(stored, found, names, title), sentences(stored, found, names)


def _sizes(cell: Cell) -> dict[str, int]:
    return {word: _LENGTH for slot in cell.slots.values() for word in slot.dims}


def _target(layout: Layout, targets: Sequence[str]) -> Layout | None:
    """Where a layer of this layout goes; nothing for one of the targets' own, or that no target computes."""
    if layout.framework in targets:
        return None
    try:
        return catalogue.target(targets, [layout.cell], layout.slots & {*layout.cell.slots})
    except NotRepresentable:
        return None
