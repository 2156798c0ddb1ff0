"""MAT-files of both versions: the same layers in the same places, texts that tell options, objects left alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from layout_samples import normal

import converters
from converters import ConversionError, NotRepresentable, UnreadableCheckpoint
from converters.cli import main
from layouts import reference
from layouts.frameworks import matlab

FOLDER = ROOT / "fixtures" / "matlab"
FILES = ["net.mat", "plain.mat", "net73.mat"]


def stored() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "arrays.npz"))


def tensors(file: str) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(FOLDER / file, dropins=True)


@pytest.mark.parametrize("file", FILES)
def test_every_block_of_a_file_is_in_its_place(file: str) -> None:
    found, own = tensors(file), stored()
    assert np.array_equal(found["net.lstm.weight_ih_l0"], own["lstm/InputWeights"])
    assert np.array_equal(found["net.both.weight_hh_l0_reverse"], own["both/RecurrentWeights"][20:])
    assert np.array_equal(found["net.both.bias_ih_l0"], own["both/Bias"][:20, 0])
    assert np.array_equal(found["net.gru.weight_hh_l0"], own["gru/RecurrentWeights"])
    assert np.array_equal(found["net.second.bias_hh_l0"], own["second/Bias"][15:, 0])
    assert np.array_equal(found["net.fc.weight"], own["fc/Weights"])


@pytest.mark.parametrize("file", FILES)
def test_texts_of_a_layer_tell_its_options(file: str) -> None:
    checkpoint = converters.read(FOLDER / file)
    assert checkpoint.layer("net/before").parts[0].cell.name == "gru_reset_before"
    assert "recurrent_activation" not in checkpoint.layer("net/lstm").assumed
    assert checkpoint.layer("net/gru").assumed["reset_gate_mode"] == "after-multiplication"


def test_both_versions_and_arrays_in_memory_give_the_same() -> None:
    first = tensors("net.mat")
    for file in FILES[1:]:
        assert {key: value.tolist() for key, value in tensors(file).items()} == {
            k: v.tolist() for k, v in first.items()
        }
    own = {name: array for name, array in stored().items() if name.startswith("both/")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        memory = converters.convert(own, framework="matlab")
    assert all(np.array_equal(first[f"net.{key}"], value) for key, value in memory.items())


def test_it_is_said_that_nothing_was_compared_with_matlab() -> None:
    path = str(FOLDER / "net.mat")
    with pytest.warns(converters.ConversionWarning, match="nothing was compared with what MATLAB computes"):
        converters.convert(path, dropins=True)
    for command in (["inspect", path], ["layouts", "matlab"]):
        assert "nothing was compared" in " ".join(CliRunner().invoke(main, command).output.split())
    assert "matlab (unverified)" in CliRunner().invoke(main, ["layouts"]).output


def test_a_state_that_is_not_zero_is_left_out_only_on_demand() -> None:
    arrays = {name.partition("/")[2]: array for name, array in stored().items() if name.startswith("lstm/")}
    arrays["CellState"] = np.ones((5, 1), "f4")
    with pytest.raises(NotRepresentable, match=r"CellState is not zero.*initial_state=given.*c0"):
        converters.convert(arrays, framework="matlab")
    told = {"initial_state": "given", "activation": "tanh", "recurrent_activation": "sigmoid"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        assert len(converters.convert(arrays, framework="matlab", assume=told)) == 4


def test_the_second_bias_stands_inside_the_reset() -> None:
    """The equation of the documentation, worked by hand in NumPy, against the reference of the cell."""
    shapes = {"InputWeights": (15, 3), "RecurrentWeights": (15, 5), "Bias": (30, 1)}
    own = normal(shapes)
    x, h = np.ones((1, 1, 3)), np.full((1, 5), 0.5)
    w, u, b = own["InputWeights"], own["RecurrentWeights"], own["Bias"][:, 0]

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    first, second = x[0] @ w.T + b[:15], h @ u.T + b[15:]
    r, z = sigmoid(first[:, :5] + second[:, :5]), sigmoid(first[:, 5:10] + second[:, 5:10])
    n = np.tanh(first[:, 10:] + r * second[:, 10:])
    from layouts import unpack

    y, _ = reference.forward(matlab.GRU_SECOND.cell, unpack(matlab.GRU_SECOND, own), x, initial=(h,))
    assert np.allclose(y[:, 0], (1 - z) * n + z * h)


def test_a_file_of_objects_says_what_to_save(tmp_path: Path) -> None:
    content = (FOLDER / "plain.mat").read_bytes()[:128] + bytes.fromhex(
        "0e00000010000000 06000000080000001100000000000000"
    )
    (tmp_path / "net.mat").write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match="save the properties of its layers"):
        converters.read(tmp_path / "net.mat")


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_refused(file: str, tmp_path: Path) -> None:
    content, path = (FOLDER / file).read_bytes(), tmp_path / "cut.mat"
    for length in range(1, len(content), max(1, len(content) // 90)):
        path.write_bytes(content[:length])
        with pytest.raises(ConversionError):
            converters.convert(path, dropins=True)
