"""Nodes that use the weights of a layer once more: another call of it, or a product that only tells a shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from converters.model.arrays import LazyArray
from converters.readers.onnx.layers.found import Found, Leaf

_COMPARED = 8
"""Layers made of the same stored arrays whose numbers are compared with one more: parts of one array are many."""


def once(found: Iterable[Found]) -> list[Found]:
    """Nodes that do the same with the same weights are one layer, used several times."""
    kept: list[Found] = []
    alike: dict[object, list[int]] = {}
    for one in found:
        places = alike.setdefault(_kind(one), []) if one.layer.parts else []
        same = next((place for place in places[:_COMPARED] if _same_weights(kept[place], one)), None)
        if same is None:
            places.append(len(kept))
            kept.append(one)
        else:
            nodes, proven = (*kept[same].nodes, *one.nodes), kept[same].proven | one.proven
            stored, again = kept[same].stored | one.stored, (*kept[same].again, one)
            kept[same] = replace(kept[same], nodes=nodes, proven=proven, stored=stored, again=again)
    return kept


def _kind(found: Found) -> object:
    """What two nodes have in common that may be one layer: all but the numbers, which may be parts of one array."""
    parts = tuple((part.layout, part.directions, part.direction, part.options) for part in found.layer.parts)
    call = replace(found.layer.call, initial_h="", initial_c="", lengths=False)
    return found.layer.class_name, parts, call, found.layer.wiring.rank, found.leaves


def _same_weights(one: Found, other: Found) -> bool:
    pairs = zip(one.layer.parts, other.layer.parts, strict=True)
    return all(_same(a.arrays, b.arrays) for a, b in pairs)


def _same(one: Mapping[str, LazyArray], other: Mapping[str, LazyArray]) -> bool:
    return one.keys() == other.keys() and all(
        one[name] is other[name]
        or (one[name].shape == other[name].shape and one[name].read().tobytes() == other[name].read().tobytes())
        for name in one
    )


def without_echoes(found: Sequence[Found]) -> list[Found]:
    """Without products of a recurrent layer's weights alone: TensorFlow computes one step more to learn a shape."""
    recurrent = {leaf for one in found if one.layer.recurrent for leaf in one.leaves}
    return [one for one in found if one.layer.recurrent or not one.layer.parts or not _echoes(one, recurrent)]


def _echoes(found: Found, recurrent: set[Leaf]) -> bool:
    """Whether a layer reads nothing but stored arrays of recurrent layers, and these whole."""
    whole = all(scope.leaves(name) == (name,) for scope, name in found.weights)
    return whole and recurrent.issuperset(found.leaves)
