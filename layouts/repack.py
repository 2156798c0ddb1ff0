"""`unpack` names the views of a framework's arrays; `pack` fills another framework's arrays through *its* views.

One declaration gives both directions: reading takes the views of the stored arrays, writing allocates the target
arrays, takes their views and assigns. Nobody writes an inverse, so the two cannot disagree. A move treats elements as
opaque words and is exact on bits for every dtype; only a layout's declared conventions do arithmetic, in at least
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from layouts import axes
from layouts.axes import Array, Size
from layouts.blocks import assign_blocks
from layouts.cells import Cell, Piece, Slot
from layouts.errors import CoverageError, NotRepresentable, ShapeError
from layouts.layout import DIRECTIONS, Entry, Layout

Pieces = dict[Piece, Array]
Assign = Callable[[Array, Array], None]

FED = ("input_weight", "input_kernel")
"""The weights of an input: a gate that has one has a place for a bias."""

_KEPT = 1024
"""Kinds of layers whose arrays are worked out once."""


def unpack(
    layout: Layout,
    arrays: Mapping[str, Array],
    *,
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    options: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Pieces:
    """Name the views of a layer's arrays, e.g. ``input_weight[f]`` of shape (unit, input).

    Nothing is copied but what a convention of the layout computes (a constant that the framework adds to a gate, a
    gate of opposite sense). `sizes` gives what shapes cannot tell (the heads of a fused attention).

    Raises `ShapeError` when shapes disagree, `CoverageError` when an array is missing or unknown.
    """
    entries = matching(layout, arrays, directions, layers)
    labels = layout.labels(directions, layers)
    pieces: Pieces = {}
    for own in layer_by_layer(entries, layers):
        solved = solve(layout, {name: arrays[name].shape for name in own}, directions, layers, sizes)
        for name, entry in own.items():
            plain = entry.custom.unpack(arrays[name], len(layout.gates)) if entry.custom else arrays[name]
            for part in axes.views(plain, entry.pattern, solved, labels):
                piece = layout.piece(part.slot, entry.labels | part.labels)
                pieces[piece] = _ordered(part.view, part.axes, layout.cell.slots[part.slot])
    return _neutral(layout, pieces, options or {}, sign=1)


def pack(
    layout: Layout,
    pieces: Mapping[Piece, Array],
    *,
    allocate: Callable[[str, tuple[int, ...], np.dtype[Any]], Array] | None = None,
    assign: Assign | None = None,
    options: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    factors: Mapping[str, float] | None = None,
) -> dict[str, Array]:
    """Fill the arrays of `layout` from neutral pieces; the inverse of `unpack` for every layout.

    A slot that the source lacks and the target needs takes the constant that changes nothing (a second bias of 0).
    Two biases become one where the equation adds them, and only there; otherwise the second must be zero.

    `allocate(name, shape, dtype)` provides each target array (default `numpy.empty`), `assign(target, source)` moves
    one piece (default `assign_blocks`). Whatever belongs to a gate of `factors` is written times its factor. Raises
    `NotRepresentable` for weights that have no place in the target, `CoverageError` for target arrays that no piece
    fills.
    """
    allocate = allocate or (lambda _, shape, dtype: np.empty(shape, dtype))
    assign = assign or assign_blocks
    cell, pieces = layout.cell, dict(pieces)
    pieces = _homed(layout, _neutral(layout, pieces, options or {}, sign=-1))
    arrays: dict[str, Array] = {}
    for target in targets(layout, pieces, sizes):
        array = allocate(target.name, target.shape, target.dtype)
        custom = target.entry.custom
        plain = np.empty(custom.shape(target.shape), target.dtype) if custom else array
        for part in axes.views(plain, target.entry.pattern, target.sizes, target.labels):
            piece = layout.piece(part.slot, target.entry.labels | part.labels)
            view = _ordered(part.view, part.axes, cell.slots[part.slot])
            if piece in pieces:
                assign(view, pieces[piece])
            else:
                view[...] = cell.slots[part.slot].fill
            if piece.gate in (factors or {}):
                _multiply(view, (factors or {})[piece.gate])
        if custom:
            array[...] = custom.pack(plain, len(layout.gates))
        arrays[target.name] = array
    return arrays


def repack(
    source: Layout,
    target: Layout,
    arrays: Mapping[str, Array],
    *,
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    options: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Array]:
    """Move one layer from one framework's arrays into another's: `pack(target, unpack(source, arrays))`.

    `options` states what either framework adds when it runs; see `unpack` and `pack` for the rest.
    """
    if source.cell is not target.cell:
        raise NotRepresentable(
            f"{source.name} computes {source.cell.name} and {target.name} computes {target.cell.name}: "
            "different equations, so no weights of the one give the outputs of the other",
            layout=target.name,
        )
    pieces = unpack(source, arrays, directions=directions, layers=layers, options=options, sizes=sizes)
    return pack(target, pieces, options=options, sizes=sizes)


def changed(layout: Layout, pieces: Mapping[Piece, Array], options: Mapping[str, Any] | None = None) -> list[Piece]:
    """The biases that will not come back bit for bit out of `layout`: two summed into one, or rounded by a constant.

    Everything else moves on bits. Raises as `pack` does.
    """
    biases = {p: v for p, v in pieces.items() if p.slot in ("input_bias", "recurrent_bias")}
    around = biases | {p: v for p, v in pieces.items() if p.slot in FED}
    stored = _homed(layout, _neutral(layout, around, options or {}, sign=-1))
    back = _neutral(layout, stored, options or {}, sign=1)
    return [piece for piece, value in biases.items() if not _same(value, back.get(piece))]


def _same(value: Array, back: Array | None) -> bool:
    if back is None:
        return not np.any(value)
    return value.shape == back.shape and value.tobytes() == back.tobytes()


class TargetArray(NamedTuple):
    """One array to be written: its concrete name, shape and dtype, and what its axes are made of."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    entry: Entry
    sizes: dict[str, Size]
    labels: dict[str, Sequence[Any]]


