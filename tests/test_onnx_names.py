"""Where a graph carries PyTorch's names, convert() gives the author's own state_dict: keys, shapes and bits."""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

import converters

WIDTH, BATCH, TIME = 6, 2, 3
FOLDED = "pkg.onnxscript.optimizer.folded_from"
NAMES = ("head", "fc1", "block", "encoder", "l0", "weights", "d2", "inner_3", "norm")


class Recurrent(nn.Module):
    """nn.LSTM and its like, giving its outputs alone."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        kind, both = chance.choice([nn.LSTM, nn.GRU]), chance.random() < 0.4
        sizes = {"num_layers": chance.choice([1, 2, 3]), "bidirectional": both}
        self.rnn = kind(WIDTH, WIDTH // 2 if both else WIDTH, batch_first=chance.random() < 0.5, **sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rnn(x)[0]


class Scaled(nn.Module):
    """Parameters of its own: one element, none but one, a vector, a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(1))
        self.shift = nn.Parameter(torch.randn(()))
        self.gain = nn.Parameter(torch.randn(WIDTH))
        self.mix = nn.Parameter(torch.randn(WIDTH, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.alpha + self.shift) * self.gain @ self.mix


class Listed(nn.Module):
    """Children in nn.ModuleList and nn.ModuleDict, one of them called twice."""

    def __init__(self, chance: random.Random, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(made(chance, depth + 1) for _ in range(2))
        self.by_name = nn.ModuleDict({name: made(chance, depth + 1) for name in chance.sample(NAMES, 2)})
        self.again = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.again, *self.layers, *self.by_name.values(), self.again):
            x = layer(x)
        return x


class Tree(nn.Module):
    """Children under names of their own."""

    def __init__(self, chance: random.Random, depth: int) -> None:
        super().__init__()
        for name in chance.sample(NAMES, 2):
            setattr(self, name, made(chance, depth + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for child in self.children():
            x = child(x)
        return x


def made(chance: random.Random, depth: int = 0) -> nn.Module:
    """A module that keeps (batch, time, width), nested at random."""
    if depth < 3 and chance.random() < (0.95, 0.6, 0.4)[depth]:
        kind = chance.choice(["sequential", "tree", "listed"])
        if kind == "sequential":
            return nn.Sequential(*(made(chance, depth + 1) for _ in range(chance.choice([2, 3]))))
        return Tree(chance, depth) if kind == "tree" else Listed(chance, depth)
    leaf = chance.choice(["linear", "bare", "prelu", "slopes", "norm", "recurrent", "scaled", "relu"])
    return {
        "linear": lambda: nn.Linear(WIDTH, WIDTH),
        "bare": lambda: nn.Linear(WIDTH, WIDTH, bias=False),
        "prelu": nn.PReLU,
        "slopes": lambda: nn.PReLU(TIME),
        "norm": lambda: nn.LayerNorm(WIDTH),
        "recurrent": lambda: Recurrent(chance),
        "scaled": Scaled,
        "relu": nn.ReLU,
    }[leaf]()


class Whole(nn.Module):
    """An embedding or a convolution, something nested, and a classifier on the last step."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = random.Random(seed)
        self.indices = chance.random() < 0.5
        self.stem = nn.Embedding(11, WIDTH) if self.indices else nn.Sequential(nn.Conv1d(WIDTH, WIDTH, 1), nn.Tanh())
        self.body = made(chance)
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(WIDTH, 5))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5)

    def example(self) -> torch.Tensor:
        return torch.zeros(BATCH, TIME, dtype=torch.long) if self.indices else torch.randn(BATCH, WIDTH, TIME)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x if self.indices else x.transpose(1, 2)
        return self.classifier(self.body(x)[:, -1])


EXPORTS: dict[str, dict[str, Any]] = {
    "dynamo": {"dynamo": True},
    "dynamo-kept": {"dynamo": True, "optimize": False},
    "kept": {"dynamo": False, "do_constant_folding": False, "opset_version": 17},
    "kept-13": {"dynamo": False, "do_constant_folding": False, "opset_version": 13},
    "folded-9": {"dynamo": False, "opset_version": 9},
    "folded-20": {"dynamo": False, "opset_version": 20},
}


def exported(module: nn.Module, path: Path, options: dict[str, Any]) -> onnx.ModelProto:
    example = (module.example(),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, str(path), verbose=False, **options)
    return onnx.load(path)


def surviving(model: onnx.ModelProto) -> set[str]:
    """The names of parameters that the graph carries, as those of arrays or in notes."""
    noted = [p.value for v in model.graph.value_info for p in v.metadata_props if p.key == FOLDED]
    return {t.name for t in model.graph.initializer} | {
        name for text in noted for name in re.findall(r"'([^']+)'", text)
    }


def converted(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(path, strict=False)


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("export", EXPORTS)
def test_the_authors_module_loads_what_is_converted(export: str, seed: int, tmp_path: Path) -> None:
    if "dynamo" in export:
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    torch.manual_seed(seed)
    module = Whole(seed).eval()
    names = surviving(exported(module, tmp_path / "m.onnx", EXPORTS[export]))
    own, found = module.state_dict(), converted(tmp_path / "m.onnx")
    if own.keys() <= names:
        module.load_state_dict(found, strict=True)
    kept = own.keys() & names
    assert not kept - found.keys()
    assert all(torch.equal(found[name], own[name]) for name in kept)


def test_the_bias_that_kept_its_name_tells_that_of_the_folded_weight(tmp_path: Path) -> None:
    module = nn.ModuleDict(
        {"a": nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sequential(nn.PReLU(), nn.Linear(WIDTH, 5)))}
    )

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = module

        def example(self) -> torch.Tensor:
            return torch.randn(BATCH, TIME, WIDTH)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.parts["a"](x)

    outer = Outer().eval()
    names = surviving(exported(outer, tmp_path / "m.onnx", EXPORTS["folded-20"]))
    assert "parts.a.0.weight" not in names and "parts.a.0.bias" in names
    found = converted(tmp_path / "m.onnx")
    assert {"parts.a.0.weight", "parts.a.0.bias", "parts.a.1.1.weight", "parts.a.1.1.bias"} <= found.keys()
    assert torch.equal(found["parts.a.0.weight"], outer.state_dict()["parts.a.0.weight"])


@pytest.mark.parametrize("export", ["folded-20", "kept"])
def test_a_fused_convolution_is_called_by_its_place(export: str, tmp_path: Path) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.Conv1d(5, 5, 1))

        def example(self) -> torch.Tensor:
            return torch.randn(BATCH, 3, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x)

    exported(Outer().eval(), tmp_path / "m.onnx", EXPORTS[export])
    found = {key for key in converted(tmp_path / "m.onnx") if not key.startswith("features.1.")}
    assert found == {f"features.{k}.{name}" for k in (0, 3) for name in ("weight", "bias")}
