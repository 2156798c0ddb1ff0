"""The layers of a module followed in the order of the data's flow: which one diverges first, and at its worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from converters.model.graph import Graph, Node
from converters.model.layers import Layer, Part
from converters.verification import windows
from converters.verification.arrangement import Arrangement, flattened
from converters.verification.arrival import Arrival, arrived
from converters.verification.comparison import Difference, compare, worst
from converters.verification.evaluate import Values
from converters.verification.maps import over_maps, over_steps
from converters.verification.modules import Given, own_of, run_own
from converters.verification.rounding import own_tolerance
from layouts.options import Options
from layouts.records import dataclass, field, replace

Array = np.ndarray[Any, Any]


class Place(Protocol):
    """A module of the target, and the layer that it computes."""

    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def parts(self) -> tuple[Part, ...]: ...


class Call(Protocol):
    """One call of a module: what it got and what it gave."""

    @property
    def given(self) -> Given: ...
    @property
    def outputs(self) -> tuple[Array, ...]: ...


@dataclass(frozen=True, eq=False)
class Followed:
    """One call of one module, compared. position: that of its node in the graph."""

    place: Any
    node: Node
    position: int
    call: Any
    arrival: Arrival | None
    own: Difference | None

    @property
    def arrived(self) -> Difference | None:
        return self.arrival.difference if self.arrival else None

    @property
    def wrong(self) -> str:
        """ "wiring" or "layer"; '' where it is right."""
        if self.arrived is not None and not self.arrived.ok:
            return "wiring"
        return "layer" if self.own is not None and not self.own.ok else ""


@dataclass(frozen=True, eq=False)
class Truth:
    """The values of a graph for one case, their tolerances, and the unit roundoff of the module."""

    graph: Graph
    values: Values
    tolerances: Mapping[str, float]
    unit: float
    positions: Mapping[int, int] = field(default_factory=dict)


def follow(truth: Truth, place: Place, calls: Sequence[Call]) -> Iterator[Followed]:
    """Every call of a module, compared with the node that it is a call of: the first that was given the same, in order.

    Several may be given nearly the same, as steps are whose states have settled.
    """
    layer = place.layers[0]
    nodes = [(k, node) for k, node in enumerate(truth.graph.nodes) if node.layer is layer]
    for call in calls:
        if not nodes or not call.given.inputs:
            return
        arrivals = [(_arrival(truth, place, node, call), k, node) for k, node in nodes]
        fitting = [n for n, (found, _, _) in enumerate(arrivals) if found is not None and found.difference.ok]
        best = fitting[0] if fitting else min(range(len(nodes)), key=lambda n: _apart(arrivals[n][0]))
        arrival, position, node = arrivals[best]
        del nodes[best]
        yield Followed(place, node, position, call, arrival, _own(truth, place, arrival, call))


def _apart(arrival: Arrival | None) -> float:
    return 0.0 if arrival is None else arrival.difference.largest


def turned(place: Place) -> bool:
    """Whether the module of this place is given its sequence from the end."""
    layer, part = place.layers[0], place.parts[0]
    ways = {way for each in place.parts for way in each.ways} if part.only is None else {part.only[0]}
    backward = layer.call.direction in ("backward", "reverse")
    return ("backward" in ways) != backward if len(ways) == 1 else layer.call.direction == "backward"


def _arrival(truth: Truth, place: Place, node: Node, call: Call) -> Arrival | None:
    """What reached the module; None of a cell that stands on another of its layer, or is called step by step."""
    if place.layers[0].call.cell or place.layers[0].call.single_step:
        return None
    part = place.parts[0]
    if part.only is not None and part.only[1] > min(each.layer for each in place.layers[0].parts):
        return None
    name = node.inputs[0]
    mask = np.asarray(truth.values[node.mask], bool) if node.mask else None
    expected = np.asarray(truth.values[name])
    if part.cell.recurrent and node.layer is not None and node.layer.call.time_axis == 0:
        expected = expected.swapaxes(0, 1)
    found = arrived(part, call.given, expected, mask, turned(place), truth.tolerances[name])
    states = _states(truth, place, node, call)
    return found if states is None or states.ok or not found.difference.ok else replace(found, difference=states)


def _states(truth: Truth, place: Place, node: Node, call: Call) -> Difference | None:
    """The initial states that reached a recurrent module, against those of the source; None where neither has any."""
    given = call.given.states
    if not over_steps(place.parts[0].cell) or place.parts[0].only is not None or not (node.inputs[1:] or given):
        return None
    if len(place.layers) > 1 or place.layers[0].call.stateful or over_maps(place.parts[0].cell):
        return None
    limit = max((truth.tolerances[name] for name in node.inputs[1:]), default=0.0)
    expected = initial_states(truth, place, node) or [np.zeros_like(state) for state in given]
    found = list(given) or [np.zeros_like(state) for state in expected]
    return worst([compare(a, b, limit, False) for a, b in zip(found, expected, strict=False)])


def initial_states(truth: Truth, place: Place, node: Node) -> list[Array]:
    """The states from which a recurrent node starts, as its module takes them; none where they are zero."""
    kinds, wanted = 2 if place.parts[0].cell.name == "lstm" else 1, node.inputs[1:]
    return [np.stack([np.asarray(truth.values[name]) for name in wanted[k::kinds]]) for k in range(kinds) if wanted]


def _own(truth: Truth, place: Place, arrival: Arrival | None, call: Call) -> Difference | None:
    """What the module made of what it got, against the reference for it; None where it made nothing."""
    if not call.outputs:
        return None
    given = source_side(place, arrival, call.given)
    differences = []
    for options in _variants(place.parts[0], call):

        def run(parts: Sequence[Part], options: Options = options) -> list[Array]:
            return run_own(replace(own_of(parts), options=options), given)

        exact = run(place.parts)
        limits = own_tolerance(exact, place.parts, truth.unit, max(given.inputs[0].shape[1:2], default=1), run)
        pairs = zip(call.outputs, module_side(place, arrival, exact), limits, strict=False)
        differences.append(worst([compare(found, expected, limit) for found, expected, limit in pairs]))
    return min(differences, key=lambda each: each.largest)


def _variants(part: Part, call: Call) -> Iterator[Options]:
    """The options of the layer; a transposed convolution may leave to the code behind it what is cut off its output."""
    yield part.options
    sizes, outputs = part.solved(), call.outputs[0].shape[2:] if call.outputs else ()
    kernel = [sizes[word] for word in ("depth", "height", "width") if word in sizes]
    if "transpose" not in part.cell.name or len(outputs) != len(kernel):
        return
    options, count = part.convolution, len(kernel)
    strides, dilation = (windows.per_axis(getattr(options, name), count) for name in ("strides", "dilation"))
    full = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(call.given.inputs[0].shape[2:], strides, kernel, dilation, strict=True)
    ]
    more = tuple(found - size for found, size in zip(outputs, full, strict=True))
    if min(more) >= 0:
        yield replace(options, padding="explicit", pads=(0, 0) * count, output_padding=more, output_shape=())


def source_side(place: Place, arrival: Arrival | None, given: Given) -> Given:
    """What a module got, as the source has it; of a recurrent one the order of its steps stays."""
    way = arrival.way if arrival else None
    if over_steps(place.parts[0].cell):
        flat = _flat(place.parts[0])
        return replace(given, inputs=(flat.back(given.inputs[0]), *given.inputs[1:])) if flat else given
    return replace(given, inputs=tuple(way.back(x) for x in given.inputs)) if way else given


def module_side(place: Place, arrival: Arrival | None, exact: Sequence[Array]) -> list[Array]:
    """What the reference gives, as the module gives it."""
    if over_steps(place.parts[0].cell) or arrival is None:
        return list(exact)
    return [arrival.way.gives(y) for y in exact]


def _flat(part: Part) -> Arrangement | None:
    return flattened(part.flattened) if part.flattened else None


def first_wrong(followed: Sequence[Followed]) -> Followed | None:
    """The first in the order of the data's flow that is wrong."""
    wrong = [each for each in followed if each.wrong]
    return min(wrong, key=lambda each: (each.position, each.wrong != "wiring"), default=None)


def between(graph: Graph, names: Sequence[str], right: Sequence[Node]) -> tuple[str, ...]:
    """The layers that stand between some values and the nearest modules that are right, or the inputs."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    known, found, waiting = {id(node) for node in right}, dict[str, None](), list(names)
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None:
            found[name] = None
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if id(node) not in known:
            waiting += [*node.inputs, *([node.mask] if node.mask else [])]
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    return tuple(sorted(found, key=lambda name: order.get(name, -1)))
