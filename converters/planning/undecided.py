"""Arrays that are one layer as well as another: where every one of them would write the same, nobody is asked which.

MXNet's Dense without bias and its Embedding both keep `weight`, and so do nn.Linear and nn.Embedding, element by
element in the same order: the tensors are told, and only the call of the module is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from converters.model.layers import Layer
from converters.planning.modules import Module
from layouts.errors import UnknownLayer
from layouts.moves import Move, Stored, moves
from layouts.regions import Region


def agreed(layer: Layer, modules: Sequence[Module]) -> Module | None:
    """The module of a layer that may be any of these; None where they are not the same tensors, or one is refused."""
    open_ = all(isinstance(problem, UnknownLayer) for module in modules for problem in module.problems)
    if not open_ or any(module.drop_in or module.layout is None for module in modules):
        return None
    found = [_written(module) for module in modules]
    if found[0] is None or any(other != found[0] for other in found):
        return None
    classes = " or ".join(dict.fromkeys(module.class_name for module in modules))
    whole = replace(modules[0].layers[0], path=layer.path, class_name=classes, assumed={})
    calls = " or ".join(dict.fromkeys(module.constructor for module in modules))
    note = f"its arrays are those of {classes}, and become the same tensors either way"
    return replace(modules[0], layers=(whole,), constructor=calls, notes=(note,), problems=())


def _written(module: Module) -> list[Any] | None:
    """What a module writes and out of what, in terms of indices alone; None where it is no mere move of elements."""
    assert module.layout is not None
    stored = {piece: Stored(part.source, region) for part in module.parts for piece, region in part.regions().items()}
    found = moves(stored, module.layout, module.parts[0].given, module.factors)
    regions = [own for move in found.moves for own in (move.target, *(source.region for source in move.sources))]
    if found.homeless or any(region.reshaped for region in regions):
        return None
    return [
        *sorted((tensor.key, tensor.shape) for tensor in module.tensors),
        *sorted(map(_move, found.moves), key=repr),
    ]


def _move(move: Move) -> tuple[Any, ...]:
    words = move.target.words
    sources = tuple(tuple(_region(source.region, words)) for source in move.sources)
    return (tuple(_region(move.target, words)), sources, move.sign, move.added, move.fill, move.factor)


def _region(region: Region, words: Sequence[str]) -> Iterator[Any]:
    """A region with its sizes called by their number among the target's."""
    yield region.array
    for span in region.spans:
        yield span.start, tuple((words.index(step.word), step.length, step.stride) for step in span.steps)
