"""What a source holds, framework-neutral: layers with located arrays, options and facts; no data is read yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from converters.model.arrays import Array, LazyArray
from converters.model.names import module_name
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, UnknownLayer, printable
from layouts.flatten import MAPS, channels_last
from layouts.layout import DIRECTIONS, Layout
from layouts.repack import describe, unpack


@dataclass(frozen=True, eq=False)
class Part:
    """The arrays of one cell, at its direction and depth in a stack, and the layout that describes them.

    Where one layout's arrays hold several directions or layers by themselves, `directions` and `layers` say how many.
    """

    layout: Layout
    arrays: Mapping[str, LazyArray]
    options: Mapping[str, Any] = field(default_factory=dict)
    direction: str = "forward"
    depth: int = 0
    flattened: tuple[int, ...] = ()
    """The sizes (…, channel) of the channels-last map that was flattened into this part's input axis."""
    directions: tuple[str, ...] = ()
    layers: int = 1

    @property
    def source(self) -> Layout:
        """The layout of the arrays, with the input axis cut into the map that was flattened into it."""
        return channels_last(self.layout, len(self.flattened)) if self.flattened else self.layout

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that the shapes cannot tell."""
        return dict(zip(MAPS[len(self.flattened)], self.flattened, strict=True)) if self.flattened else {}

    @property
    def cell(self) -> Cell:
        return self.layout.cell

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.arrays.items() if name not in self.layout.passed_over}

    def pieces(self) -> dict[Piece, tuple[int, ...]]:
        """The neutral pieces of this part and their shapes, placed at its direction and depth."""
        cut = self.flattened and describe(self.source, self.shapes, sizes=self.sizes, **self._extent)
        return {self._placed(piece): shape for piece, shape in (cut or self._described).items()}

    @cached_property
    def _described(self) -> dict[Piece, tuple[int, ...]]:
        """The pieces of the layout itself, worked out once: planning asks for them again and again."""
        return describe(self.layout, self.shapes, **self._extent)

    def unpack(self) -> dict[Piece, Array]:
        """The pieces themselves: reads the arrays, and copies nothing but what a convention computes."""
        arrays = {name: array.read() for name, array in self.arrays.items() if name not in self.layout.passed_over}
        views = unpack(self.source, arrays, options=self.options, sizes=self.sizes, **self._extent)
        return {self._placed(piece): view for piece, view in views.items()}

    @property
    def _extent(self) -> dict[str, Any]:
        return {"directions": self.directions or DIRECTIONS[:1], "layers": self.layers}

    def _placed(self, piece: Piece) -> Piece:
        direction = piece.direction if self.directions else self.direction
        return piece._replace(direction=direction, layer=self.depth + piece.layer)

    def solved(self) -> dict[str, int]:
        """Every size of the (first) layer: input, unit, …"""
        slots = self.cell.slots
        first = ((slots[piece.slot].dims, shape) for piece, shape in self._described.items() if not piece.layer)
        return {word: size for words, shape in first for word, size in zip(words, shape, strict=True)}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the source that has weights.

    `facts` are what its configuration says beyond the weights (return_sequences, merge_mode, epsilon, …); `assumed` are
    options that the source does not tell and that were filled with its version's default; `unknown` says why the layer
    could not be recognised, in which case `arrays` holds what it stores under its own names.
    """

    path: str
    kind: str
    parts: tuple[Part, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
    inferred: str = ""
    unknown: ConversionError | None = None
    arrays: Mapping[str, LazyArray] = field(default_factory=dict)

    @property
    def recurrent(self) -> bool:
        return any(part.cell.recurrent for part in self.parts)

    def stored(self) -> Iterator[LazyArray]:
        """Every array of the layer, as stored."""
        yield from self.arrays.values()
        for part in self.parts:
            yield from part.arrays.values()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A source that has been read: where it comes from, and its layers in model order."""

    path: str
    framework: str
    version: str
    container: str
    layers: tuple[Layer, ...]
    code: tuple[str, ...] = ()
    """Layers without weights that hold code, or are of somebody's own class: what they compute is not known."""
    unused: tuple[str, ...] = ()
    """Stored arrays that nothing in the model reads: they are left out, and named in a warning."""
    remarks: tuple[str, ...] = ()
    """What else a warning has to say of the source as a whole, one sentence each."""

    def layer(self, path: str) -> Layer:
        """The layer of this path; `UnknownLayer` lists what there is."""
        for layer in self.layers:
            if path in (layer.path, module_name(layer.path)):
                return layer
        known = ", ".join(printable(layer.path) for layer in self.layers) or "none"
        raise UnknownLayer(f"no layer {printable(path)!r} with weights; there are: {known}", path=self.path)

    def __str__(self) -> str:
        from converters.show.tables import checkpoint_table, render

        return render(checkpoint_table(self))
