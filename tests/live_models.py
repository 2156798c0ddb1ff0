"""Builds a drawn architecture with an installed Keras, gives it weights, and makes an input for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from architectures import BATCH, VOCABULARY, Design, Step


def build(design: Design, keras: Any) -> Any:
    """The model, with the automatic names of a new session."""
    keras.backend.clear_session()
    keras.backend.set_floatx(design.floatx)
    try:
        entry = keras.layers.Input(design.shape, dtype="int32" if design.tokens else design.floatx)
        if design.functional:
            return keras.Model(entry, _chained(design.steps, entry, keras))
        return keras.Sequential([entry, *(_layer(step, keras) for step in design.steps)])
    finally:
        keras.backend.set_floatx("float32")


def as_keras(design: Design) -> Design:
    """The same architecture as Keras 3 allows it: names without '/', directions that differ."""
    return replace(design, steps=tuple(_mapped(step, _for_keras) for step in design.steps))


def as_tf_keras(design: Design) -> Design:
    """The same architecture as tf_keras allows it: names are scopes of TensorFlow."""
    return replace(design, steps=tuple(_mapped(step, _for_tf_keras) for step in design.steps))


def _mapped(step: Any, change: Callable[[Step], Step]) -> Any:
    if isinstance(step, tuple):
        return tuple(_mapped(each, change) for each in step)
    return change(replace(step, inner=tuple(_mapped(each, change) for each in step.inner)))


def _for_keras(step: Step) -> Step:
    inner = step.inner
    if step.kind == "Bidirectional" and len(inner) == 1:
        inner = (replace(inner[0], options={**inner[0].options, "go_backwards": False}),)
    return replace(step, name=step.name.replace("/", "-"), inner=inner)


def _for_tf_keras(step: Step) -> Step:
    return replace(step, name=step.name.replace(" ", ".").replace("ü", "u").replace("λ", "l"))


def _chained(steps: Sequence[Step], value: Any, keras: Any) -> Any:
    for step in steps:
        if step.kind == "Concatenate":
            branches = [_chained(branch, value, keras) for branch in step.inner]
            value = keras.layers.Concatenate(**_named(step))(branches)
        else:
            value = _layer(step, keras)(value)
        value = value[0] if isinstance(value, list | tuple) else value
    return value


def _layer(step: Step, keras: Any) -> Any:
    if step.kind in ("Sequential", "Functional"):
        return _model(step, keras)
    inner: list[Any] = [_layer(each, keras) for each in step.inner]
    options = dict(step.options)
    if step.kind == "Bidirectional" and len(inner) == 2:
        options["backward_layer"] = inner.pop()
    if len(inner) > 1:
        inner = [inner]
    return getattr(keras.layers, step.kind)(*inner, **options, **_named(step))


def _named(step: Step) -> dict[str, str]:
    return {"name": step.name} if step.name else {}


def _model(step: Step, keras: Any) -> Any:
    entry = keras.layers.Input(step.options["shape"])
    if step.kind == "Sequential":
        model = keras.Sequential([entry, *(_layer(each, keras) for each in step.inner)], **_named(step))
    else:
        model = keras.Model(entry, _chained(step.inner, entry, keras), **_named(step))
    model.trainable = step.options.get("trainable", True)
    return model


def randomize(model: Any, seed: int) -> None:
    """Every weight at random, none exactly zero: variances in 0.5 to 2; all else normal, with a deviation of 0.4, or
    less where many numbers are summed, so that no chain of layers amplifies the rounding of float32."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        deviation = min(0.4, np.prod(shape[:-1], initial=1.0) ** -0.5)
        positive = "variance" in weight.name
        values = generator.uniform(0.5, 2.0, shape) if positive else generator.normal(0.0, deviation, shape)
        weight.assign(np.where(values == 0.0, 0.4, values))


def inputs_for(design: Design, seed: int) -> np.ndarray:
    """Numbers or tokens; where steps are masked, one row ends early or has a gap."""
    generator = np.random.default_rng(seed)
    time = design.shape[0]
    valid = np.ones((BATCH, time), bool)
    if design.padding:
        valid[1, time - 2 :] = False
    if design.padding == "gaps":
        valid[0, 1], valid[1, 0] = False, False
    if design.tokens:
        return np.where(valid, generator.integers(1, VOCABULARY, valid.shape), 0).astype("int32")
    values = generator.normal(size=(BATCH, *design.shape)).astype(design.floatx)
    return values * valid[..., None].astype(design.floatx) if design.padding else values
