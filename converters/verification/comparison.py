"""Two arrays compared: the largest difference, where it is, and the first step from which they differ."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layouts.records import dataclass

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Difference:
    """How far an array is from the one that was expected.

    index: the worst element, as the source counts axes; step: the first time step above the tolerance, of values
    (batch, time, …). `shapes` stands where the two have different ones: (found, expected).
    """

    largest: float
    tolerance: float
    index: tuple[int, ...] = ()
    expected: float = math.nan
    found: float = math.nan
    step: int | None = None
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def ok(self) -> bool:
        return self.largest <= self.tolerance

    @property
    def share(self) -> float:
        """The part of the tolerance that is used up; above 1 where it is not kept."""
        return self.largest / self.tolerance if self.tolerance else (math.inf if self.largest else 0.0)

    def data(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "largest": _number(self.largest),
            "tolerance": _number(self.tolerance),
            "index": list(self.index),
            "expected": _number(self.expected),
            "found": _number(self.found),
            "step": self.step,
            "shapes": [list(shape) for shape in self.shapes] if self.shapes else None,
        }

    def __str__(self) -> str:
        if self.shapes:
            return f"shape {self.shapes[0]}, expected {self.shapes[1]}"
        place = f" at {list(self.index)}" if self.index else ""
        step = f", from step {self.step} on" if self.step is not None else ""
        return f"{self.found:.7g}, expected {self.expected:.7g}{place}{step}"


def _number(value: float) -> float | None:
    """A number that JSON has."""
    return value if math.isfinite(value) else None


def compare(found: Array, expected: Array, tolerance: float, sequences: bool | None = None) -> Difference:
    """The difference of two arrays. NaN equals NaN, and infinity itself.

    sequences: whether axis 1 is time; where it is not told, it is of values of three axes.
    """
    found, expected = (np.asarray(x, np.float64) for x in (found, expected))
    if found.shape != expected.shape:
        return Difference(math.inf, tolerance, shapes=(found.shape, expected.shape))
    if not found.size:
        return Difference(0.0, tolerance)
    apart = distances(found, expected)
    index = tuple(int(k) for k in np.unravel_index(int(apart.argmax()), apart.shape))
    timed = apart.ndim == 3 if sequences is None else sequences and apart.ndim > 1
    above = (apart > tolerance).any(axis=tuple(k for k in range(apart.ndim) if k != 1)) if timed else np.zeros(1, bool)
    step = int(above.argmax()) if above.any() else None
    return Difference(float(apart[index]), tolerance, index, float(expected[index]), float(found[index]), step)


def distances(found: Array, expected: Array) -> Array:
    """|found - expected| of every element; 0 where both are the same NaN or infinity, infinite where only one is."""
    found, expected = (np.asarray(x, np.float64) for x in (found, expected))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(found - expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    return np.asarray(np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)))


def worst(differences: list[Difference]) -> Difference:
    """The one that uses most of its tolerance."""
    return max(differences, key=lambda each: (not each.ok, each.share))
