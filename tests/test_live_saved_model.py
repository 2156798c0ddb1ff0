"""SavedModels, checkpoints and TensorFlow Lite as the installed TensorFlow writes them: built, run against it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from equivalence import assert_close

import converters

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
X = np.random.default_rng(5).standard_normal((2, 7, 3)).astype("f4")


@pytest.fixture(scope="module")
def tf_keras() -> Any:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return pytest.importorskip("tf_keras", reason="tf_keras is not installed")


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    found = pytest.importorskip("keras", reason="Keras is not installed")
    if found.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend here")
    return found


def random(model: Any) -> Any:
    rng = np.random.default_rng(7)
    model.set_weights([rng.standard_normal(w.shape) * 0.5 + (w.ndim == 1) for w in model.get_weights()])
    return model


def net(library: Any) -> Any:
    layers = library.layers
    inputs = layers.Input((7, 3))
    left = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(inputs)
    right = layers.Dense(10, activation="tanh")(inputs)
    joined = layers.Add()([left, right])
    return random(library.Model(inputs, layers.Dense(2)(layers.GRU(4, reset_after=False)(joined))))


def outputs(module: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


def quietly(function: Any, *arguments: Any, **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return function(*arguments, **named)


def test_a_saved_model_of_tf_keras_is_built(tf_keras: Any, tmp_path: Path, measured: Any) -> None:
    """A functional model with branches: its graph comes from its notes."""
    model = net(tf_keras)
    model.save(tmp_path / "model", save_format="tf")
    found = outputs(quietly(converters.build, tmp_path / "model"))
    measured("tf_keras SavedModel", assert_close(found, model(X).numpy(), 1e-6, "the model"))


def test_weights_of_tf_keras_in_a_checkpoint_are_those_of_its_h5(tf_keras: Any, tmp_path: Path) -> None:
    model = net(tf_keras)
    model.save_weights(tmp_path / "weights", save_format="tf")
    model.save_weights(tmp_path / "weights.h5")
    ours = quietly(converters.convert, tmp_path / "weights", dropins=True)
    theirs = quietly(converters.convert, tmp_path / "weights.h5", dropins=True)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_an_export_of_keras_3_has_the_weights_of_its_archive(keras: Any, tmp_path: Path) -> None:
    model = net(keras)
    model.export(tmp_path / "model", verbose=False)
    model.save(tmp_path / "model.keras")
    ours = quietly(converters.convert, tmp_path / "model", dropins=True)
    theirs = quietly(converters.convert, tmp_path / "model.keras", dropins=True)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_fused_lstm_of_tensorflow_lite_is_that_of_its_model(tf_keras: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    layers = tf_keras.layers
    model = random(tf_keras.Sequential([layers.Input((7, 3), batch_size=1), layers.LSTM(5, return_sequences=True)]))
    function = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec((1, 7, 3)))
    path = tmp_path / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert())
    tensors = quietly(converters.convert, path, dropins=True)
    module = converters.nn.LSTM(3, 5, batch_first=True, cell_clip=10.0)
    module.load_state_dict({key.removeprefix("lstm."): value for key, value in tensors.items()})
    with torch.no_grad():
        found = module(torch.from_numpy(X[:1]))[0].numpy()
    assert_close(found, model(X[:1]).numpy(), 1e-6, "the layer")
