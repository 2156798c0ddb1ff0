"""Layers with weights as nodes of the neutral graph."""

from __future__ import annotations

from converters.model import operations as op
from converters.readers.onnx.file.tensors import dtype_of
from converters.readers.onnx.graph.scope import Node
from converters.readers.onnx.network.drawing import Drawing, Unfit
from converters.readers.onnx.network.indices import unwrapped
from converters.readers.onnx.network.recurrent import call_recurrent
from converters.readers.onnx.network.sites import Site
from converters.readers.onnx.network.sizes import Sizes, Typed, inferred
from converters.readers.onnx.network.views import reshape

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
    if site.found.proven:
        kind, before, after = d.kinds.get(site.reads, _FLOAT), d.sizes(site.reads), d.sizes(site.reads)
    else:
        kind, before, after = _measured(d, site, made)
    base = made if before == after else d.fresh(f"{made}_before")
    x, dtype = d.own(reads), dtype_of(kind)
    d.put(layer.path, layer.class_name, op.Apply(), (x,), {base: before}, layer=layer, dtype=dtype)
    d.note(base, kind, before)
    if base != made:
        _reshaped(d, site, base, made, after)


def _reshaped(d: Drawing, site: Site, base: str, made: str, after: Sizes | None) -> None:
    """What a layer gives behind a reshape that stands between its product and its bias."""
    view = d.views.get(base)
    found = view.grouped(after) if view is not None and after is not None else None
    d.kinds[made] = d.kinds[base]
    if found is not None:
        d.views[made] = found
        return
    if view is None or after is None:
        raise Unfit("the reshape between its product and its bias is not known")
    try:
        operation = reshape(view.sizes, after)
    except ValueError as error:
        raise Unfit(str(error)) from None
    d.result(site.found.nodes[1], operation, (base,), made, d.kinds[base], after)


def _measured(d: Drawing, site: Site, made: str) -> tuple[int, Sizes | None, Sizes | None]:
    """The kind of what a layer of several nodes gives, and the shapes of what the first node gives and of the end."""
    known: dict[str, Typed] = {}
    for node in site.found.nodes:
        known |= {name: Typed(kind, sizes) for name, (kind, sizes) in _of_node(d, node, known).items()}
        if made in known:
            break
    found, first = known.get(made), known.get(site.found.nodes[0].output(0))
    after = found.sizes if found is not None and found.sizes is not None else d.declared(made)
    before = first.sizes if first is not None and first.sizes is not None else after
    return (found.kind if found is not None else _FLOAT), before, after


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
