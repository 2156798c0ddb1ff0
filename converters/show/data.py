"""A checkpoint, a plan and a report as plain data: what `--json` prints and tables are made of."""

from __future__ import annotations

from typing import Any

from converters.model.checkpoint import Checkpoint, Layer
from converters.plan.pairing import Module
from converters.plan.plan import Plan
from converters.show.report import Report
from layouts.errors import ConversionError, printable

Data = dict[str, Any]


def checkpoint_data(checkpoint: Checkpoint) -> Data:
    """What `inspect` shows."""
    return {
        "path": checkpoint.path,
        "framework": checkpoint.framework,
        "version": checkpoint.version or None,
        "container": checkpoint.container,
        "layers": [_layer(layer) for layer in checkpoint.layers],
        "code": list(checkpoint.code),
    }


def _layer(layer: Layer) -> Data:
    return {
        "path": layer.path,
        "kind": layer.kind,
        "cells": [
            {
                "cell": part.cell.name,
                "layout": part.layout.name,
                "direction": part.direction,
                "depth": part.depth,
                "sizes": part.solved(),
                "options": dict(part.options),
                "arrays": {name: _array(array) for name, array in part.arrays.items()},
            }
            for part in layer.parts
        ],
        "arrays": {name: _array(array) for name, array in layer.arrays.items()},
        "facts": {key: list(value) if isinstance(value, tuple) else value for key, value in layer.facts.items()},
        "inferred": layer.inferred or None,
        "assumed": dict(layer.assumed),
        "unknown": str(layer.unknown) if layer.unknown else None,
        "parameters": sum(array.size for array in layer.stored()),
    }


def _array(array: Any) -> Data:
    return {"name": array.name, "shape": list(array.shape), "dtype": str(array.dtype)}


def plan_data(plan: Plan) -> Data:
    """What `plan` shows."""
    return {
        "path": plan.checkpoint.path,
        "framework": plan.checkpoint.framework,
        "version": plan.checkpoint.version or None,
        "strict": plan.strict,
        "modules": [_module(module) for module in plan.modules],
        "warnings": list(plan.warnings),
        "problems": [problem_data(problem) for problem in plan.problems],
        "bytes": sum(tensor.nbytes for tensor in plan.tensors),
    }


def _module(module: Module) -> Data:
    return {
        "name": module.name,
        "from": module.path,
        "kind": " + ".join(layer.kind for layer in module.layers),
        "constructor": module.constructor or None,
        "exact": not module.problems,
        "tensors": {t.key: {"shape": list(t.shape), "dtype": str(t.dtype)} for t in module.tensors},
        "notes": list(module.notes),
    }


def problem_data(error: ConversionError) -> Data:
    """One error as data."""
    return {
        "type": type(error).__name__,
        "message": " ".join(str(error).split()),
        "layer": error.layer,
        "array": error.array,
        "layout": error.layout,
        "path": error.path,
    }


def report_data(report: Report) -> Data:
    """What `convert` did."""
    return plan_data(report.plan) | {"output": report.output, "warnings": list(report.warnings)}


def report_lines(report: Report) -> list[str]:
    """What `convert` says: the file, then each module with its call and the forward code it needs."""
    tensors = report.plan.tensors
    lines = [f"{printable(report.output)}: {len(tensors)} tensors, {_amount(report.nbytes)}"]
    for module in report.plan.modules:
        lines.append(f"  {printable(module.name or module.path)} = {printable_call(module)}")
        lines += [f"      {note}" for note in module.notes]
    return lines


def printable_call(module: Module) -> str:
    """The constructor call, or what stands in its place."""
    if not module.constructor:
        return "(no module computes this: weights only)"
    return module.constructor


def _amount(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"
