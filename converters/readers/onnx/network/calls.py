"""Layers with weights as nodes of the neutral graph."""

from __future__ import annotations

from converters.model import operations as op
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.network.drawing import Drawing, dtype_of
from converters.readers.onnx.network.indices import unwrapped
from converters.readers.onnx.network.recurrent import call_recurrent
from converters.readers.onnx.network.sites import Site
from converters.readers.onnx.network.sizes import Sizes, Typed, inferred

_FLOAT = 1


def call(d: Drawing, site: Site) -> None:
    """Draw one call of a layer."""
    if not site.is_known:
        _unknown(d, site)
    elif site.layer.recurrent:
        call_recurrent(d, site)
    else:
        _surrounding(d, site)


def _surrounding(d: Drawing, site: Site) -> None:
    layer, reads = site.layer, site.reads
    made = site.found.layer.wiring.gives[0]
    if layer.parts[0].cell.name == "embedding":
        reads = unwrapped(d, reads, layer.parts[0].solved()["index"])
    kind, sizes = _measured(d, site, made)
    d.put(layer.path, layer.class_name, op.Apply(), (d.own(reads),), {made: sizes}, layer=layer, dtype=dtype_of(kind))
    d.note(made, kind, sizes)


def _measured(d: Drawing, site: Site, made: str) -> tuple[int, Sizes | None]:
    """The kind and the shape of what a layer of several nodes gives."""
    if site.found.proven:
        return d.kinds.get(site.reads, _FLOAT), d.sizes(site.reads)
    known: dict[str, Typed] = {}
    for node in site.found.nodes:
        known |= {name: Typed(kind, sizes) for name, (kind, sizes) in _of_node(d, node, known).items()}
        if made in known:
            break
    found = known.get(made)
    sizes = found.sizes if found is not None else None
    return (found.kind if found is not None else _FLOAT), d.declared(made) if sizes is None else sizes


def _of_node(d: Drawing, node: Node, known: dict[str, Typed]) -> dict[str, tuple[int, Sizes | None]]:
    return inferred(node, {name: known.get(name) or d.typed(name) for name in node.inputs if name})


def _unknown(d: Drawing, site: Site) -> None:
    """A layer that is not known reads what its node does."""
    node, layer = site.found.nodes[0], site.layer
    inputs = [d.own(name) for name in dict.fromkeys(filter(None, node.inputs)) if name in d.views or name in d.unsized]
    found = d.inferred(node)
    outputs = {name: d.declared(name) if sizes is None else sizes for name, (_, sizes) in found.items()}
    d.put(layer.path, layer.class_name, op.Apply(), inputs, outputs, layer=layer)
    for name, (kind, _) in found.items():
        d.note(name, kind, outputs[name])
