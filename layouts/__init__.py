"""What every framework's arrays mean: cells, layouts, and the notation. Facts as data; needs NumPy alone.

from layouts import keras, pytorch, repack
pytorch_arrays = repack(keras.LSTM, pytorch.LSTM, {"kernel": …, "recurrent_kernel": …, "bias": …})

Every framework is one file of `layouts.frameworks`, and an attribute of this package by its name.
"""

from typing import Any

from layouts.cells import Cell, Piece, Slot
from layouts.layout import Layout
from layouts.repack import pack, repack, unpack

__all__ = ["Cell", "Layout", "Piece", "Slot", "pack", "repack", "unpack"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if not name.startswith("_"):
        try:
            return import_module(f"layouts.frameworks.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"layouts.frameworks.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
