"""Calls of recurrent layers: initial states in, outputs and states out, and the mask of the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converters.model import operations as op
from converters.model.graph import Shape
from converters.model.layers import Layer, Part
from converters.model.shapes import after_layer
from converters.readers.keras import stacked_states
from converters.readers.keras.draft import Flow
from converters.readers.keras.semantics import CONV_LSTMS, RECURRENT
from converters.readers.keras.site import Site, flows_in

_OTHERS = {"Bidirectional", "RNN", *CONV_LSTMS}
_MASKLESS = {"CuDNNLSTM", "CuDNNGRU"}


def is_recurrent(site: Site) -> bool:
    """Whether a layer runs along the time and keeps states."""
    cells = {cell.class_name for cell in site.leaf.cells}
    return site.leaf.class_name in _OTHERS or bool(cells & RECURRENT) or bool(site.layer and site.layer.recurrent)


def called(site: Site) -> list[Flow]:
    """Outputs, and the final states where the layer gives them."""
    layer, (first, *more) = site.layer, site.flows
    states = [*more, *flows_in(site.given.named.get("initial_state"))]
    why = _not_known(site, len(states)) or _order_not_known(site, bool(states))
    if why or layer is None:
        return site.unknown(why)
    mask = _mask(site, first, bool(states))
    if mask and _zeroes_others(site, layer):
        return site.unknown("unrolled backwards behind a mask: Keras gives zeros at the wrong steps there")
    outputs, finals = _shapes(layer, site.draft.shape(first.value), site)
    turned = stacked_states.counted_from_the_last(site)
    states = stacked_states.from_the_first(layer, states) if turned else states
    inputs = [first.value, *(flow.value for flow in states)]
    made = site.give(op.Apply(), inputs, [*outputs, *(finals if layer.call.states else [])], mask)
    behind = (mask or first.mask) if layer.call.sequences and not _stops(site) else ""
    finished = [Flow(value) for value in made[len(outputs) :]]
    finished = stacked_states.from_the_last(layer, finished) if turned else finished
    return [*(Flow(value, behind) for value in made[: len(outputs)]), *finished]


def _order_not_known(site: Site, given: bool) -> str:
    """Why the order of the states of a stack is not known, where anybody reads or gives them; '' where it is."""
    used = given or (site.layer is not None and site.layer.call.states)
    return stacked_states.why_not_known(site) if used else ""


def _not_known(site: Site, states: int) -> str:
    layer = site.layer
    if layer is None:
        return f"the file stores no weights for this {site.leaf.kind}"
    if layer.unknown is not None:
        return " ".join(str(layer.unknown).split())
    if any(flows_in(site.given.named.get("constants"))) or site.leaf.config.get("num_constants"):
        return "a cell that reads constants beside its sequence"
    expected = sum(len(_states(part)) for part in layer.parts)
    return f"it is called with {states} initial states and has {expected}" if states not in (0, expected) else ""


def _zeroes_others(site: Site, layer: Layer) -> bool:
    """Whether zeros stand where the mask has none: unrolled and backwards, outputs are turned round and it is not.

    Source: `backend.rnn` of Keras 3.15 and tf_keras 2.21, where `mask_list` is reversed and `mask` is not.
    """
    call = layer.call
    backwards = bool(call.merge) or call.direction == "backward"
    unrolled = any(cell.config.get("unroll") is True for cell in site.leaf.cells)
    return backwards and unrolled and call.zeros_where_masked and bool(call.sequences)


def _stops(site: Site) -> bool:
    return site.leaf.class_name in _MASKLESS


def _mask(site: Site, first: Flow, states: bool) -> str:
    """The mask that the call names, else that of its input: Keras 3 passes none to a call with initial states."""
    if _stops(site):
        return ""
    named = list(flows_in(site.given.named.get("mask")))
    if named:
        return named[0].value
    return "" if states and site.version.major >= 3 else first.mask


def _states(part: Part) -> list[int]:
    """The widths of the states of a cell: h, or h and c."""
    sizes = part.solved()
    return [sizes["state"], sizes["unit"]][: stacked_states.count(part)]


def _shapes(layer: Layer, shape: Shape | None, site: Site) -> tuple[list[Shape | None], list[Shape | None]]:
    """Shapes of the outputs, and of the states of all cells."""
    if "conv" in layer.parts[0].cell.name:
        return _maps(layer, shape)
    batch = shape[0] if shape and layer.call.time_axis else None
    finals: list[Shape | None] = [(batch, width) for part in layer.parts for width in _states(part)]
    widths = [part.solved()["state"] for part in _last(layer)]
    told = [sum(widths)] if layer.call.merge == "concat" else widths if layer.call.merge == "pair" else widths[:1]
    if layer.call.sequences is False or layer.call.sequences is None:
        return [(batch, width) for width in told], finals
    return [(*shape[:2], width) if shape and len(shape) == 3 else None for width in told], finals


def _maps(layer: Layer, shape: Shape | None) -> tuple[list[Shape | None], list[Shape | None]]:
    """The same of a layer over maps, (batch, time, …): every place of a map has its state."""
    call = layer.call
    inner = after_layer(replace(layer, parts=layer.parts[:1]), (shape[0], *shape[2:])) if shape else None
    wide = _side_by_side(inner) if call.merge == "concat" else inner
    whole = (*wide[:1], *shape[1:2], *wide[1:]) if wide and shape and call.sequences else wide
    return [whole] * (2 if call.merge == "pair" else 1), [inner for one in layer.parts for _ in _states(one)]


def _side_by_side(shape: Shape | None) -> Shape | None:
    """Two maps on the last axis, which holds the channels, or, where these come first, the places of a row."""
    return (*shape[:-1], shape[-1] and 2 * shape[-1]) if shape else None


def _last(layer: Layer) -> Iterator[Part]:
    """The cells whose outputs leave the layer: the last of a stack, in each direction."""
    depth = max(part.layer for part in layer.parts)
    return (part for part in layer.parts if part.layer == depth)
