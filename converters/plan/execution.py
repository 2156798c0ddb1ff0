"""Carries a plan out: one module at a time, every element moved once, into memory that a writer provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from converters.model.arrays import Array
from converters.plan.pairing import Module, own_names
from converters.plan.plan import Plan
from layouts.repack import Pieces, assign_blocks, pack


class Sink(Protocol):
    """Where tensors go: a dictionary, or a file that is written in place."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor, to be filled."""

    def filled(self) -> None:
        """Called when some megabytes have been written."""


class Done(NamedTuple):
    """One module carried out, and which of its tensors hold numbers that are not finite."""

    module: Module
    not_finite: tuple[str, ...]


def execute(plan: Plan, sink: Sink) -> Iterator[Done]:
    """Fill the sink module by module."""
    for module in plan.modules:
        filling = _Filling(module, sink)
        with np.errstate(over="ignore", invalid="ignore"):
            filling.run()
        yield Done(module, tuple(filling.not_finite))


_RELEASED = 1 << 24
"""Bytes written before the pages behind them are let go: to map pages again costs more than to keep these."""


class _Filling:
    """One module on its way into the sink: watches every panel while it is still in the cache."""

    def __init__(self, module: Module, sink: Sink) -> None:
        self._module, self._sink = module, sink
        self._planned = {tensor.key: tensor.dtype for tensor in module.tensors}
        self._releases: list[Callable[[], None]] = [sink.filled]
        self._key, self._written = "", 0
        self.not_finite: dict[str, None] = {}

    def run(self) -> None:
        """Fill every tensor of the module."""
        target = self._module.target
        if target is None:
            self._pass_through()
        else:
            pack(target, self._pieces(), allocate=self._allocate, assign=self._assign)
            for name, value in target.constants.items():
                self._allocate(name, (), np.dtype(np.int64))[...] = value
        self._release()

    def _pass_through(self) -> None:
        for layer in self._module.layers:
            for name, lazy in own_names(layer).items():
                self._assign(self._allocate(name, lazy.shape, lazy.dtype), lazy.read())

    def _pieces(self) -> Pieces:
        pieces: Pieces = {}
        for part in self._module.parts:
            self._releases += [lazy.release for lazy in list(part.arrays.values())[:1]]
            pieces |= part.unpack()
        return pieces

    def _allocate(self, name: str, shape: tuple[int, ...], _: np.dtype[Any]) -> Array:
        """Memory for one tensor, of the dtype that was planned."""
        self._key = f"{self._module.name}.{name}" if self._module.name else name
        return self._sink.allocate(self._key, shape, self._planned[self._key])

    def _assign(self, target: Array, source: Array) -> None:
        assign_blocks(target, source, self._written_panel)

    def _written_panel(self, panel: Array) -> None:
        if _not_finite(panel):
            self.not_finite[self._key] = None
        self._written += panel.nbytes
        if self._written >= _RELEASED:
            self._release()

    def _release(self) -> None:
        self._written = 0
        for release in self._releases:
            release()


def _not_finite(panel: Array) -> bool:
    """Whether any element is NaN or infinite; a sum tells for nearly all panels that none is."""
    if panel.dtype.itemsize >= 4:
        return not np.isfinite(panel.sum()) and not bool(np.isfinite(panel).all())
    return not bool(np.isfinite(panel.astype(np.float32)).all())
