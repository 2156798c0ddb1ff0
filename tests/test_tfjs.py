"""Models of TensorFlow.js: what names, versions and quantizations mean. Their fixtures run among those of Keras."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from hostile.tfjs import sound_tfjs

import converters

JS = ROOT / "fixtures" / "keras_js"


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def rewritten(path: Path, change: Any) -> Path:
    """The file after `change` of what it says."""
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))
    return path


def test_a_folder_is_its_model() -> None:
    folder = JS / "nested"
    assert same(converters.convert(folder), converters.convert(folder / "model.json"))


@pytest.mark.parametrize(("case", "source"), [("archive_compiled", "compiled"), ("hdf5_of_keras3", "nested")])
def test_a_converted_file_has_the_weights_of_its_source(case: str, source: str) -> None:
    assert same(converters.convert(JS / case), converters.convert(ROOT / "fixtures/keras3" / source / "model.keras"))


def test_the_order_of_layers_tells_nothing(tmp_path: Path) -> None:
    """The converter goes through them by the alphabet; here they stand in the opposite order."""
    shutil.copytree(JS / "nested", tmp_path, dirs_exist_ok=True)
    (shard,) = tmp_path.glob("*.bin")
    data = shard.read_bytes()

    def backwards(described: dict[str, Any]) -> None:
        nonlocal data
        weights = described["weightsManifest"][0]["weights"]
        ends = np.cumsum([0, *(4 * int(np.prod(weight["shape"])) for weight in weights)])
        pieces = [(weight, data[start:stop]) for weight, (start, stop) in zip(weights, pairwise(ends), strict=True)]
        pieces.sort(key=lambda piece: piece[0]["name"].partition("/")[0], reverse=True)
        data = b"".join(piece for _, piece in pieces)
        described["weightsManifest"][0]["weights"] = [weight for weight, _ in pieces]

    rewritten(tmp_path / "model.json", backwards)
    shard.write_bytes(data)
    assert same(converters.convert(tmp_path), converters.convert(JS / "nested"))


def test_quantized_weights_are_what_they_mean_and_are_said_to_be() -> None:
    with pytest.warns(converters.ConversionWarning, match="stored as fewer bits"):
        found = converters.convert(JS / "quantized")
    described = json.loads((JS / "quantized/model.json").read_text())
    first = described["weightsManifest"][0]["weights"][0]
    assert first["name"] == "dense/kernel" and first["quantization"]["dtype"] == "uint16"
    stored = np.fromfile(next((JS / "quantized").glob("*.bin")), "<u2", 55).reshape(first["shape"])
    meant = stored * first["quantization"]["scale"] + first["quantization"]["min"]
    assert np.array_equal(found["dense.weight"].numpy(), meant.astype(np.float32).T)
    assert any("fewer bits" in line for line in converters.read(JS / "quantized").care())


def test_plain_weights_are_not_said_to_be_quantized(recwarn: pytest.WarningsRecorder) -> None:
    converters.convert(JS / "nested")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("version", "meant"),
    [
        ("2.15.0", "hard_sigmoid_0.2"),
        ("3.8.0", "hard_sigmoid_1/6"),
        ("tfjs-layers 4.22.0", "hard_sigmoid_0.2"),
        ("tfjs-layers 1.7.4", "hard_sigmoid_0.2"),
    ],
)
def test_the_version_says_what_a_hard_sigmoid_is(version: str, meant: str, tmp_path: Path) -> None:
    def change(described: dict[str, Any]) -> None:
        topology = described["modelTopology"]
        topology["keras_version"] = version
        topology["model_config"]["config"]["layers"][1]["config"]["recurrent_activation"] = "hard_sigmoid"

    checkpoint = converters.read(rewritten(sound_tfjs(tmp_path), change))
    assert checkpoint.version == version
    assert checkpoint.layer("lstm").parts[0].recurrence.recurrent_activation == meant


def test_layers_of_javascript_have_its_defaults(tmp_path: Path) -> None:
    """A configuration that states no activation of the gates, and stands in the topology itself."""

    def change(described: dict[str, Any]) -> None:
        config = described["modelTopology"].pop("model_config")
        del config["config"]["layers"][1]["config"]["recurrent_activation"]
        described["modelTopology"] = {**config, "keras_version": "tfjs-layers 4.22.0", "backend": "tensor_flow.js"}

    checkpoint = converters.read(rewritten(sound_tfjs(tmp_path), change))
    assert checkpoint.layer("lstm").parts[0].recurrence.recurrent_activation == "hard_sigmoid_0.2"


def test_arrays_of_a_class_of_its_own_pass_under_their_names(tmp_path: Path) -> None:
    def change(described: dict[str, Any]) -> None:
        described["modelTopology"]["model_config"]["config"]["layers"][1]["class_name"] = "Mine"

    path = rewritten(sound_tfjs(tmp_path), change)
    with pytest.raises(converters.UnknownLayer, match="Mine"):
        converters.convert(path)
    with pytest.warns(converters.ConversionWarning, match="Mine"):
        assert len(converters.convert(path, strict=False)) == 3


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    path = sound_tfjs(tmp_path)
    (tmp_path / "group1-shard1of1.bin").unlink()
    with pytest.raises(converters.UnreadableCheckpoint, match=r"group1-shard1of1\.bin"):
        converters.read(path)
