"""ONNX files out of public projects, and ONNX's own node tests, read from beside the repository; else skipped."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from equivalence import assert_close
from onnx_runs import cast, constants, outputs

import converters

REAL = ROOT.parent / "shared" / "real"
EXACT = 1e-6
REFUSED = ("gru", "peepholes")
"""Node tests that nn.GRU and nn.LSTM cannot compute: all GRUs reset before the product."""

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the folder of real model files is not beside this repository"
)


def paths(pattern: str) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(REAL))) for path in sorted(REAL.glob(pattern))]


def converted(path: Path, **options: Any) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(path, strict=False, **options)


def worst(path: Path, values: dict[str, np.ndarray[Any, Any]], **options: Any) -> Iterator[tuple[str, float]]:
    """The error of every value that a layer gives and that is known."""
    tensors, model = converted(path, **options), onnx.load(path)
    values = cast(model, constants(model) | values)
    for module in converters.plan(path, strict=False, **options).modules:
        if module.constructor and module.layers[0].wiring.reads in values:
            for name, found in outputs(module, tensors, values, model):
                if name in values:
                    expected = values[name].reshape(found.shape)
                    tolerance = EXACT * max(1.0, float(np.abs(expected).max()))
                    yield name, assert_close(found, expected, tolerance, f"{path.name} {name}")


@pytest.mark.parametrize("path", paths("onnx-node-tests/*/model*.onnx"))
def test_node_tests(path: Path, measured: Any) -> None:
    io = np.load(path.parent / "io.npz")
    values = {key.partition("|")[2]: io[key] for key in io}
    given = {name: values[name] for name in ("W", "R", "B", "P") if name in values} if path.stem == "model" else {}
    errors = list(worst(path, values, weights=given))
    for name, error in errors:
        measured(f"{path.parent.name}/{path.name} {name}", error)
    assert errors
    refused = converters.plan(path, weights=given).problems
    assert bool(refused) == any(word in path.parent.name for word in REFUSED)
    assert all(isinstance(problem, converters.NotRepresentable) for problem in refused)


@pytest.mark.parametrize("path", paths("onnx-node-tests/*/model.onnx"))
def test_weights_that_are_inputs_are_asked_for(path: Path) -> None:
    with pytest.raises(converters.CoverageError, match=r"weights=\{'W': …, 'R': …"):
        converters.convert(path)


NETWORKS = paths("burn-onnx/lstm/*.onnx") + paths("dtln/*.onnx") + paths("aircraft/*.onnx")


def every_value(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The floating-point values of the main graph, by onnxruntime, for the recorded input of the whole model."""
    references = np.load(f"{path}.ref.npz")
    model = onnx.load(path)
    names = {name for node in model.graph.node for name in node.output if name}
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(names))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {key[3:]: references[key] for key in references if key.startswith("in/")}
    asked = [output.name for output in session.get_outputs()]
    return dict(zip(asked, session.run(asked, given), strict=True)) | given


@pytest.mark.parametrize("path", NETWORKS)
def test_every_layer_of_a_network_gives_what_its_node_gave(path: Path, measured: Any) -> None:
    errors = list(worst(path, every_value(path)))
    for name, error in errors:
        measured(f"{path.name} {name}", error)
    assert errors


def test_dtln_and_its_keras_file_give_the_same_bits() -> None:
    ours, keras = converted(REAL / "dtln/model_1.onnx"), converted(REAL / "dtln/model.h5")
    for one, other in (("lstm_4", "lstm"), ("lstm_5", "lstm_1"), ("dense_2", "dense")):
        expect_same_bits(ours, one, keras, other)
    steps = converted(REAL / "dtln/model_2.onnx")
    for one, other in (("model_2.lstm_6", "lstm_2"), ("model_2.lstm_7", "lstm_3"), ("model_2.dense_3", "dense_1")):
        expect_same_bits(steps, one, keras, other)


def test_aircraft_and_its_keras_file_give_the_same_bits() -> None:
    ours, keras = converted(REAL / "aircraft/lstm_model.onnx"), converted(REAL / "aircraft/lstm_model.keras")
    pairs = zip(("sequential_1.lstm_1", "sequential_1.lstm_1_2"), ("lstm", "lstm_1"), strict=True)
    for one, other in (*pairs, ("sequential_1.dense_1", "dense"), ("sequential_1.dense_1_2", "dense_1")):
        expect_same_bits(ours, one, keras, other)


def expect_same_bits(ours: dict[str, torch.Tensor], one: str, theirs: dict[str, torch.Tensor], other: str) -> None:
    found = {key.removeprefix(f"{one}."): value for key, value in ours.items() if key.startswith(f"{one}.")}
    expected = {key.removeprefix(f"{other}."): value for key, value in theirs.items() if key.startswith(f"{other}.")}
    assert found and found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


def test_silero_keeps_its_cell_inside_branches() -> None:
    path = REAL / "silero-vad/silero_vad_16k_op15.onnx"
    expected = np.load(REAL / "silero-vad/silero_vad_jit_decoder_rnn.npz")
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict(converters.convert(path, layer="model.decoder.rnn"), strict=True)
    assert all(np.array_equal(getattr(cell, name).detach().numpy(), expected[name]) for name in expected)


def test_silero_runs_on_the_size_of_its_windows() -> None:
    """Which branches it takes is told by the number of samples alone."""
    path = REAL / "silero-vad/silero_vad_16k_op15.onnx"
    recorded = np.load(REAL / "silero-vad/silero_vad_16k_op15.onnx.ref.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(path, assume={"sequence": "576"})
    inputs = [torch.from_numpy(recorded[f"in/{name}"]) for name in ("input", "state", "sr")]
    with torch.no_grad():
        found = module(*inputs)
    for y, name in zip(found, ("output", "stateN"), strict=True):
        np.testing.assert_allclose(y.numpy(), recorded[f"out/{name}"], rtol=0.0, atol=1e-6)
    assert converters.verify(path, module, assume={"sequence": "576"}).ok


def test_layers_stand_in_the_order_of_the_data() -> None:
    """The file has the products of states first; the norm between them is one of TensorFlow's making."""
    found = converters.plan(REAL / "dtln" / "model_2.onnx")
    kinds = [module.constructor.partition("(")[0] for module in found.modules]
    assert kinds == ["nn.Conv1d", "nn.LayerNorm", "nn.LSTM", "nn.LSTM", "nn.Linear", "nn.Conv1d"]
    assert "eps=1e-07" in found.modules[1].constructor and not found.problems
