"""What a picture of moves shows, in sentences: orders of gates and axes, arithmetic, what is made or must be zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from converters.show.blocks import Names, constants
from layouts.cells import Piece
from layouts.moves import Move, Moves, Stored
from layouts.regions import Region

_Pair = tuple[Any, str, str]


def sentences(stored: Mapping[Piece, Stored], found: Moves, names: Names) -> list[str]:
    """A sentence for everything that is more than a copy, each once."""
    told = [*_ways(found, names), *_arithmetic(found, names), *_made(found, names), *_homeless(found, names)]
    return list(dict.fromkeys(told))


def _ways(found: Moves, names: Names) -> Iterator[str]:
    """From array to array: the order of gates, of axes, and how they are stored."""
    pairs: dict[_Pair, list[tuple[Stored, Move]]] = {}
    for move in found.moves:
        for own in move.sources:
            pairs.setdefault((own.key, own.region.array, move.target.array), []).append((own, move))
    alike: dict[tuple[str, str], list[str]] = {}
    for (key, array, target), blocks in pairs.items():
        what = "; ".join(dict.fromkeys(each for own, move in blocks for each in _changes(own.region, move.target)))
        told = ", ".join(filter(None, (what, _gates(blocks))))
        if told:
            alike.setdefault((target, told), []).append(names.source(key, array))
    for (target, told), arrays in alike.items():
        yield f"{', '.join(arrays)} → {names.target(target)}: {told}"


def _gates(blocks: Sequence[tuple[Stored, Move]]) -> str:
    """'z r n → r z n' where the order differs."""
    if len(blocks) < 2 or not blocks[0][1].piece.gate:
        return ""
    orders = (
        sorted(blocks, key=lambda block: [span.start for span in block[0].region.spans]),
        sorted(blocks, key=lambda block: [span.start for span in block[1].target.spans]),
    )
    before, after = (" ".join(dict.fromkeys(move.piece.gate for _, move in order)) for order in orders)
    return f"gates {before} → {after}" if before != after else ""


def _changes(source: Region, target: Region) -> Iterator[str]:
    before, after = source.words, target.words
    if source.reshaped or target.reshaped:
        yield "each block keeps its buffer under another shape: reshaped, not transposed"
    elif before != after:
        yield "transposed" if len(before) == 2 else f"axes {' '.join(before)} → {' '.join(after)}"
    for region in (source, target):
        if region.reversed:
            yield f"backwards along {' and '.join(region.reversed)}"
        if any(len(span.runs(3)) > 1 for span in region.spans):
            yield "interleaved"


def _arithmetic(found: Moves, names: Names) -> Iterator[str]:
    for move in found.moves:
        place = f"{names.target(move.target.array)}{f' {move.piece.gate}' if move.piece.gate else ''}"
        if len(move.sources) > 1:
            arrays = " + ".join(names.source(own.key, own.region.array) for own in move.sources)
            yield f"{names.target(move.target.array)}: {arrays}, which the equation adds"
        if move.sign < 0 and move.sources:
            yield f"gate {move.piece.gate} has the opposite sense: its weights and biases change their sign"
        if move.factor != 1:
            what = f"gate {move.piece.gate}: everything of it" if move.piece.gate else "everything"
            yield f"{what} is written times {move.factor:.6g}"
        if move.added:
            yield f"{place}: {constants(move.added, names)}, added when the layer runs and not stored"


def _made(found: Moves, names: Names) -> Iterator[str]:
    for move in found.moves:
        if move.fill is not None:
            array = names.target(move.target.array)
            yield f"{array}: {move.fill:g} where the source has no array; the outputs are the same"


def _homeless(found: Moves, names: Names) -> Iterator[str]:
    for piece, own in found.homeless:
        array = names.source(own.key, own.region.array)
        must = "must be zero, else the conversion is" if piece.slot == "recurrent_bias" else "is"
        yield f"{array}: {piece} has no place and {must} refused"
