"""What a conversion costs, in counts that are the same on every machine: modules, bytes, calls of the system, memory.

No time is asserted. Each count is taken in a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import models

LAYERS = [
    models.Layer("Embedding", "embedding", 4001, 257),
    models.Layer("LSTM", "lstm", 257, 487),
    models.Layer("Bidirectional", "bidirectional", 487, 307),
    models.Layer("Dense", "dense", 614, 11),
]
"""Layers of 16 MB, of which no tensor is the half."""
ENDINGS = ("h5", "weights.h5", "keras", "onnx")
NEVER = {
    *(
        "torch",
        "onnx",
        "google.protobuf",
        "tensorflow",
        "keras",
        "tf_keras",
        "h5py",
        "jax",
        "rich",
        "onnxruntime",
        "pyfive",
    ),
    *("importlib.metadata", "email", "socket"),
}
"""What no conversion of a file to safetensors imports."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One model in every container."""
    found = tmp_path_factory.mktemp("costs")
    for ending in ENDINGS:
        models.write(found / f"model.{ending}", LAYERS)
    yield found


def told(code: str, *arguments: object) -> Any:
    """What a fresh process tells as JSON on the last line of its stdout."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


COMMAND = """
import json, sys
from converters.cli import main
try:
    main(sys.argv[1:], prog_name="gateport")
except SystemExit as end:
    code = end.code
print(json.dumps([code or 0, sorted(sys.modules)]))
"""


def loaded(*arguments: object) -> tuple[int, set[str]]:
    """The exit code of the command, and the modules that its process has then."""
    code, names = told(COMMAND, *arguments)
    return code, {*names}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("converge", "a", "b"), 2),
        (("convert", "a", "b", "--stack", "x"), 2),
    ],
)
def test_help_and_a_usage_error_import_click_alone(arguments: tuple[str, ...], code: int) -> None:
    found, names = loaded(*arguments)
    assert found == code
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"__main__"}
    assert {name for name in others if not name.startswith(("_", "sitecustomize"))} <= {"click", "converters"}
    assert {name for name in names if name.startswith("converters.")} <= {
        "converters.cli",
        "converters.show",
        "converters.show.progress",
        "converters.version",
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_conversion_imports_what_it_needs(folder: Path, tmp_path: Path, ending: str) -> None:
    code, names = loaded("convert", folder / f"model.{ending}", tmp_path / "out.safetensors")
    assert code == 0
    assert not names & NEVER
    own = [name for name in names if name.split(".")[0] in ("converters", "layouts")]
    assert len(own) < (130 if ending == "onnx" else 140)


COUNTED = """
import json, os, sys
import converters

def read(path):
    return {key: int(value) for key, value in (line.split(":") for line in open(path))}

source, output = sys.argv[1:]
converters.convert_file(source, output)
os.unlink(output)
before = read("/proc/self/io")
report = converters.convert_file(source, output)
after = read("/proc/self/io")
print(json.dumps({"tensors": len(report.plan.tensors)} | {key: after[key] - before[key] for key in before}))
"""


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system counts no bytes of a process")
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_byte_is_written_once_and_the_source_is_mapped(folder: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / "out.safetensors"
    found = told(COUNTED, folder / f"model.{ending}", output)
    size = output.stat().st_size
    assert found["wchar"] == size
    assert found["rchar"] < 1 << 16
    assert found["syscw"] <= size / (1 << 17) + 8 * found["tensors"] + 8
    assert found["syscr"] <= 40


GROWN = """
import json, sys
import converters

def anonymous():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("RssAnon"))

source, small, output = sys.argv[1:]
converters.convert_file(small, output)
seen = [anonymous()]
converters.convert_file(source, output, progress=lambda *_: seen.append(anonymous()))
print(json.dumps([max(seen) - seen[0], len(seen)]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system tells no memory of a process")
@pytest.mark.parametrize("ending", ["h5", "onnx"])
def test_a_file_is_converted_in_some_megabytes(folder: Path, tmp_path: Path, ending: str) -> None:
    small = tmp_path / f"small.{ending}"
    models.write(small, models.MODELS["tiny"])
    grown, steps = told(GROWN, folder / f"model.{ending}", small, tmp_path / "out.safetensors")
    assert steps == len(LAYERS) + 1
    assert grown < 2e6


ALLOCATED = """
import json, sys, tracemalloc
import torch, converters

source, small = sys.argv[1:]
converters.convert(small)
tracemalloc.start()
tensors = converters.convert(source)
held, peak = tracemalloc.get_traced_memory()
large = [trace for trace in tracemalloc.take_snapshot().traces if trace.size > 1 << 20]
sizes = [tensor.nbytes for tensor in tensors.values()]
for tensor in tensors.values():
    tensor += 1  # its own memory, and not that of the file
print(json.dumps([held, peak, len(large), sum(sizes), sum(size > 1 << 20 for size in sizes)]))
"""


@pytest.mark.parametrize("ending", ["h5", "onnx"])
def test_a_tensor_is_allocated_once_and_copied_into(folder: Path, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("torch")
    small = tmp_path / f"small.{ending}"
    models.write(small, models.MODELS["tiny"])
    before = (folder / f"model.{ending}").read_bytes()
    held, peak, large, size, tensors = told(ALLOCATED, folder / f"model.{ending}", small)
    assert large == tensors and size <= held
    assert peak < size + 1e6
    assert (folder / f"model.{ending}").read_bytes() == before
