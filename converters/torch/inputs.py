"""Random inputs that a graph takes, and what a module makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.graph import Graph, Value, batch_names
from converters.model.operations import Identity, MergeTime

Array = np.ndarray[Any, Any]
_BATCH, _SEED = 2, 7
_OPEN_SIZES = (7, 32, 100, 300)
"""What open sizes are tried with: a network of many poolings needs a large input."""


def random_inputs(graph: Graph, module: nn.Module) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Inputs for which the module gives outputs, and these. Raises what the module raises for the largest of them."""
    for size in _OPEN_SIZES:
        inputs = [_random(graph, value, size) for value in graph.inputs]
        try:
            return tuple(inputs), tuple(run(module, inputs))
        except (RuntimeError, ValueError, IndexError):
            if size == _OPEN_SIZES[-1]:
                raise
    raise AssertionError


def run(module: nn.Module, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a module as arrays; those that NumPy does not have as float32. Kept states begin at zero again."""
    _reset(module)
    with torch.no_grad():
        found = module(*(torch.from_numpy(array) for array in inputs))
    _reset(module)
    tensors = found if isinstance(found, tuple) else (found,)
    return [(y.float() if y.dtype == torch.bfloat16 else y).numpy() for y in tensors]


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_states", None)
    if callable(reset):
        reset()


def _random(graph: Graph, value: Value, size: int) -> Array:
    """An array for an input: indices where an embedding reads it, and normal numbers elsewhere."""
    generator = np.random.default_rng(_SEED)
    known = (None, None) if value.shape is None else value.shape
    shape = value.filled(known, _BATCH, size, batch_names(graph.inputs))
    most = _indices(graph, value.name)
    if most is not None:
        return generator.integers(0, most, shape)
    if value.dtype == "bool":
        return generator.random(shape) < 0.7
    if "int" in value.dtype:
        return generator.integers(1, 5, shape)  # maybe lengths
    return generator.standard_normal(shape).astype(np.float32)


def _indices(graph: Graph, name: str) -> int | None:
    """How many indices the embedding has that reads a value, however it gets there."""
    found = []
    for node in graph.nodes:
        if name not in node.inputs:
            continue
        parts = node.layer.parts if node.layer else ()
        found += [part.solved()["index"] for part in parts if part.cell.name == "embedding"]
        if isinstance(node.operation, Identity | MergeTime):
            found += [most for most in [_indices(graph, node.outputs[0])] if most is not None]
    return min(found, default=None)
