"""Time and memory of a whole conversion, beside a copy of the file, a script written by hand, and other loaders.

    make bench
    python benchmarks/convert.py --sizes s m l --write

Whole cold processes with a warm page cache, one after the other in turns, each writing a file of a new name; medians.
The order within a turn is drawn, since a process pays for what the one before it left to the system. Peak memory is the
kernel's own count for the process (RSS, which includes mapped pages of files), and, from one more run that is watched,
the peak of anonymous memory, which is what a machine can run out of.

gateport syncs its output to disk before it appears under its name; the script and `cp` do not. So they also run with a
sync at the end. A process counts the memory of the one that started it, so this one imports nothing large and lets
others make the models. Before all else stands what it takes to start: Python itself, and the command's help.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import kept

HERE = Path(__file__).resolve().parent
RUNS = {"tiny": 2, "s": 15, "m": 11, "l": 3, "xl": 2}
SLOW_RUNS = 3
START_RUNS = 15
SIZES = {"tiny": "26 kB", "s": "S, 1 MB", "m": "M, 100 MB", "l": "L, 1 GB", "xl": "XL, 4 GB"}
FORMATS = ["h5", "weights.h5", "keras", "onnx", "data.onnx"]
SCRIPT = "script by hand"


class Way(NamedTuple):
    """One way to convert: the command without its source and output, and what its environment adds."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    last: tuple[str, ...] = ()
    runs: int | None = None


class Run(NamedTuple):
    """What one process took."""

    seconds: float
    processor: float
    peak: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare whole conversions.")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["s", "m"])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--runs", type=int, help="runs of each way (default: by size)")
    parser.add_argument("--no-loaders", action="store_true", help="leave out the loaders of Keras and of onnx")
    parser.add_argument("--write", action="store_true", help="also write results.md, and a line a row of history.jsonl")
    chosen = parser.parse_args(arguments)
    rows: list[kept.Row] = []
    print("\n".join(kept.HEADING), flush=True)
    with tempfile.TemporaryDirectory(prefix="gateport-bench-") as folder:
        for row in _rows(Path(folder), chosen):
            rows.append(row)
            print(kept.line(row), flush=True)
    if chosen.write:
        kept.write(rows)


def _rows(folder: Path, chosen: argparse.Namespace) -> Iterator[kept.Row]:
    yield from starts(chosen.runs or START_RUNS)
    for size in chosen.sizes:
        for ending in chosen.formats:
            if size != "xl" or ending != "onnx":  # a protobuf message has less than 2 GiB
                yield from compare(folder, size, ending, chosen.runs, not chosen.no_loaders)


def starts(runs: int) -> Iterator[kept.Row]:
    """What it takes to start, as ratios to Python alone."""
    python = (sys.executable, "-c")
    ways = {
        "python -c pass": (*python, "pass"),
        "python -c 'import click'": (*python, "import click"),
        "python -c 'import numpy'": (*python, "import numpy"),
        "gateport --help": (*_gateport(), "--help"),
        "gateport --version": (*_gateport(), "--version"),
    }
    times: dict[str, list[Run]] = {name: [] for name in ways}
    order = random.Random(7)
    for turn in range(runs + 1):
        for name in order.sample([*ways], len(ways)):
            run = _measured(subprocess.Popen(ways[name], stdout=subprocess.DEVNULL))
            times[name] += [run] if turn else []
    first = statistics.median(run.seconds for run in times["python -c pass"])
    for name, found in times.items():
        yield _row("start", name, found, first, float("nan"))


