"""Dtypes that files name, as NumPy's; those that NumPy has not are of ml_dtypes, imported when a file needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from converters.model.arrays import bfloat16


def _float8(name: str) -> Callable[[], np.dtype[Any]]:
    def found() -> np.dtype[Any]:
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return kind

    return found


def _plain(text: str) -> Callable[[], np.dtype[Any]]:
    return lambda: np.dtype(text)


DTYPES: Mapping[str, Callable[[], np.dtype[Any]]] = {
    "float64": _plain("<f8"),
    "float32": _plain("<f4"),
    "float16": _plain("<f2"),
    "bfloat16": bfloat16,
    "float8_e4m3fn": _float8("float8_e4m3fn"),
    "float8_e5m2": _float8("float8_e5m2"),
    "float8_e4m3fnuz": _float8("float8_e4m3fnuz"),
    "float8_e5m2fnuz": _float8("float8_e5m2fnuz"),
    "int64": _plain("<i8"),
    "int32": _plain("<i4"),
    "int16": _plain("<i2"),
    "int8": _plain("i1"),
    "uint64": _plain("<u8"),
    "uint32": _plain("<u4"),
    "uint16": _plain("<u2"),
    "uint8": _plain("u1"),
    "bool": _plain("?"),
    "complex64": _plain("<c8"),
    "complex128": _plain("<c16"),
}
"""By the names that PyTorch has for them."""
