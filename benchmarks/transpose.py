"""The blocked transposition against `np.ascontiguousarray(k.T)`, into memory that is already mapped, as a ratio.

python benchmarks/transpose.py [rows columns]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from layouts.blocks import assign_blocks


def main(rows: int = 4096, columns: int = 16384, runs: int = 5) -> dict[str, float]:
    """Print and return the median seconds of each way; the shape is that of a kernel as Keras stores it."""
    kernel = np.random.default_rng(7).random((rows, columns), np.float32)
    target, flat = np.zeros((columns, rows), np.float32), np.zeros((rows, columns), np.float32)
    ways: dict[str, Callable[[], object]] = {
        "copy, not transposed": lambda: np.copyto(flat, kernel),
        "blocks": lambda: assign_blocks(target, kernel.T),
        "np.copyto(target, k.T)": lambda: np.copyto(target, kernel.T),
        "np.ascontiguousarray(k.T)": lambda: np.ascontiguousarray(kernel.T),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - begin)
    if not np.array_equal(target, kernel.T):
        raise SystemExit("the transposition is wrong")
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"{rows} × {columns} float32, {kernel.nbytes / 1e6:.0f} MB")
    for name, seconds in medians.items():
        print(f"{name:26} {kernel.nbytes / seconds / 1e9:6.2f} GB/s  {seconds / medians['blocks']:6.2f} × blocks")
    return medians


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
