"""What a framework offers as a destination. `find` gives the target of a framework by its name."""

from __future__ import annotations

from functools import cache

from converters.targets import keras, onnx, pytorch
from converters.targets.target import Target
from layouts import catalogue

__all__ = ["PYTORCH", "Target", "find"]

PYTORCH = pytorch.TARGET


@cache
def find(name: str) -> Target:
    """The target of a framework: its own, or one of plain arrays. Raises `LayoutError` for one without layouts."""
    for known in (PYTORCH, keras.TARGET, onnx.TARGET):
        if known.name == name:
            return known
    catalogue.layers(name)
    return Target(name, name)
