"""`build` on every Keras fixture and every real file: the outputs that the framework recorded, or a refusal by name."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from conftest import ROOT
from keras_files import numbers, other, recurrent, write
from torch import nn

import converters
from converters.torch.build import Draft, build, draft

REAL = ROOT.parent / "shared" / "real"
EXACT = 1e-5
"""The largest difference that passes, of outputs whose largest is 1 or less."""

REFUSED = {
    "keras1/unknown_layers": ("highway_1", "maxoutdense_1", "parametricsoftplus_1", "srelu_1"),
    "keras2/lambda_layer": ("lambda_1",),
    "keras3/lambda_custom": ("stretch", "double"),
    "keras3/lora": ("embedding", "head"),
    "keras3/quantized": ("embedding", "head"),
    "keras3/vars_over_ten": ("polynomial",),
}
"""Fixtures that cannot be built, and the layers that are named."""
ALSO_BUILT = {"keras3/lora/model.keras"}
"""Files of these that can."""


def cases() -> Iterator[Any]:
    for kind in ("keras*", "tf_keras*"):
        for case in sorted((ROOT / "fixtures").glob(f"{kind}/*/case.json")):
            for name in json.loads(case.read_text())["files"]:
                file = case.parent / name
                yield pytest.param(file, id=str(file.relative_to(ROOT / "fixtures")))


FILES = list(cases())


@cache
def read(file: Path) -> converters.Checkpoint:
    return converters.read(file)


def drafted(file: Path) -> Draft:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return draft(read(file), {})


def built(file: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return build(file)


def recorded(arrays: Any, what: str) -> list[np.ndarray[Any, Any]]:
    """The whole model's inputs or outputs, in order."""
    keys = sorted((key for key in arrays if key.startswith(f"model/{what}/")), key=lambda key: int(key.split("/")[2]))
    return [arrays[key] for key in keys]


def outputs(module: nn.Module, inputs: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    with torch.no_grad():
        found = module(*map(torch.from_numpy, inputs))
    return [y.double().numpy() for y in (found if isinstance(found, tuple) else (found,))]


def worst(found: list[np.ndarray[Any, Any]], expected: list[np.ndarray[Any, Any]]) -> float:
    """The largest difference of all outputs, of one that is larger than 1 in parts of it."""
    assert [y.shape for y in found] == [y.shape for y in expected]
    errors = []
    for one, wanted in zip(found, expected, strict=True):
        wanted = wanted.astype(np.float64)
        assert np.isfinite(one).all() and np.isfinite(wanted).all()
        errors.append(np.abs(one - wanted).max(initial=0.0) / max(1.0, np.abs(wanted).max(initial=0.0)))
    return float(max(errors))


def named(file: Path) -> str:
    return "/".join(file.relative_to(ROOT / "fixtures").parts[:2])


@pytest.mark.parametrize("file", FILES)
def test_fixture(file: Path, measured: Any) -> None:
    if read(file).graph is None:
        with pytest.raises(converters.NotRepresentable, match="convert gives the weights, and load_into"):
            built(file)
        return
    refused = REFUSED.get(named(file), ())
    if refused and str(file.relative_to(ROOT / "fixtures")) not in ALSO_BUILT:
        with pytest.raises(converters.NotRepresentable) as caught:
            built(file)
        missing = [name for name in refused if name not in str(caught.value)]
        assert not missing, str(caught.value)
        return
    module, arrays = built(file), np.load(file.parent / "io.npz")
    assert set(module.state_dict()) == set(converters.convert(file, dropins=True))
    inputs, expected = recorded(arrays, "in"), recorded(arrays, "out")
    tolerance = max(EXACT, json.loads((file.parent / "case.json").read_text())["tolerance"])
    error = worst(outputs(module, inputs), expected)
    measured(f"build/{file.parent.name}", error)
    assert error <= tolerance


def real_files() -> Iterator[Any]:
    if REAL.is_dir():
        for entry in json.loads((REAL / "manifest.json").read_text())["files"]:
            if entry["path"].endswith((".h5", ".hdf5", ".keras")) and "_inputs_and_outputs" not in entry["path"]:
                yield pytest.param(entry, id=entry["path"])


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real model files is not beside this repository")
@pytest.mark.parametrize("entry", list(real_files()))
def test_real_file(entry: dict[str, Any], measured: Any) -> None:
    file = REAL / entry["path"]
    if read(file).graph is None:
        pytest.skip("the file holds weights alone")
    module, arrays = built(file), np.load(REAL / entry["reference"]["npz"])
    assert set(module.state_dict()) == set(converters.convert(file, dropins=True))
    expected = recorded(arrays, "out")
    if not expected:
        pytest.skip("no outputs of the whole model are recorded")
    error = worst(outputs(module, recorded(arrays, "in")), expected)
    measured(f"build/{entry['path']}", error)
    assert error <= EXACT


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_on_theano_lays_its_windows_of_same_elsewhere(padding: str, tmp_path: Path) -> None:
    """Of 7 steps, by 2: TensorFlow pads behind, Theano in front, so that the first step is alone in its window."""
    pool = other(
        "MaxPooling1D", "pool", {}, pool_size=[2], strides=[2], padding=padding, batch_input_shape=[None, 7, 3]
    )
    file = write(tmp_path / "model.h5", pool, recurrent("LSTM", "lstm", 3, 5, return_sequences=True), version="2.2.4")
    x = torch.from_numpy(numbers(2, 7, 3))
    on_tensorflow = converters.build(file)
    with h5py.File(file, "r+") as opened:
        opened.attrs["backend"] = "theano"
    on_theano = converters.build(file)
    if padding == "valid":
        assert torch.equal(on_theano(x), on_tensorflow(x))
    else:
        shifted = torch.cat([x[:, :1], x], 1)  # a pair of equal steps in front: the windows of TensorFlow are Theano's
        assert torch.equal(on_theano(x), on_tensorflow(shifted))


def test_a_layer_of_code_is_refused_with_what_takes_it() -> None:
    source = ROOT / "fixtures" / "keras2" / "lambda_layer" / "model.h5"
    with pytest.raises(
        converters.NotRepresentable, match=r"custom_layers=\{'\w+': …\} of build and port takes a module"
    ):
        converters.build(source)
