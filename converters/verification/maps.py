"""An LSTM over maps in NumPy float64: its products are convolutions; channels stand where the source has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model.layers import Layer, Part
from converters.model.settings import Call
from converters.verification import windows
from layouts.cells import Cell, Piece
from layouts.errors import NotRepresentable, printable
from layouts.options import Convolution, ConvolutionalRecurrence
from layouts.reference import ACTIVATIONS

Array = np.ndarray[Any, Any]
States = tuple[Array, Array]
_GATES = "ifgo"


def over_maps(cell: Cell) -> bool:
    """Whether the states of a cell are maps."""
    return cell.name.startswith("conv_lstm")


def over_steps(cell: Cell) -> bool:
    """Whether a cell runs over steps, of vectors or of maps."""
    return cell.recurrent or over_maps(cell)


def forward(
    pieces: Mapping[Piece, Array],
    options: ConvolutionalRecurrence,
    x: Array,
    *,
    direction: str = "forward",
    mask: Array | None = None,
    initial: Sequence[Array] = (),
) -> tuple[Array, States]:
    """x (batch, time, channels, …): outputs of all steps (batch, time, units, …) and (h, c), each (batch, units, …).

    Masked steps keep the states. i, f, o = σ(W * x + U * h + b); g = tanh(…); c' = f c + i g; h' = o tanh(c').
    """
    own = {(p.slot, p.gate): np.asarray(a, np.float64) for p, a in pieces.items() if p.direction == direction}
    inner, gate = ACTIVATIONS[options.activation], ACTIVATIONS[options.recurrent_activation]
    read = Convolution(options.strides, options.dilation, padding=options.padding, pads=options.pads)
    held = Convolution(padding=options.recurrent_padding)
    flat = x.reshape(-1, *x.shape[2:])
    projected = {name: _apart(_projected(own, name, flat, read), x) for name in _GATES}
    zeros = np.zeros_like(projected["i"][:, 0])
    h, c = initial or (zeros, zeros)
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = (
            projected[name][:, t] + windows.convolve(h, own["recurrent_kernel", name], held) for name in _GATES
        )
        new_c = gate(f) * c + gate(i) * inner(g)
        new_h = gate(o) * inner(new_c)
        keep = None if mask is None else beside(mask[:, t], 1, h.ndim)
        h, c = (new_h, new_c) if keep is None else (np.where(keep, new_h, h), np.where(keep, new_c, c))
        outputs.append(h)
    return np.stack(outputs, axis=1), (h, c)


def _projected(own: Mapping[tuple[str, str], Array], gate: str, x: Array, options: Convolution) -> Array:
    y = windows.convolve(x, own["input_kernel", gate], options)
    biases = [own[slot, gate] for slot in ("input_bias", "recurrent_bias") if (slot, gate) in own]
    return y + np.sum(biases, axis=0).reshape(1, -1, *[1] * (y.ndim - 2)) if biases else y


def _apart(y: Array, x: Array) -> Array:
    return y.reshape(*x.shape[:2], *y.shape[1:])


def convolutional(layer: Layer, inputs: Sequence[Array], mask: Array | None) -> list[Array]:
    """What a layer over maps gives, as a model calls it: its outputs, and its states where it gives them.

    A mask is (batch, time), or (batch, time, …) of every place of the outputs.
    """
    call = layer.call
    there, back = _moves(layer.parts[0])
    x = there(np.asarray(inputs[0], np.float64), 2)
    given = [there(np.asarray(state, np.float64), 1) for state in inputs[1:]]
    each = len(given) // len(layer.parts)
    outputs, finals = [], []
    for number, part in enumerate(layer.parts):
        flip = (number == 1) != (call.direction in ("backward", "reverse"))
        y, states = _read(part, call, x, mask, given[number * each :][:each], flip)
        turned = call.sequences and (number == 1 or call.direction == "reverse")
        y = y[:, ::-1] if turned else y
        outputs.append(back(y, 2) if call.sequences else back(y[:, -1], 1))
        finals += [back(state, 1) for state in states]
    return [*_merged(outputs, call.merge), *finals] if call.states else _merged(outputs, call.merge)


def _read(
    part: Part, call: Call, x: Array, mask: Array | None, given: Sequence[Array], flip: bool
) -> tuple[Array, States]:
    """One direction, in the order in which it reads: masked outputs are repeated, or zeros."""
    x, mask = (x[:, ::-1], None if mask is None else mask[:, ::-1]) if flip else (x, mask)
    pieces = replace(part, flattened=()).unpack()
    y, states = forward(pieces, options_of(part), x, direction=part.direction, mask=mask, initial=given)
    if mask is not None:
        shown = mask if call.zeros_where_masked else np.cumsum(mask, axis=1) > 0
        y = np.where(beside(shown, 2, y.ndim), y, 0.0)
    return y, states


def beside(mask: Array, axis: int, rank: int) -> Array:
    """A mask with an axis for the channels, and for the places where it tells nothing of them."""
    found = np.expand_dims(np.asarray(mask, bool), axis)
    return found.reshape(*found.shape, *[1] * (rank - found.ndim))


def _merged(outputs: list[Array], merge: str) -> list[Array]:
    """Two directions as the source makes one of them; "concat" is along the last axis, whatever it holds."""
    if len(outputs) == 1 or merge == "pair":
        return outputs
    one, other = outputs
    if merge not in _MERGED:
        raise NotRepresentable(f"merging directions by {printable(repr(merge))} is not evaluated here")
    return [_MERGED[merge](one, other)]


_MERGED: Mapping[str, Callable[[Array, Array], Array]] = {
    "concat": lambda one, other: np.concatenate([one, other], axis=-1),
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2.0,
}


def options_of(part: Part) -> ConvolutionalRecurrence:
    """The options of a cell over maps."""
    return part.options if isinstance(part.options, ConvolutionalRecurrence) else ConvolutionalRecurrence()


Move = Callable[[Array, int], Array]


def _moves(part: Part) -> tuple[Move, Move]:
    """Channels to an axis, and back to where the source has them."""
    if not options_of(part).channels_last:
        return lambda x, axis: x, lambda x, axis: x
    return lambda x, axis: np.moveaxis(x, -1, axis), lambda y, axis: np.moveaxis(y, axis, -1)
