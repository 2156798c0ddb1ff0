"""Small Keras HDF5 files written by hand, without Keras: any layer, its configuration, random arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


class Made(NamedTuple):
    """One layer: its class, its configuration, and its arrays under the names that a file lists."""

    class_name: str
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return str(self.config["name"])


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Random numbers, others for other shapes."""
    return np.random.default_rng(shape).normal(0.0, 0.4, shape).astype(dtype)


def cell_arrays(kind: str, inputs: int, units: int, **config: Any) -> dict[str, np.ndarray]:
    gates = GATES[kind.removesuffix("Cell")]
    found = {"kernel": numbers(inputs, gates * units), "recurrent_kernel": numbers(units, gates * units)}
    if config.get("use_bias", True):
        two = kind.startswith("GRU") and config.get("reset_after", True)
        found["bias"] = numbers(2, gates * units) if two else numbers(gates * units)
    return found


def _options(kind: str, **config: Any) -> dict[str, Any]:
    usual = {"activation": "tanh", "return_sequences": True, "go_backwards": False}
    if kind != "SimpleRNN":
        usual["recurrent_activation"] = "sigmoid"
    if kind == "GRU":
        usual["reset_after"] = True
    return usual | config


def recurrent(kind: str, name: str, inputs: int, units: int, **config: Any) -> Made:
    """An LSTM, GRU or SimpleRNN that returns sequences unless it is told otherwise."""
    arrays = cell_arrays(kind, inputs, units, **config)
    options = _options(kind, name=name, units=units, **config)
    return Made(kind, options, {f"{name}/{kind.lower()}_cell/{key}": value for key, value in arrays.items()})


def bidirectional(
    kind: str, name: str, inputs: int, units: int, backward: int = 0, merge_mode: str | None = "concat", **config: Any
) -> Made:
    """Bidirectional(kind), with a backward layer of its own size where one is given."""
    options = _options(kind, name="inner", units=units, **config)
    arrays: dict[str, np.ndarray] = {}
    for side, width in (("forward", units), ("backward", backward or units)):
        for key, value in cell_arrays(kind, inputs, width, **config).items():
            arrays[f"{name}/{side}_inner/{key}"] = value * (1 if side == "forward" else -1)
    outer: dict[str, Any] = {"name": name, "merge_mode": merge_mode, "layer": {"class_name": kind, "config": options}}
    if backward:
        outer["backward_layer"] = {"class_name": kind, "config": options | {"units": backward, "go_backwards": True}}
    return Made("Bidirectional", outer, arrays)


def stacked(name: str, kind: str, inputs: int, *units: int) -> Made:
    """RNN around several cells of one kind."""
    arrays, cells, width = {}, [], inputs
    for number, size in enumerate(units):
        for key, value in cell_arrays(kind, width, size).items():
            arrays[f"{name}/cell_{number}/{key}"] = value * (number + 1)
        cells.append({"class_name": f"{kind}Cell", "config": _options(kind, name=f"cell_{number}", units=size)})
        width = size
    inner = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
    return Made("RNN", {"name": name, "cell": inner, "return_sequences": True}, arrays)


def dense(name: str, inputs: int, units: int, **config: Any) -> Made:
    arrays = {f"{name}/kernel": numbers(inputs, units), f"{name}/bias": numbers(units)}
    return Made("Dense", {"name": name, "units": units, "activation": "linear"} | config, arrays)


def other(class_name: str, name: str, arrays: Mapping[str, np.ndarray], **config: Any) -> Made:
    """Any other layer."""
    return Made(class_name, {"name": name, **config}, {f"{name}/{key}": value for key, value in arrays.items()})


def write(path: Path, *layers: Made, version: str = "3.9.0", whole: bool = True) -> Path:
    """The file: a whole model, or weights alone."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        if whole:
            listed = [{"class_name": made.class_name, "config": made.config} for made in layers]
            config = {"class_name": "Sequential", "config": {"name": "model", "layers": listed}}
            file.attrs["model_config"] = json.dumps(config)
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [made.name for made in layers]
        for made in layers:
            group = root.create_group(made.name)
            group.attrs["weight_names"] = list(made.arrays)
            for name, array in made.arrays.items():
                group.create_dataset(name, data=array)
    return path
