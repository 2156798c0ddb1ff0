"""Layers with located arrays and typed settings: what a reader finds, before any data is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.settings import Call, Wiring
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, NotRepresentable, printable
from layouts.flatten import MAPS, channels_last
from layouts.layout import DIRECTIONS, Layout
from layouts.options import Convolution, ConvolutionalRecurrence, Normalization, Options, Plain, Recurrence
from layouts.records import dataclass, field
from layouts.regions import Region, of_layout
from layouts.repack import describe, unpack


def _is_narrower(array: Array, dtype: np.dtype[Any]) -> bool:
    return bool(array.dtype.itemsize < dtype.itemsize)


@dataclass(frozen=True, eq=False)
class Part:
    """The arrays of one cell, at its direction and layer of a stack, and the layout that describes them.

    Where one layout's arrays hold several directions or layers by themselves, `directions` and `layers` say how many.
    """

    layout: Layout
    arrays: Mapping[str, LazyArray]
    options: Options = Plain()
    """What the cell computes; where nothing is told, as its layout and its cell have it."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """What the framework adds when it runs and no array tells: `forget_bias`."""
    direction: str = "forward"
    layer: int = 0
    flattened: tuple[int, ...] = ()
    """The sizes (…, channel) of the channels-last feature map that was flattened into this part's input axis."""
    directions: tuple[str, ...] = ()
    layers: int = 1
    given: Mapping[str, int] = field(default_factory=dict)
    """Sizes that the shapes cannot tell: the heads of a fused attention."""
    only: tuple[str, int] | None = None
    """The one direction and layer of the arrays that is meant, to stand by itself."""

    def __post_init__(self) -> None:
        if isinstance(self.options, Plain):
            object.__setattr__(self, "options", self.layout.options)

    @property
    def source(self) -> Layout:
        """The layout of the arrays, with the input axis cut into the map that was flattened into it."""
        return channels_last(self.layout, len(self.flattened)) if self.flattened else self.layout

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that the shapes cannot tell, those of a flattened map among them."""
        flat = dict(zip(MAPS[len(self.flattened)], self.flattened, strict=True)) if self.flattened else {}
        return {**self.given, **flat}

    @property
    def cell(self) -> Cell:
        return self.layout.cell

    @property
    def recurrence(self) -> Recurrence:
        """The options of a recurrent cell; the usual ones for any other."""
        own = self.options
        if isinstance(own, ConvolutionalRecurrence):
            return Recurrence(own.activation, own.recurrent_activation)
        return own if isinstance(own, Recurrence) else Recurrence()

    @property
    def convolution(self) -> Convolution:
        """The options of a convolution; the usual ones for any other cell."""
        own = self.options
        if isinstance(own, ConvolutionalRecurrence):
            return Convolution(
                own.strides, own.dilation, padding=own.padding, pads=own.pads, channels_last=own.channels_last
            )
        return own if isinstance(own, Convolution) else Convolution()

    @property
    def normalization(self) -> Normalization:
        """The options of a norm; the usual ones for any other cell."""
        return self.options if isinstance(self.options, Normalization) else Normalization()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.arrays.items() if name not in self.layout.passed_over}

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions of this part, whether its arrays hold one or both."""
        return self.directions or (self.direction,)

    def pieces(self) -> dict[Piece, tuple[int, ...]]:
        """The neutral pieces of this part and their shapes, placed at its direction and layer."""
        cut = self.flattened and describe(self.source, self.shapes, sizes=self.sizes, **self._extent)
        return self._placed(cut or self._described)

    @cached_property
    def _described(self) -> dict[Piece, tuple[int, ...]]:
        """The pieces of the layout itself, worked out once: planning asks for them again and again."""
        return describe(self.layout, self.shapes, sizes=self.given, **self._extent)

    def regions(self) -> dict[Piece, Region]:
        """Where each piece stands in its array, placed as the pieces are."""
        return self._placed(of_layout(self.source, self.shapes, sizes=self.sizes, **self._extent))

    def unpack(self, dtype: np.dtype[Any] | None = None) -> dict[Piece, Array]:
        """The pieces themselves: reads the arrays, and copies nothing but what a convention computes.

        dtype: of what is made of them; biases, with which conventions calculate, are no narrower than it.
        """
        self._check_zero()
        arrays = {name: array.read() for name, array in self.arrays.items() if name not in self.layout.passed_over}
        if dtype is not None:
            arrays |= {
                name: arrays[name].astype(dtype)
                for name in self._biases()
                if name in arrays and _is_narrower(arrays[name], dtype)
            }
        return self._placed(
            unpack(self.source, arrays, options=self.constants, sizes=self.sizes, **self._extent),
        )

    def _biases(self) -> list[str]:
        """The arrays of biases alone."""
        entries = self.source.entries(**self._extent)
        return [each.name for each in entries if all("_bias" in target.template for target in each.pattern.targets)]

    def _check_zero(self) -> None:
        """Raise `NotRepresentable` for an array that has to be zero and is not."""
        for name in self.arrays.keys() & self.layout.zero.keys():
            if np.any(self.arrays[name].read()):
                array = self.arrays[name].name
                raise NotRepresentable(f"{printable(array)} is not zero: {self.layout.zero[name]}", array=array)

    @property
    def _extent(self) -> dict[str, Any]:
        return {"directions": self.directions or DIRECTIONS[:1], "layers": self.layers}

    def _placed(self, pieces: Mapping[Piece, Any]) -> dict[Piece, Any]:
        """The pieces at this part's place in its layer, or those that are meant alone, at a layer's by itself."""
        found = {}
        for piece, value in pieces.items():
            direction = piece.direction if self.directions else self.direction
            layer = self.layer + piece.layer
            if self.only is None:
                found[piece._replace(direction=direction, layer=layer)] = value
            elif self.only == (direction, layer):
                found[piece._replace(direction=DIRECTIONS[0], layer=0)] = value
        return found

    def solved(self) -> dict[str, int]:
        """Every size of the (first) layer that is meant: input, unit, …"""
        slots, wanted = self.cell.slots, self.only[1] - self.layer if self.only else 0
        own = ((slots[piece.slot].dims, shape) for piece, shape in self._described.items() if piece.layer == wanted)
        return {word: size for words, shape in own for word, size in zip(words, shape, strict=True)}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the source that has weights.

    `assumed` are options that the source does not store and that were filled with its version's default; `unknown` says
    why the layer could not be recognised, in which case `arrays` holds what it stores under its own names.
    """

    path: str
    class_name: str
    parts: tuple[Part, ...] = ()
    call: Call = Call()
    wiring: Wiring = Wiring()
    assumed: Mapping[str, Any] = field(default_factory=dict)
    inferred: str = ""
    unknown: ConversionError | None = None
    arrays: Mapping[str, LazyArray] = field(default_factory=dict)
    alternatives: tuple[Layer, ...] = ()
    """The layers that the arrays may be, where they fit several and `unknown` asks which."""

    @property
    def recurrent(self) -> bool:
        return any(part.cell.recurrent for part in self.parts)

    def stored(self) -> Iterator[LazyArray]:
        """Every array of the layer, as stored."""
        yield from self.arrays.values()
        for part in self.parts:
            yield from part.arrays.values()
