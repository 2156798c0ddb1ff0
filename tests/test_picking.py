"""The step of each sequence that its length tells: exported by torch, traced, and written out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_trace import filled
from torch import Tensor, nn
from torch_models import LastClamped, LastGathered, LastIndexed, LastRepeated, numbers

import converters

WAYS = [LastGathered, LastIndexed, LastClamped, LastRepeated]
SEEN = (numbers(2, 7, 3), torch.tensor([7, 4]))
OTHERS = (numbers(5, 11, 3), torch.tensor([11, 3, 1, 5, 2]))
"""Another batch, another time, other lengths."""


def exported(module: nn.Module, path: Path) -> Path:
    axes = {"x": {0: "batch", 1: "time"}, "lengths": {0: "batch"}}
    torch.onnx.export(
        module,
        SEEN,
        path,
        dynamo=False,
        opset_version=17,
        input_names=list(axes),
        output_names=["y"],
        dynamic_axes=axes,
    )
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", WAYS, ids=lambda make: make.__name__)
def test_what_torch_exports_is_built_for_other_sizes(make: type[nn.Module], tmp_path: Path, measured: Any) -> None:
    module = filled(make)
    path = exported(module, tmp_path / "model.onnx")
    with torch.no_grad():
        for inputs in (SEEN, OTHERS):
            difference = float((converters.build(path)(*inputs) - module(*inputs)).abs().max())
            measured(f"picking {make.__name__} of {tuple(inputs[0].shape)}", difference)
            assert difference <= 1e-6
    assert converters.verify(path, converters.build(path)).ok


@pytest.mark.parametrize("make", WAYS, ids=lambda make: make.__name__)
def test_it_goes_to_keras(make: type[nn.Module], tmp_path: Path, measured: Any) -> None:
    keras = pytest.importorskip("keras")
    module = filled(make)
    converters.convert_file(converters.trace(module, *SEEN), tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    with torch.no_grad():
        difference = np.abs(np.asarray(model([x.numpy() for x in OTHERS])) - module(*OTHERS).numpy()).max()
    measured(f"picking {make.__name__} in Keras", float(difference))
    assert difference <= 1e-6


class Counting(nn.Module):
    """Places that are counted for anything but one step of each sample."""

    def forward(self, x: Tensor) -> Any:
        return x[torch.arange(x.size(0)), 0] * torch.arange(x.size(0)).unsqueeze(1)


def test_other_counted_places_are_refused() -> None:
    with pytest.raises(converters.NotRepresentable, match="an index that is a tensor is not known"):
        converters.trace(Counting(), numbers(2, 7, 3))


def test_an_axis_of_several_is_not_repeated(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: Tensor) -> Any:
            return self.linear(x).repeat(1, 2)

    torch.onnx.export(Twice(), (numbers(2, 3),), tmp_path / "model.onnx", dynamo=False, opset_version=17)
    with pytest.raises(converters.NotRepresentable, match="it repeats an axis of several"):
        converters.build(tmp_path / "model.onnx")
