"""The benchmarks run on a tiny model, and what they compare is the same conversion; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from converters import convert_file

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def _run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.mark.parametrize("ending", ["h5", "weights.h5", "keras", "onnx", "data.onnx"])
@pytest.mark.parametrize("size", ["tiny"])
def test_the_script_and_gateport_write_the_same_bits(tmp_path: Path, size: str, ending: str) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    source = tmp_path / f"model.{ending}"
    _run("models.py", size, source)
    _run(
        "script_onnx.py" if ending.endswith("onnx") else "script.py",
        size,
        source,
        tmp_path / "script.safetensors",
        "sync",
    )
    convert_file(source, tmp_path / "gateport.safetensors")
    one, other = (safetensors.load_file(tmp_path / f"{name}.safetensors") for name in ("script", "gateport"))
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].shape == other[key].shape
        assert one[key].tobytes() == other[key].tobytes(), key


def test_the_models_have_their_sizes() -> None:
    import models

    for size, megabytes in {"s": 1, "m": 100, "l": 1000}.items():
        stored = 4 * sum(_product(shape) for layer in models.MODELS[size] for shape in models._shapes(layer).values())
        assert stored / 1e6 == pytest.approx(megabytes, rel=0.1)


def _product(shape: tuple[int, ...]) -> int:
    return shape[0] * _product(shape[1:]) if shape else 1


def test_the_comparison_runs(capsys: pytest.CaptureFixture[str]) -> None:
    import convert

    convert.main(["--sizes", "tiny", "--formats", "h5", "--runs", "1", "--no-loaders"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[1] for line in lines if line[0] == "| start"][-2:] == ["gateport --help", "gateport --version"]
    ways = ["gateport convert", convert.SCRIPT, "script by hand, synced"]
    assert [line[1] for line in lines if line[0] != "| start"][:3] == ways


def test_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import kept

    monkeypatch.setattr(kept, "RESULTS", tmp_path / "results.md")
    monkeypatch.setattr(kept, "HISTORY", tmp_path / "history.jsonl")
    row = kept.Row("S, 1 MB .h5", "cp", 0.0125, 0.5, 0.01, 2.0, float("nan"))
    kept.write([row])
    kept.write([row, row])
    assert (tmp_path / "results.md").read_text("utf-8").count("| cp | 12 ms | 0.50 | 10 ms | 2 MB | – |") == 2
    told = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text("utf-8").splitlines()]
    assert len(told) == 3 and told[0]["seconds"] == 0.0125 and told[0]["anonymous"] is None
    assert {"date", "python", "versions"} <= told[0].keys()


def test_the_transposition_is_compared() -> None:
    assert "np.ascontiguousarray(k.T)" in _run("transpose.py", 257, 1031)


def test_a_fleet_is_measured() -> None:
    pytest.importorskip("joblib")
    shown = _run("fleet.py", "--counts", 3, "--jobs", 1).splitlines()
    assert len(shown) == 3 and shown[-1].startswith("| 3 | ")