def targets(
    layout: Layout, pieces: Mapping[Piece, Array], sizes: Mapping[str, int] | None = None
) -> Iterator[TargetArray]:
    """The arrays of `layout` that these pieces fill, in the layout's order, before any of them is allocated.

    Raises `CoverageError` when pieces are missing for an array that has to be there.
    """
    given = tuple((piece, view.shape, view.dtype) for piece, view in pieces.items())
    yield from _targets(layout, given, tuple((sizes or {}).items()))


@lru_cache(_KEPT)
def _targets(
    layout: Layout,
    given: tuple[tuple[Piece, tuple[int, ...], np.dtype[Any]], ...],
    sizes: tuple[tuple[str, int], ...],
) -> tuple[TargetArray, ...]:
    """What `targets` gives, from shapes and dtypes alone: the same for every layer of this kind and size."""
    pieces = {piece: np.broadcast_to(np.empty((), dtype), shape) for piece, shape, dtype in given}
    return tuple(_filled(layout, pieces, dict(sizes)))


def _filled(layout: Layout, pieces: Mapping[Piece, Array], sizes: Mapping[str, int]) -> Iterator[TargetArray]:
    directions, layers = _extent(pieces)
    pieces = {**pieces, **{bias: pieces[beside][:, 0] for bias, beside in _made(layout, pieces)}}
    labels = layout.labels(directions, layers)
    filled = _filled_slots(layout.cell, pieces)
    known = [
        _sizes_of(layout.cell, {p: v for p, v in pieces.items() if p.layer == layer}, sizes) for layer in range(layers)
    ]
    held = _held(layout, directions, layers)
    for entry in sorted(_entries(layout, directions, layers).values(), key=_place):
        needed = held[entry.name]
        present = [piece for piece in needed if piece in pieces]
        absent = [p for p in needed if p not in pieces and p.slot not in filled]
        if not present and all(layout.cell.slots[piece.slot].optional for piece in absent or needed):
            if absent:
                continue
        elif absent:
            raise CoverageError(f"{entry.name}: nothing fills {absent[0]}", array=entry.name, layout=layout.name)
        dtype = np.result_type(*(pieces[p].dtype for p in present or _partners(layout.cell, pieces)))
        own = known[entry.labels.get("layer", 0)]
        shape = axes.shape_of(entry.pattern, own, labels, entry.name)
        shape = entry.custom.shape(shape) if entry.custom else shape
        yield TargetArray(entry.name, shape, dtype, entry, own, labels)


def _place(entry: Entry) -> tuple[int, int]:
    """Layer by layer, and in each the forward arrays first: the order of a PyTorch state_dict."""
    return entry.labels.get("layer", 0), DIRECTIONS.index(entry.labels.get("direction", DIRECTIONS[0]))


def solve(
    layout: Layout,
    shapes: Mapping[str, tuple[int, ...]],
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Size]:
    """Every size of one layer from the shapes of its arrays (see `layouts.axes.solve`)."""
    given = tuple((name, tuple(shape)) for name, shape in shapes.items())
    return dict(_solved(layout, given, tuple(directions), layers, tuple((sizes or {}).items())))


