"""Modules of PyTorch that exporters took apart: a node for each layer of a stack, a step for a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from converters.model.settings import Wiring
from converters.model.stacking import placed, unstackable
from converters.readers.onnx.graph import chains, origins
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import Found
from converters.readers.onnx.layers.recurrent import OPERATORS, STATES


def put_together(found: Sequence[Found]) -> list[Found]:
    """Nodes whose weights carry the names of one module of PyTorch, with its layers' numbers, become that module."""
    modules: dict[tuple[Scope, str], dict[int, Found]] = {}
    for one in found:
        source = _origin(one)
        if source is not None and source.depth is not None and one.nodes[0].op in OPERATORS:
            modules.setdefault((one.nodes[0].scope, source.module), {}).setdefault(source.depth, one)
    merged: dict[Node, Found | None] = {}
    for layers in modules.values():
        members = [layers[depth] for depth in sorted(layers)]
        if len(members) > 1 and sorted(layers) == [*range(len(members))] and _one_stack(members):
            merged |= dict.fromkeys((one.nodes[0] for one in members[1:]), None)
            merged[members[0].nodes[0]] = _merged(members)
    kept = [merged.get(one.nodes[0], one) for one in found]
    return [_cell(one) for one in kept if one is not None]


def _origin(found: Found) -> origins.Origin | None:
    return origins.origin(found.originals) if found.layer.recurrent else None


def _one_stack(members: Sequence[Found]) -> bool:
    fed = all(chains.feeder(b.nodes[0]) is a.nodes[0] for a, b in pairwise(members))
    layers = [replace(one.layer, path="", wiring=Wiring(fed_by=("",))) for one in members]
    return fed and not unstackable(layers)


def _merged(members: Sequence[Found]) -> Found:
    layers = [one.layer for one in members]
    states: dict[str, Any] = {name: _worst([one.call.initial.get(name, "") for one in layers]) for name in STATES}
    call = replace(layers[0].call, **states)
    wiring = replace(layers[0].wiring, gives=layers[-1].wiring.gives)
    layer = replace(layers[0], parts=tuple(placed(layers)), call=call, wiring=wiring)
    return Found(layer, tuple(node for one in members for node in one.nodes), depths=tuple(members))


def _worst(states: Sequence[str]) -> str:
    """What is known of an initial state of several layers: stored with one of them, or else an input of one."""
    return next((where for where in ("stored", "input") if where in states), "")


def _cell(found: Found) -> Found:
    """A layer whose weights carry the names of nn.LSTMCell and its like becomes that module."""
    source = _origin(found)
    if source is None or source.depth is not None:
        return found
    return replace(found, layer=replace(found.layer, call=replace(found.layer.call, cell=True)))
