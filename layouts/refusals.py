"""Layers that are known by the names of their arrays and computed by no module: refused by name, with the reason."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Refusal(NamedTuple):
    """A class, the arrays that it has, those that it may have too, and why nothing here computes it."""

    class_name: str
    arrays: tuple[str, ...]
    why: str
    optional: tuple[str, ...] = ()

    def meets(self, names: Collection[str]) -> bool:
        """Whether a layer with arrays of these names is of this class."""
        return {*self.arrays} <= {*names} <= {*self.arrays, *self.optional}
