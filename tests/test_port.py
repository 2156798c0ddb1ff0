"""`port`: the folder runs by itself, agrees with `build` on bits, and its check finds what is wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from forkserver import ForkServer
from safetensors.torch import load_file, save_file
from test_build import outputs, recorded
from test_source import _needs_ruff, _ruff
from torch import nn

import converters
from converters.torch.port import Proof

FIXTURES = ROOT / "fixtures"
CASES = (
    "keras1/lstm/model.h5",
    "keras2/conv_bn_lstm/model.h5",
    "keras2/gru_reset_before/model.h5",
    "keras2/masking/model.h5",
    "keras3/float64/model.keras",
    "keras3/bfloat16/model.keras",
    "keras3/return_state/model.keras",
    "keras3/stateful/model.keras",
)
"""Files of which each needs something else: drop-ins, masks, another dtype, several inputs, kept states."""


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process that knows nothing of this library."""
    known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run([sys.executable, script], cwd=folder, env=known, capture_output=True, text=True)


@pytest.fixture(scope="module")
def stranger() -> Iterator[ForkServer]:
    """Such a process that has imported torch once, and forks a child for every script."""
    started = ForkServer("numpy", "torch", "safetensors.torch")
    yield started
    started.close()


def imported(folder: Path) -> Any:
    """model.py of a folder as a module of a package."""
    spec = importlib.util.spec_from_file_location(
        "ported", folder / "model.py", submodule_search_locations=[str(folder)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules.pop("ported.cells", None)
    sys.modules["ported"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES)
def test_the_folder_agrees_with_build_on_bits(case: str, tmp_path: Path) -> None:
    file = FIXTURES / case
    found = converters.port(file, tmp_path / "ported")
    inputs = recorded(np.load(file.parent / "io.npz"), "in")
    built = outputs(converters.build(file), inputs)
    for other in (found.module, imported(tmp_path / "ported").load()):
        for one, two in zip(outputs(other, inputs), built, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("case", CASES)
def test_the_folder_runs_without_this_library(case: str, tmp_path: Path, stranger: ForkServer) -> None:
    converters.port(FIXTURES / case, tmp_path / "ported")
    ran = stranger.run("script", str(tmp_path / "ported" / "model.py"), str(tmp_path))
    assert ran.code == 0 and ran.stdout.startswith("largest difference"), ran.stderr
    ran = stranger.run("imported", "ported.model", str(tmp_path))
    assert (ran.code, ran.result) == (0, []), ran.stderr


def test_the_check_passes_and_fails_where_it_must(tmp_path: Path) -> None:
    folder = tmp_path / "ported"
    converters.port(FIXTURES / "keras2/gru_reset_before/model.h5", folder)
    ran = run(folder / "model.py", tmp_path)
    assert (ran.returncode, ran.stdout.startswith("largest difference 0.00e+00")) == (0, True), ran.stderr
    tensors = load_file(folder / "model.safetensors")
    key = next(key for key in tensors if "weight_hh" in key)
    save_file({**tensors, key: tensors[key].flip(0)}, folder / "model.safetensors")
    ran = run(folder / "model.py", tmp_path)
    assert ran.returncode == 1 and "TOO LARGE" in ran.stdout


def test_a_proof_of_somebody_else_is_written(tmp_path: Path, stranger: ForkServer) -> None:
    def prove(checkpoint: converters.Checkpoint, module: nn.Module) -> Proof:
        x = np.ones((2, 7, 3), np.float32)
        return Proof((x,), (np.full((2, 7, 5), 9.0, np.float32),), 1e-3, "a liar")

    found = converters.port(FIXTURES / "keras2/lstm_hard_sigmoid/model.h5", tmp_path / "ported", prove=prove)
    assert "outputs by a liar" in (found.folder / "README.md").read_text()
    assert stranger.run("script", str(found.folder / "model.py"), str(tmp_path)).code == 1


def test_every_file_passes_ruff(tmp_path: Path) -> None:
    _needs_ruff()
    for number, case in enumerate(CASES):
        converters.port(FIXTURES / case, tmp_path / str(number))
    _ruff(tmp_path)


def test_the_readme_tells_layers_inputs_and_assumptions(tmp_path: Path) -> None:
    converters.port(FIXTURES / "keras3/return_state/model.keras", tmp_path / "ported")
    text = (tmp_path / "ported" / "README.md").read_text()
    for said in ("| encoder | LSTM | `nn.LSTM(3, 11, batch_first=True)`", "- input 1: ", "- output 3: ", "check.npz"):
        assert said in text


def test_the_command(tmp_path: Path) -> None:
    gateport = [sys.executable, "-m", "gateport"]
    file = FIXTURES / "keras2/lstm_sigmoid/model.h5"
    ran = subprocess.run([*gateport, "port", file, tmp_path / "ported", "--json"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    files = ["README.md", "check.npz", "model.py", "model.safetensors"]
    assert json.loads(ran.stdout)["files"] == files == sorted(os.listdir(tmp_path / "ported"))
    refused = FIXTURES / "keras2/lambda_layer/model.h5"
    ran = subprocess.run([*gateport, "port", refused, tmp_path / "other"], capture_output=True, text=True)
    assert ran.returncode == 1 and "lambda_1" in ran.stderr and not (tmp_path / "other").exists()


class Double(nn.Module):
    """What the Lambda of a fixture computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


class DoubleAndOne(nn.Module):
    """What the Lambda of another computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x + 1


class Stretch(nn.Module):
    """What the custom class of a fixture computes, its weights under their names in the file."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(5))
        self.offset = nn.Parameter(torch.ones(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.offset


CUSTOM = FIXTURES / "keras3/lambda_custom/model.h5"


def test_custom_layers_fill_the_holes_by_class_and_by_path() -> None:
    arrays = np.load(CUSTOM.parent / "io.npz")
    module = converters.build(CUSTOM, custom_layers={"stretch": Stretch, "Lambda": Double})
    (found,), (expected,) = outputs(module, recorded(arrays, "in")), recorded(arrays, "out")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_no_custom_layer_fills_is_refused_with_all_names() -> None:
    with pytest.raises(converters.NotRepresentable) as caught:
        converters.build(CUSTOM)
    assert all(name in str(caught.value) for name in ("stretch", "double"))
    with pytest.raises(converters.NotRepresentable, match="double"):
        converters.build(CUSTOM, custom_layers={"stretch": Stretch})
    with pytest.raises(converters.UnknownLayer, match="no layer and no class 'Rotate'"):
        converters.build(CUSTOM, custom_layers={"Rotate": Double})


def test_a_port_leaves_a_marked_class(tmp_path: Path, stranger: ForkServer) -> None:
    file = FIXTURES / "keras2/lambda_layer/model.h5"
    converters.port(file, tmp_path / "ported", custom_layers={"Lambda": DoubleAndOne})
    path = tmp_path / "ported" / "model.py"
    text = path.read_text()
    assert "TO BE WRITTEN" in text and "class Lambda1(nn.Module)" in text
    ran = run(path, tmp_path)
    assert ran.returncode == 1 and "Lambda1: write what this layer computes" in ran.stderr
    written = text.replace(
        'raise NotImplementedError("Lambda1: write what this layer computes")', "return 2 * inputs[0] + 1"
    )
    path.write_text(written)
    assert stranger.run("script", str(path), str(tmp_path)).code == 0
