"""What the arrays of some frameworks need before they can be told by their names: a vector is cut, places are named."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from converters.model.arrays import LazyArray

_ROOMS = {"mxnet": "mxnet.fused"}
"""Framework -> the module of this room that has `prepared(arrays, assume)`."""


def prepared(
    arrays: Mapping[str, LazyArray], framework: str, assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any]]:
    """The arrays by names that layouts know, and what is stated of them beside what that took."""
    room = _ROOMS.get(framework)
    if room is None:
        return dict(arrays), assume
    found: tuple[dict[str, LazyArray], Mapping[str, Any]]
    found = importlib.import_module(f"converters.readers.{room}").prepared(arrays, assume)
    return found
