"""Arrays that arithmetic reads: parameters of the module that is built, under the keys that `convert` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trace import filled
from torch import Tensor, nn

import converters


class Policy(nn.Module):
    """Observations normalised as a policy of reinforcement learning does it, a GRU, and a scale for every feature."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_mean", torch.rand(1, 3) + 0.5)
        self.register_buffer("_deviation", torch.rand(1, 3) + 0.5)
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.scale = nn.Parameter(torch.rand(5))
        self.query = nn.Parameter(torch.rand(7, 1))

    def forward(self, x: Tensor) -> Any:
        y, _ = self.gru((x - self._mean) / (self._deviation + 0.01))
        return (y * self.scale).clamp(-0.5, 0.5) - self.query


def exported(module: nn.Module, path: Path) -> Path:
    axes = {"x": {0: "batch"}}
    x = torch.randn(2, 7, 3)
    torch.onnx.export(module, x, path, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes=axes)
    return path


@pytest.fixture
def source(tmp_path: Path) -> tuple[nn.Module, Path]:
    module = filled(Policy)
    return module, exported(module, tmp_path / "model.onnx")


@pytest.mark.filterwarnings("ignore")
def test_the_module_has_them_and_computes_with_them(source: tuple[nn.Module, Path], measured: Any) -> None:
    module, path = source
    found, x = converters.build(path), torch.randn(11, 7, 3)
    with torch.no_grad():
        error = float((found(x) - module(x)).abs().max())
    measured("parameters of arithmetic", error)
    assert error <= 1e-6
    own, made = module.state_dict(), found.state_dict()
    assert {"_mean", "scale", "query"} <= set(made)
    assert all(torch.equal(made[name], own[name]) for name in ("_mean", "scale", "query"))
    assert set(made) == set(converters.convert(path, strict=False))
    assert isinstance(found.get_parameter("scale"), nn.Parameter)
    assert converters.verify(path, found).ok


@pytest.mark.filterwarnings("ignore")
def test_a_port_runs_by_itself(source: tuple[nn.Module, Path], tmp_path: Path) -> None:
    converters.port(source[1], tmp_path / "ported")
    (script,) = [path for path in (tmp_path / "ported").glob("*.py") if path.stem not in ("cells", "__init__")]
    subprocess.run([sys.executable, script.name], cwd=tmp_path / "ported", check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore")
def test_weights_alone_are_refused_where_the_arithmetic_is_not_a_layer(source: tuple[nn.Module, Path]) -> None:
    with pytest.raises(converters.UnknownLayer, match="no layout describes this node"):
        converters.convert(source[1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [".onnx", ".keras"])
def test_the_way_back_has_them_too(source: tuple[nn.Module, Path], kind: str, tmp_path: Path) -> None:
    """In ONNX they are initializers, under the keys that PyTorch has; in Keras numbers of the configuration."""
    module, path = source
    report = converters.convert_file(path, tmp_path / f"back{kind}", verify=True)
    assert "verified: 4 cases" in report.proof
    found, x = converters.build(tmp_path / f"back{kind}"), torch.randn(11, 7, 3)
    with torch.no_grad():
        assert float((found(x) - module(x)).abs().max()) <= 1e-6
    keys = {tensor.key for tensor in report.plan.tensors}
    assert keys >= {"_mean", "scale", "query"} if kind == ".onnx" else not keys & {"_mean", "scale", "query"}
    said = [warning for warning in report.warnings if "stand in the configuration" in warning]
    assert len(said) == (0 if kind == ".onnx" else 4)
    assert ("= _mean, scale, query" in str(report)) == (kind == ".onnx")


@pytest.mark.filterwarnings("ignore")
def test_a_configuration_does_not_hold_a_million_numbers(tmp_path: Path) -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.table = nn.Linear(3, 500), nn.Parameter(torch.rand(7, 300, 500))

        def forward(self, x: Tensor) -> Any:
            return self.linear(x).unsqueeze(2) * self.table

    path = exported(filled(Wide), tmp_path / "model.onnx")
    with pytest.raises(converters.NotRepresentable, match=r"1,050,000 numbers, and no layer of Keras 3 holds them"):
        converters.convert_file(path, tmp_path / "back.keras")


class Moved(nn.Module):
    """A parameter of which something else is computed before it meets the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 7)
        self.table = nn.Parameter(torch.rand(7, 5))

    def forward(self, x: Tensor) -> Any:
        return self.linear(x).unsqueeze(2) * torch.tanh(self.table)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folded", [False, True])
def test_what_is_computed_of_a_parameter_first(folded: bool, tmp_path: Path) -> None:
    """It is computed by the module too, or what the exporter stored of it is the parameter."""
    module, path, x = filled(Moved), tmp_path / "model.onnx", torch.randn(2, 3)
    torch.onnx.export(module, x, path, dynamo=False, do_constant_folding=folded, input_names=["x"])
    found = converters.build(path)
    with torch.no_grad():
        assert float((found(x) - module(x)).abs().max()) <= 1e-6
    assert sorted(p.numel() for p in found.parameters()) == [7, 21, 35]
