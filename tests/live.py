"""Records every layer of a drawn architecture, saves the model in every form, converts each, and compares.

The framework is a parameter: the `keras` module is Keras 3 or tf_keras.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from architectures import Design, masked_designs, nested_designs, recurrent_designs
from architectures_maps import map_designs
from equivalence import (
    EXACT,
    Runner,
    assert_close,
    cells_runner,
    load,
    recurrent_outputs,
    reference_runner,
    surrounding_output,
    torch_runner,
)
from hypothesis import HealthCheck, Phase, settings
from live_models import build, inputs_for, randomize

import converters
from converters.model.layers import Layer
from converters.planning.plan import Plan

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

Tensors = dict[str, torch.Tensor]

FAMILIES = {"recurrent": recurrent_designs, "masks": masked_designs, "nested": nested_designs, "maps": map_designs}
EXAMPLES = settings(
    max_examples=int(os.environ.get("GATEPORT_LIVE_EXAMPLES", "4")),
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""The same few architectures of each family in every run, and no shrinking, which would take minutes here; set
GATEPORT_LIVE_EXAMPLES for more, as `make prove` does."""


def check(design: Design, keras: Any, forms: Sequence[str], folder: Path) -> dict[str, float]:
    """Build, record, save, convert and compare one architecture; the worst error of each kind of layer."""
    model = build(design, keras)
    randomize(model, seed=len(repr(design)))
    calls = recorded(model, inputs_for(design, seed=1), keras)
    place = folder / "model"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    plan, tensors = assert_same_everywhere(saved_forms(model, place, forms))
    return assert_layers_equal(plan, tensors, calls)


@dataclass(frozen=True)
class Call:
    """What one layer was given and what it gave, the first time that it ran."""

    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    mask: np.ndarray | None


def recorded(model: Any, x: np.ndarray, keras: Any) -> dict[str, Call]:
    """Every layer with weights by its path, run eagerly in inference mode."""
    import tensorflow

    paths = {id(layer): path for path, layer in reversed(list(weighted(model)))}
    calls: dict[str, Call] = {}
    with _watched(keras.layers.Layer, paths, calls):
        model(tensorflow.constant(x), training=False)
    return calls


def weighted(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, layer) of every layer with weights that is no model."""
    for layer in model.layers:
        if layer.weights and hasattr(layer, "layers"):
            yield from weighted(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            yield prefix + layer.name, layer


@contextmanager
def _watched(layer_class: Any, paths: Mapping[int, str], calls: dict[str, Call]) -> Iterator[None]:
    original = layer_class.__call__

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = list(_tensors(args))
        mask = kwargs.get("mask", getattr(given[0], "_keras_mask", None) if given else None)
        result = original(self, *args, **kwargs)
        if id(self) in paths and paths[id(self)] not in calls:
            arrays = [[np.asarray(t) for t in _tensors(value)] for value in (given, result)]
            calls[paths[id(self)]] = Call(*arrays, None if mask is None else np.asarray(mask))
        return result

    layer_class.__call__ = noting
    try:
        yield
    finally:
        layer_class.__call__ = original


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "shape") and hasattr(value, "dtype"):
        yield value


def loosely(source: Any, **options: Any) -> tuple[Plan, Tensors]:
    """Plan and tensors of a source with strict=False."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return (
            converters.plan(source, strict=False, **options),
            converters.convert(source, strict=False, **options),
        )


def assert_layers_equal(plan: Plan, tensors: Tensors, calls: Mapping[str, Call]) -> dict[str, float]:
    """Every recorded layer, whole output, through the converted weights; the worst error of each kind of layer."""
    paths = {layer.path for layer in plan.checkpoint.layers}
    if paths != set(calls):
        raise AssertionError(f"the file gives the layers {sorted(paths)}, and those that ran are {sorted(calls)}")
    worst: dict[str, float] = {}
    for layer in plan.checkpoint.layers:
        if layer.unknown is not None:
            raise AssertionError(f"{layer.path} ({layer.class_name}) is not recognised: {layer.unknown}")
        check = _recurrent_error if layer.recurrent else _surrounding_error
        error = check(plan, tensors, layer, calls[layer.path])
        worst[layer.class_name] = max(worst.get(layer.class_name, 0.0), error)
    return worst


def _error(found: np.ndarray, expected: np.ndarray, what: str) -> float:
    """The largest error, in units of the largest number where that is above 1; float64 is held to its own."""
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return assert_close(found, expected, scale * (EXACT if expected.dtype == np.float32 else 1e-12), what) / scale


