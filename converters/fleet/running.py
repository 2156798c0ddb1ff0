"""The tasks of a fleet through joblib, so that a cluster is `joblib.parallel_config(backend=…)` away."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Any

from converters.fleet.hand import CREW, Lost
from converters.fleet.outcome import Outcome, Task
from converters.writers.atomic import remove_leftovers
from layouts.errors import MissingDependency

_ROUND = 64
"""Tasks a worker at a time, where a backend gives results only when all are there."""


def carried_out(task: Task) -> Outcome:
    """Give one file to a hand; never raises for what a file does."""
    try:
        with CREW.borrowed() as hand:
            found = hand.ask(task.request(), task.limit)
    except Lost as lost:
        remove_leftovers(task.output)
        found = {"outcome": lost.outcome, "message": f"{task.source}: {lost}", "reason": str(lost)}
    return Outcome(task.source, task.output, **found)


def outcomes(tasks: Iterable[Task], jobs: int | None) -> Generator[Outcome, None, None]:
    """The outcome of every task, as they come. Raises `MissingDependency` without joblib.

    Where a worker of joblib itself is killed, those tasks that it may have had are carried out here, and the rest goes
    on with new workers: nothing is done twice but what was not heard of.
    """
    joblib = _joblib()
    waiting = iter(tasks)
    while True:
        sent: dict[str, Task] = {}
        try:
            for outcome in _results(joblib, _noted(waiting, sent), jobs):
                del sent[outcome.source]
                yield outcome
            return
        except joblib.externals.loky.process_executor.TerminatedWorkerError:
            yield from map(carried_out, sent.values())


def _noted(tasks: Iterator[Task], sent: dict[str, Task]) -> Iterator[Task]:
    """The tasks, each noted before it is sent."""
    for task in tasks:
        sent[task.source] = task
        yield task


def _results(joblib: Any, tasks: Iterator[Task], jobs: int | None) -> Iterator[Outcome]:
    backend, configured = joblib.parallel.get_active_backend(prefer="threads")
    if jobs is None:
        _, configured = joblib.parallel.get_active_backend()
        jobs = configured if configured not in (None, 1) else -1
    kind = "generator_unordered" if backend.supports_return_generator else "list"
    parallel = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as=kind)
    if kind != "list":
        yield from parallel(joblib.delayed(carried_out)(task) for task in tasks)
        return
    size = _ROUND * joblib.effective_n_jobs(jobs)
    while some := list(islice(tasks, size)):
        yield from parallel(joblib.delayed(carried_out)(task) for task in some)


def _joblib() -> Any:
    try:
        import joblib
    except ImportError:
        raise MissingDependency(
            "to convert many files takes joblib, which is not installed: pip install 'gateport[fleet]'"
        ) from None
    return joblib
