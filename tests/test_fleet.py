"""Many files: one that is refused, kills its process or hangs stops no other, and the log tells all of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from keras_files import dense, recurrent, write

import converters
from converters import convert_many
from converters.cli import main
from converters.fleet import hand
from converters.fleet.naming import expanded, outputs, stem

joblib = pytest.importorskip("joblib")

WAYWARD = """
import os, signal, sys, time
from converters import api
usual = api.convert_file
def convert_file(source, output, **options):
    name = os.path.basename(getattr(source, "path", source))
    if name.startswith("kill"):
        open(f"{os.path.dirname(output)}/.{os.path.basename(output)}.abcdefgh.part", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("hang"):
        time.sleep(600)
    if name.startswith("slow"):
        time.sleep(0.2)
    if name.startswith("fault"):
        raise ValueError("a fault of ours")
    print("what a library prints")
    return usual(source, output, **options)
api.convert_file = convert_file
main()
"""
"""What a hand runs in these tests: files of some names end or stop its process."""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name in ("a/first.h5", "a/second.h5", "b/first.h5", "b/deep/third.h5"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, recurrent("LSTM", "rnn", 3, 5), dense("head", 5, len(name)))
    return folder


@pytest.fixture
def wayward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "_START", hand._START.replace("main()\n", WAYWARD))


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    """The last line of the log on each source, by its name."""
    text = (folder / "conversions.jsonl").read_text("utf-8")
    assert text.endswith("\n")
    found = [json.loads(line) for line in text.splitlines()]
    return {Path(line["source"]).name: line for line in found}


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["convert", *map(str, arguments)])


def same(output: Path, source: Path) -> bool:
    converters.convert_file(source, output.with_name("alone.safetensors"))
    return output.read_bytes() == output.with_name("alone.safetensors").read_bytes()


def test_outputs_have_the_paths_of_their_sources(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fleet = convert_many([models / "**" / "*.h5"], out, jobs=2)
    assert (fleet.counts, fleet.reasons, fleet.ok) == ({"done": 4}, (), True)
    for name in ("a/first", "a/second", "b/first", "b/deep/third"):
        assert same(out / f"{name}.safetensors", models / f"{name}.h5")


def test_the_log_has_a_line_a_file(models: Path, tmp_path: Path) -> None:
    (models / "a" / "stranger.h5").write_bytes(b"no model")
    out = tmp_path / "out"
    fleet = convert_many(models / "a" / "*.h5", out, jobs=1)
    found = lines(out)
    assert fleet.counts == {"done": 2, "refused": 1} and not fleet.ok
    assert found.keys() == {"first.h5", "second.h5", "stranger.h5"}
    first, stranger = found["first.h5"], found["stranger.h5"]
    data = (out / "first.safetensors").read_bytes()
    assert (first["bytes"], first["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert first["read"] == {first["source"]: hashlib.sha256((models / "a/first.h5").read_bytes()).hexdigest()}
    assert first["seconds"] > 0 and first["message"] == ""
    assert (stranger["outcome"], stranger["error"]) == ("refused", "UnreadableCheckpoint")
    assert "unrecognised format" in stranger["message"] and not (out / "stranger.safetensors").exists()


def test_what_kills_or_hangs_or_fails_stops_no_other(models: Path, tmp_path: Path, wayward: None) -> None:
    for name in ("kill", "hang", "fault"):
        shutil.copy(models / "a" / "first.h5", models / "a" / f"{name}.h5")
    out = tmp_path / "out"
    begin = time.perf_counter()
    fleet = convert_many([models / "**" / "*.h5"], out, jobs=2, time_limit=3)
    assert time.perf_counter() - begin < 60
    assert fleet.counts == {"done": 4, "failed": 1, "killed": 1, "timeout": 1}
    found = lines(out)
    assert found["first.h5"]["seconds"] < 3
    assert "SIGKILL" in found["kill.h5"]["message"] and "memory" in found["kill.h5"]["message"]
    assert "limit of 3 seconds" in found["hang.h5"]["message"]
    assert "ValueError: a fault of ours" in found["fault.h5"]["message"]
    assert same(out / "a/second.safetensors", models / "a/second.h5")
    assert sorted(os.listdir(out / "a")) == ["alone.safetensors", "first.safetensors", "second.safetensors"]


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "dask"])
def test_other_backends_of_joblib_change_nothing(backend: str, models: Path, tmp_path: Path) -> None:
    (models / "a" / "stranger.h5").write_bytes(b"no model")
    if backend != "dask":
        with joblib.parallel_config(backend=backend, n_jobs=2):
            fleet = convert_many([models / "**" / "*.h5"], tmp_path / "out")
    else:
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster),
            joblib.parallel_config(backend="dask"),
        ):
            fleet = convert_many([models / "**" / "*.h5"], tmp_path / "out")
    assert fleet.counts == {"done": 4, "refused": 1}
    assert same(tmp_path / "out/b/deep/third.safetensors", models / "b/deep/third.h5")


def test_a_worker_of_joblib_that_is_killed_takes_no_file_along(models: Path, tmp_path: Path, wayward: None) -> None:
    """loky then gives up all of its workers; what they had is done again."""
    for number in range(20):
        shutil.copy(models / "a" / "first.h5", models / "a" / f"slow{number}.h5")
    killed: list[int] = []

    def kill_a_worker(_: int, __: int) -> None:
        if not killed:
            killed.extend(_workers()[:1])
            os.kill(killed[0], signal.SIGKILL)

    with joblib.parallel_config(backend="loky", n_jobs=2):
        fleet = convert_many([models / "**" / "*.h5"], tmp_path / "out", progress=kill_a_worker)
    assert killed and fleet.counts == {"done": 24}
    assert Counter(line["outcome"] for line in lines(tmp_path / "out").values())["done"] == 23  # two are named first.h5


def _workers() -> list[int]:
    from joblib.externals.loky import reusable_executor

    return sorted(reusable_executor._executor._processes)


def test_resume_goes_by_content(models: Path, tmp_path: Path) -> None:
    out, pattern = tmp_path / "out", models / "a" / "*.h5"
    (models / "a" / "stranger.h5").write_bytes(b"no model")
    convert_many([pattern], out, jobs=1)
    assert convert_many([pattern], out, jobs=1, resume=True).counts == {"unchanged": 2, "refused": 1}

    os.utime(models / "a/first.h5")
    assert convert_many([pattern], out, jobs=1, resume=True).counts["unchanged"] == 2

    times = os.stat(models / "a/first.h5")
    write(models / "a/first.h5", recurrent("LSTM", "rnn", 3, 5, use_bias=False), dense("head", 5, 2))
    os.utime(models / "a/first.h5", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert convert_many([pattern], out, jobs=1, resume=True).counts == {"done": 1, "unchanged": 1, "refused": 1}
    assert same(out / "first.safetensors", models / "a/first.h5")

    with (out / "second.safetensors").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    assert convert_many([pattern], out, jobs=1, resume=True).counts["done"] == 1
    assert same(out / "second.safetensors", models / "a/second.h5")

    os.unlink(out / "first.safetensors")
    assert convert_many([pattern], out, jobs=1, resume=True).counts["done"] == 1
    assert convert_many([pattern], out, jobs=1, resume=True, dtype="float16").counts["done"] == 2
    assert convert_many([pattern], out, jobs=1).counts["done"] == 2


def test_every_file_of_a_model_counts_for_resume(tmp_path: Path) -> None:
    """A shard that changes behind an index that does not."""
    from hostile.others import sound_shards

    index, out = sound_shards(tmp_path), tmp_path / "out"
    assert convert_many([index], out, jobs=1).counts == {"done": 1}
    assert convert_many([index], out, jobs=1, resume=True).counts == {"unchanged": 1}
    shard = next(tmp_path.glob("*.h5"))
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert convert_many([index], out, jobs=1, resume=True).counts == {"done": 1}


def test_a_torn_line_is_cut_off(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_many([models / "a" / "*.h5"], out, jobs=1)
    log = out / "conversions.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-9])
    assert convert_many([models / "a" / "*.h5"], out, jobs=1, resume=True).counts == {"done": 1, "unchanged": 1}
    assert len(log.read_bytes().splitlines()) == 2 and lines(out).keys() == {"first.h5", "second.h5"}


def test_a_file_that_is_no_log_is_refused(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "notes.txt"
    log.write_text("mine\n")
    with pytest.raises(converters.ConversionError, match="line 1 is no line of a log"):
        convert_many([models / "a" / "*.h5"], tmp_path / "out", log=log, resume=True)
    assert log.read_text() == "mine\n"


def test_ctrl_c_leaves_whole_lines_and_exit_code_130(models: Path, tmp_path: Path) -> None:
    for number in range(9):
        shutil.copy(models / "a" / "first.h5", models / "a" / f"slow{number}.h5")
    shutil.copy(models / "a" / "first.h5", models / "a" / "hang.h5")
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored by jobs in the background
        "from converters.fleet import hand\n"
        f"hand._START = hand._START.replace('main()\\n', {WAYWARD!r})\n"
        "from converters.cli import main\nmain()"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, "convert", str(models / "a" / "*.h5"), "--out-dir", str(out), "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment)
    log = out / "conversions.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and log.read_bytes().count(b"\n") > 1):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the hands as well
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.startswith("gateport: interrupted: ") and "--resume" in errors and errors.count("\n") == 1
    assert {line["outcome"] for line in lines(out).values()} == {"done"}
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not [name for name in os.listdir(out) if name.endswith(".part")]


@pytest.mark.parametrize("names", [("m.h5", "m.keras"), ("x/m.h5", "x/../x/m.hdf5")])
def test_two_sources_of_one_output_are_refused_before_anything(names: tuple[str, str], tmp_path: Path) -> None:
    sources = [tmp_path / name for name in names]
    (tmp_path / "x").mkdir()
    for source in sources:
        write(Path(os.path.normpath(source)), recurrent("LSTM", "rnn", 3, 5))
    with pytest.raises(converters.ConversionError, match="the same output"):
        convert_many(sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_source_is_an_output(tmp_path: Path) -> None:
    sources = [tmp_path / "a.h5", tmp_path / "a.safetensors"]
    with pytest.raises(converters.ConversionError, match="is a source"):
        outputs([str(source) for source in sources[:1]] + [str(tmp_path / "b.h5")], tmp_path, ".h5")
    with pytest.raises(converters.ConversionError, match="the same output"):
        outputs([str(source) for source in sources], tmp_path, ".safetensors")


def test_paths_below_a_root(models: Path, tmp_path: Path) -> None:
    source = str(models / "b/deep/third.h5")
    assert outputs([source], "out", ".npz") == {source: "out/third.npz"}
    assert outputs([source], "out", ".npz", root=models) == {source: "out/b/deep/third.npz"}
    with pytest.raises(converters.ConversionError, match="not below"):
        outputs([source], "out", ".npz", root=models / "a")


def test_a_pattern_and_its_files_are_one_source_each(models: Path) -> None:
    assert len(expanded([models / "a" / "*.h5", models / "a" / "first.h5", f"{models}/a/./first.h5"])) == 2
    with pytest.raises(converters.ConversionError, match="matches no file"):
        expanded([models / "*.nothing"])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("m.h5", "m"),
        ("m.weights.h5", "m.weights"),
        ("M.H5", "M"),
        ("v1.2", "v1.2"),
        ("model.ckpt-100.index", "model.ckpt-100"),
        ("net.onnx", "net"),
        (".h5", ".h5"),
    ],
)
def test_only_the_ending_of_a_format_goes(name: str, wanted: str) -> None:
    assert stem(name) == wanted


def test_the_command_prints_counts_and_reasons(models: Path, tmp_path: Path) -> None:
    hard = {"recurrent_activation": "hard_sigmoid"}
    for name in ("x", "y"):
        write(models / f"{name}.h5", recurrent("LSTM", name, 3, 5, **hard))
    result = run(models / "**" / "*.h5", "--out-dir", tmp_path / "out", "--suffix", ".npz", "--jobs", "2")
    assert result.exit_code == 1 and "4 done, 2 refused" in result.stdout
    assert result.stderr.count("\n") == 1 and "2 refused (NotRepresentable): its recurrent_activation" in result.stderr
    assert (tmp_path / "out/b/deep/third.npz").exists()
    again = run(models / "**" / "*.h5", "--out-dir", tmp_path / "out", "--dropins", "--json", "--jobs", "2")
    assert again.exit_code == 0 and json.loads(again.stdout)["counts"] == {"done": 6}


@pytest.mark.parametrize(
    "arguments",
    [
        ["m.h5", "--out-dir", "o", "--max-shard-size", "2GB"],
        ["m.h5", "--out-dir", "o", "--source-weights", "w.npz"],
        ["m.h5"],
        ["m.h5", "o.npz", "--resume"],
        ["m.h5", "o.npz", "p.npz"],
        ["m.h5", "o.npz", "--jobs", "2"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "") and "Usage:" in result.stderr


def test_another_target_names_its_files(models: Path, tmp_path: Path) -> None:
    convert_many([models / "a" / "first.h5"], tmp_path / "out", to="keras", jobs=1)
    assert (tmp_path / "out/first.keras").exists()
    with pytest.raises(converters.ConversionError, match="suffix"):
        convert_many([models / "a" / "first.h5"], tmp_path / "out", to="keras", suffix=".pt")


def test_urls_keep_their_paths_below_each_other() -> None:
    sources = ["s3://bucket/a/m.h5", "s3://bucket/b/m.h5?versionId=3"]
    assert list(outputs(sources, "gs://out/x", ".npz").values()) == ["gs://out/x/a/m.npz", "gs://out/x/b/m.npz"]
    with pytest.raises(converters.ConversionError, match="log="):
        convert_many(sources, "gs://out/x")


def test_sources_and_outputs_at_urls(models: Path, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    source, out = f"file://{models}/**/*.h5", f"file://{tmp_path}/out"
    for wanted in ("done", "unchanged"):
        fleet = convert_many([source], out, log=tmp_path / "log.jsonl", jobs=1, resume=True)
        assert fleet.counts == {wanted: 4}
    assert same(tmp_path / "out/b/deep/third.safetensors", models / "b/deep/third.h5")


def test_to_start_a_process_is_no_time_of_a_file(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "_START", hand._START.replace("main()\n", "import time\ntime.sleep(2)\nmain()\n"))
    assert convert_many(models / "**" / "*.h5", tmp_path / "out", jobs=2, time_limit=1.5).counts == {"done": 4}


def test_a_process_that_does_not_start_says_why(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "_START", "raise ImportError('no such module')\n")
    fleet = convert_many(models / "a" / "*.h5", tmp_path / "out", jobs=1)
    assert fleet.counts == {"failed": 2} and "no such module" in fleet.reasons[0].sentence


def test_a_full_disk_ends_the_run_with_one_error(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, whole = os.write, []

    def full(file: int, data: Any) -> int:
        if bytes(data[:10]) != b'{"source":' or not whole:
            whole.append(data)
            return usual(file, data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(converters.ConversionError, match="cannot write the log: No space left"):
        convert_many(models / "**" / "*.h5", tmp_path / "out", jobs=2)
    monkeypatch.undo()
    assert len(lines(tmp_path / "out")) == 1
    assert convert_many(models / "**" / "*.h5", tmp_path / "out", jobs=2, resume=True).counts == {
        "done": 3,
        "unchanged": 1,
    }
