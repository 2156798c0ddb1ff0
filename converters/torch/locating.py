"""Which module of somebody's own is which layer of the source: by the plan's names, else by structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.planning.modules import Module
from converters.planning.pairing import Choices
from converters.planning.plan import make_plan
from converters.targets import PYTORCH
from converters.torch.matching import match
from layouts.errors import ConversionError
from layouts.records import dataclass


@dataclass(frozen=True, eq=False)
class Located:
    """A module, and the layer that it computes, or a stack of them; `first` gets what `last` answers."""

    layers: tuple[Layer, ...]
    parts: tuple[Part, ...]
    name: str
    first: nn.Module
    last: nn.Module
    how: str = "by name"

    @property
    def layer(self) -> Layer:
        """The layer whose input it gets."""
        return self.layers[0]

    @property
    def path(self) -> str:
        """The layers, as messages name them."""
        return " + ".join(layer.path for layer in self.layers)

    @property
    def said(self) -> str:
        return f"{self.name or 'the module'}: {type(self.last).__name__}"


def located(
    module: nn.Module, checkpoint: Checkpoint, rename: Mapping[str, str] | None = None
) -> tuple[list[Located], list[str]]:
    """The modules of the layers, in the order of the source, and a sentence for what stood in the way."""
    planned = make_plan(checkpoint, PYTORCH, rename=rename, choices=Choices(dropins=True), strict=False).modules
    found = [each for own in planned for each in _by_name(module, own)]
    missing = {id(layer) for own in planned if own.parts for layer in own.layers} - {id(each.layer) for each in found}
    if not missing:
        return found, []
    try:
        matches, _ = match(module, checkpoint, rename)
    except ConversionError as error:
        return found, [f"not every layer was found in the module: {' '.join(str(error).split())}"]
    taken = {id(each.last) for each in found}
    for each in matches:
        if id(each.source.layers[0]) in missing and id(each.place.module) not in taken:
            found += _whole(each.source, each.place.name, each.place.module, each.how)
    order = {id(layer): number for number, layer in enumerate(checkpoint.layers)}
    return sorted(found, key=lambda each: order[id(each.layer)]), []


def _by_name(module: nn.Module, planned: Module) -> Iterator[Located]:
    if planned.layout is None or not planned.parts:
        return
    try:
        own = module.get_submodule(planned.name)
    except AttributeError:
        return
    if own is not module or not list(module.children()):
        yield from _whole(planned, planned.name, own, "by name")


def _whole(planned: Module, name: str, own: nn.Module, how: str) -> Sequence[Located]:
    children = dict(own.named_children())
    pair = (children["depthwise"], children["pointwise"]) if {"depthwise", "pointwise"} <= set(children) else (own, own)
    return [Located(planned.layers, planned.parts, name, *pair, how)]
