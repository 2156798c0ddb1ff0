"""The order of the states of a stack of cells, by the version that wrote the file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import live
import numpy as np
import pytest
import torch
from live_models import randomize
from whole_models import outputs

import converters
from converters.readers.keras.draft import Flow
from converters.readers.keras.stacked_states import from_the_first, from_the_last
from layouts import cells

keras = pytest.importorskip("tf_keras", reason="tf_keras is not installed")
h5py = pytest.importorskip("h5py")
CELLS = ([0, 1], [2], [3, 4])
"""The states of an LSTM, a GRU and an LSTM."""


def saved(
    folder: Path, version: bytes, both: bool = False, alike: bool = False, **options: Any
) -> tuple[Any, Path, list[Any]]:
    """A model that gives the states of a stack of cells; its file says that this version wrote it."""
    L = keras.layers
    x = keras.Input((7, 3))
    unlike = [L.LSTMCell(2), L.GRUCell(3), L.LSTMCell(5)]
    stack = L.StackedRNNCells([L.LSTMCell(5) for _ in range(3)] if alike else unlike, **options)
    layer = L.RNN(stack, return_state=True, return_sequences=True, name="rnn")
    model = keras.Model(x, (L.Bidirectional(layer, name="rnn") if both else layer)(x))
    randomize(model, 3)
    model.save(folder / "model.h5")
    with h5py.File(folder / "model.h5", "r+") as file:
        file.attrs["keras_version"] = version
    return model, folder / "model.h5", [np.random.default_rng(1).normal(size=(2, 7, 3)).astype("float32")]


def turned(states: list[Any]) -> list[Any]:
    """States counted from the last cell of each direction."""
    return [states[k + place] for k in range(0, len(states), 5) for cell in CELLS[::-1] for place in cell]


def wanted(model: Any, inputs: list[Any]) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(y) for y in live.tree_of(keras).flatten(model(inputs))]


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize(("version", "last"), [(b"2.2.2", True), (b"2.2.4", False), (b"2.15.0", False)])
def test_states_are_counted_as_the_version_did(version: bytes, last: bool, both: bool, tmp_path: Path) -> None:
    model, file, inputs = saved(tmp_path, version, both)
    y, *finals = wanted(model, inputs)
    expected = [y, *(turned(finals) if last else finals)]
    for found, one in zip(outputs(converters.build(file), inputs), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-6)


def test_the_configuration_may_say_so(tmp_path: Path) -> None:
    model, file, inputs = saved(tmp_path, b"2.15.0", alike=True, reverse_state_order=True)
    for one, other in zip(outputs(converters.build(file), inputs), wanted(model, inputs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_given_states_are_turned_back() -> None:
    parts = [SimpleNamespace(cell=cell, direction="forward") for cell in (cells.LSTM, cells.GRU)]
    layer: Any = SimpleNamespace(parts=parts)
    states = [Flow(name) for name in ("gru", "lstm h", "lstm c")]
    found = from_the_first(layer, states)
    assert [flow.value for flow in found] == ["lstm h", "lstm c", "gru"]
    assert from_the_last(layer, found) == states


def test_a_version_that_does_not_tell_is_refused_where_states_are_read(tmp_path: Path) -> None:
    _, file, _ = saved(tmp_path, b"2.1.6-tf")
    with pytest.raises(converters.NotRepresentable, match="counts its states from the first or from the last"):
        converters.build(file)
    assert torch.is_tensor(converters.convert(file, strict=False)["rnn.0.weight_ih_l0"])
