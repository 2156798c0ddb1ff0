"""Carries a plan out: one module at a time, every element moved once, into memory that a writer provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, Protocol

import numpy as np

from converters.model.arrays import Array
from converters.planning.modules import Module
from converters.planning.pairing import own_names
from converters.planning.plan import Plan
from layouts.blocks import assign_blocks
from layouts.errors import printable
from layouts.layout import Layout
from layouts.repack import Pieces, changed, pack


class Sink(Protocol):
    """Where tensors go: a dictionary, or a file that is written in place."""

    def allocate(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory for one tensor, to be filled."""

    def assign(self, target: Array, source: Array, after: Callable[[Array], None]) -> None:
        """Fill a place of the tensor allocated last; `after` is given every panel of it, perhaps by another thread."""

    def filled(self) -> None:
        """Called when all of a module is assigned: when it returns, every panel has been given to its `after`."""


class Done(NamedTuple):
    """One module carried out, and a sentence for everything about its numbers that a person should know."""

    module: Module
    remarks: tuple[str, ...]


def execute(plan: Plan, sink: Sink) -> Iterator[Done]:
    """Fill the sink module by module."""
    for module in plan.modules:
        filling = _Filling(module, plan, sink)
        with np.errstate(over="ignore", invalid="ignore"):
            filling.run()
        yield Done(module, tuple(filling.remarks()))


_RELEASED = 1 << 27
"""Bytes written before the pages behind them are let go: to map pages again costs more than to keep these."""


class _Filling:
    """One module on its way into the sink: watches every panel while it is still in the cache."""

    def __init__(self, module: Module, plan: Plan, sink: Sink) -> None:
        self._module, self._plan, self._sink = module, plan, sink
        self._planned = {tensor.name: tensor for tensor in module.tensors}
        self._releases: list[Callable[[], None]] = []
        self._key, self._written, self._counting = "", 0, Lock()
        self._not_finite: dict[str, None] = {}
        self._changed: list[str] = []

    def run(self) -> None:
        """Fill every tensor of the module."""
        layout = self._module.layout
        if layout is None:
            self._pass_through()
        else:
            self._pack(layout, self._pieces())
        self._release()
        self._sink.filled()

    def remarks(self) -> Iterator[str]:
        """Numbers that are not finite, and biases that a convention of the target changed."""
        for key in self._not_finite:
            yield f"{printable(key)} holds NaN or infinite numbers; they are converted as they are"
        yield from self._changed

    def _pass_through(self) -> None:
        for layer in self._module.layers:
            for name, lazy in own_names(layer).items():
                self._assign(self._allocate(name, lazy.shape, lazy.dtype), lazy.read())

    def _pack(self, layout: Layout, pieces: Pieces) -> None:
        module, options = self._module, self._plan.choices.constants
        self._changed = list(_changes(layout, pieces, options, printable(module.path or module.class_name)))
        pack(
            layout,
            pieces,
            allocate=self._allocate,
            assign=self._assign,
            options=options,
            sizes=module.parts[0].given,
            factors=module.factors,
        )
        for name, value in layout.constants.items():
            if name not in self._planned:
                continue
            self._allocate(name, (), np.dtype(np.int64))[...] = self._stored(layout, name, value)

    def _stored(self, layout: Layout, name: str, value: Any) -> Any:
        """A number that carries no weight: that of the source where it is of the same layout, else the usual one."""
        own = [part.arrays[name] for part in self._module.parts if part.layout is layout and name in part.arrays]
        return own[0].read() if own and own[0].shape == () else value

    def _pieces(self) -> Pieces:
        pieces: Pieces = {}
        for part in self._module.parts:
            self._releases += [lazy.release for lazy in list(part.arrays.values())[:1]]
            pieces |= part.unpack(self._plan.choices.dtype)
        return pieces

    def _allocate(self, name: str, shape: tuple[int, ...], _: np.dtype[Any]) -> Array:
        """Memory for one tensor, of the dtype that was planned."""
        tensor = self._planned[name]
        self._key = tensor.key
        return self._sink.allocate(tensor.key, shape, tensor.dtype)

    def _assign(self, target: Array, source: Array) -> None:
        """Move one piece; in memory where its numbers are to be changed yet."""
        after = partial(self._written_panel, self._key)
        if self._module.factors:
            assign_blocks(target, source, after)
        else:
            self._sink.assign(target, source, after)

    def _written_panel(self, key: str, panel: Array) -> None:
        if _not_finite(panel):
            self._not_finite[key] = None
        with self._counting:
            self._written += panel.nbytes
            many = self._written >= _RELEASED
            self._written = 0 if many else self._written
        if many:
            self._release()

    def _release(self) -> None:
        for release in self._releases:
            release()


def _changes(layout: Layout, pieces: Pieces, options: Any, name: str) -> Iterator[str]:
    """A sentence where the target keeps one bias for two, or adds a constant, and some number will not come back."""
    if layout.cell.summed is None or (layout.slots >= {"input_bias", "recurrent_bias"} and _keeps_both(layout)):
        return
    lost = changed(layout, pieces, options)
    if any(piece.slot == "recurrent_bias" for piece in lost):
        yield (
            f"{name}: input_bias and recurrent_bias became one, their sum, for {layout.name} keeps one bias where the "
            "equation adds them. The outputs are the same; coming back, input_bias is the sum and recurrent_bias 0"
        )
    elif lost:
        yield f"{name}: {', '.join(map(str, lost))} rounded, for {layout.name} adds a constant when it runs"


def _keeps_both(layout: Layout) -> bool:
    """Whether a layout has a place for both biases of every gate, and adds nothing to them."""
    texts = [text if isinstance(text, str) else text.pattern for text in layout.arrays.values()]
    return not layout.added and not any("_bias[" in text for text in texts)


def _not_finite(panel: Array) -> bool:
    """Whether any element is NaN or infinite."""
    return not bool(np.isfinite(panel if panel.dtype.itemsize >= 4 else panel.astype(np.float32)).all())
