"""Time and memory of many files: how both grow from 10 files of 230 KB to 10,000.

    python benchmarks/fleet.py                       prints a table
    python benchmarks/fleet.py --write               writes fleet.md beside this, and docs/images/fleet.svg
    python benchmarks/fleet.py --counts 10 100 --jobs 1

Each count is a process of its own that makes the copies, converts them once to have them in the page cache, and once
more into another folder, which is what is measured: the wall, the time of all processors that this process and those
that it started took, and the peak of memory of the largest of each. To draw takes matplotlib, which nothing else needs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE, PICTURE = HERE / "fleet.md", HERE.parent / "docs" / "images" / "fleet.svg"
COUNTS = (10, 30, 100, 300, 1000, 3000, 10_000)
HEADING = (
    "| files | wall | wall a file a core | processor a file | this process | largest other |\n|--:|--:|--:|--:|--:|--:|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Convert many files.")
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} and {PICTURE.name}")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(measured(chosen.one, chosen.jobs)))
        return
    print(HEADING)
    found = []
    for count in chosen.counts:
        command = [sys.executable, __file__, "--one", str(count), "--jobs", str(chosen.jobs)]
        found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        print(line(found[-1]), flush=True)
    if chosen.write:
        TABLE.write_text(page(found, chosen.jobs), encoding="utf-8")
        draw(found)


def measured(count: int, jobs: int) -> dict[str, float]:
    """What one run takes."""
    from converters import convert_many

    with tempfile.TemporaryDirectory(prefix="gateport-fleet-") as name:
        folder = Path(name)
        _copies(folder, count)
        pattern = [str(folder / "models" / "*.h5")]
        convert_many([str(folder / "models" / "0.h5")], folder / "warm", jobs=1)
        before, begin = _processor(), time.perf_counter()
        fleet = convert_many(pattern, folder / "out", jobs=jobs)
        wall = time.perf_counter() - begin
        if fleet.counts != {"done": count}:
            raise SystemExit(f"not all went well: {fleet.counts}")
        own, others = (resource.getrusage(who).ru_maxrss * 1024 / 1e6 for who in (_SELF, _OTHERS))
        return {
            "files": count,
            "jobs": jobs,
            "wall": wall,
            "processor": _processor() - before,
            "own": own,
            "others": others,
        }


_SELF, _OTHERS = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN


def _processor() -> float:
    """Seconds of all processors, of this process and of those that it has seen end."""
    usages = [resource.getrusage(who) for who in (_SELF, _OTHERS)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _copies(folder: Path, count: int) -> None:
    """One file of 230 KB, so many times, each a file of its own."""
    (folder / "models").mkdir()
    first = folder / "models" / "0.h5"
    subprocess.run([sys.executable, str(HERE / "models.py"), "xs", str(first)], check=True)
    for number in range(1, count):
        shutil.copyfile(first, folder / "models" / f"{number}.h5")
    os.sync()


def line(found: dict[str, float]) -> str:
    """A row of the table."""
    files = found["files"]
    each, worked = (1000 * seconds / files for seconds in (found["wall"] * found["jobs"], found["processor"]))
    return (
        f"| {files:,.0f} | {found['wall']:.2f} s | {each:.2f} ms | {worked:.2f} ms "
        f"| {found['own']:.0f} MB | {found['others']:.0f} MB |"
    )


def page(found: Sequence[dict[str, float]], jobs: int) -> str:
    rows = "\n".join(map(line, found))
    return (
        "# Many files\n\n"
        f"Written by `python benchmarks/fleet.py --write`: copies of a file of 230 KB, {jobs} processes on "
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}.\n\n"
        "To start the processes and to import the packages is in each row; with many files it no longer counts.\n"
        f"{busy()}Memory is the peak of the process that hands the files out, and of the largest that converts.\n\n"
        f"{HEADING}\n{rows}\n\n"
        "![Seconds over the number of files: a straight line](../docs/images/fleet.svg)\n"
    )


def busy() -> str:
    """A sentence where other processes had the cores before this one began."""
    load, cores = os.getloadavg()[2], os.cpu_count() or 1
    return f"The machine had other work (load {load:.0f}): the processor's time tells more.\n" if load > cores else ""


def draw(found: Sequence[dict[str, float]]) -> None:
    """The seconds over the number of files, both by powers of ten, with a line of slope one through the last."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "gateport", "font.size": 9})
    from matplotlib import pyplot

    files, wall, worked = ([row[key] for row in found] for key in ("files", "wall", "processor"))
    figure, axes = pyplot.subplots(figsize=(5.2, 3.4), layout="constrained")
    axes.loglog(files, [worked[-1] * count / files[-1] for count in files], ":", color="0.6", label="linear")
    axes.loglog(files, worked, "o-", color="#3465a4", label="all processors")
    axes.loglog(files, wall, "s-", color="#cc5500", label=f"wall, {found[0]['jobs']:.0f} processes")
    axes.set(xlabel="files of 230 KB", ylabel="seconds")
    axes.grid(which="major", color="0.9")
    axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
