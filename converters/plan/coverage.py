"""Coverage on both sides: no two modules write one key, and nothing of the source is left out without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.plan.modules import Module
from layouts.errors import CoverageError, printable


def check_names(modules: Sequence[Module], path: str) -> None:
    """Raise `CoverageError` where two modules have one name, or would write one key."""
    names: dict[str, str] = {}
    seen: dict[str, str] = {}
    for module in modules:
        if module.name and names.setdefault(module.name, module.path) != module.path:
            raise CoverageError(
                f"{printable(module.path)} and {printable(names[module.name])} would both be called "
                f"{printable(module.name)}: rename one of them",
                path=path,
            )
        for tensor in module.tensors:
            if tensor.key in seen:
                raise CoverageError(
                    f"{printable(module.path)} and {printable(seen[tensor.key])} would both write "
                    f"{printable(tensor.key)}: rename one of them",
                    path=path,
                )
            seen[tensor.key] = module.path


def warnings(checkpoint: Checkpoint, layers: Sequence[Layer]) -> Iterator[str]:
    """What was assumed, and what is left out."""
    for layer in layers:
        if layer.assumed:
            values = ", ".join(f"{option}={value}" for option, value in layer.assumed.items())
            place = f"{layer.path}." if layer.path else ""
            example = printable(f"{place}{next(iter(layer.assumed))}")
            yield (
                f"{printable(layer.path) or 'the arrays'}: not told by the source, so assumed: {values}. "
                f"State what is true with assume={{'{example}': …}} (--assume {example}=…)"
            )
    for name in checkpoint.unused:
        yield f"{printable(name)} is stored, and nothing in the model reads it: it is left out"
    yield from checkpoint.remarks
