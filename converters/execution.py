"""Carries a plan out: one module at a time, every element moved once, into memory that a writer provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from converters.arrays import Array, LazyArray
from converters.modules import Module, own_names
from converters.planning import Plan
from layouts.repack import Pieces, assign_blocks, pack


class Sink(Protocol):
    """Where tensors go: a dictionary, or a file that is written in place."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor, to be filled."""

    def filled(self) -> None:
        """Called when some megabytes have been written."""


class Done(NamedTuple):
    """One module carried out, and which of its stored arrays hold numbers that are not finite."""

    module: Module
    not_finite: tuple[str, ...]


def execute(plan: Plan, sink: Sink) -> Iterator[Done]:
    """Fill the sink module by module."""
    for module in plan.modules:
        arrays = [array for layer in module.layers for array in layer.stored()]
        yield Done(module, tuple(array.name for array in arrays if array.is_floating and _not_finite(array)))
        _fill(module, sink)


def _fill(module: Module, sink: Sink) -> None:
    prefix = f"{module.name}." if module.name else ""
    planned = {tensor.key: tensor.dtype for tensor in module.tensors}
    if module.target is None:
        for layer in module.layers:
            for name, lazy in own_names(layer).items():
                target = sink.allocate(prefix + name, lazy.shape, planned[prefix + name])
                target[...] = lazy.read()
        return
    pieces: Pieces = {}
    releases: list[Callable[[], None]] = [sink.filled]
    for part in module.parts:
        releases += [lazy.release for lazy in list(part.arrays.values())[:1]]
        pieces |= part.unpack()

    written = 0

    def count(nbytes: int) -> None:
        nonlocal written
        written += nbytes
        if written >= _RELEASED:
            written = 0
            release()

    def release() -> None:
        for each in releases:
            each()

    pack(
        module.target,
        pieces,
        allocate=lambda name, shape, _: sink.allocate(prefix + name, shape, planned[prefix + name]),
        assign=lambda target, source: assign_blocks(target, source, count),
    )
    for name, value in module.target.constants.items():
        sink.allocate(prefix + name, (), planned[prefix + name])[...] = value
    release()


_PANEL = 1 << 20
_RELEASED = 1 << 24
"""Bytes written before the pages behind them are let go: to map pages again costs more than to keep these."""


def _not_finite(array: LazyArray) -> bool:
    """Whether any element is NaN or infinite, in one pass over panels that stay in the cache."""
    flat = array.read().reshape(-1)
    found = any(_panel_not_finite(flat[start : start + _PANEL]) for start in range(0, flat.size, _PANEL))
    array.release()
    return found


def _panel_not_finite(panel: Array) -> bool:
    with np.errstate(all="ignore"):
        if panel.dtype.itemsize >= 4:
            return not np.isfinite(panel.sum()) and not np.isfinite(panel).all()
        return not np.isfinite(panel.astype(np.float32)).all()
