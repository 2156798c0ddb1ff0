"""Pickled models of Keras give what the archive in them gives; arrays of joblib those of pickle. Nothing is loaded."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

import converters

PICKLED = ROOT / "fixtures" / "keras_pickled"
FILES = sorted(PICKLED.glob("*/*.pkl")) + sorted(PICKLED.glob("*/*.joblib"))
NAMES = [f"{file.parent.name}/{file.name}" for file in FILES]


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_the_name_of_a_file_tells_nothing(file: Path, tmp_path: Path) -> None:
    misnamed = tmp_path / "model.h5"
    misnamed.write_bytes(file.read_bytes())
    assert same(converters.convert(misnamed, dropins=True), converters.convert(file, dropins=True))
    assert converters.read(misnamed).path == str(misnamed)


@pytest.mark.parametrize("case", ["stream", "bytes"])
def test_a_pickle_gives_what_its_archive_gives(case: str, tmp_path: Path) -> None:
    data = (PICKLED / case / "model.pkl").read_bytes()
    archive = tmp_path / "model.keras"
    with zipfile.ZipFile(BytesIO(data)) as inner, zipfile.ZipFile(archive, "w") as written:
        for member in inner.infolist():
            written.writestr(member, inner.read(member))
    assert same(
        converters.convert(PICKLED / case / "model.pkl", dropins=True), converters.convert(archive, dropins=True)
    )


def test_errors_name_the_pickle(tmp_path: Path) -> None:
    """And not the folder in which the files of its SavedModel stand."""
    data = (PICKLED / "saved_model/model.pkl").read_bytes()
    path = tmp_path / "model.pkl"
    path.write_bytes(data.replace(b"_CHECKPOINTABLE_OBJECT_GRAPH", b"_CHECKPOINTABLE_OBJECT_GRAPX"))
    with pytest.raises(converters.ConversionError) as caught:
        converters.convert(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_arrays_of_joblib_are_those_of_pickle(order: str, dtype: str, tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    random = np.random.default_rng(7)
    arrays = {
        "lstm.weight_ih_l0": np.asarray(random.normal(size=(20, 3)), dtype, order=order),
        "lstm.weight_hh_l0": np.asarray(random.normal(size=(20, 5)), dtype, order=order),
    }
    joblib.dump(arrays, tmp_path / "dumped")
    (tmp_path / "pickled").write_bytes(pickle.dumps(arrays, 4))
    found, wanted = (converters.convert(tmp_path / name, framework="pytorch") for name in ("dumped", "pickled"))
    assert same(found, wanted)


def test_no_framework_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, converters\n"
        f"converters.convert_file({str(FILES[0])!r}, {str(tmp_path / 'out.safetensors')!r}, dropins=True)\n"
        "print([name for name in ('keras', 'tensorflow', 'tf_keras', 'joblib', 'torch') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"