def _recurrent_error(plan: Plan, tensors: Tensors, layer: Layer, call: Call) -> float:
    """The NumPy reference always, and the module or modules that the plan names."""
    if layer.call.masked != (call.mask is not None):
        raise AssertionError(
            f"{layer.path}: a mask {'came' if call.mask is not None else 'did not come'}: {layer.call}"
        )
    worst = 0.0
    for run in _runners(plan, tensors, layer, getattr(torch, call.inputs[0].dtype.name)):
        outputs, states = recurrent_outputs(run, layer.call, call.inputs[0], call.mask, call.inputs[1:])
        for found, expected in zip([*outputs, *states], call.outputs, strict=True):
            worst = max(worst, _error(found, expected, f"{layer.path} ({layer.class_name})"))
    return worst


def _runners(plan: Plan, tensors: Tensors, layer: Layer, dtype: torch.dtype) -> Iterator[Runner]:
    yield reference_runner(layer)
    modules = [module for module in plan.modules if layer in module.layers]
    if not modules:
        raise AssertionError(f"{layer.path}: no module")
    if all(module.constructor for module in modules):
        built = [load(module, tensors, dtype) for module in modules]
        yield torch_runner(built[0], layer.parts[0].flattened) if len(built) == 1 else cells_runner(layer, built)


def _surrounding_error(plan: Plan, tensors: Tensors, layer: Layer, call: Call) -> float:
    (module,) = [module for module in plan.modules if layer in module.layers]
    if module.problems:
        raise AssertionError(f"{layer.path} ({layer.class_name}) is refused: {module.problems}")
    (expected,) = call.outputs
    built = load(module, tensors, getattr(torch, expected.dtype.name))
    found = surrounding_output(layer, built, call.inputs)
    return _error(found, expected, f"{layer.path} ({layer.class_name})")


def saved_forms(model: Any, folder: Path, forms: Sequence[str]) -> dict[str, Any]:
    """The model as it is in memory, and every file it can be written to, by form."""
    found: dict[str, Any] = {"memory": model}
    for form in forms:
        path = folder / form
        if form == "folder":
            model.save(path, zipped=False)
        elif form.endswith("weights.json"):
            model.save_weights(path, max_shard_size=2e-5)
        elif "weights" in form:
            model.save_weights(path)
        else:
            model.save(path)
        found[form] = path
    return found


def bits(tensors: Tensors) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Dtype, shape and bytes of every tensor."""
    return {
        key: (str(t.dtype), tuple(t.shape), t.reshape(-1).view(torch.uint8).numpy().tobytes())
        for key, t in tensors.items()
    }


def assert_same_everywhere(forms: Mapping[str, Any]) -> tuple[Plan, Tensors]:
    """Every form gives the same tensors bit by bit, weights alone the same ones of every layer that they tell."""
    found = {form: loosely(source) for form, source in forms.items()}
    plan, tensors = found["memory"]
    for form, (other, its) in found.items():
        if "weights" in form:
            _assert_same_weights(plan, tensors, other, its, form)
        elif bits(its) != bits(tensors):
            raise AssertionError(f"{form}: {_differing(its, tensors)} differ from those of the model in memory")
    return plan, tensors


def _differing(one: Tensors, two: Tensors) -> list[str]:
    first, second = bits(one), bits(two)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def _assert_same_weights(plan: Plan, tensors: Tensors, other: Plan, its: Tensors, form: str) -> None:
    """Without a configuration: recurrent layers all recognised, and their tensors the same whatever they are called."""
    strange = [m.path for m in other.modules if m.layout is None and any("recurrent" in t.key for t in m.tensors)]
    if strange:
        raise AssertionError(f"{form}: recurrent layers not recognised: {strange}")
    one, two = _recurrent_bits(plan, tensors), _recurrent_bits(other, its)
    if one != two:
        shapes = [[shape for _, shape, _ in side] for side in (one, two)]
        raise AssertionError(f"{form}: recurrent tensors differ: {shapes[0]} in memory, {shapes[1]} by weights alone")


def _recurrent_bits(plan: Plan, tensors: Tensors) -> list[tuple[str, tuple[int, ...], bytes]]:
    """Tensors of recurrent modules as sorted bytes, for a flattened map is permuted; without biases filled with 0."""
    modules = [module for module in plan.modules if any(layer.recurrent for layer in module.layers)]
    keys = {tensor.key for module in modules for tensor in module.tensors}
    own = {key: value for key, value in bits(tensors).items() if key in keys}
    return sorted((dtype, shape, bytes(sorted(data))) for dtype, shape, data in own.values() if any(data))


def tree_of(keras: Any) -> Any:
    """What flattens the outputs of a model of Keras 3 or of tf_keras."""
    if keras.__version__.startswith("3"):
        return keras.tree
    import tensorflow

    return tensorflow.nest
