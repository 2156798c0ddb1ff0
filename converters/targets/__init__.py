"""What a framework offers as a destination. `find` gives the target of a framework by its name."""

from __future__ import annotations

from functools import cache

from converters.targets import keras, onnx, pytorch
from converters.targets.target import Target, by_number
from layouts import catalogue

__all__ = ["KERAS", "ONNX", "PYTORCH", "Target", "find", "of_file"]

PYTORCH = pytorch.TARGET
KERAS = keras.TARGET
ONNX = onnx.TARGET
OWN = (
    PYTORCH,
    KERAS,
    ONNX,
    Target("flax", "Flax", suffixes=(".msgpack", ".npz")),
    Target("equinox", "Equinox", separator=".", suffixes=(".eqx", ".npz")),
    Target("tensorflow", "TensorFlow 1", suffixes=(".ckpt", ".npz")),
    Target("mxnet", "MXNet", separator=".", suffixes=(".params", ".npz")),
    Target("paddle", "PaddlePaddle", separator=".", suffixes=(".pdparams", ".npz")),
    Target("mlx", "MLX", separator=".", suffixes=(".safetensors", ".npz")),
    Target("tinygrad", "tinygrad", separator=".", suffixes=(".safetensors", ".npz")),
    Target("chainer", "Chainer", places=by_number, listed=("NStep",)),
)
"""The targets that offer more than arrays."""


@cache
def find(name: str) -> Target:
    """The target of a framework: its own, or one of plain arrays. Raises `LayoutError` for one without layouts."""
    for known in OWN:
        if known.name == name:
            return known
    catalogue.layers(name)
    return Target(name, name)


def of_file(name: str, to: str | None) -> Target:
    """The target whose files are named so: the one that is stated, else the one that alone has such files.

    Raises `LayoutError` for a framework without layouts. A name of no known kind is left to the first target to refuse.
    """
    if to is not None:
        return find(to)
    return next((target for target in OWN if target.ending(name)), PYTORCH)
