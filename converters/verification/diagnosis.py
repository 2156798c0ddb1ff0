"""Which known mistake explains what a module gives: each is tried, and has to give the very numbers in every case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.graph import Graph, Node
from converters.show import text
from converters.verification.arrival import arrived
from converters.verification.comparison import compare
from converters.verification.following import Followed, Truth, initial_states, module_side, source_side, turned
from converters.verification.maps import over_maps
from converters.verification.mistakes.mistake import Mistake
from converters.verification.mistakes.receiving import Receipt, receiving
from converters.verification.mistakes.recurrent import mistakes_over_maps, recurrent_mistakes
from converters.verification.mistakes.weights import weight_mistakes
from converters.verification.mistakes.wiring import carried, slips
from converters.verification.modules import own_of
from converters.verification.report import Verification
from layouts.errors import printable
from layouts.records import dataclass

Array = np.ndarray[Any, Any]
_WIDER = 4.0
"""A module with a mistake rounds as one without, of numbers that may be larger: so much wider is its tolerance."""


@dataclass(frozen=True)
class Explanation:
    """A mistake, the line that mends it, and how far what it predicts is from what the module gives."""

    layer: str
    what: str
    fix: str
    difference: float

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {"layer": self.layer, "what": self.what, "fix": self.fix, "difference": self.difference}

    def __str__(self) -> str:
        return f"{printable(self.layer)}: {self.what}. {self.fix}"


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is wrong with a module: the comparison, the mistake that explains it, and others that would as well.

    tried: how many mistakes were tried; notes: settings that differ and do nothing to outputs at inference.
    """

    verification: Verification
    explanation: Explanation | None
    others: tuple[Explanation, ...] = ()
    tried: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.verification.ok

    def tables(self) -> list[text.Table]:
        """The comparison, and below it what was found."""
        table = self.verification.table()
        return [table._replace(lines=(*table.lines, *self._lines()))]

    def _lines(self) -> Iterator[text.Line]:
        if self.ok:
            yield text.Line("·", "nothing is wrong: source and module are equal")
        elif self.explanation is not None:
            yield text.Line("✗", f"{printable(self.explanation.layer)}: {self.explanation.what}")
            yield text.Line("!", f"the fix: {self.explanation.fix}")
            yield from (text.Line("·", f"the same numbers would come of: {other.what}") for other in self.others)
        else:
            yield text.Line("!", f"none of the {self.tried} known mistakes explains it")
        yield from (text.Line("·", note) for note in self.notes)

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "ok": self.ok,
            "explanation": self.explanation.data() if self.explanation else None,
            "others": [other.data() for other in self.others],
            "tried": self.tried,
            "notes": list(self.notes),
            "verification": self.verification.data(),
        }

    def __str__(self) -> str:
        return text.render(*self.tables())

    def __repr__(self) -> str:
        found = "nothing wrong" if self.ok else str(self.explanation) if self.explanation else "not explained"
        return f"<Diagnosis {printable(self.verification.path)}: {found}>"

    def _repr_html_(self) -> str:
        return text.html(*self.tables())


Found = tuple[list[Explanation], int]


def of_layer(calls: Sequence[tuple[Truth, Followed]]) -> Found:
    """The mistakes in the weights or settings of a layer that explain every call of its module."""
    place = calls[0][1].place
    own = own_of(place.parts)
    kind = recurrent_mistakes if own.cell.recurrent else mistakes_over_maps if over_maps(own.cell) else weight_mistakes
    mistakes = list(kind(own))
    found = [(mistake, _explains(mistake, calls)) for mistake in mistakes]
    return _explanations((place.path, m.what, m.fix, apart) for m, apart in found), len(mistakes)


def _explains(mistake: Mistake, calls: Sequence[tuple[Truth, Followed]]) -> float:
    """The largest difference from any call, infinite where it is above the tolerance of one."""
    most = 0.0
    for truth, each in sorted(calls, key=lambda pair: not pair[1].wrong):
        given = source_side(each.place, each.arrival, each.call.given)
        try:
            with np.errstate(all="ignore"):
                made = module_side(each.place, each.arrival, mistake.run(given))
        except (ValueError, IndexError):
            return math.inf
        for predicted, output in zip(made, each.call.outputs, strict=False):
            limit = _WIDER * (_limit(each) + truth.unit * float(np.abs(predicted).max(initial=0.0)))
            difference = compare(output, predicted, limit)
            if not difference.ok:
                return math.inf
            most = max(most, difference.largest)
    return most


