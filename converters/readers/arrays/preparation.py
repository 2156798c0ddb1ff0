"""What the arrays of some frameworks need before they can be told by their names: a vector is cut, places are named."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.readers.arrays import ordered
from converters.readers.arrays.variables import sorted_out
from layouts import catalogue

_ROOMS = {
    "mxnet": "mxnet.fused",
    "chainer": "arrays.snapshots",
    "lasagne": "arrays.deviations",
    "dynet": "dynet.builders",
    "paddle": "pickled.paddle",
    "tensorflow": "tensorflow.names",
}
"""Framework -> the module of a room beside this one that has `prepared(arrays, assume)`."""


class Prepared(NamedTuple):
    """Arrays by names that layouts know, what is stated beside what that took, and the names of what is no weight.

    `remarks` say what of the names was read in a way of which to know; `told` is what the names tell of layers.
    """

    arrays: dict[str, LazyArray]
    assume: Mapping[str, Any]
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    told: Mapping[str, Any] = MappingProxyType({})


def prepared(arrays: Mapping[str, LazyArray], framework: str, assume: Mapping[str, Any]) -> Prepared:
    """The arrays of a framework, ready to be recognised. Raises `ConversionError` and its kinds."""
    if catalogue.orders(framework) and ordered.is_unnamed([*arrays]):
        arrays, assume = ordered.named(arrays, framework, assume)
    kept, unused = sorted_out(framework, arrays)
    room = _ROOMS.get(framework)
    if room is None:
        return Prepared(kept, assume, unused)
    found = Prepared(*importlib.import_module(f"converters.readers.{room}").prepared(kept, assume))
    return found._replace(unused=(*unused, *found.unused))