def compare(folder: Path, size: str, ending: str, runs: int | None, loaders: bool) -> Iterator[kept.Row]:
    """Make the model, convert it every way in turns, and give a row for each."""
    source = folder / f"{size}.{ending}"
    subprocess.run([sys.executable, str(HERE / "models.py"), size, str(source)], check=True)
    stored = source.with_name(f"{source.name}.data") if ending == "data.onnx" else source
    ways = list(_ways(size, ending, stored, loaders))
    for way in ways:  # fills the page cache and writes the bytecode
        _run(way, source)
    times: dict[str, list[Run]] = {way.name: [] for way in ways}
    order = random.Random(7)
    for turn in range(runs or RUNS[size]):
        for way in order.sample(ways, len(ways)):
            if runs or not way.runs or turn < way.runs:
                times[way.name].append(_run(way, source))
    first = statistics.median(run.seconds for run in times[SCRIPT])
    for way in ways:
        yield _row(f"{SIZES[size]} .{ending}", way.name, times[way.name], first, _anonymous(way, source))
    for path in {source, stored}:
        path.unlink()


def _row(file: str, way: str, runs: Sequence[Run], first: float, anonymous: float) -> kept.Row:
    seconds, processor, peak = (statistics.median(each) for each in zip(*runs, strict=True))
    return kept.Row(file, way, seconds, seconds / first, processor, peak, anonymous)


def _gateport() -> tuple[str, ...]:
    command = Path(sys.executable).with_name("gateport")
    return (str(command),) if command.exists() else (sys.executable, "-m", "gateport")


def _ways(size: str, ending: str, stored: Path, loaders: bool) -> Iterator[Way]:
    graph = ending.endswith("onnx")
    script = (sys.executable, str(HERE / ("script_onnx.py" if graph else "script.py")), size)
    yield Way("gateport convert", (*_gateport(), "convert"))
    yield Way(SCRIPT, script)
    yield Way("script by hand, synced", script, last=("sync",))
    if shutil.which("cp") and shutil.which("sync"):
        yield Way("cp", ("sh", "-c", 'cp "$0" "$2"', str(stored)))
        yield Way("cp and sync", ("sh", "-c", 'cp "$0" "$2" && sync "$2"', str(stored)))
    if loaders and graph:
        yield Way("onnx's loader", (sys.executable, str(HERE / "loader_onnx.py")))
    for backend in ("tensorflow", "torch") if loaders and ending in ("h5", "keras") else ():
        if importlib.util.find_spec("keras") and importlib.util.find_spec(backend):
            loader = (sys.executable, str(HERE / "loader.py"))
            yield Way(f"Keras's loader, {backend}", loader, (("KERAS_BACKEND", backend),), runs=SLOW_RUNS)


def _start(way: Way, source: Path, output: Path) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= dict(way.environment)
    command = [*way.command, str(source), str(output), *way.last]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


_turns = iter(range(1_000_000))


def _fresh(source: Path) -> Path:
    """A name that no output had before: writing over a file costs more than writing a new one."""
    return source.parent / f"{next(_turns)}.safetensors"


def _run(way: Way, source: Path) -> Run:
    output = _fresh(source)
    begin = time.perf_counter()
    process = _start(way, source, output)
    run = _measured(process, begin)
    _finish(way, process, output)
    return run


def _measured(process: subprocess.Popen[bytes], begin: float | None = None) -> Run:
    """Wait for a process and tell what it took, from its start or from the moment before it."""
    begin = time.perf_counter() if begin is None else begin
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak)


def _finish(way: Way, process: subprocess.Popen[bytes], output: Path) -> None:
    with process:
        message = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if process.returncode or not output.exists():
        raise SystemExit(f"{way.name} failed: {message.strip()}")
    output.unlink()
    os.sync()  # else the next process waits for what this one left to write


def _anonymous(way: Way, source: Path) -> float:
    """The peak of anonymous memory in MB, watched every millisecond; NaN where there is no /proc."""
    output, peak = _fresh(source), float("nan")
    process = _start(way, source, output)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            found = [line for line in status.read_text().splitlines() if line.startswith("RssAnon")]
        except OSError:
            found = []
        if found:
            peak = max(float(found[0].split()[1]) * 1024 / 1e6, 0.0 if peak != peak else peak)
        time.sleep(0.001)
    _finish(way, process, output)
    return peak


if __name__ == "__main__":
    main()
