"""Coverage on both sides: no two modules write one key, and nothing of the source is left out without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.model.names import module_name
from converters.planning.modules import Module
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
    assuming = [layer for layer in layers if layer.assumed]
    if assuming:
        yield _assumptions(assuming)
    yield from _left_out(checkpoint.unused)
    yield from checkpoint.remarks


def _left_out(names: Sequence[str]) -> Iterator[str]:
    """Stored arrays that are left out: one sentence each, or one for many."""
    if len(names) > _MOST_LEFT_OUT:
        listed = _bounded([*map(printable, names)], ", ")
        yield f"{len(names)} arrays are stored, and nothing in the model reads them: they are left out: {listed}"
        return
    yield from (f"{printable(name)} is stored, and nothing in the model reads it: it is left out" for name in names)


_MOST_LEFT_OUT = 6
"""So many arrays that are left out have a sentence each."""


_MOST_GROUPS, _MOST_STATED = 12, 40
"""How many groups of layers, and how many statements, one warning lists."""
_HINTS = {
    "flattened": "flattened=H,W,C where a map of these sizes, channels last, was flattened into a layer",
    "rank": "rank is the number of axes of the input, batch included",
}


def _assumptions(layers: Sequence[Layer]) -> str:
    """One sentence for all layers, alike ones together, and the argument that states what is assumed."""
    alike: dict[str, list[str]] = {}
    for layer in layers:
        values = ", ".join(f"{option}={_written(value)}" for option, value in layer.assumed.items())
        alike.setdefault(values, []).append(printable(layer.path) or "the arrays")
    listed = _bounded([f"{_bounded(names, ', ')}: {values}" for values, names in alike.items()], "; ", _MOST_GROUPS)
    stated = _bounded([f"{key!r}: {text!r}" for key, text in _stated(layers).items()], ", ", _MOST_STATED)
    hints = [hint for option, hint in _HINTS.items() if any(option in layer.assumed for layer in layers)]
    return f"not stored, so assumed: {listed}. State what is true: {'; '.join((f'assume={{{stated}}}', *hints))}"


def _stated(layers: Sequence[Layer]) -> dict[str, str]:
    """The assumptions as the argument `assume`; an option of which all layers agree stands there once, for all."""
    for_all: dict[str, str] = {}
    apart: dict[str, str] = {}
    for option in dict.fromkeys(option for layer in layers for option in layer.assumed):
        own = [layer for layer in layers if option in layer.assumed]
        alike = [layer for layer in own if layer.recurrent or option != "activation"] if option != "class" else []
        if len({_written(layer.assumed[option]) for layer in alike}) == 1 and len(alike) > 1:
            for_all[option] = _written(alike[0].assumed[option])
            own = [layer for layer in own if layer not in alike]
        for layer in own:
            key = f"{module_name(layer.path)}.{option}" if layer.path else option
            apart[printable(key)] = _written(layer.assumed[option])
    return for_all | apart


def _written(value: Any) -> str:
    """A value as a person states it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "no"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounded(texts: Sequence[str], separator: str, most: int = _MOST_GROUPS) -> str:
    more = len(texts) - most
    return separator.join((*texts[:most], *((f"… and {more} more",) if more > 0 else ())))
