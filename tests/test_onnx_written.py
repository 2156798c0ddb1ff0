"""Models written as ONNX: checked by onnx, run by onnxruntime, equal to the reference evaluator of the graph."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import ROOT
from keras_files import numbers, other
from keras_files import write as keras_file
from sampling import sampled

import converters
from converters.model.graph import Graph
from converters.verification.cases import make_cases
from converters.verification.evaluate import evaluate
from layouts.errors import ConversionError, NotRepresentable, VerificationFailed

KINDS = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(bool)": "bool"}
KINDS |= {"tensor(int64)": "int64", "tensor(int32)": "int32"}
FILES = sorted(
    path
    for kind in (
        "keras1/*/model.h5",
        "keras2/*/model.h5",
        "tf_keras*/*/model.h5",
        "keras3*/*/model.keras",
        "onnx_*/*/model.onnx",
    )
    for path in (ROOT / "fixtures").glob(kind)
)
AS_FLOAT32 = ("bfloat16", "mixed_precision", "float64", "double")
"""Of several dtypes, or of one in which onnxruntime has no LSTM."""
REFUSED = {
    "keras1/unknown_layers": "no layout describes the class Highway",
    "keras2/lambda_layer": "Lambda holds code",
    "keras3/lambda_custom": "no layout describes the class fixtures>Stretch",
    "keras3/quantized": "the layer was quantized",
    "keras3/subclassed": "holds weights and no graph",
    "keras3/vars_over_ten": "no layout describes the class fixtures>Polynomial",
    "onnx_keras/stacked_cells": "no layout describes this node",
    "onnx_tf2onnx/stacked_cells": "no layout describes this node",
    "onnx_torch/no_weights": "inputs of the graph",
    "onnx_torch/scripted": "no operation here stands for it",
}
"""The fixtures that are refused, and why: everything else is written and equal."""


def case_of(path: Path) -> str:
    return path.parent.relative_to(ROOT / "fixtures").as_posix()


def write(path: Path, output: Path) -> Graph:
    """Write a source as ONNX, in float32 where it has several dtypes; the graph of the source."""
    source = converters.read(path)
    dtype = "float32" if path.parent.name in AS_FLOAT32 else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        converters.convert_file(path, output, dtype=dtype)
    assert source.graph is not None
    return source.graph


def run(output: Path, inputs: tuple[Any, ...]) -> list[Any]:
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    told = zip(session.get_inputs(), inputs, strict=True)
    return session.run(None, {value.name: x.astype(KINDS[value.type]) for value, x in told})


@pytest.mark.parametrize("path", sampled([pytest.param(p, id=case_of(p)) for p in FILES], 8))
def test_a_model_is_written_and_equal(path: Path, tmp_path: Path, record_property: Any) -> None:
    output = tmp_path / "model.onnx"
    if case_of(path) in REFUSED:
        with pytest.raises(ConversionError, match=REFUSED[case_of(path)]):
            write(path, output)
        assert not output.exists()
        return
    graph = write(path, output)
    model = onnx.load(output)
    onnx.checker.check_model(model, full_check=True)
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    for case in make_cases(graph):
        wanted = evaluate(graph, case.inputs)
        for name, found in zip(graph.outputs, run(output, case.inputs), strict=True):
            scale = max(1.0, float(np.abs(wanted[name]).max()))
            worst = float(np.abs(found - wanted[name]).max()) / scale
            record_property(f"{case.name} {name}", worst)
            assert found.shape == wanted[name].shape
            most = 5e-3 if half else 1e-4 if "large" in case.name else 1e-5  # scores of large numbers multiply rounding
            assert worst <= most, f"{case.name}, {name}: {worst:.2e}"


def test_a_written_model_proves_itself(tmp_path: Path) -> None:
    report = converters.convert_file(
        ROOT / "fixtures/keras3/mask_with_gaps/model.keras", tmp_path / "model.onnx", verify=True
    )
    assert "verified" in report.proof and "onnxruntime" in report.proof


def test_a_model_that_is_written_wrong_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from converters.targets.onnx import functions

    monkeypatch.setitem(functions.INNER, "tanh", functions.Inner("Relu"))
    with pytest.raises(VerificationFailed, match="gives otherwise"):
        converters.convert_file(ROOT / "fixtures/keras3/lstm/model.keras", tmp_path / "model.onnx", verify=True)
    assert list(tmp_path.iterdir()) == []


def test_recurrent_layers_are_nodes_of_their_own(tmp_path: Path) -> None:
    """An LSTM is an LSTM node, both directions in one, with the time axis and the batch left open."""
    write(ROOT / "fixtures/keras3/bidirectional/model.keras", tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    kinds = {node.op_type: node for node in model.graph.node}
    assert {"Loop", "Scan"}.isdisjoint(kinds) and "LSTM" in kinds
    direction = {a.name: a for a in kinds["LSTM"].attribute}["direction"].s
    assert direction == b"bidirectional"
    first = model.graph.input[0].type.tensor_type.shape.dim
    assert first[0].dim_param == "batch"


def test_the_file_reads_back_as_the_layers_that_were_written(tmp_path: Path) -> None:
    source = ROOT / "fixtures/keras2/bidirectional_gru/model.h5"
    write(source, tmp_path / "model.onnx")
    there = converters.convert(source, dropins=True)
    back = converters.convert(tmp_path / "model.onnx", dropins=True)
    assert sorted(tuple(t.shape) for t in there.values()) == sorted(tuple(t.shape) for t in back.values())
    for tensor in there.values():
        assert any(tensor.shape == other.shape and bool((tensor == other).all()) for other in back.values())


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [2, 3])
def test_same_padding_of_what_is_dilated(kernel: int, dilation: int, tmp_path: Path) -> None:
    """onnxruntime has no auto_pad for it, so it stands in numbers; an even kernel has its odd zero at the end."""
    arrays = {"kernel": numbers(kernel, 3, 5), "bias": numbers(5)}
    options = {"kernel_size": [kernel], "dilation_rate": [dilation], "padding": "same", "filters": 5}
    source = keras_file(
        tmp_path / "model.h5", other("Conv1D", "conv", arrays, batch_input_shape=[None, 11, 3], **options)
    )
    report = converters.convert_file(source, tmp_path / "model.onnx", verify=True)
    assert "onnxruntime" in report.proof


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotRepresentable, match="holds weights and no graph"):
        converters.convert_file(ROOT / "fixtures/keras3/lstm/model.weights.h5", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
