"""Zstandard and gzip from a stranger: never more comes out than was announced, whatever the data claim."""

from __future__ import annotations

import zlib

from layouts.errors import MissingDependency, UnreadableCheckpoint, UnsafeCheckpoint

_PANEL = 1 << 20
_WINDOW = 1 << 27


def unpack_zstd(data: memoryview, most: int, what: str) -> bytes:
    """The bytes of a Zstandard frame, `most` at the most. Raises `CheckpointError`, or `MissingDependency`."""
    try:
        import zstandard
    except ImportError:
        raise MissingDependency(
            "Orbax compresses with Zstandard: pip install 'gateport[orbax]' (the package zstandard)"
        ) from None
    found = bytearray()
    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(data) as reader:
            while piece := reader.read(min(_PANEL, most + 1 - len(found))):
                found += piece
    except zstandard.ZstdError:
        raise UnreadableCheckpoint(f"{what}: its compressed bytes are damaged") from None
    return _within(found, most, what)


def unpack_gzip(data: memoryview, most: int, what: str) -> bytes:
    """The bytes of a gzip member, `most` at the most."""
    try:
        return _within(zlib.decompressobj(31).decompress(data, most + 1), most, what)
    except zlib.error:
        raise UnreadableCheckpoint(f"{what}: its compressed bytes are damaged") from None


def _within(found: bytes | bytearray, most: int, what: str) -> bytes:
    if len(found) > most:
        raise UnsafeCheckpoint(f"{what}: its compressed bytes hold more than the {most} that are expected")
    return bytes(found)
