"""Whole Keras models, drawn: the built module, the written folder, and the evaluator give what Keras gives.

A failure prints the smallest model that fails, as the lines that rebuild it. GATEPORT_DRAWN_SEED draws other models.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import live  # noqa: F401 - says which backend, before a framework is imported
import pytest
from drawing import Drawing, drawings, inputs_for
from hypothesis import HealthCheck, given, seed, settings
from live_models import randomize
from whole_models import compare

import converters

keras = pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")

SEED = int(os.environ.get("GATEPORT_DRAWN_SEED", "1"))
REFUSALS = {
    "whose mask heads take off, and whether before or after is not known": "the order of Keras's calls decides",
    "unrolled backwards behind a mask: Keras gives zeros at the wrong steps": "a mistake of Keras, not to be repeated",
}
"""The only refusals of drawn models that pass, by their words, and why there is no better answer."""


def check(drawing: Drawing, folder: Path) -> str:
    """Compare what is made of one drawing with Keras; returns the refusal where it is one of those that pass."""
    randomize(drawing.model, drawing.seed)
    inputs = inputs_for(drawing.model, drawing.seed)
    try:
        compare(drawing.model, inputs, folder / f"model{drawing.suffix}", keras.tree)
    except converters.NotRepresentable as error:
        return expected_refusal(error)
    return ""


def expected_refusal(error: Exception) -> str:
    """The refusal, where every line of it is declared; raises it otherwise."""
    for line in str(error).splitlines():
        if not any(re.search(words, line) for words in REFUSALS):
            raise error
    return str(error)


def drawn(examples: int, number: int) -> Callable[[], None]:
    """A test of so many models; each number draws others."""

    @seed(SEED * 1000 + number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(drawings(keras))
    def compare_with_keras(drawing: Drawing) -> None:
        with tempfile.TemporaryDirectory() as folder:
            check(drawing, Path(folder))

    return compare_with_keras


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_models_that_are_drawn() -> None:
    print(f"GATEPORT_DRAWN_SEED={SEED}")
    drawn(60, 0)()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.parametrize("number", range(1, 11))
def test_many_models_that_are_drawn(number: int) -> None:
    print(f"GATEPORT_DRAWN_SEED={SEED}")
    drawn(100, number)()
