"""Modules of PyTorch whose network is traced, on their way to ONNX and to Keras; and those that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

import converters
from converters import nn as drop_in
from layouts.errors import ConversionError, NotRepresentable, VerificationFailed


class Tagger(nn.Module):
    """Embedding, both directions of a deep LSTM, the last states side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 3)
        self.rnn = nn.LSTM(3, 5, 2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 7)

    def forward(self, x: torch.Tensor) -> Any:
        y, (h, _) = self.rnn(self.words(x))
        return torch.log_softmax(self.head(torch.cat((h[-2], h[-1]), 1)), dim=-1), self.head(y[:, -1]).relu() * 2


class Listener(nn.Module):
    """Convolution, batch norm, pooling, a GRU, layer norm and a head with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 5, 3, padding=1)
        self.bn = nn.BatchNorm1d(5)
        self.pool = nn.MaxPool1d(2)
        self.gru = nn.GRU(5, 7, batch_first=True)
        self.norm = nn.LayerNorm(7)
        self.head = nn.Sequential(nn.Linear(7, 11), nn.Tanh(), nn.Dropout(), nn.Linear(11, 2))

    def forward(self, x: torch.Tensor) -> Any:
        x = self.pool(torch.relu(self.bn(self.conv(x.transpose(1, 2))))).permute(0, 2, 1)
        y, h = self.gru(x)
        return self.head(self.norm(y).mean(dim=1) + h.squeeze(0))


class Reader(nn.Module):
    """Columns of a picture as steps, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Conv2d(1, 3, 3)
        self.rnn = nn.RNN(3 * 5, 7, nonlinearity="relu")
        self.head = nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.cnn(x)
        batch, channels, height, width = y.size()
        y, _ = self.rnn(y.permute(3, 0, 1, 2).reshape(width, batch, channels * height))
        return self.head(y).softmax(-1)


