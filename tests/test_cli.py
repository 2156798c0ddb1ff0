"""The command: what goes to stdout, to stderr and into the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from keras_files import bidirectional, dense, recurrent, write
from safetensors.numpy import load_file

import converters
from converters.cli import main

HARD = {"recurrent_activation": "hard_sigmoid"}


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.h5", recurrent("LSTM", "rnn", 3, 5), dense("head", 5, 2))


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    return write(tmp_path / "hard.h5", recurrent("LSTM", "rnn", 3, 5, **HARD), dense("head", 5, 2))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write(tmp_path / "weights.h5", recurrent("LSTM", "rnn", 3, 5), whole=False)


@pytest.mark.parametrize("command", ["inspect", "plan"])
def test_a_table_goes_to_stdout(command: str, model: Path) -> None:
    result = run(command, model)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "rnn" in result.stdout and "LSTM" in result.stdout


def test_the_layer_table_mentions_what_needs_care(tmp_path: Path) -> None:
    layers = [
        recurrent("LSTM", "rnn", 3, 5, go_backwards=True, stateful=True),
        bidirectional("GRU", "both", 5, 7, merge_mode="sum", return_sequences=False),
    ]
    printed = words(run("inspect", write(tmp_path / "m.h5", *layers)).stdout)
    wanted = ("direction=backward", "stateful=True", "merge=sum", "reset_after=True", "Bidirectional(GRU)")
    assert [text for text in wanted if text not in printed] == []


def test_assumptions_are_marked_in_the_table(weights: Path) -> None:
    assert "recurrent_activation=sigmoid (assumed)" in words(run("inspect", weights).stdout)


def test_inspect_gives_json(model: Path) -> None:
    found = json.loads(run("inspect", model, "--json").stdout)
    assert {"path", "framework", "version", "container", "layers"} <= found.keys()
    assert [(layer["path"], layer["class_name"], layer["parameters"]) for layer in found["layers"]] == [
        ("rnn", "LSTM", 180),
        ("head", "Dense", 12),
    ]


def test_plan_gives_json(model: Path) -> None:
    found = json.loads(run("plan", model, "--json").stdout)
    assert {"path", "framework", "version", "strict", "modules", "warnings", "problems", "bytes"} <= found.keys()
    assert [module["constructor"] for module in found["modules"]] == [
        "nn.LSTM(3, 5, batch_first=True)",
        "nn.Linear(5, 2)",
    ]
    assert found["modules"][0]["tensors"]["rnn.weight_ih_l0"] == {"shape": [20, 3], "dtype": "float32"}
    assert found["bytes"] == 4 * (180 + 20 + 12)


def test_a_refused_plan_is_one_json_document_and_exit_code_1(refused: Path) -> None:
    result = run("plan", refused, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [(problem["type"], problem["layer"]) for problem in found["problems"]] == [("NotRepresentable", "rnn")]
    assert [module["exact"] for module in found["modules"]] == [False, True]


@pytest.mark.parametrize("command", ["inspect", "plan", "convert"])
def test_an_error_is_one_line_on_stderr_and_exit_code_1(command: str, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.h5"
    stranger.write_bytes(b"no model")
    result = run(command, stranger, *([tmp_path / "out.npz"] if command == "convert" else []))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"gateport: {stranger}: ")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("command", ["inspect", "plan", "convert"])
def test_an_error_is_json_where_json_is_asked_for(command: str, tmp_path: Path) -> None:
    output = [tmp_path / "out.npz"] if command == "convert" else []
    result = run(command, tmp_path / "nothing.h5", *output, "--json")
    assert json.loads(result.stdout)["error"]["type"] == "UnreadableCheckpoint"
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["inspect"], id="no-source"),
        pytest.param(["convert", "{model}"], id="no-output"),
        pytest.param(["nonsense", "{model}"], id="command"),
        pytest.param(["plan", "{model}", "--stack", "rnn"], id="stack-without-equals"),
        pytest.param(["plan", "{model}", "--stack", "=a,b"], id="stack-without-name"),
        pytest.param(["plan", "{model}", "--rename", "a="], id="rename-to-nothing"),
        pytest.param(["plan", "{model}", "--rename", "a=b", "--rename", "a=c"], id="rename-twice"),
        pytest.param(["plan", "{model}", "--assume", "sigmoid"], id="assume-without-equals"),
        pytest.param(["plan", "{model}", "--dtype", "int8"], id="dtype"),
        pytest.param(["inspect", "{model}", "--strict"], id="option-of-another-command"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], model: Path) -> None:
    result = run(*(argument.format(model=model) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--rename", "nobody=x"], ["--stack", "s=rnn,nobody"], ["--layer", "nobody"], ["--assume", "rnn.activation=relu"]],
    ids=["rename", "stack", "layer", "assume"],
)
def test_an_option_that_the_file_refuses_is_exit_code_1(arguments: list[str], model: Path) -> None:
    result = run("plan", model, *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
def test_convert_writes_what_the_library_converts(suffix: str, model: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    result = run("convert", model, output, "--rename", "head=top")
    assert (result.exit_code, result.stderr) == (0, "")
    assert str(output) in words(result.stdout).replace(" ", "") and "nn.LSTM(3, 5, batch_first=True)" in result.stdout
    expected = {key: tensor.numpy() for key, tensor in converters.convert(model, rename={"head": "top"}).items()}
    found = _loaded(output)
    assert found.keys() == expected.keys() and all(np.array_equal(found[key], expected[key]) for key in expected)


def _loaded(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".pt":
        return {key: tensor.numpy() for key, tensor in torch.load(path, weights_only=True).items()}
    with np.load(path) as file:
        return dict(file)


def test_convert_options_reach_the_conversion(tmp_path: Path) -> None:
    file = write(tmp_path / "m.h5", recurrent("GRU", "a", 3, 5), recurrent("GRU", "b", 5, 5))
    result = run("convert", file, tmp_path / "o.npz", "--stack", "rnn=a,b", "--dtype", "float16", "--json")
    found = json.loads(result.stdout)
    assert found["output"] == str(tmp_path / "o.npz") and found["warnings"] == []
    arrays = _loaded(tmp_path / "o.npz")
    assert "rnn.weight_hh_l1" in arrays and {array.dtype for array in arrays.values()} == {np.dtype("float16")}


def test_one_layer_is_converted_without_a_prefix(model: Path, tmp_path: Path) -> None:
    assert run("convert", model, tmp_path / "o.npz", "--layer", "head").exit_code == 0
    assert _loaded(tmp_path / "o.npz").keys() == {"weight", "bias"}


def test_no_strict_warns_on_stderr_and_writes(refused: Path, tmp_path: Path) -> None:
    assert run("convert", refused, tmp_path / "o.npz").exit_code == 1
    assert not (tmp_path / "o.npz").exists()
    result = run("convert", refused, tmp_path / "o.npz", "--no-strict")
    assert result.exit_code == 0 and result.stderr.startswith("gateport: warning: rnn: ")
    assert "warning" not in result.stdout and "rnn.weight_ih_l0" in _loaded(tmp_path / "o.npz")


def test_a_statement_ends_the_warning(weights: Path, tmp_path: Path) -> None:
    stated = ["--assume", "activation=tanh", "--assume", "rnn.recurrent_activation=sigmoid"]
    assert "assumed" in run("convert", weights, tmp_path / "o.npz").stderr
    assert run("convert", weights, tmp_path / "o.npz", *stated).stderr == ""


def test_debug_lets_the_error_through(tmp_path: Path) -> None:
    with pytest.raises(converters.UnreadableCheckpoint):
        CliRunner().invoke(main, ["--debug", "inspect", str(tmp_path / "nothing.h5")], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        pytest.param([], ("keras", "pytorch", "flax", "tensorflow", "forget_bias to f"), id="all"),
        pytest.param(["keras"], ("keras LSTM", "gates i f g o", "recurrent_kernel"), id="framework"),
        pytest.param(["keras", "gru"], ("gates z r n", "reset_after=True", "reset_after=False"), id="layer"),
    ],
)
def test_layouts_are_printed_from_the_data(arguments: list[str], wanted: tuple[str, ...]) -> None:
    result = run("layouts", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [text for text in wanted if text not in words(result.stdout)] == []


def test_layouts_of_an_unknown_framework_are_refused() -> None:
    result = run("layouts", "nonsense")
    assert (result.exit_code, result.stdout) == (1, "") and "nonsense" in result.stderr


def process(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "converters.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_converts_quietly(model: Path, tmp_path: Path) -> None:
    done = process("convert", model, tmp_path / "o.safetensors")
    assert (done.returncode, done.stderr) == (0, "") and "rnn = nn.LSTM" in done.stdout
    assert load_file(tmp_path / "o.safetensors").keys() == converters.convert(model).keys()


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
def test_a_process_shows_a_traceback_only_when_asked(debug: bool, refused: Path, tmp_path: Path) -> None:
    done = process(*["--debug"] * debug, "convert", refused, tmp_path / "o.npz")
    assert (done.returncode, done.stdout) == (1, "")
    assert ("Traceback" in done.stderr) == debug and "hard_sigmoid" in done.stderr
    assert debug or done.stderr.count("\n") == 1
