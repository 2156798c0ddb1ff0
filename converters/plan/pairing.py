"""Pairs a source layer with the PyTorch module that a person would write for it, and names every parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Layer, Part
from converters.model.names import module_name
from converters.plan import refusal as representability
from converters.targets.pytorch import constructors as advice
from layouts import catalogue
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, CoverageError, NotRepresentable, ShapeError, UnknownLayer, printable
from layouts.flatten import channels_first
from layouts.layout import Layout
from layouts.repack import targets

Dtype = np.dtype[Any] | None

_OWN = "gateport"
"""The framework of the layouts for cells that no module of torch.nn computes."""


@dataclass(frozen=True)
class Tensor:
    """One entry of the state_dict to be: its key, shape and dtype."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Module:
    """One PyTorch module to be filled: from which layers, in which layout, under which name, with which call."""

    name: str
    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    target: Layout | None
    tensors: tuple[Tensor, ...]
    constructor: str = ""
    notes: tuple[str, ...] = ()
    problems: tuple[ConversionError, ...] = ()

    @property
    def path(self) -> str:
        """The source layers, as messages name them."""
        return " + ".join(layer.path for layer in self.layers)


def pair(layer: Layer, name: str, dtype: Dtype) -> list[Module]:
    """One module for a layer, or one for each cell where its cells differ too much for one."""
    if not layer.parts:
        return [_passed_through(layer, layer.unknown, name, dtype)]
    difference = representability.difference(layer.parts)
    if not difference:
        return [_module(name, (layer,), layer.parts, dtype, tuple(_stackable(layer)))]
    notes = [f"one module for each cell: {difference}"]
    if representability.bidirectional(layer.parts):
        axis = 0 if layer.facts.get("time_major") else 1
        each = layer.facts.get("sequence_lens") or layer.facts.get("masked")
        whole = f"x.flip({axis}), and their outputs are flipped back"
        own = "each sequence reversed within its own length, and their outputs are reversed back"
        notes.append(f"the backward modules read {own if each else whole}")
    return [
        _module(_joined(name, label), (layer,), (replace(part, direction="forward", depth=0),), dtype, (*notes,))
        for label, part in zip(_labels(layer.parts), layer.parts, strict=True)
    ]


def _stackable(layer: Layer) -> Iterator[str]:
    """Where a graph has a node for each layer of a stack: how to make one module of them."""
    if "stacks_on" in layer.facts:
        before, own = (printable(module_name(path)) for path in (layer.facts["stacks_on"], layer.path))
        yield f"reads exactly what {before} gives: --stack NAME={before},{own} makes one module with num_layers of them"


def stack(members: Sequence[Layer], name: str, dtype: Dtype) -> Module:
    """Several layers as one module with `num_layers`. Raises `NotRepresentable` where they are no such stack."""
    why_not = representability.unstackable(members)
    if why_not:
        listed = ", ".join(printable(layer.path) for layer in members)
        raise NotRepresentable(f"{listed} cannot be stacked as {printable(name)}: {why_not}", layer=members[0].path)
    return _module(name, tuple(members), tuple(representability.placed(members)), dtype)


def own_names(layer: Layer) -> dict[str, LazyArray]:
    """The arrays of a layer that no layout describes, by the names they have in the source."""
    found = {module_name(name.removesuffix(":0")): array for name, array in layer.arrays.items()}
    if len(found) != len(layer.arrays):
        raise CoverageError(f"{printable(layer.path)}: two of its arrays have one name as parameters", layer=layer.path)
    return found


def _joined(name: str, label: str) -> str:
    return f"{name}.{label}" if name else label


def _labels(parts: Sequence[Part]) -> Iterator[str]:
    """'forward', 'backward'; or the number in a stack; or both."""
    deep = len({part.depth for part in parts}) > 1
    both = len({part.direction for part in parts}) > 1
    for part in parts:
        yield ".".join(filter(None, (part.direction if both else "", str(part.depth) if deep else "")))


