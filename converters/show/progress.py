"""A bar on stderr that appears when something takes more than a second, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

WAIT = 1.0
"""Seconds before it appears."""


class Bar:
    """`advance` is what a long function is given to call. As a context manager it is gone at the end."""

    def __init__(self, doing: str, *, of_bytes: bool = False) -> None:
        self._doing, self._of_bytes = doing, of_bytes
        self._started = time.monotonic()
        self._done = 0
        self._progress: Progress | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def advance(self, count: int, total: int) -> None:
        """`count` more of `total` are done."""
        self._done += count
        if self._progress is None and time.monotonic() - self._started > WAIT and sys.stderr.isatty():
            self._start(total)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._done)

    def _start(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        amount: ProgressColumn = DownloadColumn() if self._of_bytes else MofNCompleteColumn()
        columns = (self._doing, BarColumn(), amount, TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.add_task(self._doing, total=total)
        self._progress.start()

    def stop(self) -> None:
        """Take it away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
