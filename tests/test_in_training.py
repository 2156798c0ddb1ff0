"""Models that call layers with training=True, as Monte Carlo dropout does: no module at inference computes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import pytest
from keras_files import numbers

import converters

Make = Callable[[Any, Any], Any]
OTHERWISE: dict[str, tuple[Make, str]] = {
    "dropout": (lambda k, x: k.layers.Dropout(0.5, name="it")(x, training=True), "draws numbers"),
    "noise": (lambda k, x: k.layers.GaussianNoise(0.5, name="it")(x, training=True), "draws numbers"),
    "of every step": (
        lambda k, x: k.layers.TimeDistributed(k.layers.Dropout(0.5), name="it")(x, training=True),
        "draws numbers",
    ),
    "of a cell": (lambda k, x: k.layers.GRU(5, recurrent_dropout=0.2, name="it")(x, training=True), "draws numbers"),
    "of both directions": (
        lambda k, x: k.layers.Bidirectional(k.layers.LSTM(5, dropout=0.2), name="it")(x, training=True),
        "draws numbers",
    ),
    "batch norm": (lambda k, x: k.layers.BatchNormalization(name="it")(x, training=True), "statistics of each batch"),
    "a nested model": (lambda k, x: nested(k)(x, training=True), "draws numbers"),
}
ALIKE: dict[str, Make] = {
    "inference": lambda k, x: k.layers.Dropout(0.5)(x, training=False),
    "nothing dropped": lambda k, x: k.layers.LSTM(5)(x, training=True),
    "a nested model at inference": lambda k, x: nested(k)(x, training=False),
}


def nested(keras: Any, **told: Any) -> Any:
    x = keras.Input((7, 3))
    return keras.Model(x, keras.layers.Dropout(0.5, name="it")(x, **told), name="nested")


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return pytest.importorskip(request.param, reason=f"{request.param} is not installed")


def saved(keras: Any, make: Make, folder: Path) -> Path:
    x = keras.Input((7, 3))
    path = folder / ("model.keras" if keras.__name__ == "keras" else "model.h5")
    keras.Model(x, keras.layers.Dense(2, name="dense")(make(keras, x))).save(path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OTHERWISE)
def test_what_computes_otherwise_is_named(name: str, keras: Any, tmp_path: Path) -> None:
    make, why = OTHERWISE[name]
    path = saved(keras, make, tmp_path)
    with pytest.raises(converters.NotRepresentable, match=rf"it \(.*called with training=True, and .*{why}"):
        converters.build(path)
    assert "dense.weight" in converters.convert(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("inside", [True, False])
def test_who_decides_within_a_nested_model(inside: bool, keras: Any, tmp_path: Path) -> None:
    """In Keras 3 the call of the model, in Keras 2 the call of the layer: as the framework runs it."""
    path = saved(keras, lambda k, x: nested(k, training=inside)(x, training=not inside), tmp_path)
    model = keras.models.load_model(path, compile=False)
    x = numbers(3, 7, 3)
    draws = not np.array_equal(model(x), model(x))
    assert draws == (inside if keras.__name__ == "tf_keras" else not inside)
    if draws:
        with pytest.raises(converters.NotRepresentable, match="draws numbers"):
            converters.build(path)
    else:
        assert converters.verify(path, converters.build(path)).ok


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALIKE)
def test_what_computes_the_same_is_built(name: str, keras: Any, tmp_path: Path) -> None:
    path = saved(keras, ALIKE[name], tmp_path)
    assert converters.verify(path, converters.build(path), by="numpy").ok
