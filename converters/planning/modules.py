"""What a plan is made of: modules of the target to be filled, and their tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from converters.model.layers import Layer, Part
from layouts.errors import ConversionError
from layouts.layout import Layout
from layouts.records import dataclass, field


@dataclass(frozen=True)
class Tensor:
    """One entry of what is to be written: its key, its name within its module, shape and dtype."""

    key: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Reason(NamedTuple):
    """Why a target computes something else than a layer: in two words, and as a sentence."""

    brief: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Module:
    """One module of the target: from which layers, in which layout, under which name, with which call.

    `drop_in`: why only a drop-in computes it; empty where the framework's own module does.
    """

    name: str
    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    layout: Layout | None
    tensors: tuple[Tensor, ...]
    constructor: str = ""
    notes: tuple[str, ...] = ()
    drop_in: tuple[Reason, ...] = ()
    problems: tuple[ConversionError, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    """What everything of a gate is written times, for a function of a stretched argument."""

    @property
    def path(self) -> str:
        """The source layers, as messages name them."""
        return " + ".join(layer.path for layer in self.layers)

    @property
    def class_name(self) -> str:
        """The classes of the source layers, as messages name them."""
        return " + ".join(layer.class_name for layer in self.layers)

    @property
    def exact(self) -> bool:
        """Whether the framework's own module computes it."""
        return not self.problems and not self.drop_in

    def data(self) -> dict[str, Any]:
        """The module as plain data, for JSON."""
        return {
            "name": self.name,
            "from": self.path,
            "class_name": self.class_name,
            "constructor": self.constructor or None,
            "exact": self.exact,
            "tensors": {t.key: {"shape": list(t.shape), "dtype": str(t.dtype)} for t in self.tensors},
            "notes": list(self.notes),
        }
