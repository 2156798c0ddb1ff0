"""What came of a fleet, in counts: the log has a line for every file, and this holds none of those that went well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from converters.fleet.outcome import DONE, UNCHANGED, Outcome
from layouts.errors import printable
from layouts.records import dataclass

_SHOWN = 3
_MOST_REASONS = 1000
_OTHERS = "for other reasons: see the log"


@dataclass(frozen=True)
class Reason:
    """Why some files were not converted: outcome, typed error, sentence, how many, and the first of them."""

    outcome: str
    error: str
    sentence: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        kind = f"{self.outcome} ({self.error})" if self.error else self.outcome
        return f"{self.count} {kind}: {self.sentence} [{', '.join(map(printable, self.examples))}{more}]"


@dataclass(frozen=True)
class Fleet:
    """The outcome of `convert_many`: counts by outcome, reasons by number, and the log that has every file."""

    out_dir: str
    log: str
    counts: dict[str, int]
    reasons: tuple[Reason, ...]
    warned: int
    """Files that were converted with warnings, which the log has."""
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every file is converted."""
        return not self.reasons

    @property
    def bad(self) -> int:
        """The number of files that are not."""
        return sum(reason.count for reason in self.reasons)

    def remarks(self) -> Iterator[str]:
        """A line for every reason, most files first, and one for the warnings."""
        yield from map(str, self.reasons)
        if self.warned:
            yield f"warning: {self.warned} were converted with warnings, which the log has"

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        reasons = [vars(reason) for reason in self.reasons]
        return {**vars(self), "reasons": reasons}

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items())
        return f"{printable(self.out_dir)}: {counts} (log: {printable(self.log)})"


class Tally:
    """Counts outcomes as they come, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._warned = 0
        self._reasons: Counter[tuple[str, str, str]] = Counter()
        self._examples: dict[tuple[str, str, str], list[str]] = {}

    def add(self, outcome: Outcome) -> None:
        self._counts[outcome.outcome] += 1
        self._warned += bool(outcome.warnings)
        if outcome.ok:
            return
        key = (outcome.outcome, outcome.error, outcome.reason)
        if key not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            key = (outcome.outcome, "", _OTHERS)
        self._reasons[key] += 1
        examples = self._examples.setdefault(key, [])
        if len(examples) < _SHOWN:
            examples.append(outcome.source)

    @property
    def written(self) -> int:
        return self._counts[DONE]

    def fleet(self, out_dir: str, log: str, seconds: float) -> Fleet:
        reasons = tuple(
            Reason(*key, count, tuple(sorted(self._examples[key]))) for key, count in self._reasons.most_common()
        )
        counts = {kind: self._counts[kind] for kind in sorted(self._counts, key=_order)}
        return Fleet(out_dir, log, counts, reasons, self._warned, seconds)


def _order(outcome: str) -> tuple[bool, bool, str]:
    return outcome != DONE, outcome != UNCHANGED, outcome
