"""Every fixture: converted, loaded strictly into the module of the plan, run, compared with its framework's outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import (
    EXACT,
    Runner,
    assert_close,
    assert_nothing_else_is_listed,
    cells_runner,
    converted,
    described,
    is_compared,
    load,
    planned,
    recurrent_outputs,
    reference_runner,
    surrounding_output,
    torch_runner,
)

from converters.model.layers import Layer
from converters.planning.plan import Plan

EVERY = set((ROOT / "fixtures").glob("*/*/case.json")) - set((ROOT / "fixtures").glob("onnx_*/*/case.json"))
CASES = sorted(case for case in EVERY if isinstance(described(case)["files"], list))


def with_configuration(case: Path) -> Path | None:
    """The first file of a case that tells its layers' configuration."""
    files = [case.parent / name for name in described(case)["files"]]
    told = [f for f in files if not planned(f).checkpoint.container.startswith("weights")]
    return next((f for f in told if "no configuration" not in planned(f).checkpoint.container), None)


def layers() -> Iterator[Any]:
    for case in CASES:
        file = with_configuration(case)
        for layer in planned(file).checkpoint.layers if file else ():
            yield pytest.param(case, layer.path, id=f"{case.parent.parent.name}/{case.parent.name}:{layer.path}")


@pytest.mark.parametrize(("case", "path"), layers())
def test_layer_equals_its_framework(case: Path, path: str, measured: Any) -> None:
    """A layer that is refused, or was not recorded, has to stand as such in case.json."""
    file = with_configuration(case)
    assert file is not None
    plan = planned(file)
    layer = plan.checkpoint.layer(path)
    run = Recorded(case, plan, layer, np.load(case.parent / "io.npz"), path)
    assert bool(run.inputs) == (path not in described(case).get("unrecorded", {})), f"{len(run.inputs)} inputs recorded"
    if is_compared(case, plan, path):
        measured(f"{case.parent.parent.name}/{case.parent.name} {path} ({layer.class_name})", run.worst())


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.parent.parent.name}/{c.parent.name}") for c in CASES])
def test_the_layers_of_a_file_are_those_of_its_framework(case: Path) -> None:
    """All those that had weights when the case was recorded, but models, whose layers stand there as well."""
    file, called = with_configuration(case), described(case).get("called", {})
    plan = planned(file or case.parent / described(case)["files"][0])
    found = {called.get(layer.path, layer.path) for layer in plan.checkpoint.layers}
    recorded = {*described(case)["layers"], *described(case).get("unrecorded", {})}
    models = {path for path in recorded if any(other.startswith(f"{path}/") for other in recorded)}
    assert found == recorded - models
    assert_nothing_else_is_listed(case, found)


def test_layers_of_a_file_without_configuration_are_equal(measured: Any) -> None:
    """A subclassed model: the calls stand in its code alone, here told by hand; activations are the assumed ones."""
    case = ROOT / "fixtures/keras3/subclassed/case.json"
    told: dict[str, dict[str, Any]] = {"reader": {"sequences": True}, "both": {"merge": "concat"}}
    plan, called = planned(case.parent / "model.keras"), described(case)["called"]
    for layer in plan.checkpoint.layers:
        name = called.get(layer.path, layer.path)
        run = Recorded(case, plan, layer, np.load(case.parent / "io.npz"), name, told.get(layer.path, {}))
        assert run.inputs and is_compared(case, plan, layer.path)
        measured(f"keras3/subclassed {name}", run.worst())


@dataclass(frozen=True)
class Recorded:
    """What one layer of a fixture took and gave, and the layer of the plan; `told` completes its settings."""

    case: Path
    plan: Plan
    layer: Layer
    io: Any
    name: str
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[np.ndarray]:
        keys = [f"layers/{self.name}/{key}" for key in ("x", "x1", "x2")]
        return [self.io[key] for key in keys if key in self.io]

    @property
    def expected(self) -> np.ndarray:
        return self.io[f"layers/{self.name}/y"]

    def worst(self) -> float:
        """The largest error; raises beyond the tolerance, and where the plan names no module."""
        return self.of_recurrent() if self.layer.recurrent else self.of_other()

    def built(self, dtype: np.dtype[Any]) -> list[torch.nn.Module]:
        tensors = converted(Path(self.plan.checkpoint.path))
        modules = [module for module in self.plan.modules if self.layer in module.layers]
        assert modules, f"{self.layer.path}: no module"
        return [load(module, tensors, torch.float64 if dtype == np.float64 else torch.float32) for module in modules]

    def of_recurrent(self) -> float:
        """By the NumPy reference, and by the module or modules the plan names, of torch.nn or converters.nn."""
        x, built = self.inputs, self.built(self.inputs[0].dtype)
        flattened = self.layer.parts[0].flattened
        whole = torch_runner(built[0], flattened) if len(built) == 1 else cells_runner(self.layer, built)
        return max(self.of_runner(run, x) for run in (reference_runner(self.layer), whole))

    def of_runner(self, run: Runner, x: Sequence[np.ndarray]) -> float:
        told = described(self.case)["tolerance"]
        tolerance = EXACT if x[0].dtype == np.float32 and told < 1e-4 else told
        mask = self.io.get(f"layers/{self.name}/mask")
        outputs, states = recurrent_outputs(run, replace(self.layer.call, **self.told), x[0], mask, x[1:])
        tolerance *= max(1.0, float(np.abs(self.expected).max()))
        worst = assert_close(outputs[0], self.expected, tolerance, self.layer.path)
        extra = [key for key in self.io if key.startswith(f"layers/{self.name}/state/")]
        for key, state in zip(extra, [*outputs[1:], *states], strict=True):
            worst = max(worst, assert_close(state, self.io[key], tolerance, key))
        return worst

    def of_other(self) -> float:
        (built,) = self.built(self.expected.dtype)
        found = surrounding_output(self.layer, built, self.inputs)
        tolerance = max(described(self.case)["tolerance"], EXACT * max(1.0, float(np.abs(self.expected).max())))
        return assert_close(found, self.expected, tolerance, self.layer.path)


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
