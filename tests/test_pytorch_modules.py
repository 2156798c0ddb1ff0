"""Modules in memory that are no plain ones of torch.nn: drop-ins keep their settings, own classes are not guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import converters
from converters import nn as drop_in
from layouts.errors import ConversionError, NotRepresentable, UnknownLayer


@pytest.mark.parametrize(
    ("module", "cell", "wanted"),
    [
        pytest.param(
            drop_in.LSTM(3, 5, recurrent_activation="hard_sigmoid_0.2"),
            "lstm",
            {"recurrent_activation": "hard_sigmoid_0.2", "activation": "tanh", "clip": None},
            id="gates",
        ),
        pytest.param(
            drop_in.LSTM(3, 5, peepholes=True, clip=3.0, input_forget=True),
            "lstm",
            {"clip": 3.0, "input_forget": True},
            id="peepholes",
        ),
        pytest.param(drop_in.GRU(3, 5, 2, reset_after=False), "gru_reset_before", {"activation": "tanh"}, id="before"),
        pytest.param(drop_in.GRU(3, 5, activation="relu", bidirectional=True), "gru", {"activation": "relu"}, id="gru"),
        pytest.param(drop_in.RNN(3, 5, activation="elu"), "rnn", {"activation": "elu"}, id="rnn"),
        pytest.param(nn.RNN(3, 5, nonlinearity="relu"), "rnn", {"activation": "relu"}, id="plain"),
    ],
)
def test_a_recurrent_module_is_read_with_its_settings(module: Any, cell: str, wanted: dict[str, Any]) -> None:
    (layer,) = converters.read(nn.ModuleDict({"rnn": module})).layers
    assert layer.path == "rnn" and layer.parts[0].cell.name == cell
    assert {name: getattr(layer.parts[0].options, name) for name in wanted} == wanted
    assert {array.name for array in layer.stored()} == {f"rnn.{name}" for name in module.state_dict()}
    assert (layer.parts[0].layers, len(layer.parts[0].ways)) == (module.num_layers, 1 + module.bidirectional)


def test_a_drop_in_is_not_written_as_what_it_is_not() -> None:
    module = nn.Sequential(drop_in.LSTM(3, 5, clip=3.0))
    with pytest.raises(NotRepresentable, match="it clips"):
        converters.convert(module)
    kept = converters.convert(module, dropins=True)
    assert all(torch.equal(kept[name], tensor) for name, tensor in module.state_dict().items())


class Doubled(nn.Module):
    """Holds arrays under the names of a Linear, and computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * nn.functional.linear(x, self.weight, self.bias)


def test_a_class_of_ones_own_is_not_known_by_the_names_of_its_arrays() -> None:
    module = nn.Sequential(Doubled(), nn.Linear(5, 7))
    with pytest.raises(ConversionError, match=r"is a Doubled, no layer of torch\.nn"):
        converters.convert(module, to="keras")
    layers = {layer.path: layer for layer in converters.read(module).layers}
    assert isinstance(layers["0"].unknown, UnknownLayer) and layers["1"].unknown is None
    kept = converters.convert(module)
    assert all(np.array_equal(kept[name], tensor.detach()) for name, tensor in module.state_dict().items())
