"""What goes wrong with the weights and settings of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from converters.verification.mistakes.biases import biases, forget_bias
from converters.verification.mistakes.gates import gate_orders
from converters.verification.mistakes.mistake import Mistake, changed, has, with_pieces, without
from converters.verification.modules import Given, Own
from layouts.cells import GRU, GRU_RESET_BEFORE, Piece
from layouts.errors import printable
from layouts.options import ConvolutionalRecurrence, Recurrence
from layouts.reference import ACTIVATIONS

Array = np.ndarray[Any, Any]


def recurrent_mistakes(own: Own) -> Iterator[Mistake]:
    """Every known mistake, the usual ones first."""
    for mistakes in (
        _transposes,
        biases,
        _reset,
        _update,
        forget_bias,
        _activations,
        _halves,
        gate_orders,
        _states,
        _left_out,
        _axes,
    ):
        yield from mistakes(own)


def mistakes_over_maps(own: Own) -> Iterator[Mistake]:
    """Those of a layer whose states are maps."""
    yield from _activations(own)
    yield from gate_orders(own)


_MATRICES = {"input_weight": "kernel", "recurrent_weight": "recurrent_kernel"}


def _transposes(own: Own) -> Iterator[Mistake]:
    for slot, name in _MATRICES.items():
        arrays = [array for piece, array in own.pieces.items() if piece.slot == slot]
        if all(array.shape[0] == array.shape[1] for array in arrays):
            yield Mistake(
                f"the blocks of {slot} were not transposed",
                f"transpose: {name}.T, (inputs, gates × units) to (gates × units, inputs)",
                changed(own, lambda _, x: x.T, (slot,)),
            )
        yield Mistake(
            f"{slot} was reshaped where it has to be transposed",
            f"{name}.T, and not {name}.reshape(…): a reshape keeps the elements in their places in memory",
            _reshaped(own, slot),
        )


def _reshaped(own: Own, slot: str) -> Own:
    """The stored (inputs, gates × units) read as (gates × units, inputs)."""
    stored = list(own.part.layout.gates) or list(own.cell.gates) or [""]
    found: dict[Piece, Array] = {}
    for piece in {p._replace(gate="") for p in own.pieces if p.slot == slot}:
        blocks = [np.asarray(own.pieces[piece._replace(gate=gate)]) for gate in stored]
        whole = np.concatenate([block.T for block in blocks], axis=1)
        rows = whole.reshape(whole.shape[::-1]).reshape(len(blocks), *blocks[0].shape)
        order = list(own.cell.gates) or [""]
        found |= {piece._replace(gate=gate): rows[order.index(gate)] for gate in order}
    return with_pieces(own, found)


def _reset(own: Own) -> Iterator[Mistake]:
    if own.cell is GRU_RESET_BEFORE:
        yield Mistake(
            "the module resets after the matrix product, and the source before it: nn.GRU cannot compute this layer",
            "converters.nn.GRU(…, reset_after=False) with the same weights",
            replace(own, cell=GRU),
        )
    if own.cell is GRU:
        yield Mistake(
            "the module resets before the matrix product, and the source after it",
            "use nn.GRU, or reset_after=True",
            replace(own, cell=GRU_RESET_BEFORE),
        )


def _update(own: Own) -> Iterator[Mistake]:
    if "z" in own.cell.gates:
        yield Mistake(
            "the update gate has the opposite sense: h = z × n + (1 - z) × h",
            "negate the rows of z in weight_ih, weight_hh and both biases, or h = (1 - z) × n + z × h",
            changed(own, lambda _, x: -x, gates="z"),
        )


_FIELDS = {"recurrent_activation": "the gates", "activation": "the candidate and the output"}
_SAID = {"hard_sigmoid_0.2": "hard_sigmoid clip(0.2 x + 0.5)", "hard_sigmoid_1/6": "hard_sigmoid clip(x/6 + 0.5)"}


def _activations(own: Own) -> Iterator[Mistake]:
    options = own.options
    if not isinstance(options, Recurrence | ConvolutionalRecurrence):
        return
    for field in (name for name in _FIELDS if name in own.cell.chooses):
        true = getattr(options, field)
        for name in ACTIVATIONS:
            if name != true:
                values: dict[str, Any] = {field: name}
                yield _activation(replace(own, options=replace(options, **values)), _FIELDS[field], true, name)
    usual = (
        Recurrence()
        if isinstance(options, Recurrence)
        else replace(options, activation="tanh", recurrent_activation="sigmoid")
    )
    true = f"{options.recurrent_activation} and {options.activation}"
    yield _activation(replace(own, options=usual), "gates and candidate", true, "the usual")


def _activation(own: Own, of: str, true: str, name: str) -> Mistake:
    found, wanted = (_SAID.get(each, printable(each)) for each in (name, true))
    return Mistake(
        f"the activation of {of} is {found}, and the source has {wanted}",
        f"use the drop-in of converters.nn that the plan names, which has {wanted}",
        own,
    )


def _halves(own: Own) -> Iterator[Mistake]:
    if len(own.ways) == 2:
        other = {"forward": "backward", "backward": "forward"}
        yield Mistake(
            "the weights of the two directions are exchanged",
            "the first half of the stored arrays is forward (_l0), the second backward (_l0_reverse)",
            replace(own, pieces={p: own.pieces[p._replace(direction=other[p.direction])] for p in own.pieces}),
        )
        yield Mistake(
            "both directions have the weights of the forward one",
            "load the second half of the stored arrays into the parameters named _reverse",
            replace(own, pieces={p: own.pieces[p._replace(direction="forward")] for p in own.pieces}),
        )


def _states(own: Own) -> Iterator[Mistake]:
    yield Mistake(
        "the initial states are given as (c, h)",
        "nn.LSTM takes (h_0, c_0)",
        own,
        lambda given: replace(given, states=given.states[::-1]),
    )
    yield Mistake(
        "the initial states are not used",
        "pass them: module(x, (h_0, c_0))",
        own,
        lambda given: replace(given, states=()),
    )


def _left_out(own: Own) -> Iterator[Mistake]:
    options = own.options
    if has(own, "peephole"):
        yield Mistake("the peepholes are left out", "converters.nn.LSTM(…, peepholes=True)", without(own, "peephole"))
    if isinstance(options, Recurrence) and options.clip is not None:
        yield Mistake("nothing is clipped", f"clip={options.clip:g}", replace(own, options=replace(options, clip=None)))
    if isinstance(options, Recurrence) and options.input_forget:
        yield Mistake(
            "the forget gate is its own, and not 1 - i",
            "input_forget=True",
            replace(own, options=replace(options, input_forget=False)),
        )
    if own.levels > 1:
        turned = {p: own.pieces.get(p._replace(layer=own.levels - 1 - p.layer), x) for p, x in own.pieces.items()}
        if all(turned[p].shape == x.shape for p, x in own.pieces.items()):
            yield Mistake(
                "the layers of the stack are in reverse order", "lower layers first", replace(own, pieces=turned)
            )


def _axes(own: Own) -> Iterator[Mistake]:
    def swapped(given: Given) -> Given:
        return replace(given, inputs=(given.inputs[0].swapaxes(0, 1), *given.inputs[1:]), lengths=None)

    yield Mistake("batch and time are exchanged inside the module", "batch_first=True", own, swapped)
