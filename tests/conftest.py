"""Fixtures shared by the tests, and the table of equivalence errors that closes every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from forkserver import ForkServer

torch.set_num_threads(1)  # the tests run side by side, and their layers are small

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Note the max abs error of one case; the run ends with a table of all of them."""

    def note(case: str, error: float) -> None:
        record_property("equivalence", (case, error))

    return note


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """One process that forks a child for every job, for all tests that need such children."""
    started = ForkServer()
    yield started
    started.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print max abs error per case, as measured in this run."""
    rows = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "equivalence"
    ]
    if rows:
        terminalreporter.section("max abs error against the source framework, per case")
        for case, error in sorted(map(tuple, rows)):
            terminalreporter.write_line(f"{error:9.2e}  {case}")
        worst = max(error for _, error in rows)
        terminalreporter.write_line(f"{len(rows)} cases, worst {worst:.2e}")
