"""Which layout describes a PyTorch module, and the module's tensors under the names they have there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from converters.model.arrays import LazyArray, bfloat16, in_memory
from converters.model.layers import Part
from layouts import catalogue
from layouts.cells import Piece
from layouts.errors import CoverageError, NotRepresentable, UnknownLayer, printable
from layouts.layout import DIRECTIONS, Layout
from layouts.options import Convolution, Options, Recurrence

_HOMES = ("torch.nn.modules", "converters.torch.nn")
"""Where the classes that have layouts are defined; a class of one's own is described by the one it derives from."""

_QUANTIZED = ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.sparse")

_HOOKED = (
    ("_g", "_v", "torch.nn.utils.remove_weight_norm"),
    ("_orig", "_mask", "torch.nn.utils.prune.remove"),
    ("_orig", "_u", "torch.nn.utils.remove_spectral_norm"),
)
"""Tensors that a hook keeps in the place of a weight: two tails of their names, and what puts the weight back."""


def part_of(module: nn.Module, layout: Layout | None = None) -> Part:
    """A module of torch.nn or converters.nn as its arrays and their layout; `layout` where it is known already.

    Raises `UnknownLayer` for a module that no layout describes, `NotRepresentable` where its weights are computed from
    other tensors or packed (parametrized, pruned, quantized), `CoverageError` where they do not exist yet.
    """
    refuse_opaque(module)
    layout = layout or layout_of(module)
    if layout is None:
        known = ", ".join(dict.fromkeys(name for name in catalogue.layers("pytorch")))
        raise UnknownLayer(f"{type(module).__name__} has no layout; there are: {known}")
    held = _held(module)
    _check_stored(module, held)
    directions, layers = _extent(module)
    names = {entry.name for entry in layout.entries(directions, layers)}
    arrays = {name: _lazy(name, tensor) for name, tensor in held.items() if name in names}
    return Part(
        layout,
        arrays,
        _options(module, layout),
        directions=directions if len(directions) > 1 else (),
        layers=layers,
        given=_sizes(module),
    )


def views(module: nn.Module, part: Part) -> dict[Piece, torch.Tensor]:
    """Every piece of a module as a view of its tensor: the same storage, on any device, detached from autograd.

    `unpack` runs once on empty memory of the same strides; each view it makes is then made of the tensor.
    """
    tensors = {name: tensor.detach() for name, tensor in _held(module).items() if name in part.arrays}
    doubles = {name: _double(tensor) for name, tensor in tensors.items()}
    starts = {name: _address(double) for name, double in doubles.items()}
    shown = replace(part, arrays={name: in_memory(name, double) for name, double in doubles.items()})
    return {piece: _mirrored(view, *_owner(view, tensors, starts)) for piece, view in shown.unpack().items()}


def unknown_tensors(module: nn.Module, part: Part) -> list[str]:
    """The names of a module's own tensors that its layout does not know."""
    return [name for name in _held(module) if name not in part.arrays and name not in part.layout.passed_over]


def _extent(module: nn.Module) -> tuple[tuple[str, ...], int]:
    both = getattr(module, "bidirectional", False)
    return (DIRECTIONS if both else DIRECTIONS[:1]), int(getattr(module, "num_layers", 1))


_CLIPS = ("clip", "cell_clip", "projection_clip")
_CHOSEN = ("activation", "recurrent_activation", "output_activation", *_CLIPS, "input_forget")


def _options(module: Any, layout: Layout) -> Options:
    """What the module computes, out of its own settings."""
    if isinstance(layout.options, Convolution) and layout.cell.name.startswith("locally"):
        pads = tuple(module.padding) if any(module.padding) else ()
        strides, padding = tuple(module.stride), "explicit" if pads else "valid"
        return replace(layout.options, strides=strides, padding=padding, pads=pads)
    if not isinstance(layout.options, Recurrence):
        return layout.options
    found = {name: getattr(module, name) for name in _CHOSEN if hasattr(module, name)}
    if "activation" not in found and hasattr(module, "nonlinearity"):
        found["activation"] = module.nonlinearity
    found |= {name: found[name] or None for name in _CLIPS if name in found}
    return replace(layout.options, **{name: found[name] for name in layout.cell.chooses if name in found})


def _lazy(name: str, tensor: torch.Tensor) -> LazyArray:
    dtype = bfloat16() if tensor.dtype is torch.bfloat16 else torch.empty((), dtype=tensor.dtype).numpy().dtype
    return LazyArray(name, tuple(tensor.shape), dtype, lambda: _numpy(tensor))


def _numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The numbers of a tensor as an array, on the CPU; bfloat16 crosses as words."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(bfloat16())
    return tensor.numpy()


def layout_of(module: nn.Module) -> Layout | None:
    """The layout of the module's class, or of the one it derives from, that covers most of its tensors; or None."""
    grouped = bool(getattr(module, "transposed", False)) and getattr(module, "groups", 1) > 1
    options = {**vars(module), "depthwise": _multiplier(module) > 0, "grouped": grouped}
    shapes = {name: tuple(t.shape) for name, t in _held(module).items() if not _is_lazy(t)}
    directions, layers = _extent(module)
    fitting = [
        layout
        for layout in _candidates(module)
        if catalogue.described(layout, options, _known(layout, shapes, directions, layers), directions, layers)
    ]
    return max(
        fitting, key=lambda layout: (len(layout.when), len(_known(layout, shapes, directions, layers))), default=None
    )


