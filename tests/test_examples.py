"""Every example runs from the top to the end in a fresh process, without a warning, and is cut into cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import converters

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if "# %%" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_the_example_runs(path: Path, tmp_path: Path) -> None:
    if "load_into" in path.read_text(encoding="utf-8") and not hasattr(converters, "load_into"):
        pytest.skip("converters.load_into is not there yet")
    command = [sys.executable, "-W", "error::UserWarning", path]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout and not run.stderr
    assert not list(tmp_path.iterdir()), "an example leaves no files"


def test_there_is_one_for_each_story() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "arrays_into_rnn",
        "gate_by_gate",
        "numpy_into_modules",
        "partial_state_dict",
    }
