"""Which folder of an archive of TensorFlow 2.12, 2.13 or 2.14 is which layer's: counted once or twice, or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import pytest
from hostile.cases import archive
from keras_files import numbers

import converters
from converters import ConversionError, CoverageError

TOP = "_layer_checkpoint_dependencies"
DENSE = "Dense"
EMPTY = "TimeDistributed"
"""A TimeDistributed around a Dropout: of a class that may have weights, and without any."""


def layer(class_name: str, number: int) -> dict[str, Any]:
    config: dict[str, Any] = {"name": f"l{number}", "units": 3 + number}
    if class_name != DENSE:
        inner = {"name": "inner", "units": 3 + number} if class_name == "Timed" else {"name": "inner"}
        kind = "Dense" if class_name == "Timed" else "Dropout"
        config = {"name": f"l{number}", "layer": {"class_name": kind, "config": inner}}
    return {"class_name": "TimeDistributed" if class_name == "Timed" else class_name, "config": config}


def written(folder: Path, classes: list[str], folders: Mapping[str, int | None], slash: str = "/") -> Path:
    """An archive of layers; `folders` holds the units of the Dense in each folder, or None for an empty one."""
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_group("vars")
        for name, units in folders.items():
            below = [name] if units is None or "time" not in name else [name, f"{name}/layer"]
            for path in below:
                variables = file.create_group(f"{TOP}/{path}".replace("/", slash)).create_group("vars")
            if units is not None:
                variables["0"], variables["1"] = numbers(2, units), numbers(units)
    layers = [layer(class_name, number) for number, class_name in enumerate(classes)]
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    members = {
        "metadata.json": b'{"keras_version": "2.13.1"}',
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": buffer.getvalue(),
    }
    return archive(folder / "model.keras", members)


TIMED = "time_distributed"
SOUND = [
    pytest.param([DENSE] * 3, {"dense": 3, "dense_2": 4, "dense_4": 5}, id="twice"),
    pytest.param([DENSE] * 3, {"dense": 3, "dense_1": 4, "dense_2": 5}, id="once"),
    pytest.param(["Timed", EMPTY, "Timed"], {TIMED: 3, f"{TIMED}_2": None, f"{TIMED}_3": 5}, id="twice-and-empty"),
    pytest.param([EMPTY, "Timed", EMPTY], {TIMED: None, f"{TIMED}_1": 4, f"{TIMED}_3": None}, id="empty-first"),
    pytest.param(["Timed", EMPTY, "Timed"], {TIMED: 3, f"{TIMED}_1": None, f"{TIMED}_2": 5}, id="once-and-empty"),
    pytest.param([DENSE] * 7, {"dense": 3} | {f"dense_{2 * k}": 3 + k for k in range(1, 7)}, id="over-ten"),
]


@pytest.mark.parametrize("slash", ["/", "\\"], ids=["linux", "windows"])
@pytest.mark.parametrize(("classes", "folders"), SOUND)
def test_every_layer_has_its_own_arrays(
    classes: list[str], folders: dict[str, int | None], slash: str, tmp_path: Path
) -> None:
    found = converters.read(written(tmp_path, classes, folders, slash)).layers
    wanted = {f"l{k}": 3 + k for k, class_name in enumerate(classes) if class_name != EMPTY}
    assert {one.path: one.parts[0].solved()["out"] for one in found} == wanted


UNCLEAR = [
    pytest.param([DENSE] * 2, {"dense_2": 3}, "ambiguous", id="first-shared-with-another-model"),
    pytest.param([DENSE] * 3, {"dense": 3, "dense_1": 4, "dense_3": 5}, "ambiguous", id="neither-way"),
    pytest.param([DENSE] * 2, {"dense": 3, "dense_3": 4}, "ambiguous", id="a-step-of-three"),
    pytest.param([DENSE] * 3, {"dense": 3, "dense_2": 4}, "no arrays for this Dense", id="one-missing"),
    pytest.param([DENSE], {"dense": 3, "dense_2": 4}, "no layer for the arrays", id="one-too-many"),
]


@pytest.mark.parametrize(("classes", "folders", "message"), UNCLEAR)
def test_what_is_unclear_is_refused(
    classes: list[str], folders: dict[str, int | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CoverageError, match=message):
        converters.read(written(tmp_path, classes, folders))


def test_shapes_confirm_the_order(tmp_path: Path) -> None:
    file = written(tmp_path, [DENSE] * 2, {"dense": 4, "dense_2": 3})
    with pytest.raises(ConversionError, match="units=3"):
        converters.convert(file)
