"""One file of a fleet: what is to be done, and what came of it. Both are plain data, so that they go to any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layouts.records import dataclass, field

DONE, UNCHANGED = "done", "unchanged"
REFUSED, FAILED, KILLED, TIMEOUT = "refused", "failed", "killed", "timeout"
GOOD = (DONE, UNCHANGED)
"""`refused` is a typed error of ours; `failed` a process that ended by itself; `killed` one that a signal ended."""


@dataclass(frozen=True)
class Task:
    """A source, its output, the options of `convert_file`, and what an earlier run wrote down of the same file."""

    source: str
    output: str
    options: Mapping[str, Any] = field(default_factory=dict)
    limit: float | None = None
    """Seconds that it may take."""
    earlier: Mapping[str, Any] | None = None

    def request(self) -> dict[str, Any]:
        """What the process that converts is told."""
        return dict(vars(self))


@dataclass(frozen=True)
class Outcome:
    """A line of the log."""

    source: str
    output: str
    outcome: str
    message: str = ""
    error: str = ""
    """The kind of a typed error, such as NotRepresentable."""
    reason: str = ""
    """The message without what belongs to this file alone, so that equal ones can be counted."""
    seconds: float = 0.0
    bytes: int = 0
    """Of the output."""
    sha256: str = ""
    """Of the output."""
    read: Mapping[str, str] = field(default_factory=dict)
    """Every file that was read for it, and its SHA-256."""
    settings: str = ""
    """What stands for the options and the version: another one, and the file is converted anew."""
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome in GOOD

    def data(self) -> dict[str, Any]:
        """The line as plain data, for JSON."""
        return dict(vars(self))
