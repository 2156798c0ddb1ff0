"""TensorFlow Lite: whole networks against its interpreter's outputs, and files that would not end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import converters
from converters.readers.source import open_source
from converters.readers.tflite.model import open_model
from converters.readers.tflite.words import told
from converters.readers.tflite.words.told import Told

FOLDER = ROOT / "fixtures" / "tflite"


def files() -> Iterator[Any]:
    """Every file, and the records of its layers."""
    for name in ("lstm", "loops", "unrolled"):
        for file, own in json.loads((FOLDER / name / "case.json").read_text())["files"].items():
            yield pytest.param(FOLDER / name / file, list(own["layers"].values()), id=f"{name}/{file}")


@pytest.mark.parametrize(("path", "records"), files())
def test_a_built_network_equals_the_interpreter(path: Path, records: list[str], measured: Any) -> None:
    io = np.load(path.parent / "io.npz")
    first = "forward" if "forward" in records else records[0]
    x, wanted = io[f"layers/{first}/x"], io[f"layers/{records[-1]}/y"]
    module = converters.build(path)
    with torch.no_grad():
        rows = [module(torch.from_numpy(row[None])).numpy() for row in x]
    worst = float(np.abs(np.concatenate(rows) - wanted).max())
    measured(f"tflite/{path.parent.name} {path.name} as a whole", worst)
    assert worst <= 1e-6


def test_a_direction_that_is_turned_before_is_one_from_the_end() -> None:
    for name in ("loops", "unrolled"):
        checkpoint = converters.read(FOLDER / name / "model.tflite")
        directions = {layer.path: layer.call.direction for layer in checkpoint.layers}
        assert directions == {"gru": "backward", "gru_1": "forward", "rnn": "forward", "dense": "forward"}


def test_graphs_that_call_one_another_without_end_are_refused() -> None:
    model = open_model(open_source(str(FOLDER / "loops" / "gru.tflite")))
    with pytest.raises(converters.UnsafeCheckpoint, match="deep"):
        Told(model).graph(0, {}, 9)


def test_graphs_that_would_grow_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "_MOST_NODES", 10)
    with pytest.raises(converters.UnsafeCheckpoint, match="nodes"):
        converters.read(FOLDER / "loops" / "gru.tflite")


def test_a_loop_that_is_no_cell_keeps_its_arrays_as_the_file_has_them() -> None:
    """A loop over a matrix that is no cell: the array stands under its own name, as the file has it."""
    checkpoint = converters.read(FOLDER / "refused" / "loop.tflite")
    (layer,) = checkpoint.layers
    assert layer.path == "loop" and [array.shape for array in layer.arrays.values()] == [(5, 5)]
