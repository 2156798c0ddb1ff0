"""Models of any Keras written for Keras 3, read back and evaluated: no framework takes part."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from keras_files import dense, numbers, recurrent, write
from keras_fixtures import LOW_PRECISION, REFUSED, cases, described, model_file, name_of, recorded, within
from sampling import sampled
from torch import nn

import converters
from converters import ConversionError, ConversionWarning, NotRepresentable, VerificationFailed
from converters.cli import main
from converters.verification.evaluate import evaluate
from converters.writers import in_place

WRITTEN = [case for case in cases() if name_of(case) not in REFUSED]


def quietly(source: Any, output: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return converters.convert_file(source, output, **options)


@pytest.mark.parametrize("case", sampled([pytest.param(case, id=name_of(case)) for case in WRITTEN], 4))
def test_a_written_model_computes_what_its_source_does(case: Path, tmp_path: Path, measured: Any) -> None:
    """Our evaluator on both, and the outputs that the framework recorded."""
    output = tmp_path / f"model{('.keras', '.h5')[WRITTEN.index(case) % 2]}"
    quietly(model_file(case), output)
    old, new = converters.read(model_file(case)).graph, converters.read(output).graph
    assert old is not None and new is not None
    inputs = recorded(case, "in")
    found = [evaluate(new, inputs)[name] for name in new.outputs]
    expected = [evaluate(old, inputs)[name] for name in old.outputs]
    measured(f"written {name_of(case)}", within(found, expected, 1e-6))
    within(found, recorded(case, "out"), described(case)["tolerance"] if name_of(case) in LOW_PRECISION else 2e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_without_another_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (case,) = [case for case in cases() if name_of(case) == name]
    with pytest.raises(ConversionError, match=REFUSED[name]):
        converters.convert_file(model_file(case), tmp_path / "model.keras")
    assert list(tmp_path.iterdir()) == []


def arrays_of(file: Any) -> dict[str, np.ndarray]:
    """Every array of an HDF5 file by its place."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda name, node: found.update({name: node[()]} if isinstance(node, h5py.Dataset) else {}))
    return found


