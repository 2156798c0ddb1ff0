"""Architectures that Hypothesis draws, against the installed Keras 3: every layer, in every form of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from architectures import Design
from hypothesis import given
from live import EXAMPLES, FAMILIES, check
from live_models import as_keras

FORMS = ("model.keras", "model.h5", "folder", "model.weights.h5", "model.weights.json")


@pytest.fixture(scope="module")
def keras() -> Any:
    found = pytest.importorskip("keras", minversion="3", reason="Keras 3 is not installed")
    pytest.importorskip("tensorflow", reason="Keras runs on TensorFlow here, which is not installed")
    if found.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend than TensorFlow")
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_architectures_convert_exactly(family: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    worst: dict[str, float] = {}

    @EXAMPLES
    @given(FAMILIES[family]())
    def every_layer_is_equal_and_every_form_the_same(design: Design) -> None:
        for kind, error in check(as_keras(design), keras, FORMS, tmp_path).items():
            worst[kind] = max(worst.get(kind, 0.0), error)

    every_layer_is_equal_and_every_form_the_same()
    assert worst
    for kind, error in worst.items():
        measured(f"live keras {family}: {kind}", error)
