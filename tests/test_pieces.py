"""Weights in more than one file: shards with their index, and checkpoints that several processes load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from keras_files import dense, recurrent, write
from safetensors.torch import load_file

import converters
from converters import convert, convert_file
from converters.cli import main
from converters.model.amounts import size_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    layers = (recurrent("LSTM", "rnn", 3, 5), recurrent("GRU", "second", 5, 7), dense("head", 7, 2))
    return write(tmp_path / "model.h5", *layers)


def shards(folder: Path) -> dict[str, list[str]]:
    """The names of the tensors in each shard that stands in a folder."""
    return {path.name: sorted(load_file(path)) for path in sorted(folder.glob("*.safetensors"))}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.safetensors"


def test_shards_and_their_index(model: Path, out: Path) -> None:
    report = convert_file(model, out, max_shard_size=700)
    index = json.loads(Path(report.output).read_text())
    assert report.output == f"{out}.index.json"
    expected = convert(model)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in expected.values())
    found = shards(out.parent)
    assert len(found) > 2 and {len(name) for name in found} == {len("model-00001-of-00003.safetensors")}
    assert index["weight_map"] == {key: name for name, keys in found.items() for key in keys}
    for name in found:
        for key, tensor in load_file(out.parent / name).items():
            assert torch.equal(tensor, expected[key])
    for name, keys in found.items():
        size = sum(expected[key].nbytes for key in keys)
        assert size <= 700 or len(keys) == 1, name
    again = convert(report.output)
    assert again.keys() == expected.keys() and all(torch.equal(again[key], expected[key]) for key in expected)


def test_what_fits_into_one_file_is_one_file(model: Path, out: Path) -> None:
    assert convert_file(model, out, max_shard_size="2GB").output == str(out)
    assert os.listdir(out.parent) == [out.name]


def test_no_older_output_is_mixed_with_a_newer_one(model: Path, out: Path) -> None:
    convert_file(model, out)
    report = convert_file(model, out, max_shard_size=700)
    assert not out.exists() and Path(report.output).exists()
    convert_file(model, out, max_shard_size=700, dtype="float64")
    index = json.loads(Path(report.output).read_text())
    first = load_file(out.parent / index["weight_map"]["rnn.bias_ih_l0"])
    assert first["rnn.bias_ih_l0"].dtype == torch.float64


@pytest.mark.parametrize("at", range(1, 9))
def test_a_run_that_is_cut_off_leaves_no_index(at: int, model: Path, out: Path) -> None:
    """The process is killed at every one of its renames and removals."""
    code = f"""
import os, signal, pathlib
from converters import convert_file
count = 0
def counted(function):
    def call(*arguments, **options):
        global count
        count += 1
        if count == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
convert_file({str(model)!r}, {str(out)!r}, max_shard_size=700, dtype="float64")
pathlib.Path.replace, os.replace = counted(pathlib.Path.replace), counted(os.replace)
convert_file({str(model)!r}, {str(out)!r}, max_shard_size=700)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    index = Path(f"{out}.index.json")
    if run.returncode:
        assert run.returncode == -signal.SIGKILL, run.stderr
        assert not index.exists()
    else:
        assert all(tensor.dtype == torch.float32 for tensor in convert(index).values())


@pytest.mark.parametrize(
    ("text", "wanted"), [("2GB", 2 * 10**9), ("500mb", 5 * 10**8), ("1.5 GiB", 3 << 29), (7, 7), ("12", 12)]
)
def test_sizes(text: Any, wanted: int) -> None:
    assert size_of(text, "size") == wanted


@pytest.mark.parametrize("text", ["", "GB", "0", "-1", "2TBs", "nan", "1e9"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(converters.ConversionError, match="a size is a number"):
        size_of(text, "size")


def test_the_command_cuts(model: Path, out: Path) -> None:
    arguments = ["convert", str(model), str(out), "--max-shard-size"]
    result = CliRunner().invoke(main, [*arguments, "1KB"])
    assert result.exit_code == 0 and "model.safetensors.index.json: " in result.stdout
    wrong = CliRunner().invoke(main, [*arguments, "large"])
    assert wrong.exit_code == 1 and wrong.stderr.count("\n") == 1 and "--max-shard-size large" in wrong.stderr


@pytest.mark.parametrize("options", [{"verify": True}, {"to": "keras"}])
def test_what_is_not_cut(options: dict[str, Any], model: Path, out: Path) -> None:
    target = out.with_suffix(".keras") if "to" in options else out
    with pytest.raises(converters.ConversionError):
        convert_file(model, target, max_shard_size=700, **options)
    assert os.listdir(out.parent) == []


def test_a_distributed_checkpoint(model: Path, out: Path) -> None:
    from torch.distributed import checkpoint

    folder = out.parent / "checkpoint"
    result = CliRunner().invoke(main, ["convert", str(model), str(folder), "--to", "dcp"])
    assert result.exit_code == 0, result.stderr
    assert os.listdir(out.parent) == ["checkpoint"]
    expected = convert(model)
    found = {key: torch.full_like(tensor, torch.nan) for key, tensor in expected.items()}
    checkpoint.load(found, checkpoint_id=folder, no_dist=True)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    with pytest.raises(converters.ConversionError, match="there already"):
        convert_file(model, folder, to="dcp")


def test_bfloat16_in_a_distributed_checkpoint(model: Path, out: Path) -> None:
    from torch.distributed import checkpoint

    convert_file(model, out.parent / "half", to="dcp", dtype="bfloat16")
    expected = convert(model, dtype="bfloat16")
    found = {key: torch.zeros_like(tensor) for key, tensor in expected.items()}
    checkpoint.load(found, checkpoint_id=out.parent / "half", no_dist=True)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


LOADER = """
import os, sys
import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

rank, folder, store, whole = int(sys.argv[1]), *sys.argv[2:]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 5, batch_first=True)
        self.second = nn.GRU(5, 7, batch_first=True)
        self.head = nn.Linear(7, 2)

model = Model()
mesh = init_device_mesh("cpu", (2,))
for part in (model.rnn, model.second, model.head, model):
    fully_shard(part, mesh=mesh)
state = get_model_state_dict(model)
assert all(isinstance(tensor, DTensor) for tensor in state.values())
checkpoint.load(state, checkpoint_id=folder)
set_model_state_dict(model, state)
expected = torch.load(whole)
for key, tensor in get_model_state_dict(model).items():
    assert tensor.to_local().numel() < expected[key].numel(), key
    assert torch.equal(tensor.full_tensor(), expected[key]), key
assert set(state) == set(expected)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_load_it_into_modules_that_they_share(model: Path, out: Path) -> None:
    convert_file(model, out.parent / "checkpoint", to="dcp")
    torch.save(convert(model), out.parent / "whole.pt")
    where = [str(out.parent / name) for name in ("checkpoint", "store", "whole.pt")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", LOADER, str(rank), *where], env=environment, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=120)[1].decode() for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], errors
