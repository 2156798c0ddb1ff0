"""What a file of a target is to hold, where it is more than the planned arrays under their keys."""

from __future__ import annotations

from converters.model.tree import Tree
from converters.plan.plan import Plan
from converters.targets import KERAS

_TREES = (".keras", ".weights.h5", ".h5", ".hdf5")
"""Files of Keras that hold a tree of arrays."""


def laid_out(plan: Plan, suffix: str) -> Tree | None:
    """The tree of a file of Keras; None for a container of plain arrays.

    Raises `NotRepresentable` where the network of the source cannot be written.
    """
    if plan.target.name != KERAS.name or suffix not in _TREES:
        return None
    from converters.targets.keras import document

    return document.model(plan.checkpoint, plan.modules, suffix)