class Decoder(nn.Module):
    """States come in and go out."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 5, 2)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> Any:
        y, (h, c) = self.rnn(x, (h, c))
        return self.head(y), h, c


class Hard(nn.Module):
    """A drop-in, in one direction and then the other."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = drop_in.GRU(3, 5, batch_first=True, reset_after=False, recurrent_activation="hard_sigmoid_0.2")
        self.back = nn.GRU(5, 7, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        y, _ = self.rnn(x)
        y, _ = self.back(y.flip(1))
        return functional.leaky_relu(1 - y, 0.3) / 7 + 3 / (y + 2)


class Step(nn.Module):
    """A cell, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        h, c = self.cell(x)
        h, c = self.cell(y, (h, c))
        return h, c


CASES = [
    pytest.param(Tagger, (torch.randint(0, 11, (2, 7)),), id="tagger"),
    pytest.param(Listener, (torch.randn(2, 8, 3),), id="listener"),
    pytest.param(Reader, (torch.randn(2, 1, 7, 9),), id="reader"),
    pytest.param(Decoder, (torch.randn(7, 2, 3), torch.randn(2, 2, 5), torch.randn(2, 2, 5)), id="decoder"),
    pytest.param(Hard, (torch.randn(2, 7, 3),), id="hard"),
    pytest.param(Step, (torch.randn(2, 3), torch.randn(2, 3)), id="step"),
    pytest.param(lambda: nn.LSTM(3, 5, bidirectional=True, batch_first=True), (torch.randn(2, 7, 3),), id="layer"),
    pytest.param(lambda: nn.Sequential(nn.Flatten(), nn.Linear(21, 5), nn.ELU()), (torch.randn(2, 7, 3),), id="plain"),
]


def filled(make: Any) -> nn.Module:
    """The module with every number random, statistics too."""
    torch.manual_seed(7)
    module: nn.Module = make()
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            nn.init.uniform_(buffer, 0.5, 2.0) if name.endswith("var") else nn.init.normal_(buffer)
    return module.eval()


def tensors(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, torch.Tensor):
        return [value.detach().numpy()]
    return [array for each in value for array in tensors(each)]


def worst(found: Any, wanted: list[np.ndarray[Any, Any]]) -> float:
    assert [y.shape for y in found] == [y.shape for y in wanted]
    return max(float(np.abs(y - z).max()) for y, z in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("make", "inputs"), CASES)
def test_a_module_goes_to_onnx(make: Any, inputs: Any, tmp_path: Path, record_property: Any) -> None:
    module = filled(make)
    converters.convert_file(converters.trace(module, *inputs), tmp_path / "model.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    named = {value.name: x.numpy() for value, x in zip(session.get_inputs(), inputs, strict=True)}
    difference = worst(session.run(None, named), tensors(module(*inputs)))
    record_property("worst", difference)
    assert difference <= 1e-6


def test_batch_and_time_stay_open(tmp_path: Path) -> None:
    module = filled(Tagger)
    converters.convert_file(converters.trace(module, torch.randint(0, 11, (2, 7))), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    other = torch.randint(0, 11, (3, 13))
    assert worst(session.run(None, {"x": other.numpy()}), tensors(module(other))) <= 1e-6


@pytest.mark.parametrize(("make", "inputs"), [case for case in CASES if case.id in ("tagger", "listener", "plain")])
def test_a_module_goes_to_keras(make: Any, inputs: Any, tmp_path: Path, record_property: Any) -> None:
    keras = pytest.importorskip("keras")
    module = filled(make)
    converters.convert_file(converters.trace(module, *inputs), tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    found = model([x.numpy() for x in inputs] if len(inputs) > 1 else inputs[0].numpy())
    found = [np.asarray(y) for y in found] if isinstance(found, list | tuple) else [np.asarray(found)]
    difference = worst(found, tensors(module(*inputs)))
    record_property("worst", difference)
    assert difference <= 1e-6


def test_the_mode_of_a_module_stays_as_it_was() -> None:
    module = filled(Listener).train()
    converters.trace(module, torch.randn(2, 8, 3))
    assert module.training and module.head.training


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x if x.sum() > 0 else -x


class Packing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 5, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        return self.rnn(pack_padded_sequence(x, [7, 5], batch_first=True))[1]


class Drawing(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x + torch.randn(x.shape[1], 3)


class Asking(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x[:, : int(x.abs().max())]


class Strange(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.cumsum(x, 1)


class Infinite(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return x / 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(Branching, "number out of a tensor, which decides what is done", id="branch"),
        pytest.param(Packing, "lengths are numbers of the code", id="packed"),
        pytest.param(Drawing, "another thing each time", id="random"),
        pytest.param(Asking, "is a number out of a tensor, which decides", id="number"),
        pytest.param(Infinite, r"divide of a tensor and 0 is not known", id="division"),
        pytest.param(Strange, r"cumsum .*not known here", id="operation"),
        pytest.param(lambda: nn.Sequential(nn.AvgPool1d(3, padding=1)), "counts what is padded", id="pooling"),
    ],
)
def test_what_is_not_known_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(NotRepresentable, match=message):
        converters.trace(make(), torch.randn(2, 7, 3))


def test_a_wrong_number_of_inputs_is_told() -> None:
    with pytest.raises(ConversionError, match="forward takes 1 tensors, and 2 are given"):
        converters.trace(filled(Listener), torch.randn(2, 8, 3), torch.randn(2))


def test_a_graph_that_is_wrong_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is asked: an operation that is drawn as another one is found."""
    from converters.torch.trace import operations

    wrong = {**operations._WRITTEN, "relu": operations._WRITTEN["tanh"]}
    monkeypatch.setattr(operations, "_WRITTEN", wrong)
    with pytest.raises(VerificationFailed, match="does not give the output"):
        converters.trace(filled(Listener), torch.randn(2, 8, 3))
