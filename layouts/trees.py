"""How a framework arranges all that it saves in one tree: which branches are a model's weights, and which are none."""

from __future__ import annotations

from layouts.records import dataclass


@dataclass(frozen=True)
class Tree:
    """The words by which the branches of a framework's trees are told apart."""

    collections: tuple[str, ...] = ()
    """The branches in which the variables of one module are kept apart: its paths begin below them."""
    beside: tuple[str, ...] = ()
    """What stands beside a collection and holds no weights: slots of optimizers, counters, averages."""
    optimizer: tuple[str, ...] = ()
    """Those of them that tell, where no collection does, that this is the level of a whole training state."""
    keys: tuple[str, ...] = ()
    """The branches of keys of random numbers, which may stand in any module."""
    key_parts: tuple[str, ...] = ()
    """The last word of an array in such a branch."""
    leaf: str = ""
    """A word behind the name of an array where its wrapper is saved too."""

    @property
    def tells(self) -> tuple[str, ...]:
        return (*self.collections, *self.optimizer)
