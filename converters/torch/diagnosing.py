"""`diagnose`: what is wrong with somebody's own port, by the known mistake that gives the very same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from converters.readers import read
from converters.torch.comparing import CaseResult, Subject, compared
from converters.torch.verifying import Progress, inputs_for, verification
from converters.verification import diagnosis, sources
from converters.verification.diagnosis import Diagnosis, Explanation, Reached
from converters.verification.following import Followed
from converters.verification.report import Divergence

Array = np.ndarray[Any, Any]


def diagnose(
    source: Any,
    module: nn.Module,
    inputs: Sequence[Any] | None = None,
    *,
    rename: Mapping[str, str] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """What is wrong with a module that should compute what a source does; `print` the result.

    Both are run as by `verify`, against our float64 reference. At the first layer that diverges the known mistakes are
    tried: orders of gates of every framework, transposes, biases, senses of gates, activations, statistics, axes; and
    between layers: what is missing, exchanged, merged or reversed. The one is named whose numbers the module gives.

    Arguments are those of `verify`. Raises `NotRepresentable` where the source holds layers that are not known here.
    """
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    tried = inputs_for(checkpoint, inputs)
    runner = sources.choose(source, checkpoint, tried[0].inputs, sources.NUMPY)
    subject = Subject.of(module, checkpoint, rename)
    results = []
    for case in tried:
        results.append(compared(case, subject, runner))
        if progress:
            progress(1, len(tried))
    found = verification(subject, runner, results)
    explanations, count = _explained(found.first, results)
    first = explanations[0] if explanations else None
    return Diagnosis(found, first, tuple(explanations[1:4]), count, tuple(_of_training(subject)))


def _of_training(subject: Subject) -> Iterator[str]:
    """Settings that differ and that no output at inference shows: the momentum of norms."""
    for place in subject.places:
        kept, own = place.parts[0].normalization.momentum, getattr(place.last, "momentum", None)
        if kept is not None and own is not None and abs(1.0 - kept - own) > 1e-6:
            yield (
                f"{place.path}: momentum is {own:g}, and {kept:g} in the source, which counts the old share, is "
                f"{1.0 - kept:g} in PyTorch, which counts the new one; it matters in training alone"
            )


def _explained(first: Divergence | None, results: Sequence[CaseResult]) -> tuple[list[Explanation], int]:
    if first is None or first.kind == "raised":
        return [], 0
    if first.kind == "layer":
        return diagnosis.of_layer(list(_calls(first.layer, results)))
    reached = list(_outputs(first, results) if first.kind == "output" else _arrivals(first, results))
    return diagnosis.of_wiring(reached, first.layer, first.between) if reached else ([], 0)


def _calls(layer: str, results: Sequence[CaseResult]) -> Iterator[tuple[Any, Followed]]:
    for result in results:
        for each in result.followed:
            if each.place.path == layer and each.own is not None:
                yield result.truth, each


def _arrivals(first: Divergence, results: Sequence[CaseResult]) -> Iterator[Reached]:
    """What reached the module of a layer, the case in which it was found first, and one call of each."""
    ordered = sorted(results, key=lambda result: result.case.name != first.case)
    for result in ordered:
        own = [each for each in result.followed if each.place.path == first.layer]
        own = [each for each in own if each.wrong == "wiring"] or own
        if own and result.truth is not None:
            each = own[0]
            yield Reached(result.truth, each.node.inputs[0], each.call.given.inputs[0], each)


def _outputs(first: Divergence, results: Sequence[CaseResult]) -> Iterator[Reached]:
    for result in sorted(results, key=lambda result: result.case.name != first.case):
        if result.truth is not None and result.ran.outputs:
            number = result.truth.graph.outputs.index(first.layer)
            yield Reached(result.truth, first.layer, result.ran.outputs[number])
