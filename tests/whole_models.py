"""A model against all that is made of its file: the built module, the written folder, and the evaluator."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from test_port import imported

import converters
from converters.verification import rounding
from converters.verification.evaluate import evaluate

TOLERANCE, MOST = 1e-5, 1e-4
"""Of the largest output, or of 1, float32 on both sides; and where rounding alone may make more of it, as in a norm of
two numbers, as much as that, but no more than the second."""
_KERAS = 8.0
"""Times the rounding of one side: both round, and Keras more, whose variance is a difference of means of squares."""
Arrays = list[np.ndarray[Any, Any]]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without warnings of Keras, and of NumPy where Keras divides by nothing too."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def compare(model: Any, inputs: Arrays, file: Path, tree: Any) -> None:
    """Save a model, and raise unless all that is made of the file gives what the model gives.

    Raises `NotRepresentable` where it cannot be built; the evaluator has to refuse it as well then, or be right.
    """
    with quiet():
        model.save(file)
        made = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        wanted = [np.asarray(y) for y in tree.flatten(made)]
        ported = converters.port(file, file.parent / "ported")
        graph = converters.read(file).graph
        assert graph is not None
        values = evaluate(graph, inputs)
        rounded = rounding.tolerances(graph, values, rounding.UNITS["float32"])
        limits = [_KERAS * rounded[name] for name in graph.outputs]
        for name, module in {"build": ported.module, "port": imported(file.parent / "ported").load()}.items():
            close(outputs(module, inputs), wanted, limits, name)
        close([values[name] for name in graph.outputs], wanted, limits, "the evaluator")


def outputs(module: torch.nn.Module, inputs: Arrays) -> Arrays:
    """What a module gives, as arrays."""
    with torch.no_grad():
        found = module(*map(torch.from_numpy, inputs))
    return [y.numpy() for y in (found if isinstance(found, tuple) else (found,))]


def close(found: Arrays, wanted: Arrays, limits: list[float], what: str) -> None:
    """Raise unless shapes agree, and numbers within the tolerance; where there is none, there has to be none."""
    shapes = [[y.shape for y in each] for each in (found, wanted)]
    assert shapes[0] == shapes[1], f"{what}: shapes {shapes[0]}, expected {shapes[1]}"
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        scale = max(1.0, float(np.abs(other[np.isfinite(other)]).max(initial=0.0)))
        words = f"{what}: output {number}"
        limit = min(max(TOLERANCE * scale, limits[number]), MOST * scale)
        np.testing.assert_allclose(one, other, rtol=0, atol=limit, equal_nan=True, err_msg=words)
