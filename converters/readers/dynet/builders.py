"""The parameters of DyNet's builders by what they are: `_4` of a VanillaLSTMBuilder is Wh of its layer 1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converters.model.arrays import LazyArray
from layouts.frameworks.dynet import BUILDERS

_NUMBERED = re.compile(r"(?:(.*)/)?([a-z-]+)(?:_(\d{1,6}))?/_(\d{1,6})")
_BOTH = re.compile(r"(?:.*/)?birnn(?:_\d{1,6})?")


def prepared(
    arrays: Mapping[str, LazyArray], assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any]]:
    """The arrays with those of builders named; what a user added by hand keeps its name."""
    return {_named(name.strip("/")): array for name, array in arrays.items()}, assume


def _named(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    own = BUILDERS.get(match[2]) if match else None
    if match is None or own is None:
        return name
    above, number = match[1] or "", int(match[3] or 0)
    layer, place = divmod(int(match[4]), len(own))
    if _BOTH.fullmatch(above):
        path = f"{above}/{number // 2}/{('forward', 'backward')[number % 2]}"
    else:
        path = name.rpartition("/")[0]
    return f"{path}/{layer}/{own[place]}"
