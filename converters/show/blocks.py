"""How the blocks of a layer move, as a picture and in words, from `layouts.moves`: one colour a gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from converters.show.gates import gates
from converters.show.pictures.arrays import draw
from converters.show.pictures.colours import GREY
from converters.show.pictures.drawing import Look, picture
from converters.show.pictures.elements import Element
from converters.show.pictures.placing import Link, Shown
from layouts.cells import Cell, Piece
from layouts.moves import Added, Move, Moves, Stored
from layouts.records import dataclass, field
from layouts.regions import Region

_SIDES = {"input": "x", "recurrent": "h"}
"""The second letter in a block of a recurrent layer: what its weights are multiplied with."""


@dataclass(frozen=True)
class Names:
    """What a picture calls things: an array of the source by its key and name, one of the target by its name.

    constants: the values of those that are known by a name. sizes: whether they are those of a file; else they are
    samples, and their words alone are shown.
    """

    source: Callable[[Any, str], str] = lambda _, name: name
    target: Callable[[str], str] = str
    constants: Mapping[str, float] = field(default_factory=dict)
    sizes: bool = True


def blocks_picture(stored: Mapping[Piece, Stored], found: Moves, names: Names, title: str = "") -> Element:
    """Arrays of the source on the left, of the target on the right, and every block's way."""
    cell = next(iter(stored.values())).layout.cell
    numbers = {piece: number for number, piece in enumerate(stored)}
    looks = {numbers[piece]: _look(cell, piece, hollow=piece in dict(found.homeless)) for piece in stored}
    by_region = {id(own): numbers[piece] for piece, own in stored.items()}
    links = []
    for number, move in enumerate(found.moves, start=len(stored)):
        made = _made(move, names)
        looks[number] = _look(cell, move.piece, made, hollow=bool(made))
        links += [Link(by_region[id(own)], number, badge(move, names)) for own in move.sources]
    return picture(
        [*_sources(cell, stored, numbers, links, names)], [*_targets(cell, stored, found, names)], looks, links, title
    )


def _made(move: Move, names: Names) -> str:
    """What stands in a block that comes from no array."""
    if move.sources:
        return ""
    if move.added:
        return constants(move.added, names).removeprefix("+")
    return f"{move.fill:g}" if move.fill is not None else "?"


def constants(added: Sequence[Added], names: Names) -> str:
    """'+1', '+forget_bias'; several one after the other."""
    return " ".join(("+" if each.sign > 0 else "−") + _constant(each.value, names) for each in added)


def _constant(value: float | str, names: Names) -> str:
    known = names.constants.get(value, value) if isinstance(value, str) else value
    return known if isinstance(known, str) else f"{known:g}"


def badge(move: Move, names: Names) -> str:
    """What is done to a block on its way, in signs: Σ two are added, ×−1 the opposite sense, +1 a constant, ×0.2."""
    signs = ["Σ"] if len(move.sources) > 1 else []
    signs += ["×−1"] if move.sign < 0 and move.sources else []
    signs += [constants(move.added, names)] if move.added and move.sources else []
    signs += [f"×{move.factor:.3g}"] if move.factor != 1 and move.sources else []
    return " ".join(signs)


def _look(cell: Cell, piece: Piece, instead: str = "", *, hollow: bool = False) -> Look:
    letter = piece.gate or piece.role[:1]
    own = next((gate for gate in gates(cell) if gate.letter == letter), None)
    side = _SIDES.get(piece.slot.partition("_")[0], "") if cell.recurrent else ""
    title = f"{piece}: {own.word}" if own else str(piece)
    return Look(instead or letter, own.colour if own else GREY, title, "" if instead else side, hollow)


def _sources(
    cell: Cell, stored: Mapping[Piece, Stored], numbers: Mapping[Piece, int], links: Sequence[Link], names: Names
) -> Iterator[Shown]:
    """The arrays of the source in the order of the arrays that they fill."""
    arrays: dict[tuple[Any, str], list[Piece]] = {}
    for piece, own in stored.items():
        arrays.setdefault((own.key, own.region.array), []).append(piece)
    goes = {link.source: link.target for link in links}

    def first(pieces: Sequence[Piece]) -> int:
        return min(goes.get(numbers[piece], 1 << 40) for piece in pieces)

    for (key, name), pieces in sorted(arrays.items(), key=lambda item: first(item[1])):
        blocks = [(numbers[piece], piece, stored[piece].region) for piece in pieces]
        yield _array(cell, names.source(key, name), blocks, names)


def _targets(cell: Cell, stored: Mapping[Piece, Stored], found: Moves, names: Names) -> Iterator[Shown]:
    arrays: dict[str, list[tuple[int, Piece, Region]]] = {}
    for number, move in enumerate(found.moves, start=len(stored)):
        arrays.setdefault(move.target.array, []).append((number, move.piece, move.target))
    for name, blocks in arrays.items():
        yield _array(cell, names.target(name), blocks, names)


def _array(cell: Cell, name: str, blocks: Sequence[tuple[int, Piece, Region]], names: Names) -> Shown:
    pieces, regions = [piece for _, piece, _ in blocks], [region for _, _, region in blocks]
    drawn = draw(regions, cell.slots[pieces[0].slot].dims, lambda k: _panel(pieces[k], pieces))
    boxes = {blocks[k][0]: own for k, own in drawn.boxes.items()}
    return Shown(name, (axes_line(regions[0], names.sizes),), drawn._replace(boxes=boxes))


def _panel(piece: Piece, pieces: Sequence[Piece]) -> str:
    """What tells the blocks of a panel from the others of its array: its layer, its direction, or its slot."""
    told = [f"layer {piece.layer}"] if len({each.layer for each in pieces}) > 1 else []
    told += [piece.direction] if len({each.direction for each in pieces}) > 1 else []
    if not told and len({each.slot for each in pieces}) > 1:
        return piece.slot.replace("_", " ")
    return ", ".join(told)


def axes_line(region: Region, sizes: bool = True) -> str:
    """The axes in the words of the layout, with their lengths: 'input 3 × (gate unit) 20'."""
    pairs = [(axis, length) for axis, length in zip(region.axes, region.shape, strict=True) if axis != "1"]
    return " × ".join(f"{axis} {length}" if sizes else axis for axis, length in pairs)
