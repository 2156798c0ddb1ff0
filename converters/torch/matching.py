"""Which source layer belongs into which module: by name where names agree, else by type, shapes and order.

A match is made when it is the only one: modules and layers of the same type and the same shapes pair up in order, when
there are as many of the one as of the other. Anything else is an error that lists the candidates and the rename that
would settle it. Nothing is copied here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer
from converters.model.names import Rename
from converters.model.stacking import placed, unstackable
from converters.planning import pairing
from converters.planning.modules import Module
from converters.targets import PYTORCH
from converters.torch import nn as drop_in
from converters.torch.module_layout import modules_of, refuse_opaque
from layouts import cells
from layouts.errors import CoverageError, ShapeError, printable
from layouts.layout import Layout
from layouts.records import dataclass, replace

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Place:
    """One place to be filled: a module by its name within the whole, with the shapes of all it holds."""

    name: str
    module: nn.Module
    layout: Layout | None
    shapes: Shapes

    @property
    def said(self) -> str:
        """As messages name it: `rnn (LSTM)`."""
        return f"{printable(self.name) or 'the module'} ({type(self.module).__name__})"


@dataclass(frozen=True, eq=False)
class Match:
    """A planned module and the place it fills; `how` says what settled it; `zeros` are biases the source lacks."""

    source: Module
    place: Place
    how: str
    zeros: tuple[str, ...] = ()


def match(module: nn.Module, checkpoint: Checkpoint, rename: Mapping[str, str] | None) -> tuple[list[Match], list[str]]:
    """Every match, and a sentence for each place or layer that has none.

    Raises `ShapeError` or `NotRepresentable` where a name agrees and the layer does not fit, `CoverageError` where
    several matches are possible.
    """
    renames = Rename(rename or {}, [layer.path for layer in checkpoint.layers], {})
    places = list(find_places(module))
    every = [_decided(layer, renames.apply(layer.path), places) for layer in checkpoint.layers]
    layers = [layer for layer in every if layer.unknown is None]
    found: list[Match] = []
    for place in places:
        named = [layer for layer in layers if renames.apply(layer.path) == place.name]
        if named and _depth(place) == 1:
            found.append(_by_name(named[0], place))
    found += _by_structure(places, layers, found)
    return found, list(_unmatched(every, places, found))


def _decided(layer: Layer, name: str, places: Sequence[Place]) -> Layer:
    """The layer; where its arrays may be several, and the module of its name is one of these, that one."""
    place = next((place for place in places if place.name == name), None)
    if place is None or not layer.alternatives:
        return layer
    fitting = [one for one in layer.alternatives if all(_fits(planned, place) for planned in _planned(one))]
    return fitting[0] if len(fitting) == 1 else layer


def find_places(module: nn.Module) -> Iterator[Place]:
    """Every module with tensors of its own, in order of declaration; a pair of separable convolutions is one.

    Raises `NotRepresentable` for parametrized and quantized modules, whose weights cannot be written.
    """
    pairs = [name for name, child in module.named_modules() if {"depthwise", "pointwise"} <= set(child._modules)]
    for name in pairs:
        yield _place(name, module.get_submodule(name), None)
    for name, child, layout in modules_of(module):
        if name.rpartition(".")[0] not in pairs or "." not in name:
            yield _place(name, child, layout)


def _place(name: str, module: nn.Module, layout: Layout | None) -> Place:
    for path, child in module.named_modules():
        refuse_opaque(child, f"{name}.{path}".strip("."))
    return Place(name, module, layout, {key: tuple(value.shape) for key, value in module.state_dict().items()})


def _depth(place: Place) -> int:
    return int(getattr(place.module, "num_layers", 1)) if isinstance(place.module, nn.RNNBase) else 1


def _fits(source: Module, place: Place) -> bool:
    return not _misfit(source, place)


def _misfit(source: Module, place: Place) -> str:
    """Why a planned module does not go into a place; '' when it does."""
    if not _same_type(source, place):
        return f"{source.layers[0].class_name} is not what {type(place.module).__name__} computes"
    shapes = {tensor.name: tensor.shape for tensor in source.tensors}
    for key, shape in shapes.items():
        if key not in place.shapes:
            return f"it has {key}, which {place.said} does not have"
        if place.shapes[key] != shape:
            return f"its {key} would be {shape}, and that of {place.said} is {place.shapes[key]}"
    missing = [key for key in place.shapes if key not in shapes and key not in _zeros(source, place)]
    return f"it has no {missing[0]}, which {place.said} needs" if missing else ""


def _same_type(source: Module, place: Place) -> bool:
    """Whether the place's class is the one for this cell; a drop-in GRU is set to either of its two."""
    if not source.parts:
        return False
    cell, layout = source.parts[0].cell, place.layout
    if layout is None:
        return cell.name.startswith("separable")
    stacks = layout.holds("layer") == (cell.recurrent and not source.layers[0].call.cell)
    gru = isinstance(place.module, drop_in.GRU) and cell in (cells.GRU, cells.GRU_RESET_BEFORE)
    return stacks and (cell is layout.cell or gru)


def _zeros(source: Module, place: Place) -> tuple[str, ...]:
    """Biases that the place has and the source, built without any, does not: zeros are exact."""
    stored = {piece.slot for part in source.parts for piece in part.pieces()}
    if any("bias" in slot for slot in stored):
        return ()
    return tuple(key for key in place.shapes if key.rpartition(".")[2].startswith("bias"))


def _planned(layer: Layer) -> list[Module]:
    return pairing.pair(layer, layer.path, PYTORCH)


