"""What a file of a target is to hold, where it is more than the planned arrays under their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.tree import Tree
from converters.planning.pairing import Choices
from converters.planning.plan import Plan
from converters.targets import KERAS
from layouts.records import replace

NETWORKS = (".keras", ".h5", ".hdf5", ".onnx")
"""Files that hold the whole network of a source."""
_TREES = (".keras", ".weights.h5", ".h5", ".hdf5")
"""Files of Keras that hold a tree of arrays."""


def of_network(plan: Plan, suffix: str) -> Plan:
    """The plan of a file that holds the network too, with what its arithmetic reads: ONNX as an initializer, Keras as
    numbers of the configuration; of any other file the plan as it is.
    """
    graph = plan.checkpoint.graph if suffix in NETWORKS else None
    if graph is None:
        return plan
    plan = plan.of_network()
    if plan.target.name != KERAS.name:
        return plan
    return replace(plan, modules=tuple(m for m in plan.modules if not any(map(graph.reads, m.layers))))


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
