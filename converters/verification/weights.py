"""The pieces of a layer, by slot, for those who compute with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.layers import Part
from layouts.cells import Piece

Array = np.ndarray[Any, Any]


class Weights:
    """The pieces of a layer that is not recurrent, as float64."""

    def __init__(self, pieces: Mapping[Piece, Array]) -> None:
        self._pieces: dict[tuple[str, str], Array] = {
            (piece.slot, piece.role): np.asarray(view, np.float64) for piece, view in pieces.items()
        }

    @classmethod
    def of(cls, part: Part) -> Weights:
        """Those that are stored, in the order of the source: a flattened map stays as it is."""
        return cls(replace(part, flattened=()).unpack())

    def __call__(self, slot: str, otherwise: float = 0.0, role: str = "") -> Array:
        return self._pieces.get((slot, role), np.asarray(otherwise))

    def maybe(self, slot: str) -> Array | None:
        """The piece of a slot, or None."""
        return self._pieces.get((slot, ""))
