"""TensorFlow's files out of public projects, read from beside the repository; else skipped."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import assert_close
from torch import nn

import converters

REAL = ROOT.parent / "shared" / "real"
CHARACTERS = REAL / "tf10-charrnn"
STOCKS = REAL / "pranav-lstm"
PREFIX = CHARACTERS / "model.ckpt-65000"

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the folder of real model files is not beside this repository"
)


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00001", "folder"])
def test_a_checkpoint_of_tensorflow_1_gives_its_own_outputs(end: str) -> None:
    """From the characters' numbers to the states of the upper layer; and each layer by itself."""
    io = np.load(f"{PREFIX}.ref.npz")
    path = CHARACTERS if end == "folder" else f"{PREFIX}{end}"
    with pytest.warns(converters.ConversionWarning, match="left out"):
        tensors = converters.convert(path, assume={"forget_bias": 1.0})
    modules = nn.ModuleDict({"embedding": nn.Embedding(148, 128), "multi_rnn_cell": nn.LSTM(128, 128, 2)})
    modules["multi_rnn_cell"].batch_first = True
    modules["softmax"] = nn.Linear(128, 148)
    modules.load_state_dict({key.removeprefix("rnnlm."): value for key, value in tensors.items()})
    with torch.no_grad():
        y, _ = modules["multi_rnn_cell"](modules["embedding"](torch.from_numpy(io["graph/ids"]).long()))
    assert_close(y.numpy(), io["graph/top_layer_h"], 1e-5, "the upper layer")


def test_without_its_graph_a_checkpoint_asks_for_what_no_array_tells() -> None:
    with pytest.raises(converters.NotRepresentable, match=r"forget_bias.*assume=\{'rnnlm.multi_rnn_cell.forget_bias'"):
        converters.convert(PREFIX)


@pytest.mark.parametrize("given", ["", "saved_model.pb", "keras_metadata.pb", "variables/variables.index"])
def test_a_saved_model_is_built_and_gives_its_own_outputs(given: str) -> None:
    io = np.load(STOCKS / "savedmodel.ref.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        module = converters.build(Path(STOCKS, given))
    with torch.no_grad():
        y = module(torch.from_numpy(io["model/in/0"]))
    assert_close(y.numpy(), io["model/out/0"], 1e-6, "the model")
