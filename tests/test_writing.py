"""An output appears complete or not at all, whatever goes wrong, and nothing else is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from forkserver import ForkServer
from hostile.cases import sound_h5

import converters

OLD = b"an earlier output"
STEPS = [
    "converters.writers.atomic._create",
    "os.posix_fallocate",
    "converters.writers.in_place.InPlace.filled",
    "converters.writers.in_place.InPlace.close",
    "os.fsync",
    "pathlib.Path.chmod",
    "pathlib.Path.replace",
]
"""What a conversion does on its way to a finished file, in order."""
SUFFIXES = (".safetensors", ".npz", ".pt", ".keras", ".h5", ".weights.h5", ".msgpack", ".eqx", ".params", ".pdparams")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return sound_h5(tmp_path / "in")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.safetensors"


def refused(error: str) -> None:
    """Raise unless this is one line of the command's."""
    assert error.startswith("gateport: ") and error.count("\n") == 1 and error[:-1].isprintable(), error


@pytest.mark.parametrize("old", [OLD, None], ids=["over-an-old-file", "new"])
@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_at_any_step_leaves_what_was(
    step: str, old: bytes | None, source: Path, output: Path, server: ForkServer
) -> None:
    if old:
        output.write_bytes(old)
    run = server.run("command_with_a_fault", step, "full", "convert", str(source), str(output))
    assert run.code == 1, run.stderr
    refused(run.stderr)
    assert "No space left" in run.stderr and str(output) in run.stderr
    assert {path.name: path.read_bytes() for path in output.parent.iterdir()} == ({output.name: old} if old else {})


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_leaves_the_old_file(step: str, source: Path, output: Path, server: ForkServer) -> None:
    output.write_bytes(OLD)
    run = server.run("command_with_a_fault", step, "kill", "convert", str(source), str(output))
    assert run.code == -signal.SIGKILL
    assert output.read_bytes() == OLD
    assert all(name.startswith(f".{output.name}.") and name.endswith(".part") for name in others(output))


def others(output: Path) -> list[str]:
    """What stands beside an output."""
    return [name for name in os.listdir(output.parent) if name != output.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_may_not_grow_is_one_error(suffix: str, source: Path, output: Path, server: ForkServer) -> None:
    target = output.with_name(f"model{suffix}")
    run = server.run("command_on_a_small_disk", 500, "convert", str(source), str(target))
    assert run.code == 1, run.stderr
    refused(run.stderr)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_conversion_leaves_the_output_alone_behind(suffix: str, source: Path, output: Path) -> None:
    target = output.with_name(f"model{suffix}")
    target.write_bytes(OLD)
    converters.convert_file(source, target)
    assert os.listdir(output.parent) == [target.name]
    assert target.read_bytes() != OLD


@pytest.mark.parametrize("alias", ["itself", "symbolic", "hard"])
def test_the_input_is_no_output(alias: str, source: Path, tmp_path: Path) -> None:
    same = source.rename(source.with_suffix(".safetensors"))
    target = same if alias == "itself" else tmp_path / "alias.safetensors"
    if alias == "symbolic":
        target.symlink_to(same)
    if alias == "hard":
        target.hardlink_to(same)
    before = same.read_bytes()
    with pytest.raises(converters.ConversionError, match="the input itself"):
        converters.convert_file(same, target)
    assert same.read_bytes() == before


def test_a_shard_or_member_of_the_input_is_no_output(tmp_path: Path) -> None:
    """A folder of the model as output folder: none of the files that were read is replaced."""
    from hostile.others import sound_shards

    index = sound_shards(tmp_path)
    shard = next(tmp_path.glob("*.h5"))
    (tmp_path / "shard.safetensors").symlink_to(shard)
    before = shard.read_bytes()
    converters.convert_file(index, tmp_path / "shard.safetensors")
    assert shard.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["missing/model.safetensors", "", "model.doc", "model", "x" * 300 + ".npz", "nul\0.npz", "sound.h5/m.npz"]
)
def test_an_impossible_output_is_one_error(name: str, source: Path) -> None:
    before = sorted(os.listdir(source.parent))
    with pytest.raises(converters.ConversionError) as caught:
        converters.convert_file(source, f"{source.parent}/{name}")
    assert " ".join(str(caught.value).split()).isprintable()
    assert sorted(os.listdir(source.parent)) == before


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_a_device_is_no_output(device: str, source: Path, output: Path) -> None:
    output.symlink_to(device)
    with pytest.raises(converters.ConversionError, match="not a regular file"):
        converters.convert_file(source, output)
    assert output.is_symlink() and os.listdir(output.parent) == [output.name]
    with pytest.raises(converters.ConversionError):
        converters.convert_file(source, device)
    assert Path(device).is_char_device()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only folders")
def test_a_read_only_folder_is_one_error(source: Path, output: Path) -> None:
    output.parent.chmod(0o555)
    with pytest.raises(converters.ConversionError, match="Permission denied"):
        converters.convert_file(source, output)
    output.parent.chmod(0o755)


def test_an_output_has_the_permissions_of_any_new_file(source: Path, output: Path) -> None:
    converters.convert_file(source, output)
    plain = output.parent / "plain"
    plain.touch()
    assert output.stat().st_mode == plain.stat().st_mode