def _stepped(layer: Layer, place: Place) -> Layer:
    """The layer; for a place that computes one step at a time, as nn.LSTMCell, as such a cell."""
    cell = place.layout is not None and place.layout.cell.recurrent and not place.layout.holds("layer")
    return replace(layer, call=replace(layer.call, cell=True)) if cell and layer.recurrent else layer


def _is_step(layer: Layer) -> bool:
    """Whether a layer is a cell of PyTorch's own."""
    return layer.recurrent and all(
        part.layout.framework == PYTORCH.name and not part.layout.holds("layer") for part in layer.parts
    )


def _by_name(layer: Layer, place: Place) -> Match:
    planned = _planned(_stepped(layer, place))
    why_not = _misfit(planned[0], place) if len(planned) == 1 else "it needs one module for each of its cells"
    if why_not:
        raise ShapeError(
            f"{printable(layer.path)} does not fit {place.said} of the same name: {why_not}", layer=layer.path
        )
    return Match(planned[0], place, "by name", _zeros(planned[0], place))


def _by_structure(places: Sequence[Place], layers: Sequence[Layer], named: Sequence[Match]) -> Iterator[Match]:
    """Pair what is left: stacks first, for they take several layers, then one to one."""
    taken = {layer.path for found in named for layer in found.source.layers}
    filled = {id(found.place) for found in named}
    for place in sorted((t for t in places if id(t) not in filled), key=_depth, reverse=True):
        if id(place) in filled:
            continue
        free = [layer for layer in layers if layer.path not in taken]
        sources = [source for source in _runs(free, place) if _fits(source, place)]
        rivals = [t for t in places if id(t) not in filled and any(_fits(source, t) for source in sources)]
        if not sources:
            continue
        if len(sources) != len(rivals):
            raise _ambiguous(rivals, sources)
        how = "the only one that fits" if len(sources) == 1 else "by order"
        for rival, source in zip(rivals, sources, strict=True):
            if not _fits(source, rival):
                raise _ambiguous(rivals, sources)
            yield Match(source, rival, how, _zeros(source, rival))
            filled.add(id(rival))
            taken |= {layer.path for layer in source.layers}


def _runs(layers: Sequence[Layer], place: Place) -> Iterator[Module]:
    """Every planned module of a place's depth: a layer by itself, or layers that follow one another."""
    depth = _depth(place)
    for start, layer in enumerate(layers):
        if depth == 1 or not layer.recurrent:
            planned = _planned(_stepped(layer, place) if _is_step(layer) else layer)
            if len(planned) == 1 and planned[0].layout is not None:
                yield planned[0]
            continue
        members: list[Layer] = []
        for follower in (item for item in layers[start:] if item.recurrent):
            members.append(follower)
            levels = max((part.layer + part.layers for part in placed(members)), default=0)
            if levels >= depth:
                break
        if levels == depth and not unstackable(members):
            yield pairing.stack(members, layer.path, PYTORCH)


def _ambiguous(places: Sequence[Place], sources: Sequence[Module]) -> CoverageError:
    first, example = places[0], sources[0].layers[0].path
    return CoverageError(
        f"ambiguous match: {', '.join(printable(s.path) for s in sources)} into "
        f"{', '.join(t.said for t in places)}. Settle it by name, e.g. rename={{{example!r}: {first.name!r}}}"
    )


def _unmatched(layers: Sequence[Layer], places: Sequence[Place], found: Sequence[Match]) -> Iterator[str]:
    """A sentence for every layer that goes nowhere and every module that nothing fills."""
    taken = {layer.path for each in found for layer in each.source.layers}
    filled = {id(each.place) for each in found}
    left = [place for place in places if id(place) not in filled]
    for layer in layers:
        if layer.path not in taken:
            yield f"{printable(layer.path)} ({printable(layer.class_name)}) goes into no module{_nearest(layer, left)}"
    for place in left:
        yield f"nothing fills {place.said} {_listed(place.shapes)}"


def _nearest(layer: Layer, places: Sequence[Place]) -> str:
    """Why the layer does not go into the one module that it could be meant for, where there is one."""
    if layer.unknown is not None:
        return f": {' '.join(str(layer.unknown).split())}"
    planned = _planned(layer)
    if len(planned) != 1:
        return ": it needs one module for each of its cells"
    same = [place for place in places if _same_type(planned[0], place)] or places
    return f": {_misfit(planned[0], same[0])}" if len(same) == 1 else ""


def _listed(shapes: Shapes) -> str:
    return ", ".join(f"{key} {shape}" for key, shape in list(shapes.items())[:2]) + (", …" if len(shapes) > 2 else "")


def explain_shape(module: nn.Module, key: str, found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """A shape that does not fit a parameter, with the arithmetic behind the expected one for recurrent modules."""
    text = f"{printable(key)} is {found}"
    owner_name, _, own = key.rpartition(".")
    owner = module.get_submodule(owner_name)
    if isinstance(owner, nn.RNNBase) and own.startswith("weight_ih_l"):
        layer = int(own.removeprefix("weight_ih_l").removesuffix("_reverse"))
        both = "bidirectional " if owner.bidirectional else ""
        kind = f"a {both}{type(owner).__name__} with hidden_size {owner.hidden_size}"
        reads = f"layer {layer} of {kind} reads {expected[1]} features" if len(expected) == 2 else kind
        return f"{text}; {reads}: expected {expected}"
    return f"{text}; {type(owner).__name__} expects {expected}"
