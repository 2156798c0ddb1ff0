"""What a checkpoint of any format stores: arrays and texts by key, and what holds neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.model.arrays import LazyArray
from layouts.records import dataclass, field


@dataclass(frozen=True)
class Stored:
    """The entries of one checkpoint. `texts` are read when asked; `others` say of a key what it holds instead."""

    path: str
    container: str
    arrays: Mapping[str, LazyArray]
    texts: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
