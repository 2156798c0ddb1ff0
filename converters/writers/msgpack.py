"""Flax's msgpack: nested dictionaries whose leaves are arrays, as `flax.serialization.to_bytes` writes variables.

An array is an extension of type 1: a list of its shape, the name of its dtype, and its bytes in row-major order.
Statistics of norms stand in the collection `batch_stats`, all else in `params`. Source: flax/serialization.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from converters.planning.modules import Module, Tensor
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
from layouts.errors import ConversionError, printable
from layouts.layout import Layout

_MOST = 1 << 30
"""Flax cuts larger arrays into pieces, which are not written here."""
Tree = dict[str, "Tree | Tensor"]


def open_msgpack(path: Path, plan: Plan) -> InPlace:
    """The file with all but the numbers. Raises `ConversionError` for arrays of over 1 GiB, and for clashing names."""
    tree: Tree = {}
    for module in plan.modules:
        for tensor in module.tensors:
            if tensor.nbytes > _MOST:
                raise ConversionError(
                    f"{printable(tensor.key)}: Flax's msgpack holds arrays of up to 1 GiB in one piece"
                )
            _put(tree, [_collection(module, tensor), *tensor.key.split("/")], tensor)
    places: dict[str, int] = {}
    with path.open("rb+") as file:
        for piece in _packed(tree):
            if isinstance(piece, bytes):
                file.write(piece)
            else:
                places[piece.key] = file.tell()
                file.seek(piece.nbytes, os.SEEK_CUR)
        size = file.tell()
    reserve(path, size)
    return InPlace(path, places, [tensor.nbytes for tensor in plan.tensors])


def _collection(module: Module, tensor: Tensor) -> str:
    """The collection of variables in which Flax keeps an array."""
    return "batch_stats" if module.layout and _is_statistic(module.layout, tensor.name) else "params"


def _is_statistic(layout: Layout, name: str) -> bool:
    axes = layout.arrays.get(name, "")
    return isinstance(axes, str) and "-> running_" in axes


def _put(tree: Tree, words: list[str], tensor: Tensor) -> None:
    """A leaf at its path. Raises `ConversionError` where another leaf stands on the way."""
    *folders, name = words
    for folder in folders:
        inner = tree.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise ConversionError(f"{printable(tensor.key)}: {printable(folder)} is an array already")
        tree = inner
    tree[name] = tensor


def _packed(value: Tree | Tensor) -> Iterator[bytes | Tensor]:
    """The bytes of a tree in order; a tensor itself in the place of its own."""
    if isinstance(value, dict):
        yield b"\xdf" + len(value).to_bytes(4, "big")
        for name, inner in value.items():
            yield _text(name)
            yield from _packed(inner)
        return
    head = b"\x93" + _sizes(value.shape) + _text(value.dtype.name) + b"\xc6" + value.nbytes.to_bytes(4, "big")
    yield b"\xc9" + (len(head) + value.nbytes).to_bytes(4, "big") + b"\x01" + head
    yield value


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"\xdb" + len(encoded).to_bytes(4, "big") + encoded


def _sizes(shape: tuple[int, ...]) -> bytes:
    return b"\xdd" + len(shape).to_bytes(4, "big") + b"".join(b"\xcf" + size.to_bytes(8, "big") for size in shape)
