"""Every hostile file gives one typed error, one line, exit code 1, and no output; within seconds and 500 MB."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
from forkserver import MEGABYTES, SECONDS, ForkServer, Outcome
from sampling import sampled

import converters
from layouts import errors

KINDS = {name for name, value in vars(errors).items() if isinstance(value, type)} - {"ConversionError", "LayoutError"}
LONGEST = 1000
OLD = b"an earlier output"


def in_bounds(run: Outcome) -> None:
    """Raise unless a child ended by itself, in time and within memory."""
    assert run.code >= 0, f"ended by signal {-run.code} after {run.seconds:.1f} s: {run.stderr}"
    assert run.seconds < SECONDS
    assert run.megabytes < MEGABYTES


def one_line(run: Outcome, source: Path, expects: str) -> None:
    """Raise unless this is how the command refuses a file."""
    assert run.code == 1, (run.code, run.stdout, run.stderr)
    assert run.stdout == ""
    line, end = run.stderr[:-1], run.stderr[-1:]
    assert end == "\n" and line.isprintable() and len(line) < LONGEST, run.stderr
    assert str(source) in line or str(source.parent) in line or f"/{source.name}/" in line, line
    assert expects.lower() in line.lower(), line


@pytest.mark.parametrize("name", hostile.CASES)
def test_a_hostile_file_is_refused(name: str, tmp_path: Path, server: ForkServer) -> None:
    case, part = hostile.CASES[name], hostile.LARGE.get(name, hostile.Part(1))
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source, output = part.build(case, tmp_path / "in"), tmp_path / "out" / "model.safetensors"

    asked = server.run("public_api", str(source), str(output), limits=part.divisors())
    in_bounds(asked)
    assert asked.code == 0, asked.stderr
    assert asked.result["kind"] in KINDS and asked.result["path"], asked.result
    assert os.listdir(tmp_path / "out") == []

    output.write_bytes(OLD)
    run = server.run("command", "convert", str(source), str(output), limits=part.divisors())
    in_bounds(run)
    one_line(run, source, part.expects(case))
    assert os.listdir(tmp_path / "out") == [output.name]
    assert output.read_bytes() == OLD


@pytest.mark.parametrize("name", sampled(hostile.FULL_SCALE, 2))
def test_a_large_file_is_refused_at_full_scale(name: str, tmp_path: Path, server: ForkServer) -> None:
    """Under the limits as they are: every limit that other tests divide is met here."""
    case = hostile.CASES[name]
    source, output = case.build(tmp_path), tmp_path / "model.safetensors"
    run = server.run("command", "convert", str(source), str(output))
    in_bounds(run)
    one_line(run, source, case.expects)
    assert not output.exists()


@pytest.mark.parametrize("name", hostile.LARGE)
def test_a_divided_limit_is_one_of_the_library(name: str) -> None:
    for limit in hostile.LARGE[name].limits:
        owner, _, constant = limit.rpartition(".")
        assert isinstance(getattr(pkgutil.resolve_name(owner), constant), int)


ONE_OF_EACH_KIND = ["chunk_shorter_than_declared", "config_bomb", "units_negative", "shard_a_fifo", "html"]


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_process_of_its_own_refuses_alike(name: str, tmp_path: Path) -> None:
    """One of every kind, by the command as a shell starts it."""
    case = hostile.CASES[name]
    source, output = case.build(tmp_path), tmp_path / "out.safetensors"
    run = subprocess.run(
        [sys.executable, "-m", "converters.cli", "convert", str(source), str(output)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    one_line(Outcome(run.returncode, run.stdout, run.stderr, 0, 0), source, case.expects)
    assert not output.exists()


@pytest.mark.parametrize("command", ["inspect", "plan"])
@pytest.mark.parametrize("name", ["deflate_bomb_undeclared", "config_10000_deep", "group_tree_explodes", "fifo"])
def test_looking_at_a_hostile_file_is_refused_too(command: str, name: str, tmp_path: Path, server: ForkServer) -> None:
    case = hostile.CASES[name]
    source = case.build(tmp_path)
    run = server.run("command", command, str(source))
    in_bounds(run)
    if name == "deflate_bomb_undeclared":
        assert run.code == 0, "no data is read, so what stands inside a chunk is not known yet"
    else:
        one_line(run, source, case.expects)


@pytest.mark.parametrize("name", ["integers", "units_negative", "truncated_to_600_bytes", "shard_in_parent", "empty"])
def test_in_process_the_error_is_typed_and_placed(name: str, tmp_path: Path) -> None:
    source = hostile.CASES[name].build(tmp_path)
    with pytest.raises(converters.CheckpointError) as caught:
        converters.convert(source)
    assert caught.value.path and str(caught.value).strip()


def test_lax_conversion_passes_nothing_unsafe(tmp_path: Path) -> None:
    """`strict=False` is about layers; damaged bytes stay an error."""
    source = hostile.CASES["chunk_gzip_corrupted"].build(tmp_path)
    with pytest.raises(converters.UnreadableCheckpoint):
        converters.convert_file(source, tmp_path / "out.safetensors", strict=False)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = hostile.cases.sound_h5(tmp_path).read_bytes()
    path = tmp_path / "cut.h5"
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(converters.CheckpointError):
            converters.convert(path)


def test_the_cases_are_many_and_their_limits_are_measured(server: ForkServer, tmp_path: Path) -> None:
    """A child that takes too much is seen: otherwise the bounds above would prove nothing."""
    assert len(hostile.CASES) > 250
    run = server.run("greedy", MEGABYTES + 100)
    assert run.megabytes > MEGABYTES
