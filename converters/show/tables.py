"""Tables for a terminal, by rich: of a checkpoint, of a plan, of the layouts."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from converters.model.checkpoint import Checkpoint, Layer, Part
from converters.plan.plan import Plan
from converters.plan.refusal import bidirectional, ways
from converters.torch.gate_views import Gates
from layouts import catalogue
from layouts.errors import UnknownLayer, printable
from layouts.layout import Layout


def render(*items: RenderableType) -> str:
    """The items as plain text, as wide as the terminal."""
    width = max(80, shutil.get_terminal_size((120, 24)).columns)
    console = Console(file=io.StringIO(), width=width, no_color=True, highlight=False)
    for item in items:
        console.print(item)
    return str(console.file.getvalue()).rstrip()  # type: ignore[attr-defined]


def _table(columns: Sequence[str]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, style="bold" if number == 0 else None, overflow="fold")
    return table


def _titled(title: str, table: Table) -> RenderableType:
    """The table under its title, which is not cut to the table's width."""
    return Group(Text(title, style="bold"), table)


def _row(table: Table, *cells: str, style: str | None = None) -> None:
    table.add_row(*(Text(cell) for cell in cells), style=style)


def checkpoint_table(checkpoint: Checkpoint) -> RenderableType:
    """One row a layer: what it is, its sizes, its options, what needs care."""
    version = f" {checkpoint.version}" if checkpoint.version else ", version not in the file"
    title = f"{printable(checkpoint.path)}: {checkpoint.framework}{version}, {checkpoint.container}"
    table = _table(("layer", "class", "sizes", "arrays", "options"))
    for layer in checkpoint.layers:
        _row(
            table,
            printable(layer.path),
            printable(layer.kind),
            "\n".join(_sizes(part) for part in layer.parts) or "?",
            "\n".join(_arrays(layer)),
            "\n".join(_options(layer)),
            style="red" if layer.unknown else None,
        )
    return Group(_titled(title, table), *(Text(f"! {text}", style="yellow") for text in _code(checkpoint)))


def _code(checkpoint: Checkpoint) -> Iterable[str]:
    for path in checkpoint.code:
        yield f"{printable(path)} holds code, or is of somebody's own class: never executed here, write it by hand"


def _sizes(part: Part) -> str:
    sizes = part.solved()
    if part.cell.recurrent:
        both = len(ways(part)) > 1
        direction = ", both directions" if both else ", backward" if bidirectional([part]) else ""
        return f"{sizes['input']} → {sizes['unit']}{direction}"
    return ", ".join(f"{word} {size}" for word, size in sizes.items())


def _arrays(layer: Layer) -> Iterable[str]:
    for name, array in (pair for arrays in (layer.arrays, *(p.arrays for p in layer.parts)) for pair in arrays.items()):
        yield f"{printable(name)} {'×'.join(map(str, array.shape)) or 'scalar'} {array.dtype}"


_SILENT = ("dropout", "unroll", "fed_by", "rank", "reads", "gives", "stacks_on")
"""Facts that tell how a layer is wired, or nothing that a port needs."""


def _options(layer: Layer) -> Iterable[str]:
    if layer.unknown:
        yield " ".join(str(layer.unknown).split())
        return
    options = dict(layer.parts[0].options) if layer.parts else {}
    for key, value in (options | dict(layer.facts)).items():
        if value not in (None, False) and key not in _SILENT:
            yield f"{key}={printable(value)}" + (" (assumed)" if key in layer.assumed else "")
    if layer.inferred:
        yield f"inferred: {layer.inferred}"


def plan_tables(plan: Plan) -> list[RenderableType]:
    """One row a module with its constructor and parameters; then problems, warnings and notes."""
    table = _table(("module", "from", "constructor", "parameters"))
    for module in plan.modules:
        parameters = [f"{printable(t.key)} {tuple(t.shape)} {t.dtype}" for t in module.tensors]
        origin = f"{printable(module.path)} ({' + '.join(printable(layer.kind) for layer in module.layers)})"
        style = "red" if module.problems else None
        _row(
            table,
            printable(module.name) or "(no prefix)",
            origin,
            module.constructor or "?",
            "\n".join(parameters),
            style=style,
        )
    lines = [Text(f"✗ {' '.join(str(problem).split())}", style="red") for problem in plan.problems]
    lines += [Text(f"! {warning}", style="yellow") for warning in plan.warnings]
    lines += [Text(f"! {text}", style="yellow") for text in _code(plan.checkpoint)]
    lines += [Text(f"· {printable(m.name or m.path)}: {note}") for m in plan.modules for note in m.notes]
    return [_titled(f"{printable(plan.checkpoint.path)} → PyTorch", table), *lines]


def layout_tables(framework: str | None, class_name: str | None) -> list[RenderableType]:
    """The gate-order tables, printed from the data: all frameworks, one, or one layer of it."""
    if framework is None:
        return [_overview()]
    found = catalogue.layers(framework)
    chosen = {
        layout: name
        for name, layouts in found.items()
        if class_name is None or name.lower().startswith(class_name.lower())
        for layout in layouts
    }
    if not chosen:
        known = ", ".join(dict.fromkeys(found))
        raise UnknownLayer(f"{framework} has no layer {printable(class_name)!r}; there are: {known}")
    return [_layout_table(layout) for layout in chosen]


def _overview() -> RenderableType:
    table = _table(("framework", "layer", "cell", "gates", "adds at run time"))
    for layout in catalogue.every_layout():
        if layout.cell.recurrent:
            added = ", ".join(f"{option} to {gate}" for gate, option in layout.added.items())
            _row(table, layout.framework, layout.spells, layout.cell.name, " ".join(layout.gates) or "–", added)
    return _titled("layouts: the order of gates in every framework", table)


def _layout_table(layout: Layout) -> RenderableType:
    conditions = ", ".join(f"{key}={value}" for key, value in layout.when.items())
    gates = f", gates {' '.join(layout.gates)}" if layout.gates else ""
    title = f"{layout.name}: {layout.cell.name}{gates}{f', when {conditions}' if conditions else ''}"
    table = _table(("array", "axes", "holds"))
    for name, text in layout.arrays.items():
        left, _, right = (text if isinstance(text, str) else text.pattern).partition("->")
        note = "" if isinstance(text, str) else "  (blocks kept as reshaped buffers)"
        _row(table, name, left.strip() + note, right.strip())
    return _titled(title, table)


def print_tables(items: Iterable[Any]) -> None:
    """Print to the terminal, in colour where it has any."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(console.width, 120))
    for item in items:
        console.print(item)


def gates_table(found: Gates) -> RenderableType:
    """One row a view: where it stands, its slot and gate, its shape."""
    table = _table(("layer", "slot", "gate", "shape"))
    for piece, view in sorted(found.views.items(), key=lambda item: found.name(item[0])):
        word = found.cell.spoken.get(piece.gate, "")
        gate = f"{piece.gate} {word}" if piece.gate else "–"
        _row(table, found.name(piece) or "–", piece.slot, gate, "×".join(map(str, view.shape)))
    title = f"{found.title}: gates"
    return Group(_titled(title, table), *(Text(f"! {note}", style="yellow") for note in found.notes))
