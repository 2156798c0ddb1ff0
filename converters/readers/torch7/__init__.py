"""Torch7's `.t7`: the modules in an object, wherever they stand, with the weights of nn and rnn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.model.arrays import LazyArray
from converters.model.checkpoint import Checkpoint
from converters.model.layers import Layer, Part
from converters.readers.opened import Opened, Request
from converters.readers.source import Source
from converters.readers.torch7.objects import Table, Tensor, Thing, lazy, read_object, tensors
from layouts import catalogue
from layouts.errors import OF_A_LAYER, NotRepresentable, ShapeError, UnknownLayer, UnreadableCheckpoint, printable

_PARAMETERS = ("weight", "bias", "running_mean", "running_var")
_BESIDE = ("sharedClones", "outputs", "output", "gradInput", "cells", "gradWeight", "gradBias")
"""Fields in which copies stand, and what a pass leaves behind."""
_GATED = ("FastLSTM", "GRU")
_MOST_MODULES = 100_000


def read_file(opened: Opened, request: Request) -> Checkpoint:
    """The layers of the modules in a file. Raises `UnreadableCheckpoint` where it holds none."""
    request.refuse_statements("a file of Torch7")
    walk = _Walk(opened.source)
    layers = tuple(walk.layers(read_object(opened.source), ""))
    if not layers:
        raise UnreadableCheckpoint("this file of Torch7 holds no module with weights", path=opened.path)
    unused, remarks = tuple(walk.loose), catalogue.remarks("torch7")
    return Checkpoint(opened.path, "torch7", "", "object (.t7)", layers, unused=unused, remarks=remarks)


class _Walk:
    """One object on its way to layers: every module once, and every tensor once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._seen: set[int] = set()
        self._held: list[Any] = []
        self._places: set[tuple[int, ...]] = set()
        self.loose: list[str] = []
        """Tensors that stand in tables and belong to no module."""

    def layers(self, root: Any, prefix: str) -> Iterator[Layer]:
        waiting: list[tuple[Any, str]] = [(root, prefix)]
        while waiting:
            value, path = waiting.pop()
            if not isinstance(value, Table | Thing) or id(value) in self._seen:
                continue
            self._seen.add(id(value))
            self._held.append(value)
            layer = self._layer(value, path) if isinstance(value, Thing) else None
            if layer is not None:
                yield layer
                continue
            if isinstance(value, Table):
                held = ((str(key), inner) for key, inner in value.values.items() if isinstance(inner, Tensor))
                self.loose += [
                    f"{path}/{key}".lstrip("/") for key, inner in held if inner.shape and 0 not in inner.shape
                ]
            waiting += reversed(list(_members(value, path)))

    def _layer(self, thing: Thing, path: str) -> Layer | None:
        """The layer that a module is; None for a container, and for one whose weights were there before."""
        kind = thing.class_name.rpartition(".")[2]
        found = self._gated(thing, kind) if kind in _GATED else {n: t for n, t in tensors(thing) if n in _PARAMETERS}
        if kind == "LSTM":
            text = "an LSTM of rnn has peepholes as modules of their own, which are not followed: it is no FastLSTM"
            return Layer(path, kind, unknown=NotRepresentable(text, layer=path))
        if not found:
            return None
        if all(tensor.place in self._places for tensor in found.values()):
            return None
        self._places |= {tensor.place for tensor in found.values()}
        arrays = {name: lazy(tensor, f"{path}/{name}".lstrip("/"), self._source) for name, tensor in found.items()}
        return _made(path, kind, arrays)

    def _gated(self, thing: Thing, kind: str) -> dict[str, Tensor]:
        """The tensors of the modules that a recurrent one names, and of those of its candidate."""
        found: dict[str, Tensor] = {}
        for name in ("i2g", "o2g"):
            inner = thing.get(name)
            if isinstance(inner, Thing):
                found |= {f"{name}/{own}": tensor for own, tensor in tensors(inner) if own in _PARAMETERS}
        if kind == "GRU":
            for inner in self._inside(thing, {tensor.place for tensor in found.values()}):
                name = "candidate" if inner.class_name == "nn.Linear" else "reset"
                found |= {f"{name}/{own}": tensor for own, tensor in tensors(inner) if own in _PARAMETERS}
        return found

    def _inside(self, thing: Thing, known: set[tuple[int, ...]]) -> Iterator[Thing]:
        """The linear modules somewhere in a module, but for those that are known already."""
        waiting, seen = [value for value, _ in _members(thing, "")], {id(thing)}
        while waiting:
            value = waiting.pop()
            if not isinstance(value, Table | Thing) or id(value) in seen or len(seen) > _MOST_MODULES:
                continue
            seen.add(id(value))
            weights = dict(tensors(value)) if isinstance(value, Thing) else {}
            if (
                isinstance(value, Thing)
                and value.class_name in ("nn.Linear", "nn.LinearNoBias")
                and "weight" in weights
            ):
                if weights["weight"].place not in known:
                    yield value
                continue
            waiting += [inner for inner, _ in _members(value, "")]


def _members(value: Table | Thing, path: str) -> Iterator[tuple[Any, str]]:
    """What a table or an object holds, by path; modules of a container first, by their number from 0."""
    content = value.content if isinstance(value, Thing) else value
    values = content.values if isinstance(content, Table) else {}
    for key, inner in sorted(values.items(), key=lambda item: item[0] != "modules"):
        if key in _BESIDE:
            continue
        own = "" if key == "modules" else str(key - 1) if type(key) is int else printable(str(key))
        yield inner, "/".join(filter(None, (path, own)))


def _made(path: str, kind: str, arrays: dict[str, LazyArray]) -> Layer:
    try:
        if not catalogue.layers("torch7").get(kind):
            raise UnknownLayer(f"no layout describes the class {printable(kind)}")
        if not all(array.is_floating for array in arrays.values()):
            raise ShapeError("its weights are no numbers with fractions")
        shapes = {name: array.shape for name, array in arrays.items()}
        part = Part(catalogue.choose("torch7", kind, {}, shapes), arrays)
        part.solved()
        return Layer(path, kind, (part,))
    except OF_A_LAYER as error:
        error.layer = path
        return Layer(path, kind, unknown=error, arrays=arrays)
