"""`verify`: a source and a module on identical inputs, layer by layer, so that the first one that diverges is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.readers import read
from converters.torch.comparing import CaseResult, Subject, compared, within
from converters.verification import cases as making
from converters.verification import sources
from converters.verification.cases import Case
from converters.verification.comparison import Difference, worst
from converters.verification.following import Followed, between, first_wrong
from converters.verification.report import Divergence, LayerResult, OutputResult, Verification
from converters.verification.sources import Runner
from layouts.errors import ConversionError, printable

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]
"""Called with the cases just done and the cases there are in all."""


def verify(
    source: Any,
    module: nn.Module,
    inputs: Sequence[Any] | None = None,
    *,
    by: str | None = None,
    rename: Mapping[str, str] | None = None,
    framework: str | None = None,
    assume: Mapping[str, str] | None = None,
    weights: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Source and module on identical inputs; `print` the result, or `.check()` it.

    inputs: arrays in the source's order; without them, several cases are made of its input shapes: usual and large
        numbers, one row alone, a long sequence, masked steps at the ends, in gaps, and whole rows of them.
    by: what runs the source: "keras", "tf_keras", "onnxruntime", "onnx" (its reference evaluator) or "numpy" (our
        float64 reference). Without it the first that is able.
    rename: source layer -> module name, where names differ and structure does not settle it.
    progress: called with the cases done and those there are.

    The module gets batches first and channels last, as the source does, and is run as a copy in eval mode. Layers are
    followed where the graph of the source is known. Tolerances are those of `converters.verification.rounding`.

    Raises `NotRepresentable` where nothing can run the source.
    """
    checkpoint = read(source, framework=framework, assume=assume, weights=weights)
    tried = inputs_for(checkpoint, inputs)
    runner = sources.choose(source, checkpoint, tried[0].inputs, by)
    subject = Subject.of(module, checkpoint, rename)
    results = []
    for case in tried:
        results.append(compared(case, subject, runner))
        if progress:
            progress(1, len(tried))
    return verification(subject, runner, results)


def inputs_for(checkpoint: Checkpoint, inputs: Sequence[Any] | None) -> list[Case]:
    """The inputs that a caller states, or those that are made of the source's graph."""
    if inputs is not None:
        return making.given(inputs)
    if checkpoint.graph is None:
        raise ConversionError(
            f"{printable(checkpoint.path)} does not tell its inputs: state them, inputs=[array, …]",
            path=checkpoint.path,
        )
    return making.make_cases(checkpoint.graph)


def verification(subject: Subject, runner: Runner, results: Sequence[CaseResult]) -> Verification:
    """What all cases together found. One that outgrows the module's dtype proves nothing, and is named."""
    results, notes = within(results)
    return Verification(
        subject.checkpoint.path,
        runner.name,
        tuple(result.case.name for result in results),
        tuple(_output_results(subject, results)),
        tuple(_layer_results(subject, results)),
        first_divergence(results),
        _opinion(results),
        (*subject.notes, *notes),
    )


def _output_results(subject: Subject, results: Sequence[CaseResult]) -> Iterable[OutputResult]:
    graph = subject.checkpoint.graph
    counted = max((len(result.outputs) for result in results), default=0)
    names = graph.outputs if graph is not None else tuple(f"output {k}" for k in range(counted))
    for number, name in enumerate(names):
        own = [result.outputs[number] for result in results if number < len(result.outputs)]
        if own:
            yield OutputResult(name, worst(own))


def _layer_results(subject: Subject, results: Sequence[CaseResult]) -> Iterable[LayerResult]:
    for place in subject.places:
        followed = [each for result in results for each in result.followed if each.place is place]
        arrived = [each.arrived for each in followed if each.arrived is not None]
        own = [each.own for each in followed if each.own is not None]
        note = "" if followed else "not called" if subject.graph_known else "not followed"
        yield LayerResult(
            place.path,
            " + ".join(layer.class_name for layer in place.layers),
            place.said,
            worst(arrived) if arrived else None,
            worst(own) if own else None,
            note,
        )
    known = {id(layer) for place in subject.places for layer in place.layers}
    for layer in subject.checkpoint.layers:
        if id(layer) not in known and not (subject.checkpoint.graph and subject.checkpoint.graph.reads(layer)):
            yield LayerResult(layer.path, layer.class_name, note="no module found for it")


def first_divergence(results: Sequence[CaseResult]) -> Divergence | None:
    """The first place in the order of the data's flow where any case parts, in the first case that does."""
    wrong = [(result, each) for result in results if (each := first_wrong(result.followed)) is not None]
    if wrong:
        result, each = min(wrong, key=lambda pair: (pair[1].position, pair[1].wrong != "wiring"))
        return _divergence(result, each)
    for result in results:
        if result.ran.raised:
            return Divergence("raised", "", result.case.name, raised=result.ran.raised)
    for result in results:
        for number, difference in enumerate(result.outputs):
            if not difference.ok:
                return _of_output(result, number, difference)
    return None


def _divergence(result: CaseResult, each: Followed) -> Divergence:
    truth = result.truth
    assert truth is not None
    right = [other.node for other in result.followed if not other.wrong]
    names = each.node.inputs[:1] if each.wrong == "wiring" else ()
    found = each.arrived if each.wrong == "wiring" else each.own
    way = between(truth.graph, names, right)
    return Divergence(each.wrong, each.place.path, result.case.name, found, way, each.place.said)


def _of_output(result: CaseResult, number: int, difference: Difference) -> Divergence:
    if result.truth is None:
        return Divergence("output", str(number), result.case.name, difference)
    name = result.truth.graph.outputs[number]
    way = between(result.truth.graph, [name], [other.node for other in result.followed])
    return Divergence("output", name, result.case.name, difference, way)


def _opinion(results: Sequence[CaseResult]) -> str:
    found = [difference for result in results for difference in result.opinion]
    if not found:
        return ""
    most = worst(found)
    verdict = "agrees with it" if most.ok else "does NOT agree with it, so that what is said of layers may be wrong"
    return f"a second opinion, the NumPy float64 reference, {verdict}: largest difference {most.largest:.1e}"
