"""The whole models of Keras among the fixtures, what was recorded of them, and those that have no other form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import ROOT

FOLDERS = (
    *("keras1", "keras2", "keras3", "keras30", "keras_js", "keras_pickled"),
    *("tf_keras", "tf_keras203", "tf_keras212", "tf_keras213"),
)
REFUSED = {
    "keras1/pooling_same": "pooling with padding explicit has no layer in Keras 3",
    "keras1/unknown_layers": "no layout describes the class Highway",
    "keras1/conv_lstm": "its recurrent_padding is same_lower",
    "keras1/conv_lstm_tf_order": "its recurrent_padding is same_lower",
    "keras2/theano_conv_lstm": "its recurrent_padding is same_lower",
    **dict.fromkeys(
        (
            "keras1/locally_connected",
            "keras1/tensorflow_locally_connected",
            "keras2/locally_connected",
            "tf_keras/locally_connected",
            "tf_keras/locally_connected_forms",
        ),
        "Keras 3 has no LocallyConnected2D any more",
    ),
    "keras2/lambda_layer": "Lambda holds code",
    "keras3/lambda_custom": "no layout describes the class fixtures>Stretch",
    "keras3/quantized": "the layer was quantized",
    "keras3/subclassed": "the source tells no network",
    "tf_keras/attention_axes": "attention of other axes than batch, steps and features",
    "keras3/vars_over_ten": "no layout describes the class fixtures>Polynomial",
}
"""Models that have no form of their own in Keras 3, and the reason that is given."""
LOW_PRECISION = {"keras3/bfloat16", "keras3/float16", "tf_keras/float16", "tf_keras/mixed_precision"}
"""Models that compute in less than float32: their case.json says how near is near."""


def cases() -> list[Path]:
    """Every folder with a file that holds a whole model."""
    folders = (folder for name in FOLDERS for folder in sorted((ROOT / "fixtures" / name).iterdir()))
    return [folder for folder in folders if folder.is_dir() and _whole(folder)]


def name_of(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


def _whole(case: Path) -> list[str]:
    return [name for name in described(case)["files"] if "weights" not in name]


def described(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "case.json").read_text())
    return found


def model_file(case: Path) -> Path:
    return case / _whole(case)[0]


def recorded(case: Path, way: str) -> list[np.ndarray[Any, Any]]:
    """What went into the model ("in"), or what it gave ("out"), in order."""
    with np.load(case / "io.npz") as arrays:
        names = [name for name in arrays.files if name.startswith(f"model/{way}/")]
        return [arrays[name] for name in sorted(names, key=lambda name: int(re.sub(r".*/", "", name)))]


def within(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> float:
    """The largest difference, of the largest output or of 1; raises when it is above the tolerance."""
    return max(_errors(found, expected, tolerance))


def _errors(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> Iterator[float]:
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        assert one.shape == other.shape
        error = float(np.abs(one - other).max(initial=0.0)) / max(1.0, float(np.abs(other).max(initial=0.0)))
        assert error <= tolerance, f"max abs error {error:.3g} > {tolerance:.3g}"
        yield error
