"""`initialize`: initial values by slot, by gate and by layer, or those that Keras starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from converters.model.layers import Part
from converters.torch.gate_views import place
from converters.torch.keras_initializers import initialize_as_keras
from converters.torch.module_layout import modules_of, part_of, refuse_opaque, views
from layouts.cells import Cell, Piece
from layouts.errors import ConversionError, printable
from layouts.layout import Layout
from layouts.records import dataclass, field

Function = Callable[[torch.Tensor], Any]
"""Fills a tensor in place, as those of torch.nn.init do."""

Rule = Function | Mapping[str, Any]
"""A function, or a mapping from gate letters or layers ("l0", "l0_reverse") to functions or such mappings."""

SCHEMES = ("keras", "torch")

_PREPARED = ("linear", "embedding", "conv", "depthwise", "locally")
"""Cells beside the recurrent ones whose slots `weight` and `bias` are set; norms keep their scale and shift."""


@dataclass(frozen=True)
class Initialized:
    """What was set, one line a module and slot, and what was left alone."""

    done: tuple[str, ...]
    left_alone: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*(f"· {text}" for text in self.done), *(f"– {text}" for text in self.left_alone)])


def initialize(
    module: nn.Module, *, scheme: str | None = None, forget_bias: float | None = None, **slots: Rule
) -> Initialized:
    """Set initial values in every layer of a module that has a layout, in place, on any device and in any dtype.

    slots: ``recurrent_weight=nn.init.orthogonal_`` calls the function once for every gate of every layer and direction,
        with that gate's view; slots of recurrent layers are input_weight, recurrent_weight, input_bias, recurrent_bias,
        projection, peephole; those of Linear, convolutions and Embedding are weight and bias. A mapping picks gates or
        layers (a layer before a gate): ``recurrent_weight={"f": nn.init.zeros_, "l1": nn.init.eye_}``; what it does not
        name is left alone.
    forget_bias: the forget gate's bias of every LSTM. PyTorch adds two biases: one is set to the value and the other to
        0, so that it counts once.
    scheme: "keras", from the distributions that Keras's layers start from by default (glorot_uniform over a whole
        kernel, an orthogonal matrix over the whole recurrent kernel, forget bias 1, other biases 0, embeddings uniform
        in ±0.05); "torch", each layer's own `reset_parameters`. Slots and forget_bias are applied after it.

    Random numbers come from torch's own generator: `torch.manual_seed` repeats them.

    Raises `ConversionError` for a scheme, slot, gate or layer that nothing here has, `NotRepresentable` for a
    parametrized, pruned or quantized layer that would have to be set.
    """
    if scheme is not None and scheme not in SCHEMES:
        raise ConversionError(f"scheme {printable(scheme)!r} is not known; there are: {', '.join(SCHEMES)}")
    wish = _Wish(scheme, forget_bias, slots)
    found = list(modules_of(module))
    wish.check_names([layout.cell for _, _, layout in found if layout])
    done: list[str] = []
    left: list[str] = []
    with torch.no_grad():
        for path, child, layout in found:
            lines = list(wish.carry_out(child, path, layout))
            name = printable(path) or type(child).__name__
            done += [f"{name}: {line}" for line in lines]
            left += [] if lines else [f"{name} ({type(child).__name__}): left alone"]
    wish.check_used()
    return Initialized(tuple(done), tuple(left))


@dataclass(frozen=True, eq=False)
class _Wish:
    """What the caller asked for, and in `used` which of its names something answered to."""

    scheme: str | None
    forget_bias: float | None
    slots: Mapping[str, Rule]
    used: set[str] = field(default_factory=set)

    def check_names(self, cells: Sequence[Cell]) -> None:
        """Raise for a slot that no layer has, and for what is no function."""
        known = list(dict.fromkeys(slot for cell in cells if _is_prepared(cell) for slot in cell.slots))
        for slot, rule in self.slots.items():
            if slot not in known:
                raise ConversionError(f"{slot}: no layer here has this slot; there are: {', '.join(known) or 'none'}")
            if not callable(rule) and not isinstance(rule, Mapping):
                raise ConversionError(
                    f"{slot}: expected a function such as nn.init.zeros_, or a mapping of gates to such"
                )

    def check_used(self) -> None:
        """Raise for a gate or layer that nothing has, and for a forget bias without a forget gate."""
        for slot, rule in self.slots.items():
            for key in _keys(rule):
                if f"{slot}/{key}" not in self.used:
                    raise ConversionError(f"{slot}: nothing here has a gate or layer {key!r}")
        if self.forget_bias is not None and "forget_bias" not in self.used:
            raise ConversionError("forget_bias: no layer here has a forget gate with a bias")

    def carry_out(self, module: nn.Module, path: str, layout: Layout | None) -> Iterator[str]:
        """Set one module; yields a line for each thing done."""
        forget = layout.cell.gate("forget") if layout and self.forget_bias is not None else ""
        own = {
            k: rule for k, rule in self.slots.items() if layout and k in layout.cell.slots and _is_prepared(layout.cell)
        }
        if not (self.scheme or own or forget):
            return
        refuse_opaque(module, path)
        if layout is None:
            return
        part = part_of(module, layout)
        found = views(module, part)
        if self.scheme:
            yield _SCHEMES[self.scheme](module, part, found)
        for slot, rule in own.items():
            yield from _apply_rule(slot, rule, found, self.used)
        if forget and self.forget_bias is not None:
            yield from self._set_forget_bias(found, forget, self.forget_bias)

    def _set_forget_bias(self, views: Mapping[Piece, torch.Tensor], gate: str, value: float) -> Iterator[str]:
        """The value in one bias and zero in the other, which is added to it."""
        numbers = {"input_bias": value, "recurrent_bias": 0.0}
        set_ = [(piece, view) for piece, view in views.items() if piece.gate == gate and piece.slot in numbers]
        for piece, view in set_:
            view.fill_(numbers[piece.slot])
        if set_:
            self.used.add("forget_bias")
            yield f"forget bias {value:g}: input_bias[{gate}] {value:g}, recurrent_bias[{gate}] 0, for the two add up"


def _is_prepared(cell: Cell) -> bool:
    return cell.recurrent or cell.name.startswith(_PREPARED)


def _apply_rule(slot: str, rule: Rule, views: Mapping[Piece, torch.Tensor], used: set[str]) -> Iterator[str]:
    """Call the function that a rule has for every view of one slot."""
    called: dict[str, list[str]] = {}
    for piece, view in views.items():
        if piece.slot == slot:
            function, keys = _chosen(rule, piece)
            used.update(f"{slot}/{key}" for key in keys)
            if function is not None:
                _fill(view, function, slot)
                called.setdefault(_named(function), []).append(f"{place(piece)}{piece.gate and f'[{piece.gate}]'}")
    for name, places in called.items():
        yield f"{slot} by {name}" + (f" ({', '.join(places)})" if isinstance(rule, Mapping) else "")


def _chosen(rule: Rule, piece: Piece) -> tuple[Function | None, list[str]]:
    """The function for this piece, or None, and the keys that led to it."""
    keys: list[str] = []
    while isinstance(rule, Mapping):
        key = next((key for key in (place(piece), piece.gate) if key in rule and key not in keys), None)
        if key is None:
            return None, keys
        keys.append(key)
        rule = rule[key]
    return rule, keys


def _fill(view: torch.Tensor, function: Function, slot: str) -> None:
    """Fill in place; by way of float32 where the numbers are shorter, which no decomposition takes."""
    place_ = view if view.element_size() >= 4 or not view.is_floating_point() else view.float()
    result = function(place_)
    if isinstance(result, torch.Tensor) and result.data_ptr() != place_.data_ptr():
        raise ConversionError(f"{slot}: {_named(function)} gives a new tensor; it has to fill the one it is given")
    if place_ is not view:
        view.copy_(place_)


def _named(function: Function) -> str:
    return str(getattr(function, "__name__", function))


def _keys(rule: Rule) -> Iterator[str]:
    if isinstance(rule, Mapping):
        for key, inner in rule.items():
            yield key
            yield from _keys(inner)


def _by_torch(module: Any, *_: object) -> str:
    """Each module's own initial values; attention spells the method with an underscore."""
    (module.reset_parameters if hasattr(module, "reset_parameters") else module._reset_parameters)()
    return "as torch.nn starts it"


_SCHEMES: Mapping[str, Callable[[nn.Module, Part, Mapping[Piece, torch.Tensor]], str]] = {
    "keras": initialize_as_keras,
    "torch": _by_torch,
}
