"""The axes that a person sees: transpositions that an exporter put around a recurrent layer belong to the layer.

A node of ONNX, and the Loop of a Keras layer, have the time first. A module with the batch first is exported with a
transposition before it and another one after it. Whether they are there is seen by running what follows on numbered
outputs: every value that anything but a move of numbers reads has to have the batch first, or to be of one step alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.graph.folding import FAILURES, FOLDABLE, run
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import Found
from converters.readers.onnx.layers.recurrent import OPERATORS
from layouts.records import dataclass, field, replace

_MOVES = (
    *("Cast", "Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose"),
    "Unsqueeze",
)
_MOST, _DEEPEST, _MOST_NUMBERS = 40, 20, 1 << 18


class _Sizes(NamedTuple):
    """The sizes of numbered outputs."""

    time: int
    ways: int
    batch: int
    units: int


@dataclass
class _Seen:
    """How the outputs of one node are read: with the batch or the time first, of one step, or otherwise."""

    kinds: set[str] = field(default_factory=set)
    feeds: list[Node] = field(default_factory=list)
    """The nodes of recurrent layers that read all of them as they are, time first."""


def as_called(found: Sequence[Found]) -> list[Found]:
    """The same layers; those between transpositions have the batch first, and directions side by side are not stacked.

    Layers that feed one another directly stand between two transpositions together, or not at all.
    """
    owners = {node: one for one in found if one.layer.recurrent for node in one.nodes}
    seen = {id(one): [*_seen(one, owners)] for one in found if _can_be_seen(one)}
    fed = {id(owners[node]) for uses in seen.values() for use in uses for node in use.feeds}
    swapped = {key for key in seen if all(use.kinds <= {"batch", "one step"} for use in seen[key])}
    swapped &= {id(one) for one in found if id(one) in seen and (_is_swapped(one) or id(one) in fed)}
    while left := swapped - _together(swapped, seen, owners, found):
        swapped -= left
    return [_changed(one, seen.get(id(one)), id(one) in swapped) for one in found]


def _can_be_seen(found: Found) -> bool:
    call = found.layer.call
    known = found.layer.recurrent and call.time_axis == 0 and not (call.single_step or call.cell)
    return known and not (call.steps and not found.layer.wiring.gives[0])


def _together(
    swapped: set[int], seen: Mapping[int, list[_Seen]], owners: Mapping[Node, Found], found: Sequence[Found]
) -> set[int]:
    """Those whose neighbours are among them: what they feed directly, and what feeds them without a transposition."""
    after = {key: {id(owners[node]) for use in seen[key] for node in use.feeds} for key in seen}
    before: dict[int, set[int]] = {key: {one for one in after if key in after[one]} - {key} for key in seen}
    entered = {id(one) for one in found if id(one) in seen and _is_swapped(one)}
    return {key for key in swapped if after[key] <= swapped and (key in entered or (before[key] <= swapped))}


def _is_swapped(found: Found) -> bool:
    """Whether every node reads what a transposition of batch and time makes, or what another one of the layer gives."""
    inside = {name for node in found.nodes for name in node.outputs}
    entries = [node for node in found.nodes if node.op in OPERATORS] or [found.nodes[0]]
    single = len(entries) == 1 or entries[0].op not in OPERATORS
    reads = [found.layer.wiring.reads] if single else [node.input(0) for node in entries]
    stacked = max(part.layer for part in found.layer.parts) > 0 and not single
    checked = reads[:1] if stacked else reads
    return bool(inside) and all(_transposed(found.nodes[0].scope, name) for name in checked)


def _transposed(scope: Scope, name: str) -> bool:
    """Whether a value has as its second axis the first one of what it was made of, which is the batch."""
    for _ in range(_DEEPEST):
        node = scope.producer(name)
        if node is None or node.domain or node.op not in ("Cast", "Identity", "Slice"):
            break
        name = node.input(0)
    order = [] if node is None or node.op != "Transpose" else list(node.attributes.get("perm", ()))
    return len(order) == 3 and order[1] == 0


def _seen(found: Found, owners: Mapping[Node, Found]) -> Iterator[_Seen]:
    """How the outputs of each node of a layer are read."""
    names = [node.output(0) for node in found.nodes if node.op in OPERATORS] or [found.layer.wiring.gives[0]]
    first = found.layer.parts[0]
    ways, units = len({way for part in found.layer.parts for way in part.ways}), first.solved()["unit"]
    for name in names:
        tried = [_uses(found, owners, name, _Sizes(*sizes)) for sizes in _trials(found, name, ways, units)]
        yield next((one for one in tried if "other" not in one.kinds), tried[0])


def _trials(found: Found, name: str, ways: int, units: int) -> Iterator[tuple[int, int, int, int]]:
    """Numbers of steps and sequences to try: any, and those that a reshape behind has fixed."""
    yield 3, ways, 2, units
    for node in _following(found.nodes[0].scope, name):
        fixed = node.scope.constant(node.input(1)) if node.op == "Reshape" else None
        if fixed is not None and fixed.shape in ((3,), (4,)):
            time, batch = (int(size) for size in fixed.read()[:2])
            if 1 < time <= 1024 and 0 < batch <= 1024:
                yield time, ways, batch, units


def _following(scope: Scope, name: str) -> list[Node]:
    found: dict[Node, None] = {}
    waiting = [name]
    while waiting and len(found) < _MOST:
        for node in scope.readers(waiting.pop()):
            if node not in found and node.op in _MOVES and not node.domain and node.scope is scope:
                found[node] = None
                waiting += filter(None, node.outputs)
    return list(found)


def _uses(found: Found, owners: Mapping[Node, Found], name: str, sizes: _Sizes) -> _Seen:
    """Follow numbered outputs to everything that reads them."""
    seen, scope = _Seen(), found.nodes[0].scope
    total = sizes.time * sizes.ways * sizes.batch * sizes.units
    if not name:
        return seen
    if total > _MOST_NUMBERS:
        return _Seen({"other"})
    shape: tuple[int, ...] = sizes if found.nodes[0].op in OPERATORS else (sizes.time, sizes.batch, sizes.units)
    values, waiting = {name: np.arange(total, dtype=np.float32).reshape(shape)}, [name]
    while waiting:
        name = waiting.pop()
        kind = _kind(values[name], sizes)
        if kind in ("batch", "one step"):
            seen.kinds.add(kind)
            continue
        if name in scope.outputs or len(values) > _MOST:
            seen.kinds.add(kind)
        for reader in scope.readers(name):
            one = owners.get(reader)
            if kind == "time" and one is not None and name in (one.layer.wiring.reads, *_inputs(reader)):
                seen.feeds.append(reader)
            elif reader.op != "Shape" and not _moved(reader, values, waiting):
                seen.kinds.add(kind)
    return seen


def _inputs(node: Node) -> tuple[str, ...]:
    return node.inputs[:1] if node.op in OPERATORS else ()


def _moved(node: Node, values: dict[str, Array], waiting: list[str]) -> bool:
    """Whether a node only moves the numbers; what it makes is noted."""
    if node.op not in _MOVES or node.domain:
        return False
    made = _run(node, values, 0)
    new = {} if made is None else {name: value for name, value in made.items() if name not in values}
    values |= new
    waiting += new
    return made is not None


def _run(node: Node, values: Mapping[str, Array], depth: int) -> dict[str, Array] | None:
    inputs = {name: _value(node.scope, name, values, depth) for name in node.inputs if name}
    known = {name: value for name, value in inputs.items() if value is not None}
    if len(known) < len(inputs) or sum(value.size for value in known.values()) > 2 * _MOST_NUMBERS:
        return None
    try:
        return run(node, known)
    except FAILURES:
        return None


def _value(scope: Scope, name: str, values: Mapping[str, Array], depth: int) -> Array | None:
    """A value that is known, constant, or computed from the sizes of what is known."""
    if name in values:
        return values[name]
    constant, node = scope.constant(name), scope.producer(name)
    if constant is not None:
        return constant.read() if constant.size <= _MOST_NUMBERS else None
    if node is None or node.domain or node.op not in FOLDABLE or depth > _DEEPEST:
        return None
    made = _run(node, values, depth + 1)
    return None if made is None else made.get(name)


def _kind(value: Array, sizes: _Sizes) -> str:
    """What a value is of the outputs, one direction of them or all side by side."""
    if value.size and len(np.unique(value // (sizes.ways * sizes.batch * sizes.units))) == 1:
        return "one step"
    numbers = np.arange(np.prod(sizes), dtype=np.float32).reshape(sizes)
    time_first = numbers.transpose(0, 2, 1, 3).reshape(sizes.time, sizes.batch, -1)
    for whole in (time_first, *np.split(time_first, sizes.ways, axis=2)):
        if np.array_equal(value, whole):
            return "time"
        if np.array_equal(value, whole.swapaxes(0, 1)):
            return "batch"
    return "other"


def _changed(found: Found, seen: Sequence[_Seen] | None, swapped: bool) -> Found:
    if seen is None:
        return found
    call, wiring = found.layer.call, found.layer.wiring
    apart = call.merge == "stacked" and not any("other" in use.kinds for use in seen)
    call = replace(call, merge="concat" if apart else call.merge, time_axis=1 if swapped else call.time_axis)
    return replace(found, layer=replace(found.layer, call=call, wiring=replace(wiring, transposed=swapped)))
