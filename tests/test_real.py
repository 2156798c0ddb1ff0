"""Model files out of public projects, read from beside the repository; each test skips, visibly, where they are absent.

Every file that Keras wrote is read and planned; each recurrent layer equals its recorded reference, or is refused
exactly where torch.nn cannot compute it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import Run, Runner, assert_close, load, reference_runner, torch_runner

import converters
from converters.planning.modules import Module
from converters.planning.plan import Plan

REAL = ROOT.parent / "shared" / "real"
TOLERANCE = 1e-5
NO_WEIGHTS = "_inputs_and_outputs.h5"

CALLED = {"layers.lstm.cell": "lstm"}
"""What the reference of a file without configuration calls a layer -> its own name, which the file tells."""

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="the folder of real model files is not beside this repository"
)


def keras_files() -> Iterator[dict[str, Any]]:
    if REAL.is_dir():
        for entry in json.loads((REAL / "manifest.json").read_text())["files"]:
            if entry["path"].endswith((".h5", ".hdf5", ".keras")):
                yield entry


def params(entries: Iterator[dict[str, Any]]) -> list[Any]:
    return [pytest.param(entry, id=entry["path"]) for entry in entries]


WITH_WEIGHTS = params(e for e in keras_files() if not e["path"].endswith(NO_WEIGHTS))
WITHOUT = params(e for e in keras_files() if e["path"].endswith(NO_WEIGHTS))


def loose(path: Path) -> tuple[Plan, dict[str, torch.Tensor]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.plan(path, strict=False), converters.convert(path, strict=False)


def exactness(entry: dict[str, Any], layer: str) -> bool | None:
    """What the manifest says of a layer: whether torch.nn computes it; None where it says nothing."""
    told = entry.get("torch_nn_exact") or {}
    values = [value for key, value in told.items() if key == layer or key.startswith(f"{layer}/")]
    return all(values) if values else None


def recorded(references: Any, layer: str) -> Iterator[tuple[int, str]]:
    """The directions of a layer that have a reference, with the prefix of its keys."""
    for way, prefix in enumerate((f"rnn/{layer}/fwd", f"rnn/{layer}/bwd")):
        if f"{prefix}/y" in references:
            yield way, prefix
    if f"rnn/{layer}/y" in references:
        yield 0, f"rnn/{layer}"


def worst_error(run: Runner, references: Any, layer: str) -> float:
    worst = 0.0
    for way, prefix in recorded(references, layer):
        x = references[f"rnn/{layer}/x"] if f"rnn/{layer}/x" in references else references[f"{prefix}/x"]
        ran: Run = run(x, ())
        worst = max(worst, assert_close(ran.outputs[way], references[f"{prefix}/y"], TOLERANCE, f"{prefix}/y"))
        for name, state in zip("hc", ran.states[way], strict=False):
            worst = max(worst, assert_close(state, references[f"{prefix}/{name}"], TOLERANCE, f"{prefix}/{name}"))
    return worst


@pytest.mark.parametrize("entry", WITH_WEIGHTS)
def test_every_recurrent_layer_equals_its_reference(entry: dict[str, Any], measured: Any) -> None:
    plan, tensors = loose(REAL / entry["path"])
    references = np.load(REAL / entry["reference"]["npz"])
    layers = {layer.path: layer for layer in plan.checkpoint.layers if layer.recurrent}
    named = {key.split("/")[1] for key in references if key.startswith("rnn/")}
    assert set(layers) >= {CALLED.get(name, name) for name in named} and named
    for name in named:
        path = CALLED.get(name, name)
        (module,) = [m for m in plan.modules if layers[path] in m.layers]
        assert exactness(entry, path) in (None, not module.problems), f"{path}: {module.problems}"
        runs = [reference_runner(layers[path])]
        runs.append(torch_runner(load(module, tensors, torch.float32)))
        for run in runs:
            measured(f"real/{entry['path']} {path}", worst_error(run, references, name))


@pytest.mark.parametrize("entry", WITH_WEIGHTS)
def test_strict_conversion_is_refused_exactly_where_it_must_be(entry: dict[str, Any]) -> None:
    told = entry.get("torch_nn_exact") or {}
    plan = converters.plan(REAL / entry["path"])
    refused: list[Module] = [m for m in plan.modules if m.problems and any(layer.recurrent for layer in m.layers)]
    assert len(refused) == len({key.split("/")[0] for key, exact in told.items() if not exact})
    if refused:
        with pytest.raises(converters.NotRepresentable, match=refused[0].layers[0].path):
            converters.convert(REAL / entry["path"])


@pytest.mark.parametrize("entry", WITHOUT)
def test_files_without_weights_say_so(entry: dict[str, Any]) -> None:
    with pytest.raises(converters.UnreadableCheckpoint, match="holds no Keras weights"):
        converters.read(REAL / entry["path"])


def test_textgenrnn_loads_into_two_lstms() -> None:
    path = REAL / "textgenrnn" / "textgenrnn_weights.hdf5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        for name, inputs in (("rnn_1", 100), ("rnn_2", 128)):
            torch.nn.LSTM(inputs, 128, batch_first=True).load_state_dict(
                converters.convert(path, layer=name), strict=True
            )
        stacked = converters.convert(path, stack={"rnn": ["rnn_1", "rnn_2"]}, strict=False)
    assert {key for key in stacked if key.startswith("rnn.")} >= {"rnn.weight_ih_l0", "rnn.weight_ih_l1"}
