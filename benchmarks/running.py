"""Speed of built modules: inference and one step of training, against the module written by hand and other runtimes.

    python benchmarks/running.py [--rounds 15] [--models lstm bigru hard before] [--write]

Every way is a process of its own that holds the same Keras model: `build`, PyTorch by hand, Keras on TensorFlow and on
PyTorch, onnxruntime on what Keras exports, and onnx2torch and onnx2pytorch where they are installed. They are asked in
turns; what counts is the median, as a ratio to the first way. A way that cannot run the model says so. Two threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "running.md"
WAYS = ("hand", "build", "keras-tensorflow", "keras-torch", "onnxruntime", "onnx2torch", "onnx2pytorch")
NAMES = {
    "hand": "PyTorch by hand",
    "build": "gateport, build",
    "keras-tensorflow": "Keras on TensorFlow",
    "keras-torch": "Keras on PyTorch",
}
MODELS = {
    "lstm": "LSTM 128 → 256, Dense",
    "bigru": "Bidirectional GRU 128 → 2 × 256, Dense",
    "hard": "LSTM with hard_sigmoid, Dense",
    "before": "GRU that resets before, Dense",
}
BATCHES, TASKS = (1, 32), ("inference", "training")


class Worker:
    """One way, in its own process: it answers a request with the seconds that the run took."""

    def __init__(self, way: str, model: str, folder: Path) -> None:
        self.way = way
        backend = "torch" if way == "keras-torch" else "tensorflow"
        environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "2"}
        command = [sys.executable, str(HERE / "runners.py"), way, model, str(folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.refusal = self._answer().removeprefix("ready").strip()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("@"):
                return line[1:].strip()
        return "ended without an answer"

    def run(self, task: str, batch: int) -> float | str:
        """The seconds of one run, or why there is none."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{task} {batch}\n")
        self._process.stdin.flush()
        answer = self._answer()
        try:
            return float(answer)
        except ValueError:
            return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


class Row(NamedTuple):
    """One way on one model: the median seconds, and as a ratio to the module by hand; or why there is none."""

    model: str
    task: str
    batch: int
    way: str
    found: float | str
    ratio: float


def rows(model: str, rounds: int) -> Iterator[Row]:
    """Every task and batch of a model, the ways asked in turns."""
    with tempfile.TemporaryDirectory(prefix="gateport-bench-") as folder:
        subprocess.run(
            [sys.executable, str(HERE / "runners.py"), "make", model, folder], check=True, stderr=subprocess.DEVNULL
        )
        workers = [Worker(way, model, Path(folder)) for way in WAYS]
        for task in TASKS:
            for batch in BATCHES:
                found = measured([w for w in workers if not w.refusal], task, batch, rounds)
                first = found["hand"]
                for worker in workers:
                    value = worker.refusal or found[worker.way]
                    ratio = value / first if isinstance(value, float) and isinstance(first, float) else 0.0
                    yield Row(model, task, batch, worker.way, value, ratio)
        for worker in workers:
            worker.end()


def pairs(model: str) -> Iterator[str]:
    """The built module over the one by hand, both in one process: a line for each task and batch."""
    with tempfile.TemporaryDirectory(prefix="gateport-bench-") as folder:
        for way in ("make", "pair"):
            command = [sys.executable, str(HERE / "runners.py"), way, model, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for answer in done.stdout.splitlines():
        if answer.startswith("@"):
            task, batch, ratio = answer[1:].split()
            yield f"| {MODELS[model]} | {task} | {batch} | {ratio} |"


def measured(workers: Sequence[Worker], task: str, batch: int, rounds: int) -> dict[str, float | str]:
    """The median seconds of each way after two runs that do not count, or why it has none."""
    found: dict[str, list[float]] = {worker.way: [] for worker in workers}
    why: dict[str, str] = {}
    for number in range(rounds + 2):
        for worker in workers[number % len(workers) :] + workers[: number % len(workers)]:
            if worker.way not in why:
                seconds = worker.run(task, batch)
                if isinstance(seconds, str):
                    why[worker.way] = seconds
                elif number > 1:
                    found[worker.way].append(seconds)
    return {way: why.get(way) or statistics.median(times) for way, times in found.items()}


def line(row: Row) -> str:
    name = NAMES.get(row.way, row.way)
    if isinstance(row.found, str):
        return f"| {MODELS[row.model]} | {row.task} | {row.batch} | {name} | {row.found} | |"
    return f"| {MODELS[row.model]} | {row.task} | {row.batch} | {name} | {row.found * 1e3:.2f} ms | {row.ratio:.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare running models.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--write", action="store_true", help=f"also write {RESULTS.name} beside this file")
    chosen = parser.parse_args(arguments)
    lines = [
        "# Running models, T 100",
        "",
        f"Written by `python benchmarks/running.py --rounds {chosen.rounds} --write`, on two threads. Medians of runs",
        "in turns; machines differ: read the ratios, to the module written by hand.",
        "",
        "| model | task | batch | way | time | × by hand |",
        "|---|---|--:|---|--:|--:|",
    ]
    print("\n".join(lines), flush=True)
    for model in chosen.models:
        for row in rows(model, chosen.rounds):
            lines.append(line(row))
            print(lines[-1], flush=True)
    lines += ["", "Built over by hand, both in one process, in turns, 61 rounds:", ""]
    lines += ["| model | task | batch | × by hand |", "|---|---|--:|--:|"]
    for model in chosen.models:
        for found in pairs(model):
            lines.append(found)
            print(found, flush=True)
    if chosen.write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
