"""Architectures that Hypothesis draws, against the installed tf_keras: every layer, in every form of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from architectures import Design
from hypothesis import given
from live import EXAMPLES, FAMILIES, check
from live_models import as_tf_keras

FORMS = ("model.keras", "model.h5", "model.weights.h5", "weights.h5")


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return pytest.importorskip("tf_keras", reason="tf_keras is not installed")


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_architectures_convert_exactly(family: str, keras: Any, tmp_path: Path, measured: Any) -> None:
    worst: dict[str, float] = {}

    @EXAMPLES
    @given(FAMILIES[family]())
    def every_layer_is_equal_and_every_form_the_same(design: Design) -> None:
        for kind, error in check(as_tf_keras(design), keras, FORMS, tmp_path).items():
            worst[kind] = max(worst.get(kind, 0.0), error)

    every_layer_is_equal_and_every_form_the_same()
    assert worst
    for kind, error in worst.items():
        measured(f"live tf_keras {family}: {kind}", error)
