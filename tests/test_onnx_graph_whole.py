"""Whole ONNX graphs: the reference evaluator and the built module give what onnxruntime gives, or a node is named.

Every fixture, and the public files beside the repository.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT
from equivalence import described

import converters
from converters.model.checkpoint import Checkpoint
from converters.verification.evaluate import evaluate

Array = np.ndarray[Any, Any]
FIXTURES = ROOT / "fixtures"
REAL = ROOT.parent / "shared" / "real"
EXACT = 1e-5

REFUSED = {
    "onnx_keras/stacked_cells": "rnn_1",
    "onnx_tf2onnx/stacked_cells": "rnn",
    "onnx_torch/scripted": "/If",
    "silero-vad/silero_vad_16k_op15.onnx": "/model/If",
}
"""Files with a node that nobody here computes: cells in one loop, a choice of graphs."""

CASES = [
    pytest.param(case.parent, id=str(case.parent.relative_to(FIXTURES)))
    for case in sorted(FIXTURES.glob("onnx_*/*/case.json"))
]


def read(path: Path, weights: Mapping[str, Array]) -> Checkpoint:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.read(path, weights=weights)


def built(path: Path, weights: Mapping[str, Array], inputs: Sequence[Array]) -> list[Array]:
    """The outputs of the built module."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(path, weights=weights)
        kind = next(module.parameters()).dtype
        tensors = [torch.from_numpy(np.ascontiguousarray(x)) for x in inputs]
        tensors = [x.to(kind) if x.is_floating_point() else x for x in tensors]
        found = module(*tensors)
    outputs = found if isinstance(found, tuple) else (found,)
    return [(y.float() if y.dtype == torch.bfloat16 else y).numpy() for y in outputs]


def expected(path: Path, given: Mapping[str, Array], recorded: Mapping[str, Array], names: Sequence[str]) -> Any:
    """What onnxruntime gives; where it cannot run a model, what was recorded when the file was made."""
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return session.run(list(names), dict(given))
    except Exception as error:  # onnxruntime's exceptions have no common class
        if not any(said in str(error) for said in ("double", "layout", "bfloat16", "Batchwise")):
            raise
        return [recorded[name] for name in names]


def compare(found: Sequence[Array], wanted: Sequence[Array], tolerance: float, what: str) -> float:
    worst = 0.0
    assert len(found) == len(wanted), what
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape, f"{what}: {one.shape} {other.shape}"
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        scale = max(1.0, float(np.abs(other).max(initial=0.0)))
        worst = max(worst, float(np.abs(one - other).max(initial=0.0)) / scale)
    assert worst <= tolerance, f"{what}: {worst}"
    return worst


def prove(path: Path, values: Mapping[str, Array], weights: Mapping[str, Array], tolerance: float, key: str) -> float:
    """The largest difference of the evaluator and of the built module; a refused file names its node."""
    checkpoint = read(path, weights)
    graph = checkpoint.graph
    assert graph is not None, checkpoint.remarks
    named = REFUSED.get(key, "")
    assert bool(graph.unknown) == bool(named), [node.name for node in graph.unknown]
    if named:
        assert any(named in node.name for node in graph.unknown)
        with pytest.raises(converters.NotRepresentable, match=r"."):
            converters.build(path, weights=weights)
        return 0.0
    inputs = [values[value.name].astype(_stored(value.dtype), copy=False) for value in graph.inputs]
    given = {value.name: x for value, x in zip(graph.inputs, inputs, strict=True)} | dict(weights)
    wanted = expected(path, given, values, graph.outputs)
    made = evaluate(graph, inputs)
    worst = compare([made[name] for name in graph.outputs], wanted, tolerance, f"{key} evaluated")
    return max(worst, compare(built(path, weights, inputs), wanted, tolerance, f"{key} built"))


def _stored(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


@pytest.mark.parametrize("folder", CASES)
def test_fixtures(folder: Path, measured: Any) -> None:
    case = described(folder / "case.json")
    io = np.load(folder / "io.npz")
    values = {key.partition("/")[2]: io[key] for key in io}
    weights = dict(np.load(folder / "state_dict.npz")) if folder.name == "no_weights" else {}
    key = str(folder.relative_to(FIXTURES))
    coarse = {"half": 2e-3, "bfloat16": 2e-2}.get(folder.name, EXACT)
    for name in case["files"]:
        if name.endswith(".onnx"):
            measured(f"{key} {name}", prove(folder / name, values, weights, coarse, key))


def public(pattern: str) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(REAL))) for path in sorted(REAL.glob(pattern))]


real = pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real model files is not beside this repository")
NETWORKS = [p for pattern in ("*/*.onnx", "burn-onnx/*/*.onnx") for p in public(pattern)]


@real
@pytest.mark.parametrize("path", NETWORKS)
def test_public_files(path: Path, measured: Any) -> None:
    reference = Path(f"{path}.ref.npz")
    stored = np.load(reference) if reference.exists() else {}
    values = {key.partition("/")[2]: stored[key] for key in stored}
    key = str(path.relative_to(REAL))
    measured(key, prove(path, values, {}, EXACT, key))


@real
@pytest.mark.parametrize("path", public("onnx-node-tests/*/model*.onnx"))
def test_node_tests(path: Path, measured: Any) -> None:
    io = np.load(path.parent / "io.npz")
    values = {key.partition("|")[2]: io[key] for key in io}
    given = {name: values[name] for name in ("W", "R", "B", "P") if name in values} if path.stem == "model" else {}
    measured(f"{path.parent.name} {path.name}", prove(path, values, given, EXACT, path.parent.name))


def test_inspect_shows_the_whole_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = str(converters.read(FIXTURES / "onnx_torch/packed/model.onnx"))
    assert all(word in shown for word in ("x ", "input", "← lengths", "MaskOfLengths", "mask=lstm_mask", "output"))


def test_a_state_of_all_directions_has_its_axis() -> None:
    graph = converters.read(FIXTURES / "onnx_torch/packed/model.onnx").graph
    assert graph is not None
    assert [value.shape for value in map(graph.values.get, graph.outputs) if value] == [(None, None, 10), (2, None, 5)]
