"""The gate-order tables, printed from the layouts themselves."""

from __future__ import annotations

from converters.show.text import Line, Row, Table
from layouts import catalogue
from layouts.errors import UnknownLayer, printable
from layouts.layout import Layout


def layout_tables(framework: str | None, class_name: str | None) -> list[Table]:
    """The tables of all frameworks, of one, or of one layer of it. Raises `UnknownLayer`, `LayoutError`."""
    return [_overview()] if framework is None else [_of_layout(layout) for layout in chosen(framework, class_name)]


def chosen(framework: str | None, class_name: str | None) -> list[Layout]:
    """The recurrent layouts of all frameworks, those of one, or of one layer of it. Raises as `layout_tables`."""
    if framework is None:
        return [layout for layout in catalogue.every_layout() if layout.cell.recurrent]
    found = catalogue.layers(framework)
    named = {name: own for name, own in found.items() if name.lower().startswith((class_name or "").lower())}
    if not named:
        known = ", ".join(dict.fromkeys(found))
        raise UnknownLayer(f"{framework} has no layer {printable(class_name)!r}; there are: {known}")
    return list(dict.fromkeys(layout for own in named.values() for layout in own))


def _overview() -> Table:
    rows = tuple(map(_gates_row, chosen(None, None)))
    return Table(
        "layouts: the order of gates in every framework",
        ("framework", "layer", "cell", "gates", "adds at run time"),
        rows,
    )


def _gates_row(layout: Layout) -> Row:
    added = ", ".join(f"{what} to {gate}" for gate, what in layout.added.items())
    framework = layout.framework + " (unverified)" * bool(catalogue.remarks(layout.framework))
    return Row((framework, layout.class_name, layout.cell.name, " ".join(layout.gates) or "–", added))


def _of_layout(layout: Layout) -> Table:
    conditions = ", ".join(f"{key}={value}" for key, value in layout.when.items())
    gates = f", gates {' '.join(layout.gates)}" if layout.gates else ""
    title = f"{layout.name}: {layout.cell.name}{gates}{f', when {conditions}' if conditions else ''}"
    rows = []
    for name, text in layout.arrays.items():
        left, _, right = (text if isinstance(text, str) else text.pattern).partition("->")
        note = "" if isinstance(text, str) else "  (blocks kept as reshaped buffers)"
        rows.append(Row((name, left.strip() + note, right.strip())))
    lines = tuple(Line("!", remark) for remark in catalogue.remarks(layout.framework))
    return Table(title, ("array", "axes", "holds"), tuple(rows), lines)
