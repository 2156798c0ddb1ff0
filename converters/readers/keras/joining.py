"""Blocks of arrays in a file without a configuration that are one layer together: two directions, the cells of a stack.

A block is what stands before the names of its arrays: the folder of a cell, or in Keras 1, which has no folders, the
name of the layer. A `Bidirectional` keeps its cells in folders `forward_…` and `backward_…` below its own; Keras 1
writes these words before the name of the layer inside, and the outer name nowhere but in the group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from converters.model.arrays import LazyArray

Block = list[tuple[str, LazyArray]]
Joined = dict[str, list[tuple[str, Block]]]
Sides = dict[str, set[tuple[str, str]]]

_SIDES = ("forward", "backward")
_SIDE = re.compile(r"(forward|backward)_(.+)")
_STACK = re.compile(r"stacked_rnn_cells(_\d{1,6})?")


def joined(blocks: Mapping[str, Block]) -> Joined:
    """The blocks of every layer under one name, each with its direction."""
    sides, found = _sides(blocks), Joined()
    for block, arrays in blocks.items():
        in_folders = "/" in arrays[0][0]
        owner, side = _in_folders(block, sides) if in_folders else _flat(block, blocks)
        owner, side = (block, "forward") if owner in blocks else (owner, side)
        found.setdefault(owner, []).append((side, arrays))
    return {owner: sorted(members, key=lambda member: _SIDES.index(member[0])) for owner, members in found.items()}


def _flat(block: str, blocks: Mapping[str, Block]) -> tuple[str, str]:
    """Owner and direction of a block that is named as in Keras 1: `forward_lstm_4` beside `backward_lstm_4`."""
    match = _SIDE.fullmatch(block)
    if not match or _shapes(blocks.get(f"{_other(match[1])}_{match[2]}", [])) != _shapes(blocks[block]):
        return block, "forward"
    return match[2] if match[2] not in blocks else f"bidirectional_{match[2]}", match[1]


def _shapes(block: Block) -> list[tuple[int, ...]]:
    return [array.shape for _, array in block]


def _in_folders(block: str, sides: Sides) -> tuple[str, str]:
    """Owner and direction of a block that is a path: the innermost folder that holds both directions, or a stack."""
    for owner, word in reversed(list(_steps(block))):
        match = _SIDE.fullmatch(word)
        if match and _is_pair(match[1], match[2], sides[owner]):
            return owner, match[1]
    return next((owner for owner, word in _steps(block) if _STACK.fullmatch(word)), block), "forward"


def _is_pair(side: str, name: str, sides: set[tuple[str, str]]) -> bool:
    """Whether the other direction has the same name, or each is the only one: a `backward_layer` has its own name."""
    return (_other(side), name) in sides or sorted(found for found, _ in sides) == sorted(_SIDES)


def _sides(blocks: Iterable[str]) -> Sides:
    """Every folder that holds folders of a direction -> these, cut into direction and name."""
    found: Sides = {}
    for block in blocks:
        for owner, word in _steps(block):
            match = _SIDE.fullmatch(word)
            if match:
                found.setdefault(owner, set()).add((match[1], match[2]))
    return found


def _steps(block: str) -> Iterator[tuple[str, str]]:
    """Every folder of a path but the first, and the path before it."""
    words = block.split("/")
    return (("/".join(words[:end]), words[end]) for end in range(1, len(words)))


def _other(side: str) -> str:
    return _SIDES[1 - _SIDES.index(side)]
