"""Weights for a given model of Keras: matched by name, else by structure; loaded by Keras 3 and tf_keras."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import live  # noqa: F401 - says which backend, before a framework is imported
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from keras_files import bidirectional, dense, numbers, other, recurrent, stacked, write
from torch import nn

import converters
from converters import ConversionError, ConversionWarning, CoverageError, ShapeError, UnreadableCheckpoint
from converters.cli import main


def quietly(source: Any, output: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return converters.convert_file(source, output, **options)


def stored(path: Path) -> dict[str, np.ndarray]:
    """Every array of an HDF5 file by its place."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as opened:
        opened.visititems(lambda name, node: found.update({name: node[()]} if isinstance(node, h5py.Dataset) else {}))
    return found


def lstm(name: str, inputs: int = 3, units: int = 5, **config: Any) -> Any:
    return recurrent("LSTM", name, inputs, units, **config)


def configuration(path: Path, *layers: Any, version: str = "3.9.0") -> Path:
    """The configuration alone, as `to_json` of Keras 2 or 3 tells it."""
    listed = [{"class_name": made.class_name, "config": made.config, "module": "keras.layers"} for made in layers]
    told = {"class_name": "Sequential", "config": {"name": "m", "layers": listed}, "keras_version": version}
    path.write_text(json.dumps(told))
    return path


# --- which layer goes where


