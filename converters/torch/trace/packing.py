"""Packed sequences: a value and a mask of the steps that count, which the layers read."""

from __future__ import annotations

from typing import Any

from torch import fx
from torch.nn.utils import rnn

from converters.model import operations as op
from converters.torch.trace.sketch import Name, Sketch, is_name
from converters.torch.trace.words import Arguments, Named, argument
from layouts.records import dataclass

PACK, UNPACK = rnn.pack_padded_sequence, rnn.pad_packed_sequence


@dataclass(frozen=True)
class Packed:
    """x with all of its steps, its time first or not, and the mask and lengths of those that count."""

    x: Name
    mask: Name
    lengths: Name
    batch_first: bool


def reads_packed(node: fx.Node) -> bool:
    """Whether a module is called with a packed sequence."""
    first = node.args[0] if node.args else None
    while isinstance(first, fx.Node) and first.op == "call_function" and first.target is not PACK:
        first = first.args[0]
    if isinstance(first, fx.Node) and first.op == "call_module":
        return reads_packed(first)
    return isinstance(first, fx.Node) and first.target is PACK


def _pack(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Packed:
    x, lengths = a[0], argument(a, named, 1, "lengths")
    first = bool(argument(a, named, 2, "batch_first", False))
    if not is_name(lengths):
        raise d.refuse(node, "the lengths are numbers of the code: give them to forward as a tensor")
    whole = x if first else d.add(node, op.Permute((1, 0, 2)), x, shape=_turned(d.shape(x)), dtype="float32")
    mask = d.value(f"{node.name}_mask", d.shape(whole)[:2], "bool")
    d.put(node, op.MaskOfLengths(), (whole, lengths), (mask,), None)
    return Packed(x, mask, lengths, first)


def _unpack(d: Sketch, node: fx.Node, a: Arguments, named: Named) -> Any:
    """All steps, zeros in those that do not count: also behind the longest, where PyTorch ends."""
    packed, first = a[0], bool(argument(a, named, 1, "batch_first", False))
    if argument(a, named, 2, "padding_value", 0.0):
        raise d.refuse(node, "padding with another number than zero is not known here")
    y = packed.x
    if first != packed.batch_first:
        y = d.add(node, op.Permute((1, 0, 2)), y, shape=_turned(d.shape(y)), dtype="float32")
    return (y, packed.lengths)


def _turned(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (shape[1], shape[0], *shape[2:])


WRITTEN = {"pack_padded_sequence": _pack, "pad_packed_sequence": _unpack}
