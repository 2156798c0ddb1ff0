"""A pickled dictionary of arrays: Paddle's `.pdparams`, and what users of Haiku, Flax and others pickle themselves.

Paddle writes a dictionary of arrays by name, or nested ones, in which a tensor is ("name", array); and beside them
`StructuredToParameterName@@`, which maps the same names to those of parameters. Arrays of more than a gigabyte may be
cut into slices, which `UnpackBigParamInfor@@` describes. Source: `save` and `_unpack_saved_dict` in
paddle/framework/io.py and io_utils.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.arrays.mapping import stated_framework
from converters.readers.arrays.named import Named, checkpoint_of
from converters.readers.opened import Opened, Request
from converters.readers.pickled import machine
from converters.readers.pickled.known import ARRAYS
from converters.readers.pickled.numpy_arrays import NumpyArray
from converters.readers.pickled.paddle import classes
from converters.readers.source import Source
from layouts.errors import CheckpointError, ConversionError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_PARAMETERS = "StructuredToParameterName@@"
_SLICES = "UnpackBigParamInfor@@"
_PADDLE = "paddle"
_DEEPEST = 32
_MOST_ARRAYS = 100_000
_MOST_TIMES = 16
_LOOKED_AT = 16
"""How many entries of a list are looked at to tell whether it holds arrays."""


def read(opened: Opened, request: Request) -> Checkpoint:
    """The layers of a pickled dictionary. Raises `CheckpointError` and its kinds."""
    value, end = machine.load(opened.source.view, ARRAYS)
    if end != len(opened.source):
        raise UnsafeCheckpoint(f"{len(opened.source) - end} bytes follow the pickle")
    if not isinstance(value, dict):
        raise CheckpointError("the pickle holds no dictionary of arrays by name")
    is_paddle = isinstance(value.get(_PARAMETERS), dict) or _holds_tensors(value)
    if is_paddle and request.framework not in (None, _PADDLE):
        raise ConversionError(f"this file tells itself whose arrays it holds: {_PADDLE}")
    slices = value.pop(_SLICES, {})
    parameters = value.pop(_PARAMETERS, {})
    flat = _Flat(opened.source)
    flat.add(value)
    arrays = _whole(flat.arrays, slices) if slices else flat.arrays
    _bound(arrays, len(opened.source))
    whose = _PADDLE if is_paddle else stated_framework(request.framework, "a pickled dictionary of arrays")
    told = classes({**flat.parameters, **parameters}) if isinstance(parameters, dict) else {}
    found = Named(opened.path, arrays, {}, whose, tuple(flat.others), told=told)
    return checkpoint_of(found, "pickled arrays", Request(whose, request.assume))


def _holds_tensors(value: Mapping[Any, Any]) -> bool:
    """Whether an entry, or one of an entry's, is a tensor as Paddle alone writes it: ("linear_0.w_0", array)."""
    within = (one for inner in value.values() if isinstance(inner, dict) for one in inner.values())
    return any(_named_array(one) is not None for one in islice(chain(value.values(), within), _MOST_ARRAYS))


def _named_array(item: Any) -> NumpyArray | None:
    match item:
        case (str(), NumpyArray() as array):
            return array
    return None


class _Flat:
    """The entries of nested dictionaries by full name: arrays, their own names, and the names of what is no array."""

    def __init__(self, source: Source) -> None:
        self.arrays: dict[str, LazyArray] = {}
        self.others: list[str] = []
        self.parameters: dict[str, str] = {}
        self._source, self._count = source, 0

    def add(self, value: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> None:
        """Every entry of a dictionary, and of those in it. Raises `UnsafeCheckpoint` where they are too many."""
        self._count += len(value)
        if depth > _DEEPEST or self._count > _MOST_ARRAYS:
            raise UnsafeCheckpoint("the dictionaries of the pickle are nested too deeply, or hold too many arrays")
        for key, item in value.items():
            array = _named_array(item)
            self.parameters |= {f"{prefix}{key}": item[0]} if array is not None else {}
            self._one(f"{prefix}{key}", array or item, depth)

    def _one(self, name: str, item: Any, depth: int) -> None:
        if isinstance(item, dict):
            self.add(item, f"{name}/", depth + 1)
        elif isinstance(item, NumpyArray) and item.is_numbers:
            if name in self.arrays:
                raise UnsafeCheckpoint(f"{printable(name)} stands twice in the pickle")
            self.arrays[name] = item.lazy(name, self._source)
        elif isinstance(item, tuple | list) and any(isinstance(part, NumpyArray | dict) for part in item[:_LOOKED_AT]):
            self.add({str(k): part for k, part in enumerate(item[:_MOST_ARRAYS])}, f"{name}/", depth + 1)
        else:
            self.others.append(name)


def _bound(arrays: Mapping[str, LazyArray], stored: int) -> None:
    wanted = sum(array.size * array.dtype.itemsize for array in arrays.values())
    if len(arrays) > _MOST_ARRAYS or wanted > _MOST_TIMES * stored:
        raise UnsafeCheckpoint(f"{stored} stored bytes are described as {len(arrays)} arrays of {wanted} bytes")
    if not arrays:
        raise CheckpointError("the pickle holds no arrays")


def _whole(arrays: Mapping[str, LazyArray], slices: Any) -> dict[str, LazyArray]:
    """The arrays, those that were cut into slices whole again: (shape, the names of the slices) by name."""
    found = dict(arrays)
    for name, described in slices.items() if isinstance(slices, dict) else ():
        match described:
            case {"OriginShape": tuple() as shape, "slices": list() as parts} if all(part in found for part in parts):
                found[name] = _joined(name, shape, [found.pop(part) for part in parts])
            case _:
                raise UnreadableCheckpoint(f"{printable(name)} is cut into slices that are not all in the file")
    return found


def _joined(name: str, shape: tuple[int, ...], parts: list[LazyArray]) -> LazyArray:
    """One array of the slices of its elements."""
    if not parts or sum(part.size for part in parts) != int(np.prod(shape, dtype=object)):
        raise UnsafeCheckpoint(f"{printable(name)}: its slices do not make its shape")

    def read() -> Array:
        whole: Array = np.concatenate([part.read().reshape(-1) for part in parts]).reshape(shape)
        return whole

    return LazyArray(name, shape, parts[0].dtype, read, parts[0].release)
