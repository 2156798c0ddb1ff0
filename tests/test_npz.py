"""Arrays in an `.npz` file: what is in it, mapped where it stands, and refused in one line where it lies."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

import converters
from converters import ConversionError, ShapeError, UnreadableCheckpoint, UnsafeCheckpoint
from converters.cli import main

STATED = {"activation": "tanh", "recurrent_activation": "sigmoid"}


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 20), "recurrent_kernel": (5, 20), "bias": (20,)}
    return {name: rng.standard_normal(shape).astype("f4") for name, shape in shapes.items()}


def saved(path: Path, named: Mapping[str, Any], compressed: bool = False) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **named)
    return path


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("change", ["none", "fortran", "big-endian", "suffixed"])
def test_an_npz_file_gives_what_its_arrays_give(change: str, separator: str, compressed: bool, tmp_path: Path) -> None:
    own = arrays()
    stored: dict[str, Any] = {f"enc{separator}lstm{separator}{name}": array for name, array in own.items()}
    if change == "fortran":
        stored = {name: np.asfortranarray(array) for name, array in stored.items()}
    if change == "big-endian":
        stored = {name: array.astype(">f4") for name, array in stored.items()}
    if change == "suffixed":
        stored = {f"{name}:0": array for name, array in stored.items()}
    path = saved(tmp_path / "a.npz", stored, compressed)
    found = converters.convert(path, framework="keras", assume=STATED)
    expected = converters.convert({"enc": {"lstm": own}}, framework="keras", assume=STATED)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and bool((found[name] == tensor).all()), name


def test_stored_members_are_mapped_and_read_when_asked(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", arrays())
    (layer,) = converters.read(path, framework="keras").layers
    kernel = layer.parts[0].arrays["kernel"].read()
    assert not kernel.flags.owndata and not kernel.flags.writeable
    assert np.array_equal(kernel, arrays()["kernel"])


def test_the_command_takes_the_framework(tmp_path: Path) -> None:
    path, output = saved(tmp_path / "a.npz", arrays()), tmp_path / "out.safetensors"
    asked = CliRunner().invoke(main, ["inspect", str(path), "--framework", "keras"])
    assert asked.exit_code == 0 and "LSTM" in asked.output and "arrays (.npz)" in asked.output
    assumed = [word for key, value in STATED.items() for word in ("--assume", f"{key}={value}")]
    done = CliRunner().invoke(main, ["convert", str(path), str(output), "--framework", "keras", *assumed])
    assert done.exit_code == 0, done.output
    assert np.array_equal(load_file(output)["weight_ih_l0"], arrays()["kernel"].T)


def test_without_a_framework_an_npz_file_says_that_it_needs_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", arrays())
    with pytest.raises(ConversionError, match=r"an \.npz file needs framework=.*: one of .*keras") as caught:
        converters.read(path)
    assert caught.value.path == str(path)
    run = CliRunner().invoke(main, ["inspect", str(path)])
    assert run.exit_code == 1 and "an .npz file needs --framework" in run.output


@pytest.mark.parametrize("file", ["keras3/lstm", "onnx_torch/lstm"])
def test_a_source_that_tells_its_framework_takes_no_other(file: str) -> None:
    from conftest import ROOT

    folder = ROOT / "fixtures" / file
    path = next((p for kind in ("*.keras", "*.onnx") for p in sorted(folder.glob(kind))), None)
    if path is None:
        pytest.skip(f"no fixture {file}")
    with pytest.raises(ConversionError, match=r"this one tells it itself: (keras|onnx)"):
        converters.read(path, framework="haiku")


def test_a_lone_npy_file_is_refused_as_before(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(UnreadableCheckpoint, match="a NumPy array: load it and pass the arrays with framework="):
        converters.read(tmp_path / "a.npy", framework="keras")


# --- what is not as it should be


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_header(text: str, body: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    header = text.encode()
    size = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + header + body


def header(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


class Evil:
    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, ("run",)


HOSTILE = {
    "objects": (npy(np.array([Evil()], object)), UnsafeCheckpoint, "Python objects, which are never loaded"),
    "a-pickle": (pickle.dumps(Evil()), UnreadableCheckpoint, "not one of NumPy's"),
    "truncated": (npy(np.ones((3, 20), "f4"))[:-4], UnsafeCheckpoint, "declares 368 bytes, and 364 are stored"),
    "longer": (npy(np.ones((3, 20), "f4")) + b"1234", UnsafeCheckpoint, "declares 368 bytes, and 372 are stored"),
    "huge": (with_header(header("(1152921504606846976,)")), UnsafeCheckpoint, "and .* are stored"),
    "overflow": (with_header(header("(4294967296, 4294967296, 2)")), UnsafeCheckpoint, "and .* are stored"),
    "negative": (with_header(header("(-1,)")), UnsafeCheckpoint, "impossible shape"),
    "true": (with_header(header("(True,)"), b"1234"), UnsafeCheckpoint, "impossible shape"),
    "many-axes": (with_header(header(repr((1,) * 99)), b"1234"), UnsafeCheckpoint, "impossible shape"),
    "no-tuple": (with_header(header("3")), UnreadableCheckpoint, "not one of NumPy's"),
    "code": (with_header(header("(3,)", "__import__('os')")), UnreadableCheckpoint, "not one of NumPy's"),
    "deep": (with_header("(" * 5000), UnreadableCheckpoint, "not one of NumPy's"),
    "long": (with_header(header("(3,)") + " " * 60_000), UnreadableCheckpoint, "not one of NumPy's"),
    "no-end": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", UnreadableCheckpoint, "not one of NumPy's"),
    "version-3": (with_header(header("(3,)"), b"", (3, 0)), UnreadableCheckpoint, "not one of NumPy's"),
    "empty": (b"", UnreadableCheckpoint, "not one of NumPy's"),
    "not-utf-8": (b"\x93NUMPY\x01\x00\x04\x00\xff\xfe\xff\xfe", UnreadableCheckpoint, "not one of NumPy's"),
    "structures": (npy(np.zeros(3, [("a", "f4")])), ShapeError, "no numbers"),
    "bfloat16": (npy(np.zeros(3, "V2")), ShapeError, "NumPy does not store the name of bfloat16"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_in_one_line(
    name: str, method: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, kind, message = HOSTILE[name]
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x/kernel.npy", content)
    with pytest.raises(kind, match=message) as caught:
        converters.convert(tmp_path / "a.npz", framework="keras")
    assert caught.value.path == str(tmp_path / "a.npz")
    run = CliRunner().invoke(main, ["plan", str(tmp_path / "a.npz"), "--framework", "keras"])
    assert run.exit_code == 1 and len(run.output.splitlines()) == 1, run.output
    assert capsys.readouterr().out == ""


def test_a_wrong_checksum_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", arrays())
    content = bytearray(path.read_bytes())
    content[content.index(arrays()["kernel"].tobytes()[:16])] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match="checksum"):
        converters.convert(path, framework="keras", assume=STATED)


def test_words_and_counts_are_no_weights(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", {"x.kernel": np.array([["a", "b"]])})
    with pytest.raises(ConversionError, match="floating point"):
        converters.convert(path, framework="keras")
