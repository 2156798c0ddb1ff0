"""Importing gateport loads no framework and no file library: each is imported where it is needed, when it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

HEAVY = ("torch", "tensorflow", "keras", "tf_keras", "h5py", "onnx", "jax", "click", "rich")


def loaded_after(code: str) -> list[str]:
    """The heavy modules that a fresh process has loaded after this code."""
    report = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import layouts", id="layouts"),
        pytest.param("from layouts import catalogue; assert [*catalogue.every_layout()]", id="every-layout"),
        pytest.param("import converters, layouts", id="converters-and-layouts"),
        pytest.param("import converters; assert {'gates', 'nn', 'load_into'} <= {*dir(converters)}", id="late-names"),
        pytest.param(
            "import numpy; from converters import gates; gates({'kernel': numpy.zeros((3, 20)), 'recurrent_kernel': "
            "numpy.zeros((5, 20)), 'bias': numpy.zeros(20)}, framework='keras')['l0'].input_bias['f'][...] = 1",
            id="gates-of-arrays",
        ),
    ],
)
def test_an_import_loads_nothing_heavy(code: str) -> None:
    assert loaded_after(code) == []


LATE = ("export_arrays", "gates", "initialize", "load_into")


@pytest.mark.parametrize(
    "first", ["converters.show.text", "converters.torch.export", "converters.torch.initializers", "converters.nn"]
)
def test_late_names_are_what_they_say_whatever_is_imported_first(first: str) -> None:
    """A module of the same name would stand in the place of its function."""
    loaded_after(
        f"import {first}, converters\nassert all(callable(getattr(converters, name)) for name in {LATE})\n"
        "from converters import *\nassert nn.LSTM is converters.nn.LSTM and callable(gates)"
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    loaded_after("import converters\nassert not hasattr(converters, 'gats')")


def test_a_heavy_module_would_be_seen() -> None:
    assert loaded_after("import sys, types; sys.modules['onnx'] = types.ModuleType('onnx')") == ["onnx"]


@pytest.mark.parametrize(
    ("case", "packages"),
    [("onnx_torch/lstm", []), ("onnx_torch/not_folded", []), ("onnx_keras/gru_reset_after", ["onnx"])],
)
def test_an_onnx_file_is_converted_without_a_framework(tmp_path: Path, case: str, packages: list[str]) -> None:
    """Weights as they stand, and weights that are cut out, without the onnx package; it runs the body of a Loop."""
    source, output = ROOT / "fixtures" / case / "model.onnx", tmp_path / "out.safetensors"
    assert (
        loaded_after(f"from converters import convert_file; convert_file({str(source)!r}, {str(output)!r})") == packages
    )