def _module(
    name: str, layers: tuple[Layer, ...], parts: tuple[Part, ...], dtype: Dtype, extra: tuple[str, ...] = ()
) -> Module:
    first, dummies = layers[0], _dummies(parts, dtype)
    target = _target(parts[0].cell, {piece.slot for piece in dummies})
    if target and first.facts.get("cell") and target.framework == "pytorch":
        target = catalogue.layers("pytorch")[f"{target.spells}Cell"][0]
    if target is None:
        reason = NotRepresentable(f"torch.nn has no module for {parts[0].cell.name.replace('_', ' ')}")
        arrays = {array: lazy for part in parts for array, lazy in part.arrays.items()}
        return _passed_through(replace(first, parts=(), arrays=arrays), reason, name, dtype)
    reasons = list(representability.reasons(first, parts, target))
    constructor = _constructor(first, parts, exact=not reasons)
    refusals = [_refusal(first, reasons, target, constructor)] if reasons else []
    problems = (*refusals, *_stored_states(layers))
    if parts[0].flattened:
        target = channels_first(target, len(parts[0].flattened))
    tensors = tuple(_tensors(name, target, dummies))
    notes = (*extra, *dict.fromkeys(note for layer in layers for note in advice.notes(layer)))
    return Module(name, layers, parts, target, tensors, constructor, notes, problems)


def _target(cell: Cell, slots: set[str]) -> Layout | None:
    """The layout of PyTorch's module, or one of our own where torch.nn has no such cell or no such slot."""
    for framework in ("pytorch", _OWN):
        try:
            found = catalogue.target(framework, cell)
        except NotRepresentable:
            continue
        if slots <= found.slots:
            return found
    return None


def _constructor(layer: Layer, parts: Sequence[Part], *, exact: bool) -> str:
    """The module of torch.nn, or the drop-in one of `converters.nn` where only that is exact; '' where none is."""
    if not parts[0].cell.recurrent:
        return advice.constructor(parts[0], layer.facts)
    if exact:
        return advice.recurrent_constructor("nn", parts, layer.facts)
    if representability.drop_in(layer, parts):
        return advice.recurrent_constructor("converters.nn", parts, layer.facts)
    return ""


def _refusal(layer: Layer, reasons: Sequence[str], target: Layout, constructor: str) -> NotRepresentable:
    way_out = ". strict=False (--no-strict) gives its weights all the same"
    if constructor.startswith("converters."):
        way_out = f". {constructor} computes it, and convert(…, strict=False) (--no-strict) gives the weights it loads"
    text = f"{printable(layer.path)}: {'; '.join(reasons)}{way_out}"
    return NotRepresentable(text, layer=layer.path, layout=target.name)


def _stored_states(layers: Sequence[Layer]) -> Iterator[NotRepresentable]:
    """Initial states that the source stores: an argument of the module's call, for which a state_dict has no place."""
    for layer in layers:
        stored = [name for name in ("initial_h", "initial_c") if layer.facts.get(name) == "stored"]
        if stored:
            yield NotRepresentable(
                f"{printable(layer.path)}: it starts from stored states ({', '.join(stored)}), for which a state_dict "
                "has no place: strict=False (--no-strict) gives the weights; pass the states in the call",
                layer=layer.path,
            )


def _dummies(parts: Sequence[Part], dtype: Dtype) -> dict[Piece, Any]:
    """The pieces of a module with their shapes and dtypes and no memory, for planning."""
    found: dict[Piece, Any] = {}
    for part in parts:
        kind = dtype or np.result_type(*(part.arrays[name].dtype for name in part.shapes))
        for piece, shape in part.pieces().items():
            found[piece] = np.broadcast_to(np.zeros((), kind), shape)
    return found


def _tensors(name: str, target: Layout, dummies: Mapping[Piece, Any]) -> Iterator[Tensor]:
    for array in targets(target, dummies):
        yield Tensor(_joined(name, array.name), array.shape, array.dtype.newbyteorder("="))
    for constant in target.constants:
        yield Tensor(_joined(name, constant), (), np.dtype(np.int64))


def _passed_through(layer: Layer, reason: ConversionError | None, name: str, dtype: Dtype) -> Module:
    """Arrays under their own names: PyTorch's parameters, or with a problem those of a layer that is not known."""
    tensors = tuple(
        Tensor(_joined(name, short), array.shape, dtype or array.dtype.newbyteorder("="))
        for short, array in own_names(layer).items()
    )
    if reason is None:
        return Module(name, (layer,), (), None, tensors, notes=("PyTorch's own parameters, under their own names",))
    known = isinstance(reason, NotRepresentable | UnknownLayer | CoverageError | ShapeError)
    problem = (type(reason) if known else UnknownLayer)(
        f"{printable(layer.path)} ({printable(layer.kind)}): {reason}", layer=layer.path, array=reason.array
    )
    notes = ("no layout describes it: its arrays pass through under their own names",)
    return Module(name, (layer,), (), None, tensors, notes=notes, problems=(problem,))
