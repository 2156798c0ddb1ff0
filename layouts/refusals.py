"""Layers that are known by the names of their arrays and computed by no module: refused by name, with the reason."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Refusal(NamedTuple):
    """A class, the arrays that it has, those that it may have too, and why nothing here computes it.

    `named`: its arrays may be those of another class, so that only its path tells it, which is named after it.
    """

    class_name: str
    arrays: tuple[str, ...]
    why: str
    optional: tuple[str, ...] = ()
    named: bool = False

    def meets(self, names: Collection[str], is_named: bool) -> bool:
        """Whether a layer with arrays of these names, whose path is named after this class or not, is of it."""
        return (is_named or not self.named) and {*self.arrays} <= {*names} <= {*self.arrays, *self.optional}
