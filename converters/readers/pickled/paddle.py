"""PaddlePaddle's second names: a recurrent layer has its arrays under those of the layer, and under those of its cells.

Those of the cells are complete and right; those of the layer, `weight_ih_l0`, are the same arrays dealt out in order,
and belong to other places where there is a projection. They are left out where the cells are there.

A file tells besides what Paddle calls every parameter: `layer_norm_0.w_0`, after the class of its layer. Source:
`unique_name.generate` in Layer.__init__, LayerHelperBase.create_parameter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converters.model.arrays import LazyArray
from converters.readers.arrays.recognition import plain
from layouts import catalogue

_PARAMETER = re.compile(r"(\w{1,100}?)_\d{1,9}\.[wb]_\d{1,9}")
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


def classes(parameters: Mapping[Any, Any]) -> dict[str, str]:
    """The classes of layers as the names of their parameters tell them, keyed as a caller states a class."""
    known = {plain(class_name): class_name for class_name in catalogue.layers("paddle")}
    told: dict[str, str] = {}
    for name, parameter in parameters.items():
        match = _PARAMETER.fullmatch(str(parameter))
        class_name = known.get(plain(match[1])) if match else None
        if class_name:
            told[f"{str(name).replace('/', '.').rpartition('.')[0]}.class".removeprefix(".")] = class_name
    return told


def _said(names: list[str]) -> str:
    """The second names in a few words, for they are many."""
    more = len(names) - _LISTED
    listed = ", ".join(names[:_LISTED])
    return f"left out, for they are second names of arrays of cells: {listed}{f' and {more} more' if more > 0 else ''}"
