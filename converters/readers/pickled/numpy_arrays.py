"""NumPy's arrays in a pickle: dtypes, arrays and scalars, as records over the bytes that are stored.

How NumPy pickles them (`ndarray.__reduce__`, `dtype.__reduce__`): an empty array that is given its state, (version,
shape, dtype, is_fortran, bytes); from protocol 5 on `_frombuffer(bytes, dtype, shape, order)`; a scalar is a dtype and
bytes. With protocol 2, bytes are text of one character a byte, for `_codecs.encode(text, "latin1")`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray, bfloat16
from converters.readers.pickled.records import Arguments, Global, sizes
from converters.readers.source import Source
from layouts.errors import ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass

_NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16)")
_DAMAGED = "the pickle is damaged: what it builds is no array of NumPy"


@dataclass(eq=False)
class Kind:
    """A dtype that is being built; `dtype` is None for objects, texts, dates and structures."""

    text: str
    dtype: np.dtype[Any] | None

    def build(self, state: Any) -> None:
        """Its state tells the order of bytes, and the fields of a structure."""
        if not isinstance(state, tuple) or len(state) < 5:
            raise UnreadableCheckpoint(_DAMAGED)
        _, order, *inner = state[:5]
        if self.dtype is None or any(part is not None for part in inner) or order not in ("<", ">", "=", "|"):
            self.dtype = None
        elif order in "<>" and self.dtype.itemsize > 1 and self.dtype.kind != "V":
            self.dtype = self.dtype.newbyteorder(order)


@dataclass(eq=False)
class NumpyArray:
    """An array under construction: without its state it is nothing."""

    shape: tuple[int, ...] = ()
    kind: Kind | None = None
    fortran: bool = False
    data: Any = None

    def build(self, state: Any) -> None:
        """(version, shape, dtype, is_fortran, bytes); old ones have no version."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise UnreadableCheckpoint(_DAMAGED)
        shape, kind, fortran, data = state[-4:]
        own = sizes(shape)
        if own is None or not isinstance(kind, Kind) or not isinstance(fortran, bool | int):
            raise UnreadableCheckpoint(_DAMAGED)
        self.shape, self.kind, self.fortran, self.data = own, kind, bool(fortran), data

    @property
    def is_numbers(self) -> bool:
        return self.kind is not None and self.kind.dtype is not None

    @property
    def is_bytes(self) -> bool:
        """Whether it is one row of bytes, all of which are there."""
        kind = self.kind.dtype if self.kind is not None else None
        return kind == np.uint8 and isinstance(self.data, memoryview | str) and self.shape == (len(self.data),)

    def lazy(self, name: str, source: Source) -> LazyArray:
        """The array over its bytes. Raises `ShapeError` for no numbers, `UnsafeCheckpoint` for a false size."""
        dtype = self.kind.dtype if self.kind else None
        if dtype is None:
            what = printable(self.kind.text) if self.kind else "nothing"
            raise ShapeError(f"{printable(name)} holds {what}, which are no numbers", path=source.path, array=name)
        data, wanted = self.data, math.prod(self.shape) * dtype.itemsize
        stored = len(data) if isinstance(data, memoryview | str) else 0
        if stored != wanted:
            raise UnsafeCheckpoint(
                f"{printable(name)}: {wanted} bytes are declared, and {stored} are stored", path=source.path
            )
        shape, order, native = self.shape, "F" if self.fortran else "C", dtype.newbyteorder("=")

        def read() -> Array:
            flat = np.frombuffer(as_bytes(data), dtype) if wanted else np.empty(0, dtype)
            array = flat.reshape(shape, order="F" if order == "F" else "C")
            return array if dtype.isnative else array.astype(native)

        return LazyArray(name, shape, native, read, source.release)


