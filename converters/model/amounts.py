"""Numbers of bytes as people write them."""

from __future__ import annotations

import re

from layouts.errors import ConversionError, printable

_UNITS = {
    "": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([A-Z]*)")


def size_of(text: int | str, what: str) -> int:
    """Bytes: '2GB' is 2 × 10⁹, '2GiB' 2 × 2³⁰, a number itself. Raises `ConversionError` for anything else."""
    found = _SIZE.fullmatch(str(text).strip().upper())
    if found is None or found[2] not in _UNITS or not (size := int(float(found[1]) * _UNITS[found[2]])):
        raise ConversionError(f"{what}={printable(text)}: a size is a number with MB, GB, MiB or GiB")
    return size