def _limit(each: Followed) -> float:
    return each.own.tolerance if each.own is not None else 0.0


def _explanations(rows: Iterable[tuple[str, str, str, float]]) -> list[Explanation]:
    found: dict[str, Explanation] = {}
    for layer, what, fix, apart in rows:
        if math.isfinite(apart):
            found.setdefault(what, Explanation(layer, what, fix, apart))
    return list(found.values())


@dataclass(frozen=True, eq=False)
class Reached:
    """A value that reached a module, or left the whole, in one case: by which name the source knows it."""

    truth: Truth
    name: str
    found: Array
    followed: Followed | None = None

    def explained_by(self, predicted: Array) -> float:
        """How far a predicted value is from what came; infinite where that is above the tolerance."""
        limit = _WIDER * (
            self.truth.tolerances[self.name] + self.truth.unit * float(np.abs(predicted).max(initial=0.0))
        )
        if self.followed is None:
            difference = compare(self.found, predicted, limit)
        else:
            each, node = self.followed, self.followed.node
            mask = np.asarray(self.truth.values[node.mask], bool) if node.mask else None
            try:
                difference = arrived(
                    each.place.parts[0], each.call.given, predicted, mask, turned(each.place), limit
                ).difference
            except (ValueError, IndexError):
                return math.inf
        return difference.largest if difference.ok else math.inf


def of_wiring(reached: Sequence[Reached], layer: str, names: Sequence[str]) -> Found:
    """The mistakes at some nodes that explain what came in every case."""
    first = reached[0]
    received = [dict(_received(each)) for each in reached]
    rows = [
        (layer, *told, max(each.get(told, math.inf) for each in received)) for told in (received[0] if received else ())
    ]
    tried = len(rows)
    if math.isfinite(first.explained_by(np.asarray(first.truth.values[first.name]))):
        return _explanations(rows), tried  # the value itself is right: something beside it is not
    for slip in slips(first.truth.graph, first.truth.values, _nodes(first.truth.graph, names)):
        tried += 1
        predicted = carried(first.truth.graph, first.truth.values, slip, first.name)
        if predicted is not None and math.isfinite(first.explained_by(predicted)):
            rows.append((layer, slip.what, slip.fix, _in_all(slip.what, reached, names)))
    return _explanations(rows), tried


def _received(reached: Reached) -> Iterator[tuple[tuple[str, str], float]]:
    """The mistakes in how a module is given what is right, and how far each is from what it got."""
    each, truth = reached.followed, reached.truth
    if each is None:
        return
    node, place = each.node, each.place
    limit = _WIDER * max(truth.tolerances[name] for name in node.inputs)
    mask = np.asarray(truth.values[node.mask], bool) if node.mask else None
    states = tuple(initial_states(truth, place, node))
    expected = np.asarray(truth.values[reached.name])
    receipt = Receipt(place.path, place.parts[0], each.call.given, expected, mask, turned(place), states, limit)
    for what, fix, difference in receiving(receipt):
        found = difference()
        yield (what, fix), found.largest if found.ok else math.inf


def _nodes(graph: Graph, names: Sequence[str]) -> list[Node]:
    """The nodes of these names; an input of the graph is one that gives itself."""
    entries = [
        Node(value.name, "input", op.Identity(), (), (value.name,)) for value in graph.inputs if value.name in names
    ]
    return [*entries, *(node for node in graph.nodes if node.name in names and node.outputs)]


def _in_all(what: str, reached: Sequence[Reached], names: Sequence[str]) -> float:
    """The largest difference of one mistake over all cases."""
    return max(_in_one(what, each, names) for each in reached)


def _in_one(what: str, each: Reached, names: Sequence[str]) -> float:
    graph, values = each.truth.graph, each.truth.values
    for slip in slips(graph, values, _nodes(graph, names)):
        if slip.what == what:
            predicted = carried(graph, values, slip, each.name)
            return math.inf if predicted is None else each.explained_by(predicted)
    return math.inf
