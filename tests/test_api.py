"""The public functions: sources of every kind, files of every kind, and what they promise about memory and imports."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from keras_files import cell_arrays, dense, numbers, recurrent, write
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import converters
from converters import ConversionError, ConversionWarning, UnknownLayer, UnreadableCheckpoint

HEAVY = ("torch", "tensorflow", "keras", "tf_keras", "onnx", "jax")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("kind", [str, Path, converters.read], ids=["text", "Path", "Checkpoint"])
def test_a_file_is_named_in_several_ways(kind: Callable[[Path], Any], model: Path) -> None:
    assert equal(converters.convert(kind(model)), converters.convert(model))


def test_reading_reads_no_data_and_prints_a_table(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = converters.read(model)
    assert [(layer.path, layer.class_name) for layer in found.layers] == [("rnn", "LSTM"), ("head", "Dense")]
    assert (found.framework, found.version) == ("keras", "3.9.0")
    printed = " ".join(str(found).split())
    assert [word for word in ("LSTM", "3 → 5", "kernel 3×20 float32", "whole model") if word not in printed] == []


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_model_in_memory_equals_its_file(package: str, tmp_path: Path) -> None:
    keras = pytest.importorskip(package, reason=f"{package} is not installed")
    layers = [keras.layers.Input((7, 3)), keras.layers.GRU(5), keras.layers.Dense(2)]
    built = keras.Sequential(layers)
    built.save(tmp_path / "m.h5")
    tensors = converters.convert(built)
    assert equal(tensors, converters.convert(tmp_path / "m.h5"))
    before = {key: tensor.clone() for key, tensor in tensors.items()}
    for weight in built.weights:
        weight.assign(np.ones(weight.shape))
    assert equal(tensors, before)


def _keras_arrays() -> dict[str, Any]:
    return cell_arrays("LSTM", 3, 5)


def _torch_arrays() -> dict[str, Any]:
    return {key: tensor.detach().numpy() for key, tensor in nn.LSTM(3, 5).state_dict().items()}


def _flax_arrays() -> dict[str, Any]:
    gates = {f"i{gate}": {"kernel": numbers(3, 5) + ord(gate)} for gate in "ifgo"}
    return gates | {f"h{gate}": {"kernel": numbers(5, 5), "bias": numbers(5) + ord(gate)} for gate in "ifgo"}


@pytest.mark.parametrize(
    ("framework", "arrays"),
    [
        pytest.param("keras", _keras_arrays, id="keras"),
        pytest.param("pytorch", _torch_arrays, id="pytorch"),
        pytest.param("flax", _flax_arrays, id="flax"),
    ],
)
def test_a_mapping_of_arrays_becomes_a_loadable_lstm(framework: str, arrays: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        drawn = arrays()
        tensors = converters.convert(drawn, framework=framework)
        named = converters.convert({"enc": {"rnn": drawn}}, framework=framework)
    nn.LSTM(3, 5).load_state_dict(tensors, strict=True)
    assert equal({f"enc.rnn.{key}": value for key, value in tensors.items()}, named)


def test_a_mapping_of_pytorch_arrays_comes_back_as_it_was() -> None:
    arrays = _torch_arrays()
    tensors = converters.convert(arrays, framework="pytorch")
    assert all(np.array_equal(tensors[key].numpy(), array) for key, array in arrays.items())


def test_a_flax_kernel_is_transposed_into_its_gate() -> None:
    arrays = _flax_arrays()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        weight = converters.convert(arrays, framework="flax")["weight_ih_l0"].numpy()
    for number, gate in enumerate("ifgo"):
        assert np.array_equal(weight[5 * number : 5 * number + 5], arrays[f"i{gate}"]["kernel"].T), gate


@pytest.mark.parametrize("forget", [0.0, 1.0, 2.5])
def test_the_forget_bias_of_tensorflow_is_added_to_its_gate(forget: float) -> None:
    arrays = {"kernel": numbers(8, 20), "bias": numbers(20)}
    stated = {"forget_bias": str(forget), "activation": "tanh", "recurrent_activation": "sigmoid"}
    tensors = converters.convert(arrays, framework="tensorflow", assume=stated)
    i, g, f, o = arrays["bias"].reshape(4, 5)
    assert np.allclose((tensors["bias_ih_l0"] + tensors["bias_hh_l0"]).numpy(), np.concatenate([i, f + forget, g, o]))


@pytest.mark.parametrize(
    ("source", "framework", "kind", "message"),
    [
        pytest.param({"kernel": np.ones((3, 20))}, None, ConversionError, "needs framework=", id="no-framework"),
        pytest.param({"W": np.ones((1, 20, 3))}, "keras", UnknownLayer, "no layout fits the arrays", id="onnx-like"),
        pytest.param({"kernel": np.ones((3, 20), int)}, "keras", ConversionError, "floating point", id="integers"),
        pytest.param({1.5: np.ones(3)}, "keras", ConversionError, "are names", id="key-no-name"),
        pytest.param({"kernel": np.ones((3, 20))}, "nonsense", ConversionError, "nonsense", id="unknown-framework"),
        pytest.param(object(), None, ConversionError, "is not a source", id="no-source"),
        pytest.param("/nowhere/at/all.h5", None, UnreadableCheckpoint, "No such file", id="no-file"),
    ],
)
def test_what_is_no_source_is_refused(source: Any, framework: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        converters.convert(source, framework=framework)


def test_tensors_are_contiguous_and_own_their_memory(model: Path) -> None:
    tensors, again = converters.convert(model), converters.convert(model)
    spans = sorted((t.untyped_storage().data_ptr(), t.untyped_storage().nbytes()) for t in tensors.values())
    assert all(t.is_contiguous() and t.untyped_storage().nbytes() == t.nbytes for t in tensors.values())
    assert all(start + length <= after for (start, length), (after, _) in pairwise(spans))
    content = model.read_bytes()
    for tensor in tensors.values():
        tensor.zero_()
    assert model.read_bytes() == content and equal(again, converters.convert(model))


def test_safetensors_hold_the_tensors_and_the_plan(model: Path, tmp_path: Path) -> None:
    report = converters.convert_file(model, tmp_path / "out.safetensors")
    assert equal(load_file(tmp_path / "out.safetensors"), converters.convert(model))
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt" and metadata["source"] == "keras 3.9.0"
    assert json.loads(metadata["plan"])["rnn"]["constructor"] == "nn.LSTM(3, 5, batch_first=True)"
    assert report.nbytes == sum(t.nbytes for t in load_file(tmp_path / "out.safetensors").values())


@pytest.mark.parametrize("mapped", [False, True], ids=["read", "mapped"])
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_torch_file_loads_without_its_code(suffix: str, mapped: bool, model: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    converters.convert_file(model, output)
    assert equal(torch.load(output, weights_only=True, mmap=mapped), converters.convert(model))


def test_an_npz_file_holds_the_arrays(model: Path, tmp_path: Path) -> None:
    converters.convert_file(model, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert equal({key: torch.from_numpy(file[key]) for key in file}, converters.convert(model))


@pytest.mark.parametrize("output", ["out.onnx", "out", "folder"])
def test_an_output_of_another_kind_is_refused_and_leaves_nothing(output: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConversionError):
        converters.convert_file(model, tmp_path / output)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf], ids=str)
def test_numbers_that_are_not_finite_are_kept_and_said(number: float, tmp_path: Path) -> None:
    layer = dense("head", 3, 2)
    layer.arrays["head/kernel"][1, 0] = number
    with pytest.warns(ConversionWarning, match="head.weight holds NaN or infinite"):
        tensors = converters.convert(write(tmp_path / "m.h5", layer))
    assert np.array_equal(tensors["head.weight"].numpy()[0, 1], np.float32(number), equal_nan=True)


@pytest.mark.parametrize("name", ["float16", "float64", "bfloat16"])
def test_a_source_keeps_its_dtype(name: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    arrays = {key: array.astype(kind) for key, array in _keras_arrays().items()}
    stated = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    tensors = converters.convert(arrays, framework="keras", assume=stated)
    assert {str(t.dtype) for t in tensors.values()} == {f"torch.{name}"}
    found = tensors["weight_ih_l0"].to(torch.float64).numpy()
    assert np.array_equal(found, arrays["kernel"].T.astype("float64"))


def loaded_after(code: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after this code."""
    report = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize(("suffix", "allowed"), [(".safetensors", set()), (".npz", set()), (".pt", {"torch"})])
def test_a_file_is_converted_without_a_framework(suffix: str, allowed: set[str], model: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    code = f"import converters; converters.convert_file({str(model)!r}, {str(output)!r})"
    assert loaded_after(code) == allowed
    assert output.stat().st_size > 0
