"""One case of a comparison: both sides run on the same inputs, and every layer followed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.torch.capture import Ran, run_watched
from converters.torch.locating import Located, located
from converters.verification import rounding
from converters.verification.cases import Case
from converters.verification.comparison import Difference, compare
from converters.verification.evaluate import evaluate
from converters.verification.following import Followed, Truth, follow
from converters.verification.sources import Runner
from layouts.errors import ConversionError, NotRepresentable
from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Subject:
    """A module under test, the source, and which module is which layer."""

    module: nn.Module
    checkpoint: Checkpoint
    places: tuple[Located, ...]
    notes: tuple[str, ...]
    unit: float

    @classmethod
    def of(cls, module: nn.Module, checkpoint: Checkpoint, rename: Mapping[str, str] | None) -> Subject:
        """The module with its layers located."""
        places, notes = located(module, checkpoint, rename)
        return cls(module, checkpoint, tuple(places), tuple(notes), _unit(module))

    @property
    def graph_known(self) -> bool:
        graph = self.checkpoint.graph
        return graph is not None and not graph.unknown


def _unit(module: nn.Module) -> float:
    """The coarsest unit roundoff of any of its weights."""
    kinds = {str(p.dtype).removeprefix("torch.") for p in module.parameters() if p.is_floating_point()}
    found = [rounding.UNITS[kind] for kind in kinds if kind in rounding.UNITS]
    return max(found, default=rounding.UNITS[str(torch.get_default_dtype()).removeprefix("torch.")])


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case: the outputs compared, every call followed, our own opinion of the source's outputs."""

    case: Case
    ran: Ran
    outputs: tuple[Difference, ...]
    followed: tuple[Followed, ...] = ()
    opinion: tuple[Difference, ...] = ()
    truth: Truth | None = None

    @property
    def beyond(self) -> str:
        """Why its numbers prove nothing: they outgrow the module's dtype, or rounding does; '' where they do."""
        truth = self.truth
        if truth is None or self.ran.raised:
            return ""
        if not rounding.holds(truth.values, truth.unit):
            return "for numbers larger than the module's dtype holds"
        settled = rounding.settles(truth.graph, truth.values, truth.tolerances, truth.unit)
        return "" if settled else "for numbers that grow from step to step, and rounding with them"


def within(results: Sequence[CaseResult]) -> tuple[list[CaseResult], list[str]]:
    """The cases whose numbers prove something, and what to say of the others; all where none does."""
    kept = [result for result in results if not result.beyond]
    if not kept:
        return list(results), []
    reasons = dict.fromkeys(result.beyond for result in results if result.beyond)
    names = {why: "; ".join(result.case.name for result in results if result.beyond == why) for why in reasons}
    return kept, [f"left out, {why}: {names[why]}" for why in reasons]


@np.errstate(all="ignore")
def compared(case: Case, subject: Subject, runner: Runner) -> CaseResult:
    """Both sides run on the inputs of one case."""
    expected = _expected(runner, case)
    ran = run_watched(subject.module, case.inputs, {each.name: (each.first, each.last) for each in subject.places})
    truth = _truth(case, subject) if subject.graph_known else None
    limits = _limits(expected, subject, runner, truth, case)
    outputs = () if ran.raised else tuple(_outputs(ran.outputs, expected, limits))
    if truth is None:
        return CaseResult(case, ran, outputs)
    followed = [each for place in subject.places for each in follow(truth, place, ran.calls[place.name])]
    mine = [truth.values[name] for name in truth.graph.outputs]
    opinion = () if runner.exact else tuple(_outputs(mine, expected, limits))
    return CaseResult(case, ran, outputs, tuple(followed), opinion, truth)


def _expected(runner: Runner, case: Case) -> list[Array]:
    """What the source gives. Raises `NotRepresentable` where that which runs it does not take these inputs."""
    try:
        return runner.run(case.inputs)
    except ConversionError:
        raise
    except Exception as error:  # every framework has errors of its own
        reason = " ".join(str(error).split())
        shapes = " and ".join(str(x.shape) for x in case.inputs)
        raise NotRepresentable(
            f"{runner.name} does not run the inputs of the case {case.name!r}, {shapes}: {reason}"
        ) from error


def _truth(case: Case, subject: Subject) -> Truth:
    graph = subject.checkpoint.graph
    assert graph is not None
    values = evaluate(graph, case.inputs)
    return Truth(graph, values, rounding.tolerances(graph, values, subject.unit), subject.unit)


def _limits(
    expected: Sequence[Array], subject: Subject, runner: Runner, truth: Truth | None, case: Case
) -> list[float]:
    """Tolerances of the outputs; twice as wide where both sides round."""
    if truth is None:
        steps = max((x.shape[1] for x in case.inputs if x.ndim > 1), default=1)
        found = rounding.crude(expected, subject.checkpoint.layers, steps, subject.unit)
    else:
        found = [truth.tolerances[name] for name in truth.graph.outputs]
    return [limit * (1.0 if runner.exact else 2.0) for limit in found]


def _outputs(found: Sequence[Array], expected: Sequence[Array], limits: Sequence[float]) -> Iterable[Difference]:
    for number, (wanted, limit) in enumerate(zip(expected, limits, strict=True)):
        if number < len(found):
            yield compare(found[number], np.asarray(wanted), limit)
        else:
            yield Difference(math.inf, limit, shapes=((), np.asarray(wanted).shape))