@dataclass(eq=False)
class FollowedArray(NumpyArray):
    """An array as joblib writes it: its state tells what it is, and its bytes follow in the file.

    From joblib 1.2 on a byte before them counts those that align them. Source: NumpyArrayWrapper in numpy_pickle.py.
    """

    aligned: bool = False

    def build(self, state: Any) -> None:
        """A dictionary of subclass, shape, order, dtype, and how it is aligned."""
        match state:
            case {"subclass": Global(name="ndarray"), "shape": shape, "order": "C" | "F" as order, "dtype": kind}:
                super().build((shape, kind, order == "F", None))
                self.aligned = state.get("numpy_array_alignment_bytes") is not None
            case _:
                raise UnreadableCheckpoint(_DAMAGED)

    def follow(self, take: Callable[[int], memoryview]) -> None:
        """Take the bytes that follow. Raises `UnsafeCheckpoint` where they are another pickle, of objects."""
        dtype = self.kind.dtype if self.kind is not None else None
        if dtype is None:
            raise UnsafeCheckpoint("the pickle holds an array of objects, which is not read")
        if self.aligned:
            take(take(1)[0])
        self.data = take(math.prod(self.shape) * dtype.itemsize)


def as_bytes(value: memoryview | str) -> memoryview | bytes:
    """Bytes, or the text of Python 2 that they were read as, a character a byte."""
    try:
        return value.encode("latin-1") if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise UnreadableCheckpoint(_DAMAGED) from None


def _dtype(arguments: Arguments) -> Kind:
    """`numpy.dtype(text, align, copy)`, or of a type of ml_dtypes."""
    first = arguments[0] if arguments else None
    if isinstance(first, Global):
        return Kind(first.name, _SPECIAL[first.name]() if first.name in _SPECIAL else None)
    if not isinstance(first, str):
        raise UnreadableCheckpoint(_DAMAGED)
    return Kind(first, np.dtype(first) if _NUMBERS.fullmatch(first) else None)


def _float8(name: str) -> np.dtype[Any]:
    import ml_dtypes

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found


_SPECIAL: Mapping[str, Callable[[], np.dtype[Any]]] = {
    "bfloat16": bfloat16,
    "float8_e4m3fn": lambda: _float8("float8_e4m3fn"),
    "float8_e5m2": lambda: _float8("float8_e5m2"),
}


def _empty(arguments: Arguments) -> NumpyArray:
    """`_reconstruct(ndarray, (0,), b"b")`: of no other class."""
    if not arguments or not isinstance(arguments[0], Global) or arguments[0].name != "ndarray":
        raise UnsafeCheckpoint("the pickle builds an array of a class of its own, which is not read")
    return NumpyArray()


def _from_buffer(arguments: Arguments) -> NumpyArray:
    """`_frombuffer(bytes, dtype, shape, order)`."""
    if len(arguments) != 4 or arguments[3] not in ("C", "F"):
        raise UnreadableCheckpoint(_DAMAGED)
    data, kind, shape, order = arguments
    array = NumpyArray()
    array.build((shape, kind, order == "F", data))
    return array


def _scalar(arguments: Arguments) -> NumpyArray:
    """`scalar(dtype, bytes)`."""
    if len(arguments) != 2:
        raise UnreadableCheckpoint(_DAMAGED)
    array = NumpyArray()
    array.build(((), arguments[0], False, arguments[1]))
    return array


def _encode(arguments: Arguments) -> Any:
    """`_codecs.encode(text, "latin1")`: the text itself, whose characters are bytes."""
    match arguments:
        case (str() as text, "latin1" | "latin-1"):
            return text
    raise UnsafeCheckpoint("the pickle encodes text otherwise than as bytes of Python 2")


_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")

NUMPY = (
    *(Global(module, "_reconstruct", _empty) for module in _MODULES),
    *(Global(module, "scalar", _scalar) for module in _MODULES),
    *(Global(module, "_frombuffer", _from_buffer) for module in _NUMERIC),
    Global("numpy", "ndarray"),
    Global("numpy", "dtype", _dtype),
    *(Global("ml_dtypes", name) for name in _SPECIAL),
    Global("_codecs", "encode", _encode),
    Global("joblib.numpy_pickle", "NumpyArrayWrapper", lambda _: FollowedArray()),
)
"""What a pickle may name of NumPy, and of joblib for its arrays."""
