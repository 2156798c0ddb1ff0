"""Layers that ONNX has no node for, as the nodes that compute them: built live in Keras 3, run by onnxruntime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import onnxruntime
import pytest
from keras_files import dense, numbers, other, write

import converters

Make = Callable[[Any, Any], Any]
BOTH = numbers(5, 7, 3)
LAYERS: dict[str, Make] = {
    "scaled attention": lambda k, x: k.layers.Attention(use_scale=True)([x, k.layers.Dense(3)(x)]),
    "causal attention": lambda k, x: k.layers.Attention()([x, x * 2.0], use_causal_mask=True),
    "attention by sums": lambda k, x: k.layers.AdditiveAttention()([x, k.layers.Dense(3)(x), x]),
    "attention by concat": lambda k, x: k.layers.Attention(score_mode="concat", use_scale=True)([x, x * 0.5]),
    "masked attention": lambda k, x: k.layers.Attention()([x, x], mask=[None, k.layers.Masking().compute_mask(x)]),
    "causal heads": lambda k, x: k.layers.MultiHeadAttention(2, 5)(x, x, use_causal_mask=True),
    "dense by letters": lambda k, x: k.layers.EinsumDense("bti,ijk->btjk", (None, 2, 5), bias_axes="jk")(x),
    "slopes of elements": lambda k, x: k.layers.PReLU(alpha_initializer="glorot_uniform")(x),
    "maps of one axis": lambda k, x: k.layers.ConvLSTM1D(2, 3, padding="same")(k.ops.expand_dims(x, -1)),
    "normalization": lambda k, x: k.layers.Normalization(mean=[0.5, -1.0, 2.0], variance=[0.25, 4.0, 1.5])(x),
}


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="Keras runs on TensorFlow here, which is not installed")
    return pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")


def randomized(model: Any) -> Any:
    """The model with numbers in every weight."""
    generator = np.random.default_rng(7)
    for weight in model.weights:
        weight.assign(generator.normal(0.0, 0.5, weight.shape))
    return model


def written(source: Any, path: Path, x: Any) -> Any:
    """What onnxruntime makes of the file that is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        converters.convert_file(source, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_as_nodes_gives_what_keras_does(name: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    x = keras.Input((7, 3))
    model = randomized(keras.Model(x, LAYERS[name](keras, x)))
    model.save(tmp_path / "model.keras")
    given = BOTH.copy()
    given[0, 4:], given[1, :2] = 0.0, 0.0
    wanted = np.asarray(model(given))
    found = written(tmp_path / "model.keras", tmp_path / "model.onnx", given)
    error = float(np.abs(found - wanted).max())
    measured(f"as nodes of ONNX: {name}", error)
    assert found.shape == wanted.shape and error <= 1e-6


NORM = {"gamma": numbers(3) + 1.0}
STATISTICS = {"mean": numbers(3), "variance": numbers(3) ** 2 + 0.5, "count": np.array(7)}


@pytest.mark.parametrize(
    ("kind", "arrays", "options", "version"),
    [
        ("LayerNormalization", NORM, {"axis": [-1], "epsilon": 1e-3, "rms_scaling": True}, "3.5.0"),
        ("Normalization", STATISTICS, {"axis": [-1]}, "3.9.0"),
        ("Normalization", STATISTICS, {"axis": [-1], "invert": True}, "3.9.0"),
    ],
)
def test_norms_that_are_stored_give_what_the_reference_does(
    kind: str, arrays: Any, options: Any, version: str, tmp_path: Path
) -> None:
    layer = other(kind, "norm", arrays, batch_input_shape=[None, 7, 3], **options)
    source = write(tmp_path / "model.h5", layer, dense("dense", 3, 5), version=version)
    report = converters.convert_file(source, tmp_path / "model.onnx", verify=True)
    assert "onnxruntime" in report.proof
