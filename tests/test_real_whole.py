"""Whole models out of public projects: our evaluator and the built module, each against the recorded outputs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from equivalence import assert_close

import converters
from converters.verification.evaluate import evaluate

REAL = ROOT.parent / "shared" / "real"
TOLERANCE = 1e-5
"""Of the largest output, or of 1."""

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the folder of real model files is not beside this repository"
)


def recorded() -> Iterator[Any]:
    """Files of Keras whose reference has the inputs and outputs of the whole model."""
    for entry in json.loads((REAL / "manifest.json").read_text())["files"] if REAL.is_dir() else ():
        path = REAL / entry["path"]
        reference = path.with_name(f"{path.name}.ref.npz")
        if path.suffix in (".h5", ".hdf5", ".keras") and reference.exists():
            with np.load(reference) as arrays:
                if "model/in/0" in arrays:
                    yield pytest.param(path, id=entry["path"])


def of_model(path: Path, way: str) -> list[np.ndarray[Any, Any]]:
    with np.load(path.with_name(f"{path.name}.ref.npz")) as arrays:
        return [arrays[f"model/{way}/{k}"] for k in range(9) if f"model/{way}/{k}" in arrays]


@pytest.mark.parametrize("path", list(recorded()))
def test_a_real_model_is_evaluated_built_and_verified(path: Path, measured: Callable[[str, float], None]) -> None:
    graph = converters.read(path).graph
    if graph is None:
        pytest.skip("the file does not tell how its layers are wired")
    values = evaluate(graph, of_model(path, "in"))
    for name, expected in zip(graph.outputs, of_model(path, "out"), strict=True):
        scale = max(1.0, float(np.abs(expected).max()))
        measured(f"real {path.name}", assert_close(values[name], expected, TOLERANCE * scale, name) / scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(path)
    found = converters.verify(path, module, by="numpy")
    assert found.ok, str(found)
