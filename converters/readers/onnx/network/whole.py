"""The neutral graph of an ONNX graph: from its outputs back to its inputs, each value when what it needs is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from converters.model import graph as neutral
from converters.model import operations as op
from converters.model.layers import Layer
from converters.readers.onnx.file.tensors import dtype_of
from converters.readers.onnx.graph.reasons import why_open
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import Found
from converters.readers.onnx.network import elementwise, masks, moving, picking, windows
from converters.readers.onnx.network.calls import call
from converters.readers.onnx.network.drawing import Drawing, Parameter, Unfit, title
from converters.readers.onnx.network.sites import Site, is_parameter, sites
from layouts.errors import UnreadableCheckpoint, printable

_DRAW = {**elementwise.DRAW, **moving.DRAW, **picking.DRAW, **windows.DRAW, **masks.DRAW}
_FLOAT, _MOST_NODES = 1, 20_000
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a node raises that lacks an input or an attribute, or has one of another kind: a stranger wrote it."""
Unit = Node | Site


def network(
    root: Scope, found: Sequence[Found], layers: Sequence[Layer], parameters: Mapping[str, Parameter] | None = None
) -> neutral.Graph:
    """The neutral graph; `parameters`: arrays that arithmetic reads, where their names are not those of the file.

    Raises `UnreadableCheckpoint` for a graph that leads in a circle, or is too large to be drawn.
    """
    if len(root.nodes) > _MOST_NODES:
        raise UnreadableCheckpoint(f"it has {len(root.nodes)} nodes, and {_MOST_NODES} at most are followed")
    inputs = tuple(name for name in root.inputs if root.is_input(name))
    d = Drawing(root, inputs, _parameters(layers) if parameters is None else parameters)
    d.taken |= {*root.inputs, *root.stored(), *(name for node in root.nodes for name in node.outputs if name)}
    given = [_given(d, name) for name in inputs]
    made = sites(found, layers, root)
    for name in root.outputs:
        _draw_to(d, name, made)
    outputs = _outputs(d, root.outputs)
    nodes = _needed(d.nodes, outputs)
    used = {*inputs, *(name for node in nodes for name in node.outputs), *outputs}
    values = {name: value for name, value in d.values.items() if name in used}
    return neutral.Graph(tuple(given), tuple(nodes), outputs, values)


def _parameters(layers: Sequence[Layer]) -> dict[str, Parameter]:
    """The arrays that arithmetic reads, by their names in the file."""
    held = (layer for layer in layers if is_parameter(layer))
    return {array.name: (layer, name) for layer in held for name, array in layer.arrays.items()}


def _given(d: Drawing, name: str) -> neutral.Value:
    """An input of the graph."""
    told, sizes = d.scope.type_of(name), d.declared(name)
    kind = told.elem_type if told is not None and told.elem_type else _FLOAT
    shape = None if sizes is None else tuple(one if one == other else None for one, other in sizes)
    axes = tuple(dim.dim_param for dim in told.shape.dim) if told is not None and shape is not None else ()
    d.values[name] = neutral.Value(name, shape, dtype_of(kind), axes if any(axes) else ())
    d.note(name, kind, sizes)
    return d.values[name]


def _draw_to(d: Drawing, name: str, made: Mapping[str, Site]) -> None:
    """Draw everything that a value needs, and the value."""
    waiting, begun = [name], set[str]()
    while waiting:
        current = waiting[-1]
        unit = None if d.is_known(current) or d.scope.is_constant(current) else _unit(d, current, made)
        if unit is None:
            waiting.pop()
            continue
        needed = unit.needs() if isinstance(unit, Site) else unit.inputs
        missing = [one for one in needed if one and not d.is_known(one) and not d.scope.is_constant(one)]
        missing = [one for one in missing if _unit(d, one, made) is not None]
        if missing and current in begun:
            raise UnreadableCheckpoint(f"the graph leads in a circle at {printable(current)}", array=current)
        begun.add(current)
        if missing:
            waiting += missing
        else:
            _draw(d, unit)
            waiting.pop()
            if not d.is_known(current):
                _unknown(d, d.scope.producer(current), "it could not be followed")


def _unit(d: Drawing, name: str, made: Mapping[str, Site]) -> Unit | None:
    """What makes a value: a layer, or a node; None for what the graph does not make."""
    node = d.scope.producer(name)
    return made.get(name) or (node if node is not None and node.scope is d.scope else None)


def _draw(d: Drawing, unit: Unit) -> None:
    if isinstance(unit, Site):
        try:
            call(d, unit)
        except Unfit as problem:
            for node in dict.fromkeys(d.scope.producer(name) for name in unit.gives()):
                _unknown(d, node, str(problem), unit.layer)
        return
    draw = None if unit.domain else _DRAW.get(unit.op)
    try:
        if d.measure(unit):
            return
        if draw is None:
            raise Unfit(why_open(unit) or "no operation here stands for it")
        draw(d, unit)
    except Unfit as problem:
        _unknown(d, unit, str(problem))
    except _MALFORMED:
        _unknown(d, unit, "its inputs or attributes are not what this operator takes")


def _unknown(d: Drawing, node: Node | None, why: str, layer: Layer | None = None) -> None:
    """A node that nobody here can compute, and why."""
    if node is None:
        return
    names = [name for name in dict.fromkeys(filter(None, node.inputs)) if name in d.views or name in d.unsized]
    inputs = [d.views[name].base if name in d.views else name for name in names]
    found = d.inferred(node)
    outputs = {
        name: d.declared(name) if sizes is None else sizes
        for name, (_, sizes) in found.items()
        if not (name in d.views or name in d.unsized)
    }
    named = f"{node.domain}.{node.op}" if node.domain else node.op
    name = layer.path if layer is not None else title(node, next(iter(outputs), ""))
    d.put(name, named, op.Unknown(f"{printable(named)}: {why}"), inputs, outputs)
    for made, sizes in outputs.items():
        d.note(made, found[made][0], sizes)


def _outputs(d: Drawing, names: Sequence[str]) -> tuple[str, ...]:
    """The outputs under their own names: the values that they are take these, or are handed on."""
    own = {name: _own(d, name) for name in names}
    renamed: dict[str, str] = {}
    for name, value in own.items():
        free = value not in d.inputs and value not in names and value not in renamed
        if free:
            renamed[value] = name
        elif value != name:
            value = renamed.get(value, value)
            d.nodes.append(neutral.Node(name, "output", op.Identity(), (value,), (name,)))
            d.values[name] = replace(d.values[value] if value in d.values else d.values[own[name]], name=name)
    _rename(d, renamed)
    return tuple(names)


def _own(d: Drawing, name: str) -> str:
    """The neutral value of an output; a node that says so where there is none."""
    try:
        return d.own(name)
    except Unfit as problem:
        d.put(name, "output", op.Unknown(f"an output: {problem}"), (), {name: d.declared(name)})
        return name


def _rename(d: Drawing, renamed: Mapping[str, str]) -> None:
    def new(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(renamed.get(name, name) for name in names)

    d.nodes[:] = [
        replace(node, inputs=new(node.inputs), outputs=new(node.outputs), mask=renamed.get(node.mask, node.mask))
        for node in d.nodes
    ]
    for before, after in renamed.items():
        d.values[after] = replace(d.values.pop(before), name=after)


def _needed(nodes: Sequence[neutral.Node], outputs: Sequence[str]) -> list[neutral.Node]:
    """The nodes that outputs depend on."""
    wanted, found = {*outputs}, []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            wanted.update([*node.inputs, node.mask] if node.mask else node.inputs)
            found.append(node)
    return found[::-1]
