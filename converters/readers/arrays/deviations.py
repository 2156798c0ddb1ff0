"""Lasagne's BatchNormLayer stores 1 / √(variance + epsilon): the variance is worked out, with the same epsilon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.assumptions import KINDS, Assumptions
from converters.model.names import module_name
from layouts import catalogue
from layouts.errors import ConversionError, printable

_STORED, _WANTED = "inv_std", "var"


def prepared(
    arrays: Mapping[str, LazyArray], assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any]]:
    """The arrays, each inverse deviation as a variance; whatever epsilon is assumed, the outputs are the same."""
    return dict(_made(name, array, assume) for name, array in arrays.items()), assume


def _made(name: str, array: LazyArray, assume: Mapping[str, Any]) -> tuple[str, LazyArray]:
    path, last = name[: -len(_STORED)], name[-len(_STORED) :]
    if last != _STORED or path[-1:] not in ("", "/", "."):
        return name, array
    stated = Assumptions(assume).of(module_name(path)).get("epsilon")
    (layout,) = catalogue.layers("lasagne")["BatchNormLayer"]
    epsilon = stated.parsed(KINDS["epsilon"]) if stated else layout.defaults["epsilon"]

    def read() -> Array:
        stored = array.read()
        if not (stored > 0).all():
            raise ConversionError(f"{printable(name)}: an inverse of a deviation is above 0", array=name)
        found: Array = (1 / np.square(stored.astype(np.float64)) - epsilon).astype(stored.dtype)
        return found

    return path + _WANTED, LazyArray(f"{array.name} (as a variance)", array.shape, array.dtype, read, array.release)
