"""What can be read and what can be written, from the tables of readers and targets themselves."""

from __future__ import annotations

from converters.readers.containers import ANY, FILES, PLACES
from converters.show.text import Line, Row, Table
from converters.targets import PYTORCH
from layouts import catalogue


def formats() -> tuple[Table, Table]:
    """A row for every container that is read, and one for every file that is written."""
    read = [Row((kind.title, kind.names, _whose(kind.framework))) for kind in (*FILES, *PLACES)]
    known = ", ".join(catalogue.frameworks())
    return (
        Table("read", ("container", "files", "framework"), tuple(read), (Line("·", f"--framework: one of {known}"),)),
        Table("written", ("files", "framework"), (Row((", ".join(PYTORCH.suffixes), PYTORCH.name)),)),
    )


def _whose(framework: str) -> str:
    return "the one of --framework" if framework == ANY else framework
