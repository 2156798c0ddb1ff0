"""Files of frameworks cut at many lengths, and with bytes changed: read as before, or refused by a typed error."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from test_frameworks import described

import converters
from converters import ConversionError

CASES = [
    *[("mxnet/fused_lstm", "module-0001.params"), ("mxnet/lstm", "saved.params"), ("chainer/around", "model.h5")],
    *[("chainer/cells", "model.npz"), ("lasagne/recurrent", "values.npz"), ("dynet/gradients", "builder.data")],
    *[("cntk/maps", "net.model"), ("coreml/around", "net.mlmodel"), ("matlab", "net.mat"), ("matlab", "plain.mat")],
    *[("coreml/around", "net.mlpackage/Data/com.apple.CoreML/model.mlmodel")],
    *[("coreml/around", "net.mlpackage/Data/com.apple.CoreML/weights/weight.bin")],
    *[("coreml/compressed", "vectors.mlpackage/Data/com.apple.CoreML/model.mlmodel")],
    *[("coreml/compressed", name) for name in ("table_3.mlmodel", "linear_5.mlmodel")],
    *[("keras_js/quantized", name) for name in ("model.json", "group1-shard1of1.bin")],
    *[("keras_pickled/stream", "model.pkl"), ("keras_pickled/saved_model", "model.joblib")],
]
PART_OF = {"weight.bin": "net.mlpackage", "shard1of1.bin": "model.json"}
"""What is converted where a part of it is damaged, by how the part's name ends."""


def attempt(path: Path, given: dict[str, Any]) -> bool:
    """Whether a file is converted; anything but a typed error raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converters.convert(path, strict=False, dropins=True, **given)
    except ConversionError as error:
        assert str(error).strip()
        return False
    return True


def copied(case: str, name: str, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """The file to damage, the one to convert, and what is stated of it."""
    source = ROOT / "fixtures" / case
    target = folder / "case"
    shutil.copytree(source, target)
    path = target / name
    told: dict[str, Any] = {}
    if (source / "case.json").exists() and isinstance(files := described(source / "case.json")["files"], dict):
        told = files.get(name, {})
    given = {"framework": told.get("framework"), "assume": told.get("assume", {})}
    whole = next((target / owner for ending, owner in PART_OF.items() if name.endswith(ending)), path)
    return path, whole, given


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: value.replace("/", "-")[-40:])
def test_a_file_that_is_cut_is_refused(case: str, name: str, tmp_path: Path) -> None:
    path, whole, given = copied(case, name, tmp_path)
    content = path.read_bytes()
    assert attempt(whole, given)
    for length in np.linspace(0, len(content) - 1, 15).astype(int):
        path.write_bytes(content[:length])
        assert not attempt(whole, given), length


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: value.replace("/", "-")[-40:])
def test_a_file_with_other_bytes_raises_nothing_of_its_own(case: str, name: str, tmp_path: Path) -> None:
    path, whole, given = copied(case, name, tmp_path)
    content, rng = path.read_bytes(), np.random.default_rng(3)
    for _ in range(25):
        changed = bytearray(content)
        for place in rng.integers(0, min(len(content), 3000), 3):
            changed[place] = int(rng.integers(256))
        path.write_bytes(changed)
        attempt(whole, given)
