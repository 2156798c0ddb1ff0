"""Configurations of small Keras models by hand, and what is read from them: layers with weights get random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keras_files import cell_arrays, numbers

from converters.model.arrays import in_memory
from converters.model.checkpoint import Checkpoint
from converters.model.graph import Graph
from converters.readers.keras.config import Leaf, read_model
from converters.readers.keras.files import from_memory
from converters.readers.keras.semantics import parse_version

Config = dict[str, Any]
WIDTH = 4
"""The features of every value here."""


def layer(
    class_name: str,
    name: str = "layer",
    *,
    inbound: Sequence[Any] = (),
    nodes: Sequence[Any] = (),
    bare: bool = False,
    **config: Any,
) -> Config:
    """A layer, called once with the tensors of `inbound`, or as `nodes` say. `bare`: a function and no layer."""
    own = {"name": name, **config} if bare else {"name": name, "trainable": True, **config}
    found: Config = {"class_name": class_name, "name": name, "config": own}
    return found | {"inbound_nodes": list(nodes) or [list(inbound)]} if inbound or nodes else found


def tensor(name: str, call: int = 0, number: int = 0) -> Config:
    """A tensor as Keras 3 writes it."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, number]}}


def modern(*arguments: Any, **named: Any) -> Config:
    """A call as Keras 3 writes it."""
    return {"args": list(arguments), "kwargs": named}


def sequential(*layers: Config, shape: Sequence[Any] = (None, 6, WIDTH)) -> Config:
    """A Sequential of these layers."""
    first = {**layers[0], "config": {**layers[0]["config"], "batch_input_shape": list(shape)}}
    return {"class_name": "Sequential", "config": {"name": "model", "layers": [first, *layers[1:]]}}


def functional(layers: Sequence[Config], *inputs: str, out: str, steps: Sequence[Any] = (), **shaped: Any) -> Config:
    """A functional model: inputs of 6 steps and `WIDTH` features, or of shape `steps`; others of their own shapes."""
    shapes = {name: list(steps) or [None, 6, WIDTH] for name in inputs} | shaped
    entries = [
        {
            "class_name": "InputLayer",
            "name": name,
            "config": {"name": name, "batch_input_shape": shape, "dtype": "float32"},
            "inbound_nodes": [],
        }
        for name, shape in shapes.items()
    ]
    return {
        "class_name": "Model",
        "config": {
            "name": "model",
            "layers": [*entries, *layers],
            "input_layers": [[name, 0, 0] for name in shapes],
            "output_layers": [[out, 0, 0]],
        },
    }


def checkpoint(model: Mapping[str, Any], version: str = "2.4.0") -> Checkpoint:
    """What is read of a model in memory, whose layers all have `WIDTH` inputs."""
    stored: dict[str, list[Any]] = {}
    for leaf in {leaf.path: leaf for leaf in read_model(dict(model), "model").leaves()}.values():
        stored.setdefault(leaf.group, []).extend(
            (f"{leaf.path}/{name}", in_memory(f"{leaf.path}/{name}", array)) for name, array in _arrays(leaf)
        )
    return from_memory(json.dumps(model), stored, parse_version(version), "model", {})


def graph_of(model: Mapping[str, Any], version: str = "2.4.0") -> Graph:
    """The graph of a model; an error where there is none."""
    found = checkpoint(model, version)
    assert found.graph is not None, found.remarks
    return found.graph


def _arrays(leaf: Leaf) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for cell in leaf.cells:
        units = cell.config.get("units", cell.config.get("output_dim", 0))
        if cell.class_name in ("LSTM", "GRU"):
            arrays = cell_arrays(cell.class_name, WIDTH, units, reset_after=False)
        elif cell.class_name == "Dense":
            arrays = {"kernel": numbers(WIDTH, units), "bias": numbers(units)}
        elif cell.class_name == "Embedding":
            arrays = {"embeddings": numbers(cell.config["input_dim"], units)}
        else:
            arrays = {}
        found += [(f"{cell.direction}/{name}" if len(leaf.cells) > 1 else name, a) for name, a in arrays.items()]
    return found
