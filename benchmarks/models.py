"""Model files for the benchmarks, byte for byte in the layout that Keras 3 writes, made with h5py alone.

    python benchmarks/models.py m model.h5

The configurations are short: a key that is absent has its default. Numbers are random, so no page is a hole.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

VERSION = "3.15.1"
STEPS = 20


class Layer(NamedTuple):
    """One layer: its class, name, and the sizes of its input and output."""

    kind: str
    name: str
    inputs: int
    outputs: int


MODELS: dict[str, list[Layer]] = {
    "tiny": [
        Layer("Embedding", "embedding", 13, 3),
        Layer("Bidirectional", "bidirectional", 3, 5),
        Layer("LSTM", "lstm", 10, 7),
        Layer("Dense", "dense", 7, 11),
    ],
    "xs": [Layer("LSTM", "lstm", 64, 86), Layer("Dense", "dense", 86, 10)],
    "s": [Layer("LSTM", "lstm", 64, 224), Layer("Dense", "dense", 224, 10)],
    "m": [
        Layer("Embedding", "embedding", 10_000, 256),
        Layer("Bidirectional", "bidirectional", 256, 608),
        Layer("Bidirectional", "bidirectional_1", 1216, 608),
        Layer("Bidirectional", "bidirectional_2", 1216, 608),
        Layer("Dense", "dense", 1216, 10),
    ],
    "l": [
        Layer("Embedding", "embedding", 8000, 256),
        Layer("LSTM", "lstm", 256, 3000),
        Layer("LSTM", "lstm_1", 3000, 3000),
        Layer("LSTM", "lstm_2", 3000, 3000),
        Layer("LSTM", "lstm_3", 3000, 3000),
    ],
    "xl": [
        Layer("Embedding", "embedding", 8000, 256),
        Layer("LSTM", "lstm", 256, 4096),
        *(Layer("LSTM", f"lstm_{number}", 4096, 4096) for number in range(1, 8)),
    ],
}
"""By size: xs is 230 KB, s 1 MB, m 100 MB, l 1 GB of float32, and xl 4 GB, whose rows stand at powers of two."""


def write(path: Path, layers: list[Layer]) -> None:
    """Write a model; the ending of the name says whether as HDF5, as an archive or as ONNX."""
    if path.suffix == ".onnx":
        import models_onnx

        return models_onnx.write(path, layers)
    if path.name.endswith(".weights.h5"):
        return _write_weights(path, layers)
    (_write_archive if path.suffix == ".keras" else _write_hdf5)(path, layers)


def _write_hdf5(path: Path, layers: list[Layer]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = VERSION, "tensorflow"
        file.attrs["model_config"] = json.dumps(_config(layers))
        weights = file.create_group("model_weights")
        weights.attrs["keras_version"], weights.attrs["backend"] = VERSION, "tensorflow"
        weights.attrs["layer_names"] = [layer.name for layer in layers]
        for layer, arrays in zip(layers, _arrays(layers), strict=True):
            group = weights.create_group(layer.name)
            names = {f"sequential/{layer.name}/{name}": array for name, array in arrays.items()}
            group.attrs["weight_names"] = list(names)
            for name, array in names.items():
                group.create_dataset(name, data=array)
        weights.create_group("top_level_model_weights").attrs["weight_names"] = np.empty(0)


def _write_weights(place: Path | io.BytesIO, layers: list[Layer]) -> None:
    with h5py.File(place, "w") as file:
        for folder, layer, arrays in zip(_folders(layers), layers, _arrays(layers), strict=True):
            counts: dict[str, int] = {}
            for name, array in arrays.items():
                below = f"{folder}/{_FOLDERS[layer.kind, name.split('/')[0]]}vars"
                number = counts[below] = counts.get(below, -1) + 1
                file.create_dataset(f"{below}/{number}", data=array)


def _write_archive(path: Path, layers: list[Layer]) -> None:
    stored = io.BytesIO()
    _write_weights(stored, layers)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": VERSION, "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(_config(layers)))
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            member.write(stored.getbuffer())


_FOLDERS = {
    ("LSTM", "lstm_cell"): "cell/",
    ("Bidirectional", "forward_lstm"): "forward_layer/cell/",
    ("Bidirectional", "backward_lstm"): "backward_layer/cell/",
    ("Dense", "kernel"): "",
    ("Dense", "bias"): "",
    ("Embedding", "embeddings"): "",
}
"""Where an archive keeps the arrays of a class, by the first word of their names."""


def _folders(layers: list[Layer]) -> Iterator[str]:
    """`layers/lstm`, `layers/lstm_1`: by class and counter, whatever the layer is called."""
    counts: dict[str, int] = {}
    for layer in layers:
        number = counts[layer.kind] = counts.get(layer.kind, -1) + 1
        yield f"layers/{layer.kind.lower()}" + (f"_{number}" if number else "")


def _arrays(layers: list[Layer]) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    generator = np.random.default_rng(7)
    for layer in layers:
        yield {name: generator.random(shape, np.float32) - np.float32(0.5) for name, shape in _shapes(layer).items()}


def _shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    inputs, outputs = layer.inputs, layer.outputs
    if layer.kind == "Embedding":
        return {"embeddings": (inputs, outputs)}
    if layer.kind == "Dense":
        return {"kernel": (inputs, outputs), "bias": (outputs,)}
    cell = {
        "lstm_cell/kernel": (inputs, 4 * outputs),
        "lstm_cell/recurrent_kernel": (outputs, 4 * outputs),
        "lstm_cell/bias": (4 * outputs,),
    }
    if layer.kind == "LSTM":
        return cell
    return {f"{side}_lstm/{name}": shape for side in ("forward", "backward") for name, shape in cell.items()}


def _config(layers: list[Layer]) -> dict[str, Any]:
    shape = [None, STEPS] if layers[0].kind == "Embedding" else [None, STEPS, layers[0].inputs]
    configs = [_object("InputLayer", name="input_layer", batch_shape=shape, dtype="float32"), *map(_layer, layers)]
    return _object("Sequential", name="sequential", trainable=True, layers=configs, build_input_shape=shape)


def _layer(layer: Layer) -> dict[str, Any]:
    if layer.kind == "Embedding":
        return _object("Embedding", name=layer.name, input_dim=layer.inputs, output_dim=layer.outputs)
    if layer.kind == "Dense":
        return _object("Dense", name=layer.name, units=layer.outputs, activation="linear", use_bias=True)
    if layer.kind == "LSTM":
        return _lstm(layer.name, layer.outputs, backward=False)
    forward, backward = (_lstm(f"{side}_lstm", layer.outputs, side == "backward") for side in ("forward", "backward"))
    return _object("Bidirectional", name=layer.name, merge_mode="concat", layer=forward, backward_layer=backward)


def _lstm(name: str, units: int, backward: bool) -> dict[str, Any]:
    gates = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    return _object("LSTM", name=name, units=units, return_sequences=True, go_backwards=backward, **gates)


def _object(class_name: str, **config: Any) -> dict[str, Any]:
    module = "keras" if class_name == "Sequential" else "keras.layers"
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


if __name__ == "__main__":
    write(Path(sys.argv[2]), MODELS[sys.argv[1]])
