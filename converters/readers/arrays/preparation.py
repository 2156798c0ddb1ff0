"""What the arrays of some frameworks need before they can be told by their names: a vector is cut, places are named."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray

_ROOMS = {"mxnet": "mxnet.fused", "tensorflow": "tensorflow.names"}
"""Framework -> the module of this room that has `prepared(arrays, assume)`."""


class Prepared(NamedTuple):
    """Arrays by names that layouts know, what is stated of them beside what that took, and what is left out.

    `unused` are arrays that are no weights; `remarks` say what of the names was read in a way of which to know.
    """

    arrays: Mapping[str, LazyArray]
    assume: Mapping[str, Any]
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def prepared(arrays: Mapping[str, LazyArray], framework: str, assume: Mapping[str, Any]) -> Prepared:
    """The arrays of a framework as its room prepares them; as they are where it has none."""
    room = _ROOMS.get(framework)
    if room is None:
        return Prepared(arrays, assume)
    return Prepared(*importlib.import_module(f"converters.readers.{room}").prepared(arrays, assume))
