"""What of a tree of arrays is the weights of a model, by the names that its framework gives the branches.

A framework's module may declare, in `TREE`, the branches that hold weights, and those beside them that hold none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from layouts import catalogue
from layouts.errors import CoverageError, printable
from layouts.trees import Tree

Kind = TypeVar("Kind")


def sorted_out(framework: str, arrays: Mapping[str, Kind]) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """The weights by name below their collection, and the full names of all that is none.

    Raises `CoverageError` where two collections have an array of one name.
    """
    tree = catalogue.tree(framework)
    if tree is None:
        return dict(arrays), ()
    words = {name: re.split("[/.]", name) for name in arrays}
    levels = {tuple(own[:at]) for own in words.values() if (at := _first(own, tree.tells)) is not None}
    kept: dict[str, Kind] = {}
    unused: list[str] = []
    for name, array in arrays.items():
        own = None if _is_none(words[name], tree, levels) else _below(name, words[name], tree)
        if own is None:
            unused.append(name)
        elif own in kept:
            raise CoverageError(f"{printable(name)}: two collections have an array of this name", array=name)
        else:
            kept[own] = array
    return kept, tuple(unused)


def _first(words: list[str], among: tuple[str, ...]) -> int | None:
    """The place of the first of these words."""
    return next((k for k, word in enumerate(words) if word in among), None)


def _is_none(words: list[str], tree: Tree, levels: set[tuple[str, ...]]) -> bool:
    """Whether an array stands in a branch that holds no weights, beside a collection; or is a key of random numbers."""
    at = _first(words, (*tree.collections, *tree.beside))
    if at is not None and words[at] in tree.beside and tuple(words[:at]) in levels:
        return True
    last = words[:-1] if words[-1] == tree.leaf else words
    return any(word in tree.keys for word in words) and last[-1] in tree.key_parts


def _below(name: str, words: list[str], tree: Tree) -> str:
    """A name without the words of its collection, of which a TrainState has two, and without the word of a leaf."""
    start = end = _first(words, tree.collections) or 0
    while end < len(words) - 1 and words[end] in tree.collections:
        end += 1
    first, rest = (sum(len(word) + 1 for word in words[:k]) for k in (start, end))
    plain = name[:first] + name[rest:]
    return plain[: -len(tree.leaf) - 1] if words[-1] == tree.leaf and len(words) > end + 1 else plain
