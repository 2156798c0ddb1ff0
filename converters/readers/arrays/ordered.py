"""Arrays without names, `arr_0`, `arr_1`, …: which they are follows from the layers in order, which a caller states.

`assume={"order": "EmbeddingLayer encoder=LSTMLayer DenseLayer"}`: the classes in the order of the arrays, each with the
name it is to have, or its number; of one layer alone `assume={"class": "LSTMLayer"}` is enough. `DenseLayer-b` is one
without its array `b`. Where classes may lack an array (a bias) and nothing is said of it, the one way in which all
arrays fit counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.names import check_name
from layouts import catalogue
from layouts.errors import ConversionError, UnknownLayer, printable

STATEMENT, CLASS = "order", "class"
_NUMBERED = re.compile(r"arr_(\d{1,6})")
_MOST_LAYERS = 10_000


class Named(NamedTuple):
    """A layer that is stated: the path it is to have, its class, and which of the class's arrays it lacks."""

    path: str
    class_name: str
    without: tuple[str, ...] = ()


def is_unnamed(names: Sequence[str]) -> bool:
    """Whether arrays are a list, as `numpy.savez` numbers what has no name."""
    return bool(names) and all(_NUMBERED.fullmatch(name) for name in names)


def named(
    arrays: Mapping[str, LazyArray], framework: str, assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any]]:
    """The arrays of a list under their names, and what is stated, the classes with it.

    Raises `UnknownLayer` without an order, and where the arrays do not fit the one that is stated, or fit in two ways.
    """
    stated = assume.get(STATEMENT)
    if stated is None and CLASS in assume:
        found, _ = named(arrays, framework, {STATEMENT: assume[CLASS]})
        return {name.removeprefix("0/"): array for name, array in found.items()}, assume
    if stated is None:
        known = ", ".join(catalogue.orders(framework))
        raise UnknownLayer(
            f"these {len(arrays)} arrays have no names: state the classes of the layers in order, "
            f"assume={{'{STATEMENT}': 'LSTMLayer head=DenseLayer'}} with such as have weights, or of one layer alone "
            f"its class, assume={{'{CLASS}': 'LSTMLayer'}}: {known}"
        )
    layers = list(_layers(str(stated), framework))
    ordered = sorted(arrays, key=lambda name: int(name[4:]))
    ways = list(islice(_ways(layers, [arrays[name].shape for name in ordered], framework), 2))
    if len(ways) != 1:
        raise UnknownLayer(_misfit(len(ways), layers, arrays, ordered))
    found = dict(zip(ways[0], (arrays[name] for name in ordered), strict=True))
    classes = {f"{layer.path}.class": layer.class_name for layer in layers}
    return found, classes | {key: value for key, value in assume.items() if key != STATEMENT}


def _layers(stated: str, framework: str) -> Iterator[Named]:
    words = re.split(r"[\s,]+", stated.strip())
    if len(words) > _MOST_LAYERS:
        raise ConversionError(f"assume={{'{STATEMENT}': …}} names {len(words)} layers")
    for number, word in enumerate(words):
        name, _, described = word.rpartition("=")
        class_name, *without = described.split("-")
        if class_name not in catalogue.orders(framework):
            known = ", ".join(catalogue.orders(framework))
            raise UnknownLayer(
                f"assume={{'{STATEMENT}': …}}: no order of {printable(class_name)!r} is known; of {known}"
            )
        if name:
            check_name(name)
        missing = {own for own, axes in catalogue.orders(framework)[class_name] if axes.startswith("?")}
        if {*without} - missing:
            raise UnknownLayer(
                f"assume={{'{STATEMENT}': …}}: {printable(word)}: no array of these names may be missing"
            )
        yield Named(name or str(number), class_name, tuple(without))


def _ways(layers: Sequence[Named], shapes: Sequence[tuple[int, ...]], framework: str) -> Iterator[list[str]]:
    """Every way to name all arrays; a table of what fits behind each place keeps the search short."""
    slots = [slot for layer in layers for slot in _slots(layer, framework)]
    ends = [[False] * (len(shapes) + 1) for _ in range(len(slots) + 1)]
    ends[len(slots)][len(shapes)] = True
    for k in reversed(range(len(slots))):
        for at in range(len(shapes) + 1):
            takes = at < len(shapes) and _fits(shapes[at], slots[k][1]) and ends[k + 1][at + 1]
            ends[k][at] = takes or (slots[k][1].startswith("?") and ends[k + 1][at])
    waiting: list[tuple[int, int, list[str]]] = [(0, 0, [])] if ends[0][0] else []
    while waiting:
        k, at, names = waiting.pop()
        if k == len(slots):
            yield names
            continue
        name, axes = slots[k]
        if axes.startswith("?") and ends[k + 1][at]:
            waiting.append((k + 1, at, names))
        if at < len(shapes) and _fits(shapes[at], axes) and ends[k + 1][at + 1]:
            waiting.append((k + 1, at + 1, [*names, name]))


def _slots(layer: Named, framework: str) -> Iterator[tuple[str, str]]:
    """The arrays that a layer has or may have, in order, each with its axes."""
    for name, axes in catalogue.orders(framework)[layer.class_name]:
        if name not in layer.without:
            yield f"{layer.path}/{name}", axes


def _fits(shape: tuple[int, ...], axes: str) -> bool:
    words = axes.removeprefix("?").split()
    return len(shape) == len(words) and all(size == 1 for size, word in zip(shape, words, strict=True) if word == "1")


def _misfit(ways: int, layers: Sequence[Named], arrays: Mapping[str, LazyArray], ordered: Sequence[str]) -> str:
    shapes = ", ".join(str(arrays[name].shape) for name in ordered[:12]) + ", …" * (len(ordered) > 12)
    order = " ".join(layer.class_name for layer in layers[:12])
    text = f"the {len(arrays)} arrays of the shapes {shapes} do not fit the order {printable(order)}"
    several = f"{text.replace('do not fit', 'fit in several ways')}: state what a layer lacks, such as DenseLayer-b"
    return several if ways else text
