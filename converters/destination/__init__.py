"""What a file of a target is to hold, where it is more than the planned arrays under their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.tree import Tree
from converters.planning.pairing import Choices
from converters.planning.plan import Plan
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


def for_model(
    checkpoint: Checkpoint, like: Any, suffix: str, rename: Mapping[str, str], choices: Choices
) -> tuple[Plan, Tree]:
    """The plan for the weights of a given model of Keras, and the tree of its file; see `weights.for_model`."""
    from converters.destination import weights

    return weights.for_model(checkpoint, like, suffix, rename, choices)
