"""Many files at once: `convert_many`. Each is converted by itself, and what one of them does stops no other."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters.fleet.hand import CREW
from converters.fleet.log import Log
from converters.fleet.naming import expanded, outputs
from converters.fleet.outcome import UNCHANGED, Outcome, Task
from converters.fleet.running import outcomes
from converters.fleet.summary import Fleet, Tally
from converters.readers.remote.urls import is_url
from converters.targets import find, of_file
from converters.version import __version__
from layouts.errors import ConversionError, printable

__all__ = ["LOG", "Fleet", "convert_many"]

LOG = "conversions.jsonl"
"""The log's name in the folder of the outputs, unless another is given."""


def convert_many(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    *,
    suffix: str | None = None,
    to: str | None = None,
    root: str | os.PathLike[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    like: str | None = None,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: str | None = None,
    dropins: bool = False,
    strict: bool = True,
    verify: bool = False,
    constants: Mapping[str, float] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
) -> Fleet:
    """Convert many files into a folder; a file that is refused, or that kills or hangs its process, stops no other.

    `sources` are paths, URLs and patterns such as ``models/**/*.h5``, one or many. Outputs have their paths below the
    deepest folder that holds them all, or below `root`, and `suffix`, ``.safetensors`` unless `to` means another. Two
    sources of one output are refused before anything is written.

    log: JSON Lines, a line a file as it is done, with source, outcome, message, seconds, bytes and SHA-256;
        ``conversions.jsonl`` in `out_dir` unless stated. Outcomes: done; refused, with the typed error; killed, by a
        signal, as the system does when memory runs out; timeout; failed, where a process ended otherwise.
    resume: go on with a log: files that are done are left alone where options, version, every file that was read and
        the output are the same, judged by their content.
    time_limit: seconds a file may take.
    jobs: processes at once; as joblib is configured unless stated, else one a core. ``joblib.parallel_config(
        backend="dask")``, or "ray" or "spark", sends the files to a cluster, whose machines see the same paths.
    progress: called with the number of files just done, and of all.

    The other options are those of `convert_file`. The outputs are synced to disk together, at the end. Raises
    `ConversionError` for what is wrong with the call, and `MissingDependency` without joblib (the extra ``fleet``);
    what is wrong with a file is told by the `Fleet` that is returned, and by the log.
    """
    target = find(to) if to is not None else of_file(f"x{suffix or ''}", None)
    ending = suffix or target.suffixes[0]
    if target.ending(f"x{ending}") != ending:
        raise ConversionError(f"suffix {printable(ending)}: {target.title} has {', '.join(target.suffixes)}")
    places = outputs(expanded(sources), out_dir, ending, root)
    options = {
        "to": to,
        "like": like,
        "layer": layer,
        "stack": dict(stack or {}),
        "rename": dict(rename or {}),
        "dtype": dtype and str(dtype).removeprefix("torch."),
        "dropins": dropins,
        "strict": strict,
        "verify": verify,
        "constants": dict(constants or {}),
        "framework": framework,
        "assume": dict(assume or {}),
    }
    if log is None and is_url(os.fspath(out_dir)):
        raise ConversionError("the outputs go to a URL, and the log is a file here: name it with log=")
    settings, tally, begin = _settings(options), Tally(), time.perf_counter()
    with Log(Path(log if log is not None else Path(out_dir) / LOG), resume) as lines:
        tasks = list(_tasks(places, options, settings, time_limit, lines.earlier))
        with _closing(outcomes(tasks, jobs)) as results, CREW.working():
            for outcome in results:
                if outcome.outcome != UNCHANGED:
                    lines.write(replace(outcome, settings=settings))
                tally.add(outcome)
                if progress:
                    progress(1, len(tasks))
    if tally.written and hasattr(os, "sync"):
        os.sync()
    return tally.fleet(os.fspath(out_dir), os.fspath(lines.path), time.perf_counter() - begin)


@contextmanager
def _closing(results: Generator[Outcome, None, None]) -> Iterator[Iterator[Outcome]]:
    """Give up what is not done, when a run ends early; joblib's advice to have made fewer tasks is not for its user."""
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def _settings(options: Mapping[str, Any]) -> str:
    """What stands for the options and the version of this package."""
    try:
        text = json.dumps([__version__, options], sort_keys=True)
    except TypeError as error:
        raise ConversionError(f"an option goes to other processes, and is no plain data: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tasks(
    places: Mapping[str, str],
    options: Mapping[str, Any],
    settings: str,
    limit: float | None,
    earlier: Mapping[str, Mapping[str, Any]],
) -> Iterator[Task]:
    for source, output in places.items():
        known = earlier.get(source) or {}
        same = known.get("settings") == settings and known.get("output") == output
        yield Task(source, output, options, limit, known if same else None)
