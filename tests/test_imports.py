"""Importing gateport loads no framework and no file library: each is imported where it is needed, when it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
    ],
)
def test_an_import_loads_nothing_heavy(code: str) -> None:
    assert loaded_after(code) == []


def test_a_heavy_module_would_be_seen() -> None:
    assert loaded_after("import sys, types; sys.modules['onnx'] = types.ModuleType('onnx')") == ["onnx"]
