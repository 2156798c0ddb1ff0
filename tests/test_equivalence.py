"""Every fixture: converted, loaded strictly into the module of the plan, run, compared with its framework's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import (
    EXACT,
    assert_close,
    converted,
    described,
    load,
    planned,
    recurrent_outputs,
    reference_runner,
    surrounding_output,
    torch_runner,
)

from converters.model.layers import Layer

CASES = sorted(set((ROOT / "fixtures").glob("*/*/case.json")) - set((ROOT / "fixtures").glob("onnx_*/*/case.json")))


def with_configuration(case: Path) -> Path | None:
    """The first file of a case that tells its layers' configuration."""
    files = [case.parent / name for name in described(case)["files"]]
    told = [f for f in files if f.suffix != ".json" and not planned(f).checkpoint.container.startswith("weights")]
    return next((f for f in told if "no configuration" not in planned(f).checkpoint.container), None)


def layers() -> Iterator[Any]:
    for case in CASES:
        file = with_configuration(case)
        for layer in planned(file).checkpoint.layers if file else ():
            yield pytest.param(case, layer.path, id=f"{case.parent.parent.name}/{case.parent.name}:{layer.path}")


def inputs(io: Any, path: str) -> list[np.ndarray]:
    return [io[key] for key in (f"layers/{path}/x", f"layers/{path}/x1", f"layers/{path}/x2") if key in io]


@pytest.mark.parametrize(("case", "path"), layers())
def test_layer_equals_its_framework(case: Path, path: str, measured: Any) -> None:
    file = with_configuration(case)
    assert file is not None
    plan, io = planned(file), np.load(case.parent / "io.npz")
    layer = plan.checkpoint.layer(path)
    if layer.unknown is not None:
        pytest.skip(f"refused: {' '.join(str(layer.unknown).split())}")
    name = f"{case.parent.parent.name}/{case.parent.name} {path} ({layer.class_name})"
    x = inputs(io, path)
    if not x:
        pytest.skip("inside a TimeDistributed model, where nothing was recorded")
    refusals = [problem for problem in plan.problems if problem.layer == path]
    if not layer.recurrent and refusals:
        pytest.skip(f"refused: {' '.join(str(refusals[0]).split())}")
    check = check_recurrent if layer.recurrent else check_surrounding
    measured(name, check(case, file, layer, x, io))


def check_recurrent(case: Path, file: Path, layer: Layer, x: Sequence[np.ndarray], io: Any) -> float:
    """The NumPy reference, and the module the plan names, of torch.nn or converters.nn. Returns the worst error."""
    modules = [module for module in planned(file).modules if layer in module.layers]
    runners = [reference_runner(layer)]
    if len(modules) == 1:
        runners.append(torch_runner(load(modules[0], converted(file), dtype_of(x[0])), layer.parts[0].flattened))
    tolerance = (
        EXACT if x[0].dtype == np.float32 and described(case)["tolerance"] < 1e-4 else described(case)["tolerance"]
    )
    mask = io.get(f"layers/{layer.path}/mask")
    worst = 0.0
    for run in runners:
        outputs, states = recurrent_outputs(run, layer.call, x[0], mask, x[1:])
        expected = io[f"layers/{layer.path}/y"]
        scale = max(1.0, float(np.abs(expected).max()))
        worst = max(worst, assert_close(outputs[0], expected, tolerance * scale, layer.path))
        extra = [key for key in io if key.startswith(f"layers/{layer.path}/state/")]
        for key, state in zip(extra, [*outputs[1:], *states], strict=True):
            worst = max(worst, assert_close(state, io[key], tolerance * scale, key))
    return worst


def dtype_of(array: np.ndarray) -> torch.dtype:
    return torch.float64 if array.dtype == np.float64 else torch.float32


def check_surrounding(case: Path, file: Path, layer: Layer, x: Sequence[np.ndarray], io: Any) -> float:
    module = next(module for module in planned(file).modules if layer in module.layers)
    theano = described(case)["backend"] == "theano"
    built = load(module, converted(file), dtype_of(io[f"layers/{layer.path}/y"]))
    expected = io[f"layers/{layer.path}/y"]
    found = surrounding_output(layer, built, x, theano)
    tolerance = max(described(case)["tolerance"], EXACT * max(1.0, float(np.abs(expected).max())))
    return assert_close(found, expected, tolerance, layer.path)


def other_files() -> Iterator[Any]:
    for case in CASES:
        first = with_configuration(case)
        for name in described(case)["files"]:
            file = case.parent / name
            if first is not None and file != first:
                yield pytest.param(first, file, id=f"{case.parent.parent.name}/{case.parent.name}:{name}")


@pytest.mark.parametrize(("first", "other"), other_files())
def test_every_form_of_a_model_gives_the_same_recurrent_weights(first: Path, other: Path) -> None:
    flattened = any(layer.wiring.flattened for layer in planned(first).checkpoint.layers if layer.recurrent)
    assert recurrent_tensors(first, flattened) == recurrent_tensors(other, flattened)


def recurrent_tensors(file: Path, flattened: bool) -> list[tuple[tuple[int, ...], bytes]]:
    """Shape and bytes of every tensor of a recurrent module, whatever the layers are called.

    Only a configuration tells of a map flattened before a layer: then columns are permuted, and elements are compared.
    """
    names = [module.name for module in planned(file).modules if any(layer.recurrent for layer in module.layers)]
    tensors = converted(file).items()
    own = [t for key, t in tensors if any(key.startswith(f"{name}.") for name in names)]
    flat = [t.flatten().sort().values if flattened else t.flatten() for t in own]
    return sorted((tuple(t.shape), f.view(torch.uint8).numpy().tobytes()) for t, f in zip(own, flat, strict=True))
