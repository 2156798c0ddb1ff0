"""The one renderer: plain rows as a table in a terminal, as text, or as HTML. It knows nothing of what it shows."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDTH = 120
_STYLES = {"✗": "red", "!": "yellow"}


class Line(NamedTuple):
    """A sentence below a table; its mark says how it is meant: ✗ refused, ! needs care, · a note."""

    mark: str
    words: str


class Row(NamedTuple):
    """The cells of one row; `refused` where it stands in the way."""

    cells: tuple[str, ...]
    refused: bool = False


class Table(NamedTuple):
    """A title, columns, rows, and sentences below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: tuple[Line, ...] = ()


def render(*tables: Table) -> str:
    """The tables as plain text, as wide as the terminal."""
    import shutil

    file = io.StringIO()
    _fill(_console(file=file, width=max(80, shutil.get_terminal_size((_WIDTH, 24)).columns), no_color=True), tables)
    return file.getvalue().rstrip()


def html(*tables: Table) -> str:
    """The tables as HTML, for a notebook."""
    console = _console(file=io.StringIO(), width=2 * _WIDTH, record=True)
    _fill(console, tables)
    return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def show(*tables: Table) -> None:
    """Print to the terminal, in colour where it has any."""
    console = _console()
    if not console.is_terminal:
        console = _console(width=max(console.width, _WIDTH))
    _fill(console, tables)


def _console(**options: Any) -> Console:
    from rich.console import Console

    return Console(highlight=False, **options)


def _fill(console: Console, tables: Iterable[Table]) -> None:
    for table in tables:
        for item in _renderables(table):
            console.print(item)


def _renderables(table: Table) -> Iterable[RenderableType]:
    """The title, which is not cut to the table's width; the table; the lines."""
    from rich.table import Table as RichTable
    from rich.text import Text

    yield Text(table.title, style="bold")
    drawn = RichTable(show_edge=False, pad_edge=False)
    for number, column in enumerate(table.columns):
        drawn.add_column(column, style="bold" if number == 0 else None, overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(Text, row.cells), style="red" if row.refused else None)
    yield drawn
    for line in table.lines:
        yield Text(f"{line.mark} {line.words}", style=_STYLES.get(line.mark, ""))
