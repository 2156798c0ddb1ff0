"""TensorFlow Lite: whole networks against its interpreter's outputs, and files that would not end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import converters
from converters.readers.source import open_source
from converters.readers.tflite.model import open_model
from converters.readers.tflite.words import told
from converters.readers.tflite.words.told import Told

FOLDER = ROOT / "fixtures" / "tflite"


def files() -> Iterator[Any]:
    """Every file, and the records of its layers."""
    for name in ("lstm", "loops", "unrolled"):
        for file, own in json.loads((FOLDER / name / "case.json").read_text())["files"].items():
            yield pytest.param(FOLDER / name / file, list(own["layers"].values()), id=f"{name}/{file}")


@pytest.mark.parametrize(("path", "records"), files())
def test_a_built_network_equals_the_interpreter(path: Path, records: list[str], measured: Any) -> None:
    io = np.load(path.parent / "io.npz")
    first = "forward" if "forward" in records else records[0]
    x, wanted = io[f"layers/{first}/x"], io[f"layers/{records[-1]}/y"]
    module = converters.build(path)
    with torch.no_grad():
        rows = [module(torch.from_numpy(row[None])).numpy() for row in x]
    worst = float(np.abs(np.concatenate(rows) - wanted).max())
    measured(f"tflite/{path.parent.name} {path.name} as a whole", worst)
    assert worst <= 1e-6


def test_a_direction_that_is_turned_before_is_one_from_the_end() -> None:
    for name in ("loops", "unrolled"):
        checkpoint = converters.read(FOLDER / name / "model.tflite")
        directions = {layer.path: layer.call.direction for layer in checkpoint.layers}
        assert directions == {"gru": "backward", "gru_1": "forward", "rnn": "forward", "dense": "forward"}


def test_graphs_that_call_one_another_without_end_are_refused() -> None:
    model = open_model(open_source(str(FOLDER / "loops" / "gru.tflite")))
    with pytest.raises(converters.UnsafeCheckpoint, match="deep"):
        Told(model).graph(0, {}, 9)


def test_graphs_that_would_grow_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "_MOST_NODES", 10)
    with pytest.raises(converters.UnsafeCheckpoint, match="nodes"):
        converters.read(FOLDER / "loops" / "gru.tflite")


def test_a_loop_that_is_no_cell_keeps_its_arrays_as_the_file_has_them() -> None:
    """A loop over a matrix that is no cell: the array stands under its own name, as the file has it."""
    checkpoint = converters.read(FOLDER / "refused" / "loop.tflite")
    (layer,) = checkpoint.layers
    assert layer.path == "loop" and [array.shape for array in layer.arrays.values()] == [(5, 5)]


def converted(layers: list[Any], path: Path, **settings: Any) -> Path:
    """A model of tf_keras in a file, by TensorFlow's own converter."""
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("tf_keras")
    model = keras.Sequential([keras.Input((7, 3), batch_size=1), *(make(keras.layers) for make in layers)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in settings.items():
        setattr(converter, name, value(tf) if callable(value) and name != "representative_dataset" else value)
    path.write_bytes(converter.convert())
    return path


@pytest.mark.filterwarnings("ignore")
def test_whole_numbers_at_the_ends_are_refused(tmp_path: Path) -> None:
    def examples() -> Iterator[list[Any]]:
        generator = np.random.default_rng(1)
        for _ in range(5):
            yield [generator.standard_normal((1, 7, 3)).astype("float32")]

    path = converted(
        [lambda layers: layers.Flatten(), lambda layers: layers.Dense(5, bias_initializer="ones")],
        tmp_path / "model.tflite",
        optimizations=lambda tf: [tf.lite.Optimize.DEFAULT],
        representative_dataset=examples,
        inference_input_type=lambda tf: tf.int8,
        inference_output_type=lambda tf: tf.int8,
    )
    with pytest.raises(converters.NotRepresentable, match=r"quantized numbers \(int8\)"):
        converters.build(path)


@pytest.mark.filterwarnings("ignore")
def test_arithmetic_with_stored_arrays_has_parameters(tmp_path: Path, measured: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    means = {"mean": np.float32([0.5, -1.5, 2.0]), "variance": np.float32([0.25, 4.0, 2.25])}
    path = converted(
        [lambda layers: layers.Normalization(**means), lambda layers: layers.GRU(5, bias_initializer="ones")],
        tmp_path / "model.tflite",
    )
    x = np.random.default_rng(2).standard_normal((1, 7, 3)).astype("float32")
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    with torch.no_grad():
        module = converters.build(path)
        error = np.abs(
            module(torch.from_numpy(x)) - interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        )
    measured("tflite normalized in arithmetic", float(error.max()))
    assert float(error.max()) <= 1e-6
    assert {3} == {p.numel() for name, p in module.named_parameters() if not name.startswith("gru")}


OPERATIONS: dict[str, Any] = {
    "squared difference": lambda tf, x: tf.math.squared_difference(x, tf.reduce_mean(x, -1, keepdims=True)),
    "square and root": lambda tf, x: tf.math.rsqrt(tf.square(x) + 1.0),
    "floor": lambda tf, x: tf.floor(x * 3.0) + tf.math.ceil(x) * tf.round(x) - tf.sign(x),
    "tile": lambda tf, x: tf.tile(x[:, :1], [1, 4, 1]) * 0.5,
    "log softmax": lambda tf, x: tf.nn.log_softmax(x),
    "hard swish": lambda tf, x: x * tf.nn.relu6(x + 3.0) / 6.0,
    "between 0 and 1": lambda tf, x: tf.maximum(tf.minimum(x, 1.0), 0.0),
}


def compared(tf: Any, function: Any, x: Any, path: Path) -> float:
    """How far the module of a function is from the interpreter, of the largest number, or of 1."""
    model = tf.function(function, input_signature=[tf.TensorSpec(x.shape, tf.float32)])
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()]).convert())
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    wanted = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    with torch.no_grad():
        found = converters.build(path)(torch.from_numpy(x)).numpy()
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_the_interpreter(name: str, tmp_path: Path, measured: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    generator = np.random.default_rng(3)
    matrix = tf.constant(generator.standard_normal((3, 5)), tf.float32)
    x = generator.standard_normal((1, 7, 3)).astype("float32")
    error = compared(tf, lambda x: OPERATIONS[name](tf, tf.matmul(x, matrix)), x, tmp_path / "model.tflite")
    measured(f"tflite {name}", error)
    assert error <= 1e-6


@pytest.mark.filterwarnings("ignore")
def test_an_embedding_of_keras_3_reads_its_indices_themselves(tmp_path: Path, measured: Any) -> None:
    """Keras 3 counts indices below zero from the end; there are none, so that none of its arithmetic stays."""
    tf = pytest.importorskip("tensorflow")
    table = tf.constant(np.random.default_rng(3).standard_normal((11, 5)), tf.float32)

    def function(x: Any) -> Any:
        indices = tf.cast(x, tf.int32)
        return tf.gather(table, tf.where(indices < 0, indices + 11, indices)) * 2.0

    x = np.float32([[3, 0, 10, 7]])
    error = compared(tf, function, x, tmp_path / "model.tflite")
    measured("tflite embedding of Keras 3", error)
    assert error <= 1e-6
    graph = converters.read(tmp_path / "model.tflite").graph
    assert graph is not None and [node.class_name for node in graph.nodes] == ["GATHER", "Mul"]
