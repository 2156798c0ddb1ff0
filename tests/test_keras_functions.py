"""Functions in the place of layers: arithmetic with numbers of the program, products by letters, and their like.

Each is built live in Keras 3 (`keras.ops`) and tf.keras (TensorFlow's functions, and operators), saved, and run here
as a module, and written again as a model of Keras 3 and of ONNX.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import onnxruntime
import pytest
import torch
from keras_files import numbers

import converters
from converters.model.graph import why

Make = Callable[[Any, Any], Any]
ROW = numbers(3) + 2.0
TABLE = numbers(7, 3) + 2.0
MATRIX = numbers(3, 5)
STATES = numbers(2, 5, 3)
MODERN: dict[str, Make] = {
    "added numbers": lambda k, x: k.ops.add(x, ROW),
    "numbers in front": lambda k, x: k.ops.subtract(ROW, x),
    "a number minus": lambda k, x: 1.5 - x,
    "minus a number": lambda k, x: x - 1.5,
    "a table of numbers": lambda k, x: x * TABLE / ROW,
    "operators": lambda k, x: (x - ROW) / TABLE,
    "maximum of a number": lambda k, x: k.ops.maximum(x, 0.25),
    "minimum of numbers": lambda k, x: k.ops.minimum(TABLE, x * 3.0),
    "clip": lambda k, x: k.ops.clip(x, -0.5, 0.75),
    "clip at zero": lambda k, x: k.ops.clip(x, 0.0, 0.5),
    "a number divided": lambda k, x: 2.0 / (x * x + 1.0),
    "power of a number": lambda k, x: k.ops.power(k.ops.abs(x) + 0.5, 1.5),
    "a number's power": lambda k, x: k.ops.power(2.0, x),
    "power of a value": lambda k, x: k.ops.power(k.ops.abs(x) + 0.5, x),
    "square": lambda k, x: x**2,
    "matrix of numbers": lambda k, x: k.ops.matmul(x, MATRIX),
    "einsum": lambda k, x: k.ops.einsum("bti,bsi->bts", x, x),
    "rounded": lambda k, x: k.ops.round(x * 3.0) + k.ops.floor(x) * k.ops.ceil(x) - k.ops.sign(x),
}
LAYERS: dict[str, Make] = {
    "positions added": lambda k, x: k.layers.Add()([x, TABLE[None]]),
    "average of three": lambda k, x: k.layers.Average()([x, TABLE[None], ROW[None, None]]),
    "initial states": lambda k, x: k.layers.LSTM(3)(x, initial_state=[*k.ops.convert_to_tensor(STATES)]),
    "a nested model": lambda k, x: nested(k)([x, k.ops.convert_to_tensor(TABLE[None])]),
}
"""Layers that are called with numbers of the program beside values, as tables of positions are added."""


NAMED: dict[str, Make] = {
    "heads": lambda k, x: k.layers.MultiHeadAttention(2, 3)(query=x, value=x, key=x),
    "heads of others": lambda k, x: k.layers.MultiHeadAttention(2, 3)(
        x, value=k.layers.Dense(3, name="other")(x), key=x * 2.0
    ),
    "a dense layer": lambda k, x: k.layers.Dense(4)(inputs=x),
    "on every step": lambda k, x: k.layers.TimeDistributed(k.layers.Dense(4))(inputs=x),
    "values side by side": lambda k, x: k.layers.Concatenate()(inputs=[x, x]),
    "a nested model": lambda k, x: k.Sequential([k.Input((7, 3)), k.layers.Dense(4)])(inputs=x),
    "a recurrent layer": lambda k, x: k.layers.LSTM(4)(**{"sequences" if k.__name__ == "keras" else "inputs": x}),
}
"""Calls whose arguments are given by name."""


def nested(keras: Any) -> Any:
    one, two = keras.Input((7, 3)), keras.Input((7, 3))
    return keras.Model([one, two], keras.layers.Subtract()([one, keras.layers.Activation("tanh")(two)]))


CLASSIC: dict[str, Make] = {
    "added numbers": lambda tf, x: tf.add(x, ROW),
    "numbers in front": lambda tf, x: ROW - x,
    "a table of numbers": lambda tf, x: x * TABLE / ROW,
    "maximum of a number": lambda tf, x: tf.maximum(x, 0.25),
    "clip": lambda tf, x: tf.clip_by_value(x, -0.5, 0.75),
    "power of a number": lambda tf, x: tf.pow(tf.abs(x) + 0.5, 1.5),
    "a number's power": lambda tf, x: tf.pow(2.0, x),
    "matrix of numbers": lambda tf, x: tf.matmul(x, MATRIX),
    "rounded": lambda tf, x: tf.round(x * 3.0) + tf.floor(x) * tf.math.ceil(x) - tf.sign(x),
}


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="Keras runs on TensorFlow here, which is not installed")
    return pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")


@pytest.fixture(scope="module")
def classic() -> Any:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return SimpleNamespace(tensorflow=tensorflow, keras=pytest.importorskip("tf_keras", reason="not installed"))


def made(keras: Any, function: Callable[[Any], Any]) -> Any:
    """A model of an input (batch, 7, 3), a layer with weights, and the function."""
    x = keras.Input((7, 3), name="x")
    return keras.Model(x, function(keras.layers.Dense(3, bias_initializer="glorot_uniform", name="first")(x)))


def compared(model: Any, path: Path, measured: Any, label: str) -> Path:
    """The file of a model, which gives what the model does."""
    x = numbers(5, 7, 3)
    model.save(path)
    wanted = np.asarray(model(x))
    with torch.no_grad():
        found = converters.build(path)(torch.from_numpy(x)).numpy()
    error = float(np.abs(found - wanted).max())
    measured(f"function {label}", error)
    assert found.shape == wanted.shape and error <= 1e-6
    return path


@pytest.mark.parametrize("name", MODERN)
def test_functions_of_keras_3(name: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    model = made(keras, lambda x: MODERN[name](keras, x))
    path = compared(model, tmp_path / "model.keras", measured, f"keras 3: {name}")
    x = numbers(5, 7, 3)
    wanted = np.asarray(model(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        converters.convert_file(path, tmp_path / "again.keras")
        converters.convert_file(path, tmp_path / "again.onnx")
    again = np.asarray(keras.saving.load_model(tmp_path / "again.keras")(x))
    session = onnxruntime.InferenceSession(tmp_path / "again.onnx", providers=["CPUExecutionProvider"])
    (run,) = session.run(None, {session.get_inputs()[0].name: x})
    assert float(np.abs(again - wanted).max()) <= 1e-6
    assert float(np.abs(run - wanted).max()) <= 1e-6


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_keras_3_are_called_with_numbers(name: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    compared(made(keras, lambda x: LAYERS[name](keras, x)), tmp_path / "model.keras", measured, f"keras 3: {name}")


@pytest.mark.parametrize("name", NAMED)
def test_arguments_of_keras_3_have_names(name: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    compared(made(keras, lambda x: NAMED[name](keras, x)), tmp_path / "model.keras", measured, f"keras 3: {name}")


def test_an_argument_that_nothing_reads_is_named(keras: Any, tmp_path: Path) -> None:
    model = made(keras, lambda x: keras.layers.LSTM(3, name="rnn")(x, mask=keras.ops.sum(x, -1) > 0.0))
    model.save(tmp_path / "model.keras")
    path = damaged(tmp_path / "model.keras", '"mask": {', '"weather": {')
    found = converters.read(path).graph
    assert found is not None and [why(node) for node in found.unknown][-1] == (
        "it is called with weather=, and nothing here reads that"
    )


def test_a_mask_of_the_program_is_refused(keras: Any, tmp_path: Path) -> None:
    mask = keras.ops.convert_to_tensor(np.ones((5, 7), bool))
    made(keras, lambda x: keras.layers.LSTM(3, name="rnn")(x, mask=mask)).save(tmp_path / "model.keras")
    with pytest.raises(converters.NotRepresentable, match="rnn is called with an array that is not of numbers"):
        converters.build(tmp_path / "model.keras")


TENSORFLOW: dict[str, Make] = {
    **{f"function: {name}": lambda c, x, make=make: make(c.tensorflow, x) for name, make in CLASSIC.items()},
    **{f"names: {name}": lambda c, x, make=make: make(c.keras, x) for name, make in NAMED.items()},
    **{
        f"layer: {name}": lambda c, x, make=LAYERS[name]: make(c.keras, x)
        for name in ("positions added", "average of three")
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TENSORFLOW)
def test_the_same_of_tensorflow(name: str, classic: Any, tmp_path: Path, measured: Any) -> None:
    model = made(classic.keras, lambda x: TENSORFLOW[name](classic, x))
    compared(model, tmp_path / "model.h5", measured, f"tf.keras: {name}")


@pytest.mark.parametrize("text", ["...i,ij->...j", "bti,tij", ""])
def test_an_equation_that_is_not_told_whole_is_unknown(text: str, keras: Any, tmp_path: Path) -> None:
    """Dots and equations without an arrow stay what a person writes by hand; so does a damaged one."""
    model = made(keras, lambda x: keras.ops.einsum("bti,bsi->bts", x, x))
    path = tmp_path / "model.keras"
    model.save(path)
    found = converters.read(damaged(path, "bti,bsi->bts", text)).graph
    assert found is not None and [node.class_name for node in found.unknown] == ["Einsum"]


def damaged(path: Path, old: str, new: str) -> Path:
    """The archive with another word in its configuration."""
    import zipfile

    other = path.with_name("other.keras")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(old.encode(), new.encode()) if name.endswith(".json") else content)
    return other
