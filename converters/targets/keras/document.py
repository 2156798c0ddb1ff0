"""The file of a whole model of Keras 3, or of its weights: laid out from the graph of a plan's source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.tree import Tree
from converters.targets.keras import files, network
from converters.targets.keras.network.work import Planned
from layouts.errors import CoverageError, NotRepresentable, printable


def model(checkpoint: Checkpoint, modules: Iterable[Planned], suffix: str) -> Tree:
    """What a `.keras`, `.h5` or `.weights.h5` file holds for the network of a source.

    Raises `NotRepresentable` where the source tells no network, or a part of it has no form in Keras 3; `CoverageError`
    for a layer with weights that nothing calls.
    """
    planned = list(modules)
    if checkpoint.graph is None:
        said = (*checkpoint.remarks, *checkpoint.drawn.problems)
        why = f" ({'; '.join(said)})" if said else ""
        raise NotRepresentable(
            f"the source tells no network{why}, only weights: like=, a model of Keras or its file, "
            "says where each of them goes; of a module of PyTorch trace(module, inputs) tells the network",
            path=checkpoint.path,
        )
    inexact = [str(problem) for module in planned for problem in module.problems]
    if inexact:
        raise NotRepresentable("\n".join(inexact), path=checkpoint.path)
    found = network.write(checkpoint.graph, planned)
    arrays: dict[str, Any] = {tensor.key: tensor for module in planned for tensor in module.tensors}
    used = {key for entry in found.entries for keys in entry.arrays.values() for key in keys}
    left = [module for module in planned if any(tensor.key not in used for tensor in module.tensors)]
    if left:
        listed = ", ".join(dict.fromkeys(printable(layer.path) for module in left for layer in module.layers))
        raise CoverageError(f"no call of these layers is in the network: {listed}", path=checkpoint.path)
    shapes = _own_shapes(planned)
    if suffix == ".keras":
        tree = files.archive(files.numbered(found.entries, arrays, shapes), found.config)
    elif suffix == ".weights.h5":
        tree = files.numbered(found.entries, arrays, shapes)
    else:
        tree = files.by_layer(files.groups(found.entries), arrays, shapes, "model_weights")
        tree = files.whole(tree, found.config)
    return replace(tree, remarks=found.remarks)


def _own_shapes(modules: Iterable[Planned]) -> Mapping[str, tuple[int, ...]]:
    """The shapes of slopes, which Keras keeps with an axis of one for every axis that shares them."""
    found: dict[str, tuple[int, ...]] = {}
    for module in modules:
        if module.parts and module.parts[0].cell.name.startswith("prelu"):
            (stored,) = module.parts[0].shapes.values()
            found |= {tensor.key: stored for tensor in module.tensors}
    return found
