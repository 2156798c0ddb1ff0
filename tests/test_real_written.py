"""Whole models out of public projects, written for Keras 3 and read back: the outputs that were recorded of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from equivalence import assert_close
from test_real_whole import REAL, of_model, recorded

import converters
from converters.verification.evaluate import evaluate

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the folder of real model files is not beside this repository"
)


@pytest.mark.parametrize("path", list(recorded()))
def test_a_real_model_is_written_for_keras_3(
    path: Path, tmp_path: Path, measured: Callable[[str, float], None]
) -> None:
    if converters.read(path).graph is None:
        pytest.skip("the file does not tell how its layers are wired")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        converters.convert_file(path, tmp_path / "new.keras")
    graph = converters.read(tmp_path / "new.keras").graph
    assert graph is not None
    values = evaluate(graph, of_model(path, "in"))
    for name, expected in zip(graph.outputs, of_model(path, "out"), strict=True):
        scale = max(1.0, float(np.abs(expected).max()))
        measured(f"real {path.name} for Keras 3", assert_close(values[name], expected, 2e-6 * scale, name) / scale)
