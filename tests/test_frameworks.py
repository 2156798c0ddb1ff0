"""Files of frameworks that store arrays and no more: each layer converted, loaded strictly, run against its framework.

A case.json whose `files` is a table says of each file what its caller states, the layers in it, and what is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from equivalence import assert_close, described, load, surrounding_output, torch_runner

import converters
from converters.model.layers import Layer
from converters.model.names import module_name
from converters.planning.plan import Plan

CASES = [
    case for case in sorted((ROOT / "fixtures").glob("*/*/case.json")) if isinstance(described(case)["files"], dict)
]
FILES = [
    pytest.param(case, name, id=f"{case.parent.parent.name}/{case.parent.name}/{name}")
    for case in CASES
    for name in described(case)["files"]
]

CHANNELS_SECOND = ("batch_norm", "group_norm", "prelu")
"""Cells whose channels are the second axis, as PyTorch has them, where a framework says nothing else."""


def told(case: Path, name: str) -> dict[str, Any]:
    """What case.json says of one file."""
    return described(case)["files"][name]


def reading(case: Path, name: str) -> dict[str, Any]:
    """What a caller passes to read a file."""
    found = told(case, name)
    return {"framework": found.get("framework"), "assume": found.get("assume", {})}


@cache
def planned(case: Path, name: str) -> Plan:
    return converters.plan(case.parent / name, strict=False, dropins=True, **reading(case, name))


@cache
def converted(case: Path, name: str) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(case.parent / name, strict=False, dropins=True, **reading(case, name))


def layers() -> Iterator[Any]:
    for case in CASES:
        for name, own in described(case)["files"].items():
            for path, record in own["layers"].items():
                where = f"{case.parent.parent.name}/{case.parent.name}/{name}:{path}"
                yield pytest.param(case, name, path, record, id=where)


@pytest.mark.parametrize(("case", "name", "path", "record"), layers())
def test_a_layer_equals_its_framework(case: Path, name: str, path: str, record: str, measured: Any) -> None:
    """By the module and the arrays of the plan; outputs, and the final states where they were recorded."""
    plan, io = planned(case, name), np.load(case.parent / "io.npz")
    layer = plan.checkpoint.layer(path)
    assert layer.unknown is None, layer.unknown
    (module,) = [module for module in plan.modules if layer in module.layers]
    x, expected = io[f"layers/{record}/x"], io[f"layers/{record}/y"]
    double = expected.dtype == np.float64
    built = load(module, converted(case, name), torch.float64 if double else torch.float32)
    states = [io[key] for key in io if key.startswith(f"layers/{record}/state/")]
    worst = 0.0
    for found, wanted in zip(outputs(layer, built, x, states), [expected, *states], strict=True):
        tolerance = described(case)["tolerance"] * max(1.0, float(np.abs(wanted).max()))
        worst = max(worst, assert_close(found, wanted, tolerance, f"{name}: {path}"))
    measured(f"{case.parent.parent.name}/{case.parent.name} {name} {path} ({layer.class_name})", worst)


def outputs(layer: Layer, built: torch.nn.Module, x: np.ndarray, states: list[np.ndarray]) -> list[np.ndarray]:
    """What a built layer gives for its framework's input: outputs, and final states in the shapes recorded."""
    part = layer.parts[0]
    if part.cell.name in CHANNELS_SECOND and not part.normalization.axes:
        return [built(torch.from_numpy(x)).detach().numpy()]
    if part.cell.name.startswith("conv_lstm"):
        with torch.no_grad():
            y = built(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 2))))[0]
        return [np.moveaxis(y.numpy(), 2, -1)]
    if not layer.recurrent:
        return [surrounding_output(layer, built, [x])]
    if layer.call.direction != "forward":
        forward = replace(layer, call=replace(layer.call, direction="forward"))
        y, *finals = outputs(forward, built, np.ascontiguousarray(x[:, ::-1]), states)
        return [y[:, ::-1] if layer.call.direction == "reverse" else y, *finals]
    if not built.batch_first:
        return outputs(layer, _batch_first(built), x, states)
    if not states:
        return [np.concatenate(torch_runner(built)(x, ()).outputs, -1)]
    with torch.no_grad():
        y, final = built(torch.from_numpy(x).to(next(built.parameters()).dtype))
    found = [s.numpy() for s in (final if isinstance(final, tuple) else (final,))]
    return [y.numpy(), *(s.reshape(one.shape) for s, one in zip(found, states, strict=True))]


def _batch_first(built: torch.nn.Module) -> torch.nn.Module:
    """The module with the batch first, as the records are: the weights are the same."""
    built.batch_first = True
    return built


@pytest.mark.parametrize(("case", "name"), FILES)
def test_the_layers_of_a_file_are_those_that_were_recorded(case: Path, name: str) -> None:
    """No layer more, none less; refused ones in the words of case.json, and what is left out by name."""
    plan, own = planned(case, name), told(case, name)
    refused = {layer.path: str(layer.unknown) for layer in plan.checkpoint.layers if layer.unknown}
    assert {layer.path for layer in plan.checkpoint.layers} - {*refused} == {*own["layers"]}
    assert {*refused} == {*own.get("refused", {})}, refused
    for path, words in own.get("refused", {}).items():
        assert words in refused[path], refused[path]
    assert sorted(plan.checkpoint.unused) == sorted(own.get("unused", ()))


@pytest.mark.parametrize(("case", "name"), FILES)
def test_a_file_is_converted_as_a_whole(case: Path, name: str) -> None:
    """Strictly, where nothing is refused: every array has gone somewhere, under the names of the plan."""
    if told(case, name).get("refused"):
        with pytest.raises(converters.ConversionError):
            converters.convert(case.parent / name, dropins=True, **reading(case, name))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        found = converters.convert(case.parent / name, dropins=True, **reading(case, name))
    assert {module_name(path) for path in told(case, name)["layers"]} == {
        next(m for path in told(case, name)["layers"] if key.startswith((m := module_name(path)) + "."))
        for key in found
    }
