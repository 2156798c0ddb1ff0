"""The NumPy float64 evaluator of a graph: every layer that a fixture recorded, and every operation by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from equivalence import assert_close
from keras_fixtures import FOLDERS

import converters
from converters.model.graph import Node
from converters.model.layers import Layer
from converters.model.operations import Apply
from converters.verification.evaluate import evaluate, run

Array = np.ndarray[Any, Any]
MODELS = ("Sequential", "Functional", "Model", "each_model")
NOT_TOLD = {
    "subclassed": "the file does not tell how its layers are called",
    "convolution_same": "Theano pads by k // 2 at both ends",
    "theano_same": "the same",
}


def recorded() -> Iterator[Any]:
    """Every call of every layer whose inputs and outputs stand in a fixture."""
    for case in sorted((ROOT / "fixtures").glob("*/*/case.json")):
        described = json.loads(case.read_text())
        files = [name for name in described["files"] if (case.parent / name).exists() and "weights" not in name]
        if case.parent.parent.name in FOLDERS and files and case.parent.name not in NOT_TOLD:
            for path, kind in described["layers"].items():
                if path not in described.get("unrecorded", {}) and kind not in MODELS and path not in MODELS:
                    yield pytest.param(case, files[0], path, id=f"{case.parent.parent.name}-{case.parent.name}-{path}")


def evaluated(layer: Layer, x: list[Array], mask: Array | None) -> list[Array]:
    """What the layer gives; one that runs on every step, on all steps at once."""
    node = Node(layer.path, layer.class_name, Apply(), (), (), layer=layer)
    if not layer.call.each_step:
        return run(node, x, mask)
    (found,) = run(node, [x[0].reshape(-1, *x[0].shape[2:])], None)
    return [found.reshape(*x[0].shape[:2], *found.shape[1:])]


@pytest.mark.parametrize(("case", "file", "path"), list(recorded()))
def test_a_layer_gives_what_the_framework_recorded(case: Path, file: str, path: str) -> None:
    described = json.loads(case.read_text())
    layer = converters.read(case.parent / file).layer(path)
    if layer.unknown is not None:
        pytest.skip(str(layer.unknown))
    with np.load(case.parent / "io.npz") as arrays:
        own = {key.removeprefix(f"layers/{path}/"): arrays[key] for key in arrays if key.startswith(f"layers/{path}/")}
    x = [own[key] for key in ("x", "x1", "x2", "x3", "x4") if key in own]
    wanted = [own["y"], *(own[f"state/{k}"] for k in range(9) if f"state/{k}" in own)]
    found = evaluated(layer, x, own.get("mask"))
    for number, (one, other) in enumerate(zip(found[: len(wanted)], wanted, strict=True)):
        assert_close(one, other, described["tolerance"], f"{path} {number}")


def whole() -> Iterator[Any]:
    """Every fixture whose file tells how its layers are wired."""
    for case in sorted((ROOT / "fixtures").glob("*/*/case.json")):
        described = json.loads(case.read_text())
        files = [name for name in described["files"] if (case.parent / name).exists() and "weights" not in name]
        if case.parent.parent.name in FOLDERS and files:
            yield pytest.param(case, files[0], id=f"{case.parent.parent.name}-{case.parent.name}")


@pytest.mark.parametrize(("case", "file"), list(whole()))
def test_a_model_gives_what_the_framework_recorded(case: Path, file: str) -> None:
    graph = converters.read(case.parent / file).graph
    if graph is None:
        pytest.skip("the file does not tell how its layers are wired")
    if graph.unknown:
        pytest.skip(f"not known: {', '.join(node.class_name for node in graph.unknown)}")
    with np.load(case.parent / "io.npz") as arrays:
        x, wanted = (
            [arrays[f"model/{way}/{k}"] for k in range(99) if f"model/{way}/{k}" in arrays] for way in ("in", "out")
        )
    values = evaluate(graph, x)
    for name, expected in zip(graph.outputs, wanted, strict=True):
        assert_close(values[name], expected, json.loads(case.read_text())["tolerance"], name)
