"""A model written for another framework, read back and evaluated, against its source: both in NumPy float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.model.checkpoint import Checkpoint
from converters.readers import read
from converters.verification.cases import make_cases
from converters.verification.comparison import Difference, compare, worst
from converters.verification.evaluate import evaluate
from converters.verification.rounding import UNITS, tolerances
from layouts.errors import NotRepresentable, VerificationFailed, printable


def proved(source: Checkpoint, written: Path) -> str:
    """What a comparison of all outputs found, as a sentence.

    Raises `VerificationFailed` where they differ by more than the rounding of the stored weights, `NotRepresentable`
    where a side cannot be evaluated.
    """
    result = read(written)
    if source.graph is None or result.graph is None:
        raise NotRepresentable("verify=True evaluates whole models, and this file holds weights alone")
    unit = UNITS.get(_dtype(result), UNITS["float32"])
    found: list[tuple[Difference, str]] = []
    tried = make_cases(source.graph)
    for case in tried:
        with np.errstate(all="ignore"):
            expected = evaluate(source.graph, case.inputs)
            made = evaluate(result.graph, case.inputs)
            allowed = tolerances(source.graph, expected, unit)
        pairs = zip(source.graph.outputs, result.graph.outputs, strict=True)
        found += [(compare(made[new], expected[old], allowed[old]), f"{old}, {case.name}") for old, new in pairs]
    least = worst([difference for difference, _ in found])
    where = next(name for difference, name in found if difference is least)
    if not least.ok:
        raise VerificationFailed(f"the written model gives otherwise: {printable(where)}: {least}", path=source.path)
    return f"verified: {len(tried)} cases by our float64 reference, read back, largest difference {least.largest:.2g}"


def _dtype(checkpoint: Checkpoint) -> str:
    return next((array.dtype.name for layer in checkpoint.layers for array in layer.stored()), "float32")
