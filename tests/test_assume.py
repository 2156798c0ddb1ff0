"""What the user may state of a weights-only file, and when the file itself tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from keras_files import dense, numbers, other, recurrent, write

import converters
from converters import ConversionError, ConversionWarning, NotRepresentable, UnknownLayer


def weights_of(path: Path, *layers: Any, version: str = "2.15.0") -> Path:
    return write(path / "w.h5", *layers, version=version, whole=False)


def test_an_assumption_is_said_aloud_and_a_statement_ends_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.warns(ConversionWarning, match="assumed"):
        silent = converters.convert(file)
    stated = {"rnn.activation": "tanh", "rnn.recurrent_activation": "sigmoid"}
    assert converters.plan(file, assume=stated).warnings == ()
    assert all(torch.equal(t, silent[key]) for key, t in converters.convert(file, assume=stated).items())


@pytest.mark.parametrize("owner", ["rnn.", ""], ids=["of-one-layer", "of-every-layer"])
def test_a_stated_activation_is_checked_like_a_stored_one(owner: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(NotRepresentable, match=r"0\.2 x \+ 0\.5"):
        converters.convert(file, assume={f"{owner}recurrent_activation": "hard_sigmoid"})


@pytest.mark.parametrize("value", ["true", "false"])
def test_reset_after_can_be_stated_where_there_is_no_bias(value: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("GRU", "rnn", 3, 5, use_bias=False))
    (layer,) = converters.read(file, assume={"reset_after": value}).layers
    assert layer.parts[0].cell.name == ("gru" if value == "true" else "gru_reset_before")
    (module,) = converters.plan(file, assume={"reset_after": value}).modules
    assert bool(module.problems) == (value == "false")


def test_a_class_can_be_stated_where_shapes_do_not_tell_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, other("Conv1DTranspose", "up", {"kernel": numbers(3, 5, 5), "bias": numbers(5)}))
    (layer,) = converters.read(file, assume={"up.class": "Conv1DTranspose"}).layers
    assert layer.parts[0].cell.name == "conv_transpose1d" and "class" not in layer.assumed


@pytest.mark.parametrize(
    ("assume", "kind", "message"),
    [
        pytest.param({"nobody.activation": "relu"}, UnknownLayer, "no layer 'nobody'", id="unknown-layer"),
        pytest.param({"head.strides": "2"}, ConversionError, "What can be stated", id="unknown-option"),
        pytest.param({"rnn.units": "5"}, ConversionError, "the file itself tells this", id="told-by-shapes"),
    ],
)
def test_a_wrong_statement_is_refused(
    assume: dict[str, str], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))
    with pytest.raises(kind, match=message):
        converters.read(file, assume=assume)


@pytest.mark.parametrize("option", ["activation", "recurrent_activation", "class"])
def test_a_file_with_a_configuration_is_not_contradicted(option: str, tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match="the file itself tells this"):
        converters.read(file, assume={f"rnn.{option}": "relu"})


def test_a_class_that_does_not_fit_the_shapes_is_not_believed(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match="rnn"):
        converters.convert(file, assume={"rnn.class": "GRU"})


def test_reset_after_is_not_stated_against_a_bias_that_tells_it(tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("GRU", "rnn", 3, 5))
    with pytest.raises(ConversionError):
        converters.read(file, assume={"rnn.reset_after": "false"})


@pytest.mark.parametrize("value", ["nonsense", "hard_sigmoid_0.3"])
def test_an_activation_that_nobody_knows_is_not_called_exact(value: str, tmp_path: Path) -> None:
    file = weights_of(tmp_path, recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(ConversionError, match=r"nonsense|hard_sigmoid_0"):
        converters.convert(file, assume={"rnn.recurrent_activation": value})
