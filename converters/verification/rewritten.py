"""A model written for another framework, against its source: read back and evaluated, or run, on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from converters.model.checkpoint import Checkpoint
from converters.model.graph import Graph
from converters.readers import read
from converters.verification.cases import make_cases
from converters.verification.comparison import Difference, compare, worst
from converters.verification.evaluate import evaluate
from converters.verification.rounding import UNITS, tolerances
from converters.verification.sources import onnx_runner
from layouts.errors import NotRepresentable, VerificationFailed, printable

Run = Callable[[Sequence[np.ndarray[Any, Any]]], list[np.ndarray[Any, Any]]]


def proved(source: Checkpoint, written: Path, suffix: str) -> str:
    """What a comparison of all outputs found, as a sentence: an ONNX file is run, any other is read back and evaluated.

    `suffix` is that of the file when it is complete.

    Raises `VerificationFailed` where they differ by more than the rounding of the stored weights, `NotRepresentable`
    where a side cannot be evaluated.
    """
    if suffix == ".onnx":
        runner = onnx_runner(written)
        return _compared(source, runner.run, runner.name, "float32")
    result = read(written)
    if source.graph is None or result.graph is None:
        raise NotRepresentable("verify=True evaluates whole models, and this file holds weights alone")
    return _compared(source, _evaluating(result.graph), "our float64 reference, read back", _dtype(result))


def _evaluating(graph: Graph) -> Run:
    def run(inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        values = evaluate(graph, inputs)
        return [values[name] for name in graph.outputs]

    return run


def _compared(source: Checkpoint, run: Run, by: str, dtype: str) -> str:
    """Every output of every case, the source by the float64 reference."""
    if source.graph is None:
        raise NotRepresentable("verify=True evaluates whole models, and the source holds weights alone")
    unit = UNITS.get(dtype, UNITS["float32"])
    found: list[tuple[Difference, str]] = []
    tried = make_cases(source.graph)
    for case in tried:
        with np.errstate(all="ignore"):
            expected, made = evaluate(source.graph, case.inputs), run(case.inputs)
            allowed = tolerances(source.graph, expected, unit)
        pairs = zip(source.graph.outputs, made, strict=True)
        found += [(compare(value, expected[name], allowed[name]), f"{name}, {case.name}") for name, value in pairs]
    least = worst([difference for difference, _ in found])
    where = next(name for difference, name in found if difference is least)
    if not least.ok:
        raise VerificationFailed(f"the written model gives otherwise: {printable(where)}: {least}", path=source.path)
    return f"verified: {len(tried)} cases by {by}, largest difference {least.largest:.2g}"


def _dtype(checkpoint: Checkpoint) -> str:
    return next((array.dtype.name for layer in checkpoint.layers for array in layer.stored()), "float32")
