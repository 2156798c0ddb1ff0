"""Where a file of HDF5 begins: at the start, or behind a block of bytes of its user's own.

Source: HDF5 File Format Specification, version 3.0, II.A (the superblock).
"""

from __future__ import annotations

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USERBLOCKS = (0, *(512 << k for k in range(8)))
"""Where the signature may stand."""
_BASE = {b"\0": 24, b"\1": 28}
"""Version of a superblock -> where its base address stands."""
_BASE_LATER = 12
"""The same since version 2."""


def beginning(view: memoryview) -> int | None:
    """Where the signature stands; None where it does not."""
    return next((start for start in _USERBLOCKS if view[start : start + 8] == _SIGNATURE), None)


def base_address(view: memoryview, start: int) -> int:
    """Where the file says that it begins, by the superblock at `start`."""
    at = start + _BASE.get(bytes(view[start + 8 : start + 9]), _BASE_LATER)
    return int.from_bytes(view[at : at + 8], "little")