def _known(
    layout: Layout, shapes: Mapping[str, tuple[int, ...]], directions: tuple[str, ...], layers: int
) -> dict[str, tuple[int, ...]]:
    """The arrays of a module that a layout has too: a module may hold more, of its own."""
    own = catalogue.ranks(layout, directions, layers)
    return {name: shape for name, shape in shapes.items() if name in own}


def modules_of(root: nn.Module) -> Iterator[tuple[str, nn.Module, Layout | None]]:
    """Every module with tensors of its own: path, module, layout; what stands inside a described one is part of it."""
    within: list[str] = []
    for path, module in root.named_modules():
        if any(path.startswith(f"{outer}.") or not outer for outer in within):
            continue
        layout = layout_of(module)
        if layout is not None:
            within.append(path)
        if layout is not None or list(module.parameters(recurse=False)) or _is_quantized(module):
            yield path, module, layout


def refuse_opaque(module: nn.Module, path: str = "") -> None:
    """Raise `NotRepresentable` where the weights are computed from other tensors or packed, and say what to undo."""
    what = f"{printable(path)} ({type(module).__name__})" if path else type(module).__name__
    if is_parametrized(module):
        names = list(cast(Mapping[str, Any], module.parametrizations))
        raise NotRepresentable(
            f"{what}: {', '.join(names)} is parametrized, computed anew from other tensors at every use, so that a "
            "write into it would be lost. Write before parametrizing, or undo it first: "
            f"torch.nn.utils.parametrize.remove_parametrizations(module, {names[0]!r})",
            layer=path,
        )
    for name, undo in _computed(module):
        raise NotRepresentable(
            f"{what}: {name} is computed from other tensors at every call, so that a write into it would be lost. "
            f"Undo it first: {undo}(module, {name!r})",
            layer=path,
        )
    if _is_quantized(module):
        raise NotRepresentable(
            f"{what}: quantized, its weights are packed integers. Work on the float module, then quantize that",
            layer=path,
        )


def _is_quantized(module: nn.Module) -> bool:
    return type(module).__module__.startswith(_QUANTIZED)


def _computed(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Weights that a hook computes before every call, and what removes it."""
    own = _held(module, recurse=False)
    for tail, companion, undo in _HOOKED:
        for name in (name.removesuffix(tail) for name in own if name.endswith(tail)):
            if name + companion in own and name not in own:
                yield name, undo


def _check_stored(module: nn.Module, held: Mapping[str, torch.Tensor]) -> None:
    """Raise where a tensor has no plain memory: not made yet, or a subclass that keeps its numbers in its own way."""
    for name, tensor in held.items():
        if _is_lazy(tensor):
            raise CoverageError(f"{type(module).__name__}: {name} has no shape yet: call the module once")
        if type(tensor.detach()) is not torch.Tensor:
            raise NotRepresentable(
                f"{type(module).__name__}: {name} is a {type(tensor.detach()).__name__}, which keeps its numbers in "
                "its own way: work on the plain module first"
            )


def _is_lazy(tensor: torch.Tensor) -> bool:
    return bool(is_lazy(tensor))


def _held(module: nn.Module, recurse: bool = True) -> dict[str, torch.Tensor]:
    parameters = module.named_parameters(recurse=recurse, remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(recurse=recurse, remove_duplicate=False))}


def _candidates(module: nn.Module) -> tuple[Layout, ...]:
    """The layouts of the first class, from the module's own upwards, that has any."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith(_HOMES):
            found = [catalogue.layers(framework).get(kind.__name__, ()) for framework in ("pytorch", "gateport")]
            if any(found):
                return tuple(layout for layouts in found for layout in layouts)
    return ()


def _sizes(module: nn.Module) -> dict[str, int]:
    """Sizes that shapes cannot tell."""
    sizes = {"head": getattr(module, "num_heads", 0), "multiplier": _multiplier(module)}
    return {name: int(size) for name, size in sizes.items() if size}


def _multiplier(module: nn.Module) -> int:
    """Outputs for each input of a depthwise convolution; 0 for any other module."""
    if not isinstance(module, _ConvNd) or module.groups != module.in_channels or module.groups == 1:
        return 0
    return module.out_channels // module.in_channels


def _double(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """Untouched memory of one byte an element, with the tensor's shape and strides."""
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size)
    memory = np.empty(reach + 1, np.uint8)
    return np.ndarray(tuple(tensor.shape), np.uint8, memory.data, 0, tensor.stride())


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _owner(
    view: np.ndarray[Any, Any], tensors: Mapping[str, torch.Tensor], starts: Mapping[str, int]
) -> tuple[torch.Tensor, int]:
    """The tensor whose double this view is of, and how many elements into it the view begins."""
    name = max((name for name in starts if starts[name] <= _address(view)), key=starts.__getitem__)
    return tensors[name], _address(view) - starts[name]


def _mirrored(view: np.ndarray[Any, Any], tensor: torch.Tensor, offset: int) -> torch.Tensor:
    return tensor.as_strided(view.shape, view.strides, tensor.storage_offset() + offset)
