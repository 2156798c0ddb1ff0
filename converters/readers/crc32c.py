"""CRC-32C, which TensorFlow keeps of every block of a table and of every tensor, at the speed of NumPy.

A checksum is linear: that of two halves follows from those of each. So the bytes are cut into many equal lanes that are
taken through the table side by side, and the lanes are joined in pairs. Source: RFC 3720 appendix B.4 (polynomial,
test vectors); the masking of a stored checksum is that of leveldb's util/crc32c.h.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from converters.model.arrays import Array

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_ONES = 0xFFFFFFFF
_LANE = 1024
"""Bytes of a lane: as many steps in Python for each chunk."""
_CHUNK = 64 << 20
"""Bytes taken at once, so that memory stays small."""


def masked(data: memoryview | bytes) -> int:
    """The checksum of bytes as TensorFlow stores it."""
    return mask(crc32c(data))


def mask(value: int) -> int:
    """A checksum as it is stored, so that a checksum of bytes that hold one is no simple number."""
    return ((value >> 15 | value << 17) + _MASK_DELTA) & _ONES


def crc32c(data: memoryview | bytes, before: int = 0) -> int:
    """The checksum of bytes, those of the checksum `before` in front of them."""
    value = before ^ _ONES
    whole = np.frombuffer(data, np.uint8)
    for start in range(0, len(whole), _CHUNK):
        value = _chunk(whole[start : start + _CHUNK], value)
    return value ^ _ONES


def _chunk(data: Array, value: int) -> int:
    """The register after these bytes: the lanes first, what is left of them byte by byte."""
    lanes = 1 << max((len(data) // _LANE).bit_length() - 1, 0) if len(data) >= _LANE else 0
    if lanes:
        value = _lanes(data[: lanes * _LANE].reshape(lanes, _LANE), value)
        rest = data[lanes * _LANE :]
        return _chunk(rest, value) if len(rest) >= _LANE else _bytewise(rest, value)
    return _bytewise(data, value)


def _bytewise(data: Array, value: int) -> int:
    table = _plain_table()
    for byte in data.tolist():
        value = table[(value ^ byte) & 255] ^ value >> 8
    return value


def _lanes(data: Array, value: int) -> int:
    """The register after a power of two of equal lanes: each from zero but for the first, joined in pairs."""
    table, registers = _table(), np.zeros(len(data), np.uint32)
    registers[0] = value
    for column in np.ascontiguousarray(data.T):
        registers = table[(registers ^ column) & 255] ^ registers >> np.uint32(8)
    step = _LANE
    while len(registers) > 1:
        registers = _shifted(registers[::2], step) ^ registers[1::2]
        step *= 2
    return int(registers[0])


@cache
def _table() -> Array:
    """The register after one byte of each value."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> np.uint32(1) ^ np.uint32(_POLYNOMIAL), values >> np.uint32(1))
    return values


@cache
def _plain_table() -> list[int]:
    return [int(value) for value in _table()]


def _shifted(registers: Array, count: int) -> Array:
    """Registers after so many bytes of zeros, by a table for each of their own bytes."""
    found = np.zeros_like(registers)
    for number, table in enumerate(_shift(count)):
        found ^= table[registers >> np.uint32(8 * number) & np.uint32(255)]
    return found


@cache
def _shift(count: int) -> tuple[Array, ...]:
    """What a power of two of zero bytes makes of each byte of a register."""
    if count == 1:
        values = np.arange(256, dtype=np.uint32)
        each = [values << np.uint32(8 * number) for number in range(4)]
        return tuple(_table()[value & np.uint32(255)] ^ value >> np.uint32(8) for value in each)
    half = count // 2
    return tuple(_shifted(table, half) for table in _shift(half))
