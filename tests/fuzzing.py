"""Damage to real files, by seed: the same seed gives the same mutant on every machine."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

Span = tuple[int, int]
Damage = Callable[[random.Random, bytearray, list[Span]], bytearray]

_TELLING = (0, 1, 2, 3, 8, 0x10, 0x11, 0x7F, 0x80, 0xFE, 0xFF)
"""Bytes that mean something in headers: versions, classes, flags, ends of number ranges."""


def structure(path: Path) -> list[Span]:
    """The ranges of a file outside its arrays: headers, trees, heaps, attributes, a zip's directory, a graph."""
    content = path.read_bytes()
    data = _onnx_arrays(content) if path.suffix == ".onnx" else _hdf5_arrays(content)
    edges = [0, *(edge for span in sorted(data) for edge in span), len(content)]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]


def _hdf5_arrays(content: bytes) -> list[Span]:
    import h5py

    begin = max(0, content.find(b"\x89HDF\r\n\x1a\n"))
    data: list[Span] = []

    def visit(_: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset) and found.id.get_offset() is not None:
            start = begin + found.id.get_offset()
            data.append((start, start + found.id.get_storage_size()))

    if begin or content.startswith(b"\x89HDF"):
        with h5py.File(BytesIO(content[begin:]), "r") as file:
            file.visititems(visit)
    return data


def _onnx_arrays(content: bytes) -> list[Span]:
    """Where the raw data of the outermost graph's tensors stand; equal ones follow each other in the file."""
    import onnx

    data: list[Span] = []
    at = 0
    for tensor in onnx.ModelProto.FromString(content).graph.initializer:
        start = content.find(tensor.raw_data, at) if len(tensor.raw_data) > 64 else -1
        if start >= 0:
            at = start + len(tensor.raw_data)
            data.append((start, at))
    return data


def _place(chance: random.Random, spans: list[Span]) -> int:
    start, stop = chance.choices(spans, [stop - start for start, stop in spans])[0]
    return chance.randrange(start, stop)


def _flip_bits(chance: random.Random, content: bytearray, spans: list[Span]) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 8))):
        content[_place(chance, spans)] ^= 1 << chance.randrange(8)
    return content


def _set_bytes(chance: random.Random, content: bytearray, spans: list[Span]) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 8))):
        content[_place(chance, spans)] = chance.choice(_TELLING)
    return content


def _set_number(chance: random.Random, content: bytearray, spans: list[Span]) -> bytearray:
    """Put an address or a size of this file, or an extreme one, where some number stands."""
    at, width = _place(chance, spans), chance.choice((2, 4, 8))
    value = chance.choice((0, 1, chance.randrange(len(content)), _place(chance, spans) & ~7, 2**31, 2**62, 2**64 - 1))
    content[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")[: len(content) - at]
    return content


def _cut(chance: random.Random, content: bytearray, spans: list[Span]) -> bytearray:
    return content[: chance.randrange(len(content))]


def _splice(chance: random.Random, content: bytearray, spans: list[Span]) -> bytearray:
    """Copy a piece of the file over another, or insert it, or leave one out."""
    start, at, length = _place(chance, spans), _place(chance, spans), chance.choice((8, 24, 40, 512))
    piece = content[start : start + length]
    content[at : at + chance.choice((0, len(piece), length))] = chance.choice((piece, piece, bytearray()))
    return content


DAMAGES: tuple[Damage, ...] = (_flip_bits, _set_bytes, _set_number, _cut, _splice)


def mutant(content: bytes, seed: int, spans: list[Span] | None) -> bytes:
    """The content, damaged; with `spans` there alone."""
    chance = random.Random(seed)
    return bytes(chance.choice(DAMAGES)(chance, bytearray(content), spans or [(0, len(content))]))


def _victims(source: Path) -> Iterator[Path]:
    """The files that make up a model: one, or an index and its shards."""
    yield source
    if source.name.endswith(".weights.json"):
        yield from sorted(source.parent.glob("*.weights.h5"))
    if source.suffix == ".onnx":
        yield from sorted(source.parent.glob("*.data"))


def outcome(source: Path, folder: Path, seed: int, spans: list[list[int]] | None) -> dict[str, Any]:
    """Convert a mutant; the kind of its error, or None. What reads has the shapes and dtypes that were planned."""
    import converters

    victims = list(_victims(source))
    chosen = victims[seed % len(victims)]
    for victim in victims:
        shutil.copyfile(victim, folder / victim.name)
    places = [(start, stop) for start, stop in spans] if spans and chosen == source else None
    (folder / chosen.name).write_bytes(mutant(chosen.read_bytes(), seed, places))
    kind = None
    try:
        found = converters.read(folder / source.name)
        for layer in found.layers:
            for array in layer.stored():
                data = array.read()
                assert (data.shape, data.dtype) == (array.shape, array.dtype), (seed, array.name)
        str(found), str(converters.plan(found))
        converters.convert_file(found, folder / "mutant.safetensors", strict=False)
    except converters.ConversionError as error:
        kind = type(error).__name__
        line = " ".join(str(error).split())
        assert error.path and line.isprintable() and len(line) < 2000, (seed, line)
    except BaseException:
        print(f"seed {seed} of {source.name}", flush=True)
        raise
    return {"seed": seed, "kind": kind}
