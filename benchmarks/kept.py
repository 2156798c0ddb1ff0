"""The results of a comparison: one table for people, and a history in which a regression is seen.

`history.jsonl` has a line a row of every run that was kept: the day, the machine, versions, and what was measured.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from converters import __version__

HERE = Path(__file__).resolve().parent
RESULTS, HISTORY = HERE / "results.md", HERE / "history.jsonl"
HEADING = (
    "| file | way | time | × script | processor | peak RSS | peak anonymous |",
    "|---|---|--:|--:|--:|--:|--:|",
)
NAMES = ("numpy", "h5py", "onnx", "safetensors", "click", "keras", "tensorflow-cpu", "torch")


class Row(NamedTuple):
    """One line: medians of the runs of one way on one file; MB are 10⁶ bytes. `ratio` is to the script by hand."""

    file: str
    way: str
    seconds: float
    ratio: float
    processor: float
    peak: float
    anonymous: float


def line(row: Row) -> str:
    times = [f"{t * 1000:.0f} ms" if t < 1 else f"{t:.2f} s" for t in (row.seconds, row.processor)]
    anonymous = "–" if row.anonymous != row.anonymous else f"{row.anonymous:.0f} MB"
    return f"| {row.file} | {row.way} | {times[0]} | {row.ratio:.2f} | {times[1]} | {row.peak:.0f} MB | {anonymous} |"


def write(rows: Sequence[Row]) -> None:
    """Write the table anew, and append to the history."""
    told = _machine()
    RESULTS.write_text("\n".join([*_preamble(told), *HEADING, *map(line, rows)]) + "\n", encoding="utf-8")
    with HISTORY.open("a", encoding="utf-8") as history:
        history.writelines(json.dumps(told | _as_data(row), ensure_ascii=False) + "\n" for row in rows)


def _as_data(row: Row) -> dict[str, Any]:
    numbers = {
        name: None if value != value else round(value, 4) for name, value in zip(row._fields[2:], row[2:], strict=True)
    }
    return {"file": row.file, "way": row.way, **numbers}


def _machine() -> dict[str, Any]:
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in metadata.distributions()}
    return {
        "date": datetime.date.today().isoformat(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {"gateport": __version__} | {name: found[name] for name in NAMES if name in found},
    }


def _preamble(told: dict[str, Any]) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    yield "# Whole conversions to safetensors"
    yield ""
    yield f"Written by `python benchmarks/convert.py --write` on {told['date']}. {told['cores']} cores,"
    yield f"{told['system']}, Python {told['python']}, {versions}."
    yield ""
    yield "Whole cold processes, warm page cache, in turns of drawn order, medians. gateport syncs its output to disk."
    yield "Ratios are to the script, those of a start to `python -c pass`. Machines differ: read the ratios."
    yield "Earlier runs stand in `history.jsonl`; what no machine changes is asserted in `tests/test_costs.py`."
    yield ""
