"""Paddle's `.pdparams`: a pickle, written by hand, of a dictionary of arrays by name, as `paddle.save` makes it.

Nothing here pickles an object: every opcode of an array stands in `_head` and `_TAIL`, and its bytes go into their
place in the file. `StructuredToParameterName@@` maps the same names to those of parameters. A recurrent layer has each
of its arrays under two names, of which the second refers to the first: see `layouts.frameworks.paddle`. Protocol 4,
which holds arrays of any size. Source: the comments on opcodes in CPython's Lib/pickletools.py, `ndarray.__reduce__`,
and `_build_saved_state_dict` in paddle/framework/io.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from converters.planning.modules import Module, Tensor
from converters.planning.plan import Plan
from converters.writers.in_place import InPlace, reserve
from layouts.errors import ConversionError, printable

_TYPES = {
    "float64": "f8", "float32": "f4", "float16": "f2", "int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1",
    "uint8": "u1", "bool": "b1",
}  # fmt: skip
_NAMES = "StructuredToParameterName@@"
_START, _MARK, _TUPLE, _CALL, _BUILD, _STOP = b"\x80\x04", b"(", b"t", b"R", b"b", b"."
_DICTIONARY, _ITEMS, _NONE, _TRUE, _FALSE = b"}", b"u", b"N", b"\x88", b"\x89"
_TAIL = _TUPLE + _BUILD
"""What follows the bytes of an array: its state is complete, and goes into it."""
_OF_LAYER = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


def open_pdparams(path: Path, plan: Plan) -> InPlace:
    """The file with all but the numbers. Raises `ConversionError` for a dtype that Paddle does not keep in it."""
    places: dict[str, int] = {}
    names: list[str] = []
    with path.open("rb+") as file:
        file.write(_START + _DICTIONARY + _MARK)
        for module in plan.modules:
            for tensor in module.tensors:
                file.write(_text(tensor.key) + _head(tensor))
                places[tensor.key] = file.tell()
                file.seek(tensor.nbytes, os.SEEK_CUR)
                own = [tensor.key, *_second_names(module, tensor)]
                file.write(_TAIL + _kept(len(places)) + b"".join(_text(name) + _again(len(places)) for name in own[1:]))
                names += own
        table = b"".join(_text(name) * 2 for name in names)
        file.write(_text(_NAMES) + _DICTIONARY + _MARK + table + _ITEMS + _ITEMS + _STOP)
        size = file.tell()
    reserve(path, size)
    return InPlace(path, places, [tensor.nbytes for tensor in plan.tensors])


def _second_names(module: Module, tensor: Tensor) -> Iterator[str]:
    """The name of an array of a recurrent layer under its cell."""
    found = _OF_LAYER.fullmatch(tensor.name)
    if found and module.layout:
        kind, side, layer, backward = found.groups()
        both = any(other.name.endswith("_reverse") for other in module.tensors)
        cell = ("cell_bw" if backward else "cell_fw") if both else "cell"
        yield f"{tensor.key.removesuffix(tensor.name)}{layer}.{cell}.{kind}_{side}"


def _head(tensor: Tensor) -> bytes:
    """An empty array, and its state up to its bytes: version, shape, dtype, whether columns come first."""
    kind = _TYPES.get(tensor.dtype.name)
    if kind is None:
        raise ConversionError(
            f"{printable(tensor.key)}: a .pdparams file has no dtype {tensor.dtype}; choose one with dtype="
        )
    arguments = _global("numpy", "ndarray") + _numbers([0]) + _bytes(1) + b"b"
    made = _global("numpy.core.multiarray", "_reconstruct") + _MARK + arguments + _TUPLE + _CALL
    state = _number(1) + _numbers(tensor.shape) + _dtype(kind) + _FALSE + _bytes(tensor.nbytes)
    return made + _MARK + state


def _dtype(kind: str) -> bytes:
    """A dtype, and its state: version, order of bytes, no fields, no size or alignment of its own, no flags."""
    order = "|" if kind.endswith("1") else "<"
    made = _global("numpy", "dtype") + _MARK + _text(kind) + _FALSE + _TRUE + _TUPLE + _CALL
    state = _number(3) + _text(order) + 3 * _NONE + _number(-1) + _number(-1) + _number(0)
    return made + _MARK + state + _TUPLE + _BUILD


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _bytes(count: int) -> bytes:
    """What stands before so many bytes."""
    return b"\x8e" + count.to_bytes(8, "little")


def _number(value: int) -> bytes:
    """A number of four bytes, or where it takes more of nine."""
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + value.to_bytes(4, "little", signed=True)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def _numbers(values: Sequence[int]) -> bytes:
    return _MARK + b"".join(map(_number, values)) + _TUPLE


def _kept(number: int) -> bytes:
    """Remember what was made last under a number."""
    return b"r" + number.to_bytes(4, "little")


def _again(number: int) -> bytes:
    """What was remembered under a number."""
    return b"j" + number.to_bytes(4, "little")