def archived(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The configuration and the arrays of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        return json.loads(archive.read("config.json")), arrays_of(io.BytesIO(archive.read("model.weights.h5")))


def old(path: Path, **config: Any) -> Path:
    """An LSTM and a Dense of Keras 2.2."""
    layers = [recurrent("LSTM", "rnn", 3, 5, batch_input_shape=[None, 7, 3], **config), dense("head", 5, 2)]
    return write(path, *layers, version="2.2.4")


# --- one hard_sigmoid by the other


def test_gates_are_written_times_a_factor_and_the_report_says_so(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="hard_sigmoid")
    report = converters.convert_file(source, tmp_path / "new.keras", verify=True)
    assert "gates i, f, o are written times 1.2" in str(report) and "verified" in str(report)
    config, arrays = archived(tmp_path / "new.keras")
    assert config["config"]["layers"][1]["config"]["recurrent_activation"] == "hard_sigmoid"
    for number, name in enumerate(("kernel", "recurrent_kernel", "bias")):
        stored = arrays_of(source)[f"model_weights/rnn/rnn/lstm_cell/{name}"]
        factors = np.repeat([1.2, 1.2, 1.0, 1.2], 5)
        expected = (stored * factors).astype(np.float32)
        assert np.array_equal(arrays[f"layers/lstm/cell/vars/{number}"], expected), name


def test_without_the_factor_the_outputs_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The factor is no ornament: a file without it does not pass its own proof, and does not appear."""
    source = old(tmp_path / "old.h5", recurrent_activation="hard_sigmoid")
    monkeypatch.setattr(sys.modules["converters.planning.pairing"], "factors", lambda *_: {})
    with pytest.raises(VerificationFailed, match="the written model gives otherwise"):
        converters.convert_file(source, tmp_path / "new.keras", verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old.h5"]


def test_the_candidate_of_an_lstm_has_no_factor(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", activation="hard_sigmoid")
    with pytest.raises(NotRepresentable, match=r"its activation is hard_sigmoid \(clip\(0.2"):
        converters.convert_file(source, tmp_path / "new.keras")


def test_a_whole_model_is_exact_or_refused_whatever_is_asked(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", activation="hard_sigmoid")
    with pytest.raises(NotRepresentable, match="its activation is hard_sigmoid"):
        converters.convert_file(source, tmp_path / "new.keras", strict=False)


def test_arrays_for_keras_have_the_factor_too(tmp_path: Path) -> None:
    arrays = converters.convert(old(tmp_path / "old.h5", recurrent_activation="hard_sigmoid"), to="keras")
    assert list(arrays) == ["rnn/kernel", "rnn/recurrent_kernel", "rnn/bias", "head/kernel", "head/bias"]
    kernel = arrays_of(tmp_path / "old.h5")["model_weights/rnn/rnn/lstm_cell/kernel"]
    assert np.array_equal(arrays["rnn/kernel"][:, 10:15], kernel[:, 10:15])
    assert np.array_equal(arrays["rnn/kernel"][:, :10], (kernel[:, :10] * np.float64(1.2)).astype(np.float32))


# --- files


def test_every_option_is_spelled_out_and_nothing_of_the_source_is_copied(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid", kernel_constraint="SecretOfAStranger")
    converters.convert_file(source, tmp_path / "new.keras")
    config, _ = archived(tmp_path / "new.keras")
    assert "SecretOfAStranger" not in json.dumps(config)
    layers = {layer["name"]: layer["config"] for layer in config["config"]["layers"]}
    assert (
        layers["rnn"].items()
        >= {
            "units": 5,
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            "use_bias": True,
            "return_sequences": True,
            "go_backwards": False,
        }.items()
    )


def test_the_same_source_gives_the_same_file(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid")
    for name in ("one.keras", "two.keras"):
        converters.convert_file(source, tmp_path / name)
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()


def test_weights_alone_are_those_of_the_archive(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid")
    converters.convert_file(source, tmp_path / "new.keras")
    converters.convert_file(source, tmp_path / "new.weights.h5")
    one, two = archived(tmp_path / "new.keras")[1], arrays_of(tmp_path / "new.weights.h5")
    assert list(one) == list(two) and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5", ".safetensors"])
def test_tensors_larger_than_the_buffer_go_through_a_mapping(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid")
    converters.convert_file(source, tmp_path / f"one{suffix}")
    monkeypatch.setattr(in_place, "_BUFFER", 100)
    converters.convert_file(source, tmp_path / f"two{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_a_file_does_not_tell_when_it_was_written(tmp_path: Path) -> None:
    """A second later the bytes are the same, though HDF5 would note the time of every dataset."""
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid")
    converters.convert_file(source, tmp_path / "one.h5")
    time.sleep(1.1)
    converters.convert_file(source, tmp_path / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_long_list_of_names_is_cut_as_keras_cuts_it(tmp_path: Path) -> None:
    names = [f"{'a' * 2000}_{number}" for number in range(40)]
    source = write(tmp_path / "old.h5", *(dense(name, 2, 2) for name in names))
    converters.convert_file(source, tmp_path / "new.h5", like=source)
    with h5py.File(tmp_path / "new.h5") as file:
        assert "layer_names" not in file.attrs
        listed = [*file.attrs["layer_names0"], *file.attrs["layer_names1"]]
    assert [name.decode() for name in listed] == names


def test_no_framework_is_imported(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="hard_sigmoid")
    code = (
        "import sys, converters\n"
        f"converters.convert_file({str(source)!r}, {str(tmp_path / 'new.keras')!r}, verify=True)\n"
        "print([m for m in ('torch', 'keras', 'tensorflow', 'tf_keras', 'onnx') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_command_upgrades(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="hard_sigmoid")
    run = CliRunner().invoke(main, ["upgrade", str(source), str(tmp_path / "new.keras"), "--verify"])
    assert run.exit_code == 0 and "verified" in run.output and "times 1.2" in run.output
    wrong = CliRunner().invoke(main, ["upgrade", str(source), str(tmp_path / "new.safetensors")])
    assert wrong.exit_code == 2 and "a whole model is a .keras or .h5 file" in wrong.output


def test_a_source_without_a_network_says_what_to_do(tmp_path: Path) -> None:
    arrays = {"lstm": {"kernel": numbers(3, 20), "recurrent_kernel": numbers(5, 20), "bias": numbers(20)}}
    source = {f"lstm/{name}": array for name, array in arrays["lstm"].items()}
    with pytest.raises(NotRepresentable, match=r"the source tells no network.*like="):
        converters.convert_file(source, tmp_path / "model.keras", framework="keras")
    with pytest.raises(ConversionError, match=r"like= gives names for weights: \.weights\.h5 or \.h5"):
        converters.convert_file(source, tmp_path / "model.keras", framework="keras", like="model.json")


def test_verify_is_for_pytorch_and_whole_models(tmp_path: Path) -> None:
    source = old(tmp_path / "old.h5", recurrent_activation="sigmoid")
    with pytest.raises(ConversionError, match="builds a module of PyTorch"):
        converters.convert(source, to="keras", verify=True)
    with pytest.raises(ConversionError, match="builds a module of PyTorch"):
        converters.convert_file(source, tmp_path / "new.weights.h5", verify=True)


@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_in_groups_is_refused(bias: bool, tmp_path: Path) -> None:
    """Keras has none: its kernel would be taken for that of all channels."""
    path, module = tmp_path / "model.onnx", nn.Sequential(nn.ConvTranspose1d(4, 6, 3, groups=2, bias=bias))
    torch.onnx.export(module, torch.randn(2, 4, 7), path, dynamo=False, opset_version=17)
    said = "no module for conv transpose1d grouped" if bias else "it is cut into 2 groups"
    with pytest.raises(converters.NotRepresentable, match=said):
        converters.convert_file(path, tmp_path / "model.keras")
    for framework in ("keras", "flax", "haiku"):
        with pytest.raises(converters.NotRepresentable, match=said):
            converters.convert(path, to=framework)


def test_a_vector_without_a_batch_is_refused(tmp_path: Path) -> None:
    source = converters.trace(nn.Sequential(nn.Linear(5, 3)), torch.randn(5))
    with pytest.raises(converters.NotRepresentable, match="a vector without a batch"):
        converters.convert_file(source, tmp_path / "model.keras")
