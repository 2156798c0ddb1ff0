"""PaddlePaddle's second names: a recurrent layer has its arrays under those of the layer, and under those of its cells.

Those of the cells are complete and right; those of the layer, `weight_ih_l0`, are the same arrays dealt out in order,
and belong to other places where there is a projection. They are left out where the cells are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converters.model.arrays import LazyArray

_OF_CELL = re.compile(r"(|.*[./])\d{1,6}[./]cell(_fw|_bw)?[./]weight_ih")
_OF_LAYER = re.compile(r"(|.*[./])(?:weight|bias)_[ih]h_l\d{1,6}(?:_reverse)?")
_LISTED = 3


def prepared(
    arrays: Mapping[str, LazyArray], assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The arrays, each once, and a sentence about the second names."""
    owners = {match[1] for name in arrays if (match := _OF_CELL.fullmatch(name))}
    second = [name for name in arrays if (match := _OF_LAYER.fullmatch(name)) and match[1] in owners]
    kept = {name: array for name, array in arrays.items() if name not in {*second}}
    return kept, assume, (), (_said(second),) if second else ()


def _said(names: list[str]) -> str:
    """The second names in a few words, for they are many."""
    more = len(names) - _LISTED
    listed = ", ".join(names[:_LISTED])
    return f"left out, for they are second names of arrays of cells: {listed}{f' and {more} more' if more > 0 else ''}"
