"""Recurrent modules as people write them, on their way to ONNX and to Keras with open sizes, run by the target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from sampling import sampled
from test_trace import filled
from torch import nn
from torch_models import MODELS, BahdanauDecoder, CellLoop, PackedTagger, StatesFromSizes

import converters
from converters.model import operations as op
from converters.torch.trace.runs import flat

STATED = {CellLoop: "x 7", BahdanauDecoder: "y 4"}
"""Modules whose code counts its steps, which cannot stay open."""


def outputs(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    with torch.no_grad():
        return [each.numpy() for each in flat(module(*inputs))]


def worst(found: list[Any], wanted: list[np.ndarray[Any, Any]]) -> float:
    """The largest difference, relative to the largest number where that is more than 1."""
    assert [np.shape(y) for y in found] == [z.shape for z in wanted]
    pairs = zip(found, wanted, strict=True)
    return max(float(np.abs(y - z).max() / max(1.0, np.abs(z).max())) for y, z in pairs)


def session(source: Any, path: Path) -> onnxruntime.InferenceSession:
    converters.convert_file(source, path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(model: onnxruntime.InferenceSession, inputs: tuple[torch.Tensor, ...]) -> list[Any]:
    named = {value.name: x.numpy() for value, x in zip(model.get_inputs(), inputs, strict=True)}
    found: list[Any] = model.run(None, named)
    return found


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_module_goes_to_onnx(make: type[nn.Module], tmp_path: Path, record_property: Any) -> None:
    module, inputs = filled(make), MODELS[make]
    model = session(converters.trace(module, *inputs), tmp_path / "model.onnx")
    difference = worst(run(model, inputs), outputs(module, inputs))
    record_property("worst", difference)
    assert difference <= 1e-6


@pytest.mark.parametrize("make", sampled(MODELS, 4), ids=lambda make: make.__name__)
def test_a_module_goes_to_keras(make: type[nn.Module], tmp_path: Path, record_property: Any) -> None:
    keras = pytest.importorskip("keras")
    module, inputs = filled(make), MODELS[make]
    converters.convert_file(converters.trace(module, *inputs), tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    found = model([x.numpy() for x in inputs] if len(inputs) > 1 else inputs[0].numpy())
    difference = worst([np.asarray(y) for y in _listed(found)], outputs(module, inputs))
    record_property("worst", difference)
    assert difference <= 1e-6


def _listed(found: Any) -> list[Any]:
    if isinstance(found, Mapping):
        return [*found.values()]
    return [*found] if isinstance(found, list | tuple) else [found]


def test_sizes_of_another_input_are_taken(tmp_path: Path) -> None:
    """Of batch and time, where zeros are made for them, and lengths that end before the time does."""
    module, other = filled(StatesFromSizes), torch.randn(5, 13, 3)
    model = session(converters.trace(module, *MODELS[StatesFromSizes]), tmp_path / "one.onnx")
    assert worst(run(model, (other,)), outputs(module, (other,))) <= 1e-6
    module, given = filled(PackedTagger), (torch.randint(1, 11, (3, 9)), torch.tensor([9, 5, 1]))
    model = session(converters.trace(module, *MODELS[PackedTagger]), tmp_path / "two.onnx")
    assert worst(run(model, given), outputs(module, given)) <= 1e-6


@pytest.mark.parametrize("make", [CellLoop, BahdanauDecoder])
def test_code_that_counts_is_said(make: type[nn.Module]) -> None:
    source = converters.trace(filled(make), *MODELS[make])
    assert source.graph is not None
    assert source.graph.inputs[-1].shape in ((None, 7, 3), (None, 4, 3))
    (remark,) = source.remarks
    assert "counts by sizes" in remark and "along axis 1 alone" in remark


def test_states_of_zeros_are_none() -> None:
    source = converters.trace(filled(StatesFromSizes), *MODELS[StatesFromSizes])
    assert source.graph is not None
    (rnn,) = [node for node in source.graph.nodes if node.layer and node.layer.recurrent]
    assert len(rnn.inputs) == 1


def test_a_batch_of_ones_is_no_constant() -> None:
    """Of ones, states are given, as large as the batch is."""

    class Ones(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 5, batch_first=True)

        def forward(self, x: torch.Tensor) -> Any:
            return self.rnn(x, torch.ones(1, x.size(0), 5))[1]

    source = converters.trace(filled(Ones), torch.randn(2, 7, 3))
    assert source.graph is not None
    assert source.graph.inputs[0].shape == (None, None, 3)
    assert any(isinstance(node.operation, op.Expand) for node in source.graph.nodes)
