"""What can be read and what can be written, from the tables of readers and targets themselves."""

from __future__ import annotations

from collections.abc import Iterator

from converters.readers.containers import ANY, FILES, PLACES
from converters.show.text import Line, Row, Table
from converters.targets import OWN, PYTORCH
from converters.writers import IN_PIECES, WRITTEN
from layouts import catalogue, cells
from layouts.cells import Cell


def formats() -> tuple[Table, Table, Table]:
    """A row for every container that is read, for every file that is written, and for every framework's cells."""
    read = [Row((kind.title, kind.names, _whose(kind.framework))) for kind in (*FILES, *PLACES)]
    known = ", ".join(catalogue.frameworks())
    return (
        Table("read", ("container", "files", "framework"), tuple(read), (Line("·", f"--framework: one of {known}"),)),
        Table("written", ("files", "what", "framework"), tuple(_written()), (Line("·", f"--to: one of {known}"),)),
        Table("from any to any", ("framework", *map(_said, RECURRENT), "other layers"), tuple(_frameworks()), (_ANY,)),
    )


RECURRENT = (cells.LSTM, cells.GRU, cells.GRU_RESET_BEFORE, cells.RNN, cells.CONV_LSTM2D)
"""The cells that have a column each."""
_ANY = Line("·", "arrays go from every framework to every other that has the cell")


def _said(cell: Cell) -> str:
    return cell.name.replace("_", " ")


def _frameworks() -> Iterator[Row]:
    """Which cells a framework has, and how many kinds of other layers."""
    for name in catalogue.frameworks():
        own = {layout.cell for layout in catalogue.of(name)}
        others = len(own - set(RECURRENT))
        yield Row((name, *("yes" if cell in own else "" for cell in RECURRENT), str(others or "")))


def _written() -> Iterator[Row]:
    """A row for every kind of file, and whose arrays it may hold."""
    of_all = set.intersection(*(set(target.suffixes) for target in OWN))
    for suffix, what in WRITTEN.items():
        targets = [target for target in OWN if suffix in target.suffixes]
        yield Row((suffix, what, "any (--to)" if suffix in of_all else ", ".join(target.name for target in targets)))
    yield from (Row((name, what, PYTORCH.name)) for name, what in IN_PIECES.items())


def _whose(framework: str) -> str:
    return "the one of --framework" if framework == ANY else framework
