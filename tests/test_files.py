"""Sound files of every making are read with their exact values, from wherever they stand, and never written to."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import hostile
import ml_dtypes
import numpy as np
import pytest
from conftest import ROOT
from forkserver import ForkServer
from hostile.cases import h5_model, values
from safetensors.numpy import load_file

import converters

Arrays = dict[str, np.ndarray[Any, Any]]


def expected(kernel: Any = None) -> Arrays:
    """The state_dict of the one LSTM of `hostile.cases`, worked out by hand: same gate order, transposed."""
    bias = values("bias")
    return {
        "weight_ih_l0": (values("kernel") if kernel is None else kernel).T,
        "weight_hh_l0": values("recurrent_kernel").T,
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros_like(bias),
    }


def same_bits(found: Arrays, wanted: Arrays) -> None:
    """Raise unless names, dtypes, shapes and every bit agree."""
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes(), name


def converted(source: Path, folder: Path) -> Arrays:
    """The tensors of the one layer of a file, through an output file."""
    output = folder / "out.safetensors"
    converters.convert_file(source, output, layer=converters.read(source).layers[0].path)
    return load_file(output)


@pytest.mark.parametrize("build", hostile.SOUND, ids=lambda build: build.__name__)
def test_a_sound_file_is_read_exactly(build: Any, tmp_path: Path) -> None:
    halved = "bfloat16" in build.__name__
    wanted = expected(values("kernel").astype(ml_dtypes.bfloat16) if halved else None)
    widest = np.dtype("f8" if build.__name__ == "float64" else "f4")
    same_bits(converted(build(tmp_path), tmp_path), {name: array.astype(widest) for name, array in wanted.items()})


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_a_whole_model_keeps_its_dtype(dtype: str, tmp_path: Path) -> None:
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)

    def change(file: Any) -> None:
        for name in ("kernel", "recurrent_kernel", "bias"):
            path = f"model_weights/lstm/lstm/{name}:0"
            del file[path]
            file[path] = values(name).astype(kind)

    path = h5_model(tmp_path / "model.h5", change)
    same_bits(converted(path, tmp_path), {name: array.astype(kind) for name, array in expected().items()})


def test_a_lambda_is_reported_and_never_run(tmp_path: Path) -> None:
    path = hostile.odd.config_lambda(tmp_path)
    assert converters.read(path).custom_layers == ("lambda (Lambda)",)
    assert "lambda" in str(converters.read(path))


def test_a_file_is_read_through_a_link(tmp_path: Path) -> None:
    path = hostile.cases.sound_h5(tmp_path)
    (tmp_path / "link.h5").symlink_to(path)
    same_bits(converted(tmp_path / "link.h5", tmp_path), expected())


def test_a_file_is_known_by_its_content_and_not_its_name(tmp_path: Path) -> None:
    path = hostile.cases.sound_keras(tmp_path)
    same_bits(converted(path.rename(tmp_path / "späte\n Grüße.txt"), tmp_path), expected())


def test_a_relative_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile.cases.sound_h5(tmp_path)
    monkeypatch.chdir(tmp_path)
    converters.convert_file("sound.h5", "out.safetensors", layer="lstm")
    same_bits(load_file("out.safetensors"), expected())


def test_a_folder_of_the_reader_may_be_read_only(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    path = hostile.others.sound_shards(inside)
    for file in inside.iterdir():
        file.chmod(0o444)
    inside.chmod(0o555)
    before = {file.name: file.stat().st_mtime_ns for file in inside.iterdir()}
    same_bits(converted(path, tmp_path), expected())
    assert {file.name: file.stat().st_mtime_ns for file in inside.iterdir()} == before
    inside.chmod(0o755)


@pytest.mark.parametrize("build", hostile.SOUND[:3], ids=lambda build: build.__name__)
def test_the_input_is_never_opened_for_writing(build: Any, tmp_path: Path, server: ForkServer) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    run = server.run("files_written", str(build(tmp_path / "in")), str(tmp_path / "out" / "model.safetensors"))
    assert run.code == 0, run.stderr
    assert run.result, "the output itself has to be seen"
    assert {os.path.dirname(path) for path in run.result} == {str(tmp_path / "out")}


def test_many_layers_with_long_names_are_no_damage(tmp_path: Path) -> None:
    """Strings of variable length stand in one heap, which every group refers to: it is read once, not once a group."""
    path = tmp_path / "many.h5"
    names = [f"layer_{number:03d}_{'x' * 90}" for number in range(300)]
    with h5py.File(path, "w") as file:
        file.attrs.update({"keras_version": "2.15.0", "backend": "tensorflow", "layer_names": names})
        for name in names:
            stored = [f"{name}/kernel:0", f"{name}/bias:0"]
            group = file.create_group(name)
            group.attrs["weight_names"] = stored
            for array, shape in zip(stored, ((3, 5), (5,)), strict=True):
                group.create_dataset(array, data=np.ones(shape, np.float32))
    assert [layer.path for layer in converters.read(path).layers] == names


@pytest.mark.parametrize("start", [8192, 16384, 65536])
def test_an_archive_may_store_its_weights_where_a_user_block_would_end(start: int, tmp_path: Path) -> None:
    """One archive in some thousands has the signature of HDF5 at such a place by chance."""
    source, path = ROOT / "fixtures" / "keras3" / "lstm" / "model.keras", tmp_path / "model.keras"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        config, weights = "config.json", "model.weights.h5"
        text = old.read(config)
        head = 30 + len(config) + len(text) + 30 + len(weights)
        new.writestr(zipfile.ZipInfo(config), text + b" " * (start - head))
        new.writestr(zipfile.ZipInfo(weights), old.read(weights))
        new.writestr(zipfile.ZipInfo("metadata.json"), old.read("metadata.json"))
    assert path.read_bytes()[start : start + 4] == b"\x89HDF"
    found, wanted = converters.convert(path), converters.convert(source)
    assert found.keys() == wanted.keys() and all(bool((found[key] == wanted[key]).all()) for key in wanted)