def test_names_decide(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", dense("b", 5, 5), dense("a", 5, 5))
    like = configuration(tmp_path / "like.json", dense("a", 5, 5), dense("b", 5, 5))
    quietly(source, tmp_path / "out.h5", like=like)
    one, two = stored(source), stored(tmp_path / "out.h5")
    assert np.array_equal(two["a/a/kernel"], one["model_weights/a/a/kernel"])
    with h5py.File(tmp_path / "out.h5") as file:
        assert [name.decode() for name in file.attrs["layer_names"]] == ["a", "b"]
        assert file["a"].attrs["weight_names"].tolist() == [b"a/kernel", b"a/bias"]


def test_without_names_type_and_shapes_decide(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", lstm("one"), dense("two", 5, 2))
    like = configuration(tmp_path / "like.json", lstm("encoder"), dense("head", 5, 2))
    quietly(source, tmp_path / "out.weights.h5", like=like)
    found = stored(tmp_path / "out.weights.h5")
    assert list(found) == [
        *(f"layers/dense/vars/{number}" for number in range(2)),
        *(f"layers/lstm/cell/vars/{number}" for number in range(3)),
    ]


def test_as_many_alike_pair_up_in_order_and_others_are_ambiguous(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", lstm("a", 5), lstm("b", 5, recurrent_dropout=0.1))
    like = configuration(tmp_path / "like.json", lstm("first", 5), lstm("second", 5))
    quietly(source, tmp_path / "out.h5", like=like)
    assert np.array_equal(
        stored(tmp_path / "out.h5")["second/second/cell/kernel"], stored(source)["model_weights/b/b/lstm_cell/kernel"]
    )
    fewer = configuration(tmp_path / "fewer.json", lstm("first", 5))
    with pytest.raises(CoverageError, match=r"a, b: 2 layers of the source, and in .* there is first alone"):
        quietly(source, tmp_path / "no.h5", like=fewer)
    with pytest.raises(CoverageError, match=r"b: no layer of .* is there for these weights"):
        quietly(source, tmp_path / "no.h5", like=fewer, rename={"a": "first"})
    more = configuration(tmp_path / "more.json", lstm("a", 5), lstm("b", 5), dense("head", 5, 2))
    with pytest.raises(CoverageError, match="nothing fills the layer head"):
        quietly(source, tmp_path / "no.h5", like=more)
    assert not (tmp_path / "no.h5").exists()


UNFIT: Mapping[str, tuple[Any, Any, str]] = {
    "units": (lstm("x"), lstm("x", units=7), "units=7, and its arrays make it 5"),
    "bias": (lstm("x"), lstm("x", use_bias=False), "use_bias=False, and bias is stored"),
    "no bias": (lstm("x", use_bias=False), lstm("x"), r"makes an array bias \(use_bias=True\), and none is stored"),
    "activation": (lstm("x", activation="relu"), lstm("x"), "its activation is relu, and that of the model tanh"),
    "variant": (
        recurrent("GRU", "x", 3, 5),
        recurrent("GRU", "x", 3, 5, reset_after=False),
        "reset_after=False, and the source the other GRU",
    ),
    "class": (lstm("x"), recurrent("GRU", "x", 3, 5), "keras has no GRU that computes lstm"),
    "directions": (lstm("x"), bidirectional("LSTM", "x", 3, 5), "1 directions, and the model has 2"),
    "a vector of its own": (
        dense("x", 5, 2),
        other("SpectralNormalization", "x", {}, layer={"class_name": "Dense", "config": {"name": "x", "units": 2}}),
        "keeps a vector of its own",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_layer_that_does_not_fit_its_namesake_is_refused(kind: str, tmp_path: Path) -> None:
    have, want, words = UNFIT[kind]
    like = configuration(tmp_path / "like.json", want)
    with pytest.raises(ShapeError, match=words):
        quietly(write(tmp_path / "a.h5", have), tmp_path / "out.h5", like=like)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(("version", "factor"), [("3.9.0", 1.2), ("2.15.0", 1.0)])
def test_the_version_of_the_model_says_which_hard_sigmoid_it_has(version: str, factor: float, tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", lstm("x", recurrent_activation="hard_sigmoid"), version="2.2.4")
    like = configuration(tmp_path / "like.json", lstm("x", recurrent_activation="hard_sigmoid"), version=version)
    quietly(source, tmp_path / "out.h5", like=like)
    kernel = stored(source)["model_weights/x/x/lstm_cell/kernel"].astype(np.float64)
    expected = (kernel * np.repeat([factor, factor, 1.0, factor], 5)).astype(np.float32)
    assert np.array_equal(stored(tmp_path / "out.h5")["x/x/cell/kernel"], expected)


def test_the_sigmoid_is_no_hard_sigmoid(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", lstm("x", recurrent_activation="hard_sigmoid"), version="2.2.4")
    like = configuration(tmp_path / "like.json", lstm("x", recurrent_activation="sigmoid"))
    words = r"its recurrent_activation is hard_sigmoid_0\.2, and that of the model sigmoid"
    with pytest.raises(ShapeError, match=words):
        quietly(source, tmp_path / "out.h5", like=like)


def test_another_epsilon_is_said(tmp_path: Path) -> None:
    norm = {name: numbers(5) ** 2 for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    source = write(tmp_path / "a.h5", other("BatchNormalization", "x", norm, epsilon=1e-5))
    like = configuration(tmp_path / "like.json", other("BatchNormalization", "x", {}, epsilon=1e-3))
    report = quietly(source, tmp_path / "out.h5", like=like)
    assert any("epsilon is 1e-05 in the source and 0.001 in the model" in warning for warning in report.warnings)


def test_what_is_no_model_of_keras_is_one_error(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", dense("x", 5, 2))
    weights = write(tmp_path / "weights.h5", dense("x", 5, 2), whole=False)
    with pytest.raises(UnreadableCheckpoint, match="needs the configuration of a model's layers"):
        quietly(source, tmp_path / "out.h5", like=weights)
    with pytest.raises(UnreadableCheckpoint, match=r"like= is of 1\.2\.2"):
        old = configuration(tmp_path / "like.json", dense("x", 5, 2), version="1.2.2")
        quietly(source, tmp_path / "out.h5", like=old)
    with pytest.raises(ConversionError, match="not int"):
        quietly(source, tmp_path / "out.h5", like=7)
    with pytest.raises(ConversionError, match="takes the whole source"):
        quietly(source, tmp_path / "out.h5", like=source, layer="x")


def test_the_command_takes_a_model(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", dense("x", 5, 2))
    run = CliRunner().invoke(main, ["convert", str(source), str(tmp_path / "o.weights.h5"), "--like", str(source)])
    assert run.exit_code == 0, run.output
    assert list(stored(tmp_path / "o.weights.h5")) == ["layers/dense/vars/0", "layers/dense/vars/1"]


# --- loaded by the frameworks themselves


def layers_of(keras: Any) -> Any:
    """A model with every kind of place for weights: nested, frozen, both directions, stacks, shared, on every step."""
    k, inputs = keras.layers, keras.Input((3, 3), name="in")
    inner_in = keras.Input((3, 5))
    frozen = k.GRU(5, return_sequences=True, name="frozen", trainable=False)
    inner = keras.Model(inner_in, k.Dense(5, name="d")(k.BatchNormalization(name="n")(frozen(inner_in))), name="inner")
    x = k.LSTM(5, return_sequences=True, name="r")(inputs)
    x = inner(x)
    x = k.TimeDistributed(k.Dense(4, name="td"), name="timed")(x)
    x = k.Bidirectional(k.LSTM(3, return_sequences=True), name="both")(x)
    x = k.RNN(k.StackedRNNCells([k.LSTMCell(4), k.LSTMCell(6)]), return_sequences=True, name="stack")(x)
    x = k.MultiHeadAttention(2, 3, name="heads")(x, x)
    x = k.PReLU(shared_axes=[1], name="slopes")(k.LayerNormalization(name="ln", center=False)(x))
    shared = k.Dense(2, name="shared")
    return keras.Model(inputs, [shared(x), shared(x * 2.0)])


def randomized(model: Any) -> Any:
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("package", ["keras", pytest.param("tf_keras", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["out.weights.h5", "out.h5"])
def test_the_framework_loads_every_bit(package: str, name: str, tmp_path: Path) -> None:
    keras = pytest.importorskip(package, reason=f"{package} is not installed")
    source, empty = randomized(layers_of(keras)), layers_of(keras)
    quietly(source, tmp_path / name, like=empty)
    empty.load_weights(tmp_path / name)
    for one, two in zip(source.get_weights(), empty.get_weights(), strict=True):
        assert np.array_equal(one, two)


def test_a_stack_of_pytorch_becomes_layers_of_keras(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")
    k = keras.layers
    torch.manual_seed(0)
    module = nn.ModuleDict({"rnn": nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True), "head": nn.Linear(10, 2)})
    model = keras.Sequential(
        [
            keras.Input((7, 3)),
            *(k.Bidirectional(k.LSTM(5, return_sequences=True), name=f"b{number}") for number in range(2)),
            k.Dense(2, name="head"),
        ]
    )
    quietly(module, tmp_path / "out.weights.h5", like=model)
    model.load_weights(tmp_path / "out.weights.h5")
    x = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module["head"](module["rnn"](torch.from_numpy(x))[0]).numpy()
    assert np.abs(np.asarray(model(x)) - expected).max() < 1e-6


def test_a_stack_of_cells_takes_the_levels_of_a_source(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5", stacked("rnn", "GRU", 3, 5, 7))
    like = configuration(tmp_path / "like.json", recurrent("GRU", "low", 3, 5), recurrent("GRU", "high", 5, 7))
    quietly(source, tmp_path / "out.weights.h5", like=like)
    found = stored(tmp_path / "out.weights.h5")
    assert found["layers/gru_1/cell/vars/0"].shape == (5, 21)
