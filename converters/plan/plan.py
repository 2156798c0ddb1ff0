"""Decides everything before a byte of data is read: which modules, which parameters, what is refused and why.

A plan pairs each source layer with a PyTorch module (`modules`), names every parameter, and accounts for every stored
array. It gathers all problems and raises them once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.model.checkpoint import Checkpoint, Layer
from converters.model.names import Rename
from converters.plan import pairing as modules
from converters.plan.pairing import Module, Tensor
from layouts.errors import ConversionError, CoverageError, NotRepresentable, UnknownLayer, printable


@dataclass(frozen=True, eq=False)
class Plan:
    """What a conversion will do. `print` it, or read its fields; `check()` raises what stands in the way."""

    checkpoint: Checkpoint
    modules: tuple[Module, ...]
    dtype: np.dtype[Any] | None = None
    strict: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[ConversionError, ...]:
        return tuple(problem for module in self.modules for problem in module.problems)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(tensor for module in self.modules for tensor in module.tensors)

    def check(self) -> None:
        """Raise the problems, all in one error of the first one's type, unless `strict=False` lets them pass."""
        fatal = [p for p in self.problems if self.strict or not isinstance(p, NotRepresentable | UnknownLayer)]
        if fatal:
            first = fatal[0]
            text = "\n".join(str(problem) for problem in fatal)
            raise type(first)(
                text, layer=first.layer, array=first.array, layout=first.layout, path=self.checkpoint.path
            )

    def __str__(self) -> str:
        from converters.show.tables import plan_tables, render

        return render(*plan_tables(self))


def make_plan(
    checkpoint: Checkpoint,
    *,
    layer: str | None = None,
    stack: Mapping[str, Sequence[str]] | None = None,
    rename: Mapping[str, str] | None = None,
    dtype: np.dtype[Any] | None = None,
    strict: bool = True,
) -> Plan:
    """Plan a conversion. Raises only for wrong arguments; what stands in the way is in `Plan.problems`."""
    if layer is not None:
        if stack or rename:
            raise ConversionError("layer= gives one layer without a prefix: stack= and rename= do not go with it")
        chosen = [checkpoint.layer(layer)]
        found = modules.pair(chosen[0], "", dtype)
    else:
        chosen = list(checkpoint.layers)
        found = list(_all_modules(checkpoint, _stacks(checkpoint, stack or {}), rename or {}, dtype))
    plan = Plan(
        checkpoint, tuple(found), dtype, strict, (*_warnings(chosen), *_unused(checkpoint), *checkpoint.remarks)
    )
    _check_keys(plan)
    return plan


def _stacks(checkpoint: Checkpoint, stack: Mapping[str, Sequence[str]]) -> dict[str, list[Layer]]:
    """The layers of every stack, each layer in one stack only."""
    found = {name: [checkpoint.layer(path) for path in paths] for name, paths in stack.items()}
    members = [layer for layers in found.values() for layer in layers]
    for layer in members:
        if members.count(layer) > 1:
            raise ConversionError(f"stack: {printable(layer.path)} is named twice", layer=layer.path)
    empty = [name for name, layers in found.items() if not layers]
    if empty:
        raise ConversionError(f"stack: {printable(empty[0])} names no layer")
    return found


def _all_modules(
    checkpoint: Checkpoint,
    stacks: Mapping[str, list[Layer]],
    rename: Mapping[str, str],
    dtype: np.dtype[Any] | None,
) -> Iterator[Module]:
    """The modules of every layer in model order; a stack stands where its first layer stood."""
    renames = Rename(rename, [layer.path for layer in checkpoint.layers], stacks)
    inside = {id(layer): name for name, layers in stacks.items() for layer in layers}
    for layer in checkpoint.layers:
        name = inside.get(id(layer))
        if name is None:
            yield from modules.pair(layer, renames.apply(layer.path), dtype)
        elif stacks[name][0] is layer:
            yield modules.stack(stacks[name], renames.apply(name), dtype)


def _check_keys(plan: Plan) -> None:
    """No two modules write one key."""
    seen: dict[str, str] = {}
    for module in plan.modules:
        for tensor in module.tensors:
            if tensor.key in seen:
                raise CoverageError(
                    f"{printable(module.path)} and {printable(seen[tensor.key])} would both write "
                    f"{printable(tensor.key)}: rename one of them",
                    path=plan.checkpoint.path,
                )
            seen[tensor.key] = module.path


def _warnings(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        if layer.assumed:
            values = ", ".join(f"{option}={value}" for option, value in layer.assumed.items())
            place = f"{layer.path}." if layer.path else ""
            example = printable(f"{place}{next(iter(layer.assumed))}")
            yield (
                f"{printable(layer.path) or 'the arrays'}: not told by the source, so assumed: {values}. "
                f"State what is true with assume={{'{example}': …}} (--assume {example}=…)"
            )


def _unused(checkpoint: Checkpoint) -> Iterator[str]:
    for name in checkpoint.unused:
        yield f"{printable(name)} is stored, and nothing in the model reads it: it is left out"
