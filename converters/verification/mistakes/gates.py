"""Gates in another order: every order that any framework has, from the catalogue, and then every other one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from converters.verification.mistakes.mistake import Mistake
from converters.verification.modules import Own
from layouts import catalogue
from layouts.cells import Cell

Array = np.ndarray[Any, Any]
_WHERE = {
    "": (),
    "of the input weights alone": ("input_weight",),
    "of the recurrent weights alone": ("recurrent_weight",),
    "of the weights, and not of the biases": ("input_weight", "recurrent_weight"),
    "of the biases alone": ("input_bias", "recurrent_bias"),
}
"""Where a mistaken order may stand: in words, and the slots; all of them first."""


def orders(cell: Cell) -> dict[str, list[str]]:
    """Every order in which a framework stores the gates of a cell, and the frameworks that do."""
    found: dict[str, list[str]] = {}
    for layout in catalogue.every_layout():
        if layout.cell.gates == cell.gates and layout.gates and len(layout.gates) == len(cell.gates):
            frameworks = found.setdefault("".join(layout.gates), [])
            if layout.framework not in frameworks:
                frameworks.append(layout.framework)
    return found


def gate_orders(own: Own) -> Iterator[Mistake]:
    """The blocks of the file taken for gates in another order than they are."""
    gates = own.cell.gates
    if not gates:
        return
    stored = "".join(own.part.layout.gates) or gates
    known = orders(own.cell)
    others = ("".join(each) for each in permutations(gates))
    for order in dict.fromkeys([*known, *others]):
        if order != stored:
            for where, slots in _WHERE.items():
                yield _mistake(own, stored, order, where, slots, known.get(order, []))


def _mistake(own: Own, stored: str, order: str, where: str, slots: tuple[str, ...], frameworks: list[str]) -> Mistake:
    whose = f", which is that of {', '.join(frameworks)}" if frameworks else ""
    what = f"the blocks of the gates {where} ".replace("  ", " ") + (
        f"were taken in the order {_spelled(order)}{whose}; they are stored as {_spelled(stored)}"
    )
    gates = own.cell.gates
    takes = [stored.index(gate) for gate in gates]
    fix = f"blocks = array.chunk({len(gates)}); torch.cat([blocks[k] for k in {takes}]) gives {_spelled(gates)}"
    if takes == sorted(takes):
        fix = f"leave the blocks in the order of the file: {_spelled(stored)} is PyTorch's own"
    meant = {gate: stored[order.index(gate)] for gate in gates}
    pieces = {
        piece: own.pieces.get(piece._replace(gate=meant[piece.gate]), array)
        if piece.gate in meant and (not slots or piece.slot in slots)
        else array
        for piece, array in own.pieces.items()
    }
    return Mistake(what, fix, replace(own, pieces=pieces))


def _spelled(order: str) -> str:
    return ", ".join(order)
