"""Time and memory of a whole conversion, against the script one writes by hand and against Keras's own loader.

    make bench
    python benchmarks/convert.py --sizes s m l --write

Whole cold processes with a warm page cache, one after the other in turns, each writing a file of a new name; medians.
The order within a turn is drawn, since a process pays for what the one before it left to the system. Peak memory is the
kernel's own count for the process (RSS, which includes mapped pages of files), and, from one more run that is watched,
the peak of anonymous memory, which is what a machine can run out of.

gateport syncs its output to disk before it appears under its name; the script does not. So the script also runs with a
sync at the end. A process counts the memory of the one that started it, so this one imports nothing large and lets
others make the models.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.md"
RUNS = {"tiny": 2, "s": 15, "m": 11, "l": 3}
SLOW_RUNS = 3
SIZES = {"tiny": "26 kB", "s": "S, 1 MB", "m": "M, 100 MB", "l": "L, 1 GB"}
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
    peak: float


class Row(NamedTuple):
    """One line of the table: medians of the runs of one way on one file; MB are 10⁶ bytes."""

    file: str
    way: str
    seconds: float
    ratio: float
    peak: float
    anonymous: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare whole conversions.")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["s", "m"])
    parser.add_argument("--formats", nargs="+", choices=["h5", "keras", "onnx"], default=["h5", "keras", "onnx"])
    parser.add_argument("--runs", type=int, help="runs of each way (default: by size)")
    parser.add_argument("--no-loaders", action="store_true", help="leave out Keras's own loader")
    parser.add_argument("--write", action="store_true", help=f"also write {RESULTS.name} beside this file")
    chosen = parser.parse_args(arguments)
    lines = list(_heading())
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory(prefix="gateport-bench-") as folder:
        for size in chosen.sizes:
            for ending in chosen.formats:
                for row in compare(Path(folder), size, ending, chosen.runs, not chosen.no_loaders):
                    lines.append(_line(row))
                    print(lines[-1], flush=True)
    if chosen.write:
        RESULTS.write_text(_preamble() + "\n".join(lines) + "\n", encoding="utf-8")


def compare(folder: Path, size: str, ending: str, runs: int | None, loaders: bool) -> Iterator[Row]:
    """Make the model, convert it every way in turns, and give a row for each."""
    source = folder / f"{size}.{ending}"
    subprocess.run([sys.executable, str(HERE / "models.py"), size, str(source)], check=True)
    ways = list(_ways(size, ending, loaders))
    for way in ways:  # fills the page cache and writes the bytecode
        _run(way, source)
    times: dict[str, list[Run]] = {way.name: [] for way in ways}
    order = random.Random(7)
    for turn in range(runs or RUNS[size]):
        for way in order.sample(ways, len(ways)):
            if runs or not way.runs or turn < way.runs:
                times[way.name].append(_run(way, source))
    median = {name: statistics.median(run.seconds for run in found) for name, found in times.items()}
    for way in ways:
        peak = statistics.median(run.peak for run in times[way.name])
        ratio = median[way.name] / median[SCRIPT]
        yield Row(f"{SIZES[size]} .{ending}", way.name, median[way.name], ratio, peak, _anonymous(way, source))
    source.unlink()


def _ways(size: str, ending: str, loaders: bool) -> Iterator[Way]:
    command = Path(sys.executable).with_name("gateport")
    start = (str(command),) if command.exists() else (sys.executable, "-m", "converters.cli")
    script = (sys.executable, str(HERE / ("script_onnx.py" if ending == "onnx" else "script.py")), size)
    loaders = loaders and ending != "onnx"
    yield Way("gateport convert", (*start, "convert"))
    yield Way(SCRIPT, script)
    yield Way("script by hand, synced", script, last=("sync",))
    for backend in ("tensorflow", "torch") if loaders and importlib.util.find_spec("keras") else ():
        if importlib.util.find_spec(backend):
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
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    _finish(way, process, output)
    return Run(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


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


def _heading() -> Iterator[str]:
    yield "| file | way | time | × script | peak RSS | peak anonymous |"
    yield "|---|---|--:|--:|--:|--:|"


def _line(row: Row) -> str:
    duration = f"{row.seconds * 1000:.0f} ms" if row.seconds < 1 else f"{row.seconds:.2f} s"
    anonymous = "–" if row.anonymous != row.anonymous else f"{row.anonymous:.0f} MB"
    return f"| {row.file} | {row.way} | {duration} | {row.ratio:.2f} | {row.peak:.0f} MB | {anonymous} |"


def _preamble() -> str:
    names = ("gateport", "numpy", "h5py", "safetensors", "keras", "tensorflow-cpu", "torch")
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in metadata.distributions()}
    versions = ", ".join(f"{name} {found[name]}" for name in names if name in found)
    return (
        "# Whole conversions to safetensors\n\n"
        f"Written by `python benchmarks/convert.py --write`. {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}.\n\n"
        "Whole cold processes, warm page cache, in turns of drawn order, medians. gateport syncs its output to disk.\n"
        "Machines differ: read the ratios.\n\n"
    )


if __name__ == "__main__":
    main()