@lru_cache(_KEPT)
def _solved(
    layout: Layout,
    given: tuple[tuple[str, tuple[int, ...]], ...],
    directions: tuple[str, ...],
    layers: int,
    sizes: tuple[tuple[str, int], ...],
) -> dict[str, Size]:
    """What `solve` gives: planning asks for the same layer again and again, and many files have the same layers."""
    shapes = dict(given)
    every = _entries(layout, directions, layers)
    entries = {name: entry for name, entry in every.items() if name in shapes}
    patterns = {name: entry.pattern for name, entry in entries.items()}
    held = {target.template for pattern in patterns.values() for target in pattern.targets}
    ties = {} if "projection" in held else layout.cell.ties
    plain = {name: e.custom.shape(shapes[name]) if e.custom else shapes[name] for name, e in entries.items()}
    return axes.solve(patterns, plain, layout.labels(directions, layers), ties, dict(sizes))


def solve_layers(
    layout: Layout,
    shapes: Mapping[str, tuple[int, ...]],
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> list[dict[str, Size]]:
    """The sizes of every layer of a stack: a higher one has an input of its own."""
    every = _entries(layout, tuple(directions), layers)
    entries = {name: entry for name, entry in every.items() if name in shapes}
    return [
        solve(layout, {name: shapes[name] for name in own}, directions, layers, sizes)
        for own in layer_by_layer(entries, layers)
    ]


@cache
def needed(layout: Layout, directions: tuple[str, ...] = ("forward",), layers: int = 1) -> frozenset[str]:
    """The names of the arrays that have to be there: those with a piece that the cell cannot do without."""
    slots = layout.cell.slots
    return frozenset(
        entry.name
        for entry in layout.entries(directions, layers)
        if not all(slots[piece.slot].optional for piece in _any_pieces(layout, entry))
    )


def describe(
    layout: Layout,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    directions: Sequence[str] = ("forward",),
    layers: int = 1,
    sizes: Mapping[str, int] | None = None,
) -> dict[Piece, tuple[int, ...]]:
    """The pieces that `unpack` would name and their shapes, from shapes alone: for planning before data is read."""
    entries, held = matching(layout, shapes, directions, layers), _held(layout, tuple(directions), layers)
    slots = layout.cell.slots
    described: dict[Piece, tuple[int, ...]] = {}
    for own in layer_by_layer(entries, layers):
        solved = solve(layout, {name: shapes[name] for name in own}, directions, layers, sizes)
        pieces = [piece for name in own for piece in held[name]]
        untold = [name for piece in pieces for name in slots[piece.slot].dims if name not in solved]
        if untold:
            raise ShapeError(f"{layout.name}: the shapes do not tell {untold[0]!r}", layout=layout.name)
        described |= {piece: tuple(solved[name].value for name in slots[piece.slot].dims) for piece in pieces}
    return described | {bias: described[beside][:1] for bias, beside in _made(layout, described)}


def layer_by_layer(entries: Mapping[str, Entry], layers: int) -> Iterator[dict[str, Entry]]:
    """The entries of each layer of a stack: its sizes are its own, since a higher layer has another input."""
    found: list[dict[str, Entry]] = [{} for _ in range(layers)]
    for name, entry in entries.items():
        found[entry.labels.get("layer", 0)][name] = entry
    yield from found


def matching(layout: Layout, arrays: Mapping[str, Any], directions: Sequence[str], layers: int) -> dict[str, Entry]:
    """The entries that describe these arrays; every array described, every array that must exist present."""
    entries = _entries(layout, tuple(directions), layers)
    unknown = [name for name in arrays if name not in entries and name not in layout.passed_over]
    required = needed(layout, tuple(directions), layers)
    absent = [name for name in entries if name in required and name not in arrays]
    if unknown or absent:
        problems = [f"{name}: no such array in the layout" for name in unknown]
        problems += [f"{name}: missing" for name in absent]
        raise CoverageError(f"{layout.name}: {'; '.join(problems)}", layout=layout.name)
    return {name: entry for name, entry in entries.items() if name in arrays}


@lru_cache(_KEPT)
def _entries(layout: Layout, directions: tuple[str, ...], layers: int) -> dict[str, Entry]:
    """Every array of a layout by its concrete name: the same for each layer of this kind."""
    return {entry.name: entry for entry in layout.entries(directions, layers)}


@lru_cache(_KEPT)
def _held(layout: Layout, directions: tuple[str, ...], layers: int) -> dict[str, tuple[Piece, ...]]:
    """The pieces that each array of a layout holds."""
    labels = layout.labels(directions, layers)
    return {
        name: tuple(_pieces_of(layout, entry, labels)) for name, entry in _entries(layout, directions, layers).items()
    }


def _any_pieces(layout: Layout, entry: Entry) -> Iterator[Piece]:
    return _pieces_of(layout, entry, layout.labels())


def _pieces_of(layout: Layout, entry: Entry, labels: Mapping[str, Sequence[Any]]) -> Iterator[Piece]:
    """The pieces one array holds, by walking its views over an array of no memory with sizes of one."""
    words = {f.name for axis in entry.pattern.axes for term in axis.terms for f in term if not f.is_label}
    ones = {word: Size(1, "", ()) for word in words}
    dummy = np.broadcast_to(np.uint8(0), axes.shape_of(entry.pattern, ones, labels, entry.name))
    for part in axes.views(dummy, entry.pattern, ones, labels):
        yield layout.piece(part.slot, entry.labels | part.labels)


def _ordered(view: Array, names: Sequence[str], slot: Slot) -> Array:
    """The view with its axes in the slot's order."""
    return view.transpose([names.index(name) for name in slot.dims])


def _sizes_of(cell: Cell, pieces: Mapping[Piece, Array], sizes: Mapping[str, int] | None) -> dict[str, Size]:
    found = {name: Size(value, "", ()) for name, value in (sizes or {}).items()}
    for piece, view in pieces.items():
        for name, length in zip(cell.slots[piece.slot].dims, view.shape, strict=True):
            if found.setdefault(name, Size(length, str(piece), view.shape)).value != length:
                raise ShapeError(
                    f"{piece}: {name} is {length}, and {found[name].array} {found[name].shape} makes it "
                    f"{found[name].value}"
                )
    return found


def _filled_slots(cell: Cell, pieces: Mapping[Piece, Any]) -> set[str]:
    """The slots that a constant may fill: there are such slots, and at least one of them is stored."""
    constant = {name for name, slot in cell.slots.items() if slot.fill is not None}
    return constant if any(piece.slot in constant for piece in pieces) else set()


def _partners(cell: Cell, pieces: Mapping[Piece, Array]) -> list[Piece]:
    return [piece for piece in pieces if cell.slots[piece.slot].fill is not None]


def _neutral(layout: Layout, pieces: Pieces, options: Mapping[str, Any], sign: int) -> Pieces:
    """Apply the conventions: to neutral pieces with sign 1, and away from them with sign -1."""
    pieces = {p: _negative(v) if p.gate and p.gate in layout.negated else v for p, v in pieces.items()}
    for gate, added in layout.added.items():
        constant = options.get(added) if isinstance(added, str) else added
        if constant is None:
            raise NotRepresentable(f"{layout.name} adds {added} to gate {gate} at run time: state its value")
        for piece in [p for p in pieces if p.slot in FED and p.gate == gate]:
            bias = piece._replace(slot="input_bias")
            stored = pieces.get(bias, np.zeros(pieces[piece].shape[:1], pieces[piece].dtype))
            value = _computable(stored)
            pieces[bias] = (value + value.dtype.type(sign * constant)).astype(stored.dtype)
    return pieces


def _made(layout: Layout, pieces: Mapping[Piece, Any]) -> Iterator[tuple[Piece, Piece]]:
    """The biases that exist only because something is added to them, each with the weight of its gate."""
    for piece in pieces:
        bias = piece._replace(slot="input_bias")
        if piece.slot in FED and piece.gate in layout.added and bias not in pieces:
            yield bias, piece


def _multiply(view: Array, factor: float) -> None:
    """A view times a number, in place, rounded once."""
    _computable(view[:0])
    np.multiply(view, factor, out=view, dtype=np.float64, casting="unsafe")


def _negative(array: Array) -> Array:
    return np.asarray((-_computable(array)).astype(array.dtype))


def _computable(array: Array) -> Array:
    """The numbers of an array in at least float32; words that are not floating-point numbers are refused."""
    if array.dtype.kind in "biu" or array.dtype.type is np.void:
        raise ShapeError(f"this layer's weights need arithmetic, which numbers of type {array.dtype} do not allow")
    return array if array.dtype.itemsize >= 4 else array.astype(np.float32)


def _homed(layout: Layout, pieces: Pieces) -> Pieces:
    """Add a recurrent bias to the input bias where the target stores only one; refuse what has no place."""
    pieces, extent = dict(pieces), _extent(pieces)
    homes = {piece for held in _held(layout, *extent).values() for piece in held}
    for piece in [p for p in pieces if p not in homes]:
        value = pieces.pop(piece)
        partner = piece._replace(slot="input_bias")
        if piece.slot != "recurrent_bias":
            raise NotRepresentable(f"{layout.name} has no place for {piece}", layout=layout.name)
        if not np.any(value):
            pieces.setdefault(partner, value)
        elif layout.cell.sums(piece.gate):
            other = pieces.get(partner)
            total = value if other is None else _computable(other) + _computable(value)
            pieces[partner] = total.astype(value.dtype)
        else:
            raise NotRepresentable(f"{layout.name} has no place for {piece}, which is not zero", layout=layout.name)
    return pieces


def _extent(pieces: Mapping[Piece, Any]) -> tuple[tuple[str, ...], int]:
    """The directions and the number of layers that these pieces span."""
    found = {piece.direction for piece in pieces}
    return tuple(d for d in DIRECTIONS if d in found), max((piece.layer for piece in pieces), default=0) + 1
