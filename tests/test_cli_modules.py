"""`gateport convert FILE.py:CLASS`: somebody's own module, as weights or traced into a whole model; and wrong uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result

from converters.cli import main
from converters.torch.own_file import module_from

CODE = """
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(3, 5, 2, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        h0 = torch.zeros(2, x.size(0), 5)
        return self.fc(self.lstm(x, (h0, h0))[0][:, -1])

class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.gru = nn.Embedding(11, 3), nn.GRU(3, 5, batch_first=True)

    def forward(self, x, lengths):
        return self.gru(pack_padded_sequence(self.words(x), lengths, batch_first=True))[1]

class Sized(Model):
    def __init__(self, size):
        super().__init__()

def model():
    return Model()

def words():
    return Words()
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CODE)
    torch.manual_seed(3)
    torch.save(module_from(f"{tmp_path / 'mine.py'}:Model").state_dict(), tmp_path / "w.pt")
    return tmp_path / "mine.py"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


def test_a_module_becomes_a_whole_model(mine: Path) -> None:
    weights, output = mine.with_name("w.pt"), mine.with_name("out.onnx")
    done = run(f"{mine}:Model", output, "--weights", weights, "--input", "2,7,3", "--verify")
    assert done.exit_code == 0, done.output
    assert "verified" in done.output
    x = torch.randn(3, 4, 3)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    expected = module_from(f"{mine}:Model", str(weights))(x).detach().numpy()
    assert np.abs(session.run(None, {"x": x.numpy()})[0] - expected).max() <= 1e-6


def test_a_module_without_inputs_gives_its_weights(mine: Path) -> None:
    done = run(f"{mine}:Model", mine.with_name("out.pt"), "--weights", mine.with_name("w.pt"))
    assert done.exit_code == 0, done.output
    stored, own = torch.load(mine.with_name("out.pt")), torch.load(mine.with_name("w.pt"))
    assert stored.keys() == own.keys() and all(torch.equal(stored[key], own[key]) for key in own)


def test_whole_numbers_and_files_are_inputs(mine: Path) -> None:
    np.save(mine.with_name("lengths.npy"), np.array([7, 4]))
    inputs = ("--input", "2,7:int64", "--input", mine.with_name("lengths.npy"))
    done = run(f"{mine}:words", mine.with_name("words.onnx"), *inputs)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mine.py:Model", "out.onnx"), "a whole model is traced on inputs: --input 2,7,3"),
        (("mine.py:model", "out.onnx", "--input", "2,7,9"), r"does not run on inputs of the shapes \(2, 7, 9\)"),
        (("mine.py:model", "out.onnx", "--input", "2x7x3"), "a shape, 2,7,3 or 2,7:int64, or a file, x.npy"),
        (("mine.py:model", "out.onnx", "--input", "2,7,3:complex64"), "a shape, 2,7,3 or"),
        (("mine.py:model", "out.onnx", "--input", "99999,99999,99999"), "a shape of 1 to"),
        (("mine.py:model", "out.onnx", "--input", "mine.npy"), "no file of one array of NumPy"),
        (("mine.py:Model", "out.onnx", "--input", "2,7,3"), "no weights are named.*: name a file"),
        (("mine.py:Sized", "out.onnx", "--input", "2,7,3"), "cannot be called without arguments"),
        (("mine.py:Other", "out.onnx", "--input", "2,7,3"), "defines no Other"),
        (("none.py:Model", "out.onnx", "--input", "2,7,3"), "there is no such file"),
        (("mine.py:words", "out.onnx", "--input", "2,7:int64"), "missing 1 required positional argument: 'lengths'"),
        (("w.pt", "out.xyz"), r"named after its format: .*\.ckpt.*\.keras"),
        (("w.pt", "out.pt", "--like", "mine.py"), r"--like is a model of Keras: its weights are a \.weights\.h5"),
        (("w.pt", "out.ckpt"), r"--constant forget_bias=1\.0"),
        (("w.pt", "out.keras"), r"gateport convert FILE\.py:CLASS --input SHAPE"),
    ],
)
def test_a_wrong_use_is_one_line(
    arguments: tuple[str, ...], message: str, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    before = {*mine.parent.iterdir()}
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("gateport: ") and done.stderr.count("\n") == 1
    assert {path for path in mine.parent.iterdir() if path.name != "__pycache__"} == before
    assert re.search(message, done.stderr), done.stderr


def test_inputs_of_what_is_no_module_are_a_usage_error(mine: Path) -> None:
    done = run(mine.with_name("w.pt"), mine.with_name("out.onnx"), "--input", "2,7,3")
    assert done.exit_code == 2 and "FILE.py:CLASS" in done.stderr
