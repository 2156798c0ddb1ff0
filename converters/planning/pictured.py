"""A plan as one page: the graph in the order of the data, and for every module how each block of gates moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from converters.model.cards import cards
from converters.model.layers import Layer, Part
from converters.planning.modules import Module
from converters.planning.plan import Plan
from converters.show.blocks import Names, blocks_picture
from converters.show.gates import key
from converters.show.pictures.elements import Element, element
from converters.show.pictures.flow import flowchart
from converters.show.pictures.page import beside, listed, page, scrolling, table
from converters.show.wording import sentences
from layouts.cells import Piece
from layouts.errors import printable
from layouts.moves import Stored, moves

Say = Callable[[str], str]
"""How a sentence of the plan is said where the page is made: with the flags of a command for arguments of Python."""


def plan_page(plan: Plan, say: Say = str) -> str:
    """The page as text: no data of the file is read for it."""
    route = f"{printable(plan.checkpoint.path)} → {plan.target.title}"
    return page(route, [element("h1", route), *_overview(plan, say), *_graph(plan), *_modules(plan, say)])


def _overview(plan: Plan, say: Say) -> Iterator[Element | None]:
    source = plan.checkpoint
    version = f" {source.version}" if source.version else ", version not stored"
    amount = f"{len(plan.modules)} modules, {len(plan.tensors)} tensors, {sum(t.nbytes for t in plan.tensors):,} bytes"
    yield element("p", f"{printable(source.framework + version)}, {source.container}. {amount}.", class_="soft")
    if plan.fatal:
        yield element("p", f"Refused: {len(plan.fatal)} of its problems stand in the way.", class_="bad")
    lines = [line for found in plan.tables() for line in found.lines if line.mark in ("✗", "!")]
    for mark, kind in (("✗", "bad"), ("!", "care")):
        yield listed([f"{mark} {say(line.words)}" for line in lines if line.mark == mark], kind)


def _graph(plan: Plan) -> Iterator[Element | None]:
    graph = plan.checkpoint.graph if plan.whole else None
    yield element("h2", "The model")
    if graph is None:
        if plan.whole:
            yield element("p", "The source stores weights alone: how its layers are connected it does not tell.")
        yield _rows(plan)
        return
    links = {id(layer): f"#m{k}" for k, module in enumerate(plan.modules) for layer in module.layers}
    boxes, lines = cards(graph, lambda layer: links.get(id(layer), ""))
    drawing, left_out = flowchart(boxes, lines, "the layers in the order of the data")
    if any(line.mask for line in lines):
        yield element("p", "Dashed lines are masks.", class_="soft")
    if left_out:
        yield element("p", f"{left_out} lines over many layers are not drawn: there are too many.", class_="care")
    yield scrolling(drawing)


def _rows(plan: Plan) -> Element:
    """The layers as a table, where no graph is told."""
    found = plan.checkpoint.table()
    return table(found.columns, [[_cell(cell) for cell in row.cells] for row in found.rows])


def _cell(words: str) -> Element:
    return element("div", *(element("div", line) for line in words.splitlines()))


def _modules(plan: Plan, say: Say) -> Iterator[Element | None]:
    cells = [part.cell for module in plan.modules for part in module.parts if module.layout]
    yield element("h2", "Where every weight goes")
    yield key(cells)
    for number, module in enumerate(plan.modules):
        yield _module(module, f"m{number}", say)


def _module(module: Module, anchor: str, say: Say) -> Element:
    called = f"{printable(module.path)} ({printable(module.class_name)})"
    title = element("h3", called, " → ", element("code", f"{printable(module.name)} = {module.constructor or '?'}"))
    words = [
        listed([say(" ".join(str(problem).split())) for problem in module.problems], "bad"),
        listed([say(note) for note in module.notes]),
    ]
    kind = "bad" if module.problems else None
    if module.layout is None:
        return element("section", title, *words, _arrays(module), id=anchor, class_=kind)
    stored = {piece: own for k, part in enumerate(module.parts) for piece, own in _stored(k, part).items()}
    found = moves(stored, module.layout, module.parts[0].given, module.factors)
    constants = {name: value for part in module.parts for name, value in part.constants.items()}
    names = Names(partial(_source, module), _named(module), constants)
    drawing = blocks_picture(stored, found, names, f"how the arrays of {called} move")
    told = listed([say(sentence) for sentence in sentences(stored, found, names)])
    return element("section", title, *words, beside(drawing, told, _arrays(module)), id=anchor, class_=kind)


def _stored(number: int, part: Part) -> dict[Piece, Stored]:
    return {piece: Stored(part.source, region, number) for piece, region in part.regions().items()}


def _source(module: Module, number: int, name: str) -> str:
    """An array of the source; with direction and layer where the arrays of several parts go by one name."""
    part, parts = module.parts[number], module.parts
    direction, layer = part.only or (part.direction, part.layer)
    told = [direction] if len({each.direction for each in parts}) > 1 or part.only else []
    told += [f"layer {layer}"] if len({each.layer for each in parts}) > 1 or (part.only and part.layers > 1) else []
    return f"{printable(name)} ({', '.join(told)})" if told else printable(name)


def _named(module: Module) -> Callable[[str], str]:
    keys = {tensor.name: tensor.key for tensor in module.tensors}
    return lambda name: printable(keys.get(name, name)) if len(keys.get(name, name)) < 40 else name


def _arrays(module: Module) -> Element:
    """What is stored, and what is written: names in full, shapes, dtypes."""
    layers: list[Layer] = list(module.layers)
    own = [array for part in module.parts for array in part.arrays.values()]
    stored = own or [array for layer in layers for array in layer.stored()]
    rows = [(printable(a.name), _shape(a.shape), str(a.dtype)) for a in stored]
    written = [(printable(t.key), _shape(t.shape), str(t.dtype)) for t in module.tensors]
    return element(
        "div", table(("stored", "shape", "dtype"), rows), table(("written", "shape", "dtype"), written), class_="arrays"
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "scalar"
