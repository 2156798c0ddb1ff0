"""Equinox's leaves, arrays without names one after another, damaged in one place."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from .cases import table
from .zarr import NAMES


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "model.eqx"
    path.write_bytes(data)
    return path


def leaves(*arrays: np.ndarray) -> bytes:
    """The arrays one after another."""
    file = io.BytesIO()
    for one in arrays:
        np.save(file, one)
    return file.getvalue()


def leaves_without_names(folder: Path) -> Path:
    """Sound leaves, of which nobody says what they are (rule 7)."""
    return _written(folder, leaves(*NAMES.values()))


def leaves_truncated(folder: Path) -> Path:
    """The last array ends early (bad input: truncated)."""
    return _written(folder, leaves(*NAMES.values())[:-3])


def leaves_of_objects(folder: Path) -> Path:
    """The second array is a pickle (rule 1)."""
    return _written(folder, leaves(NAMES["kernel"], np.array([{}], object)))


def leaves_of_a_terabyte(folder: Path) -> Path:
    """The second array declares a terabyte (rule 5)."""
    data = leaves(*NAMES.values())
    at = data.rindex(b"(5,)")
    return _written(folder, data[:at] + b"(274877906944,), }" + data[at + 18 :])


def leaves_with_nonsense_behind(folder: Path) -> Path:
    """What follows the last array is none (rule 6)."""
    return _written(folder, leaves(*NAMES.values()) + b"\0" * 64)


CASES = table(
    "leaves",
    {
        leaves_without_names: "have no names",
        leaves_truncated: "truncated",
        leaves_of_objects: "Python objects",
        leaves_of_a_terabyte: "truncated",
        leaves_with_nonsense_behind: "header",
    },
)
