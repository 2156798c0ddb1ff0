"""A trainer's snapshot of Chainer: the model's arrays stand below `updater/model:{name}`, all else is the trainer's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converters.model.arrays import LazyArray

_MODEL = re.compile(r"updater/model:([^/]+)/(.+)")


def prepared(
    arrays: Mapping[str, LazyArray], assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any], tuple[str, ...]]:
    """The arrays of the model, or of models by name; the names of the others. Without a snapshot, all of them."""
    found = {name: match for name in arrays if (match := _MODEL.fullmatch(name))}
    if not found:
        return dict(arrays), assume, ()
    alone = len({match[1] for match in found.values()}) == 1
    kept = {match[2] if alone else f"{match[1]}/{match[2]}": arrays[name] for name, match in found.items()}
    return kept, assume, tuple(name for name in arrays if name not in found)
