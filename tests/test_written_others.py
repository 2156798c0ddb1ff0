"""Files that are written for other frameworks: read back bit for bit, and run by the frameworks where they are there.

A framework that is not installed here can run in another Python: GATEPORT_PYTHONS="mxnet=/path/to/python chainer=…".
"""

from __future__ import annotations

import errno
import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import converters
from converters import ConversionError
from converters.writers import checkpoint

HERE = Path(__file__).parent
PYTHONS = dict(pair.split("=", 1) for pair in os.environ.get("GATEPORT_PYTHONS", "").split())
FILES = {
    "tensorflow": "model.ckpt",
    "mxnet": "model.params",
    "paddle": "model.pdparams",
    "chainer": "model.npz",
    "mlx": "model.safetensors",
    "tinygrad": "model.safetensors",
    "equinox": "model.eqx",
    "flax": "model.msgpack",
    "haiku": "model.npz",
    "sonnet": "model.npz",
}
CONSTANTS: dict[str, dict[str, float]] = {"tensorflow": {"forget_bias": 1.0}}
ASSUMED = {
    "tensorflow": {"lstm.forget_bias": "1.0", "head.class": "Dense"},
    "equinox": {"order": "lstm=LSTMCell gru=GRUCell head=Linear"},
}
INPUT, UNIT, DEEP, OUT = 3, 5, 7, 2


class Stack(nn.Module):
    """Two layers of both directions, and a GRU on them."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUT, UNIT, 2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(2 * UNIT, DEEP, batch_first=True)
        self.head = nn.Linear(DEEP, OUT)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0])


class Plain(nn.Module):
    """One layer and one direction of each."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUT, UNIT, batch_first=True)
        self.gru = nn.GRU(UNIT, DEEP, batch_first=True)
        self.head = nn.Linear(DEEP, OUT)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0])


class Short(nn.Module):
    """An LSTM alone: the framework has no GRU that resets after the product."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUT, UNIT, batch_first=True)
        self.head = nn.Linear(UNIT, OUT)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.lstm(x)[0])


NETWORKS = {**dict.fromkeys(("mxnet", "paddle", "chainer"), Stack), **dict.fromkeys(("mlx", "equinox", "flax"), Plain)}


def network(framework: str) -> nn.Module:
    """The module whose weights go to a framework: every one of them random."""
    torch.manual_seed(11)
    module = NETWORKS.get(framework, Short)().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module


@pytest.fixture(params=FILES)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(framework: str, module: Any, folder: Path) -> Path:
    path = folder / FILES[framework]
    converters.convert_file(module, path, to=framework, constants=CONSTANTS.get(framework, {}))
    return path


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], strict=True, err_msg=name)


def python_of(framework: str) -> str:
    """The Python that has a framework; the test is skipped where there is none."""
    if framework in PYTHONS:
        return PYTHONS[framework]
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed, and GATEPORT_PYTHONS names no Python that has it")
    return sys.executable


@pytest.mark.filterwarnings("ignore::converters.ConversionWarning")
def test_what_is_written_is_read_back_bit_for_bit(framework: str, tmp_path: Path) -> None:
    module = network(framework)
    path = written(framework, module, tmp_path)
    constants = CONSTANTS.get(framework, {})
    arrays = converters.convert(module, to=framework, constants=constants)
    source: Any = path if path.exists() else path.with_name(f"{path.name}.index")
    back = converters.convert(
        source, framework=framework, to=framework, assume=ASSUMED.get(framework), constants=constants
    )
    same(arrays, back)


def test_the_framework_computes_what_the_module_does(framework: str, tmp_path: Path) -> None:
    python = python_of(framework)
    module = network(framework)
    path = written(framework, module, tmp_path)
    x = np.random.default_rng(3).normal(size=(2, 7, INPUT)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    command = [python, str(HERE / "other_frameworks.py"), framework, str(path), "x.npy", "y.npy"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    worst = np.abs(np.load(tmp_path / "y.npy") - expected).max()
    print(f"{framework}: {worst:.2g}")
    assert worst <= 1e-6


def dense(count: int) -> dict[str, np.ndarray[Any, Any]]:
    """Layers of Keras with long names."""
    rng = np.random.default_rng(5)
    return {f"dense_{number:04d}_{'x' * 70}/kernel": rng.normal(size=(2, 3)) for number in range(count)}


def test_an_index_of_several_blocks_is_read_by_us_and_by_tensorflow(tmp_path: Path) -> None:
    arrays = dense(900)
    converters.convert_file(arrays, tmp_path / "m.ckpt", framework="keras", to="tensorflow")
    index = (tmp_path / "m.ckpt.index").read_bytes()
    assert len(index) > 1 << 16
    back = converters.convert(tmp_path / "m.ckpt", framework="tensorflow", to="tensorflow", assume={"class": "Dense"})
    same(arrays, back)
    reader = pytest.importorskip("tensorflow").train.load_checkpoint(str(tmp_path / "m.ckpt"))
    same(arrays, {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})


@pytest.mark.parametrize("old", [True, False], ids=["over-an-old-one", "new"])
@pytest.mark.parametrize("step", ["_table", "_entry", "_checksums"])
def test_half_a_checkpoint_is_none(step: str, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong leaves both files as they were."""
    if old:
        converters.convert_file(dense(2), tmp_path / "m.ckpt", framework="keras", to="tensorflow")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, step, full)
    with pytest.raises(ConversionError, match="No space left"):
        converters.convert_file(dense(3), tmp_path / "m.ckpt", framework="keras", to="tensorflow")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("framework", ["mxnet", "paddle", "tensorflow"])
def test_a_dtype_that_a_file_has_not_is_refused_by_name(framework: str, tmp_path: Path) -> None:
    kind = "float8_e4m3fn" if framework != "paddle" else "bfloat16"
    array = np.zeros((2, 3), np.dtype(getattr(pytest.importorskip("ml_dtypes"), kind)))
    with pytest.raises(ConversionError, match=rf"dense.*no dtype {kind}"):
        converters.convert_file({"dense/kernel": array}, tmp_path / FILES[framework], framework="keras", to=framework)
    assert list(tmp_path.iterdir()) == []


def test_the_pickle_of_paddle_is_one_of_arrays(tmp_path: Path) -> None:
    """Python's own unpickler gives NumPy arrays by name, of both names of a recurrent layer the same."""
    module = network("paddle")
    found = pickle.loads(written("paddle", module, tmp_path).read_bytes())
    table = found.pop("StructuredToParameterName@@")
    assert table.keys() == found.keys()
    arrays = converters.convert(module, to="paddle")
    same(arrays, {name: found[name] for name in arrays})
    assert found["lstm.1.cell_bw.bias_hh"] is found["lstm.bias_hh_l1_reverse"]
    assert found["gru.0.cell.weight_ih"] is found["gru.weight_ih_l0"]
