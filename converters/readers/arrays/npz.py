"""NumPy's `.npz`: a zip archive with one `.npy` an array. Stored members are mapped where they stand.

An array's name is that of its member without `.npy`; '/' or '.' in it separate layers. Nothing is unpickled: arrays of
objects, and of structures, are refused by their headers. A header is parsed within bounds, and what it declares has to
be exactly what follows it.
"""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.checkpoint import Checkpoint
from converters.readers.archives import Archive
from converters.readers.arrays.mapping import stated_framework
from converters.readers.arrays.named import Named, checkpoint_of
from converters.readers.opened import Opened, Request
from converters.readers.source import Source
from layouts.errors import ShapeError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_SUFFIX = ".npy"
_MOST_HEADER = 10_000
_MOST_AXES = 32
_DEFLATED = 1032
"""The most that deflate makes of one byte: a member that claims more is a lie."""

_PARSERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_FAULTS = (
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    RecursionError,
    MemoryError,
    OverflowError,
    tokenize.TokenError,
)
"""What NumPy's parser of a header raises on nonsense."""


def read_npz(opened: Opened, request: Request) -> Checkpoint:
    """The layers of the arrays of an `.npz` file. Raises `ConversionError` where no framework is stated."""
    whose = stated_framework(request.framework, "an .npz file")
    return checkpoint_of(Named(opened.path, arrays_in(opened), {}, whose), "arrays (.npz)", request)


def arrays_in(opened: Opened) -> dict[str, LazyArray]:
    """The arrays of an `.npz` file by their names. Raises `UnreadableCheckpoint` where it is no archive."""
    archive = opened.archive
    if archive is None:
        raise UnreadableCheckpoint("this is no .npz file: no zip archive", path=opened.path)
    return {name.removesuffix(_SUFFIX): _array(opened.source, archive, name) for name in archive.members}


def _array(source: Source, archive: Archive, member: str) -> LazyArray:
    """One member as a lazy array: its header now, its data and its checksum when asked."""
    info = archive.members[member]
    name = member.removesuffix(_SUFFIX)
    shape, fortran, dtype, start = header(archive.head(member, _MOST_HEADER + 64), name, source.path)
    wanted = start + math.prod(shape) * dtype.itemsize
    if info.file_size != wanted:
        raise UnsafeCheckpoint(
            f"{printable(name)}: its header declares {wanted} bytes, and {info.file_size} are stored", path=source.path
        )
    if info.compress_type == zipfile.ZIP_DEFLATED and info.file_size > _DEFLATED * info.compress_size + 64:
        raise UnsafeCheckpoint(f"{printable(name)} claims more bytes than its own can hold", path=source.path)

    def read() -> Array:
        data = archive.read(member, wanted)
        assert data is not None, member
        flat = np.frombuffer(data.view[start:], dtype) if math.prod(shape) else np.empty(0, dtype)
        array = flat.reshape(shape, order="F" if fortran else "C")
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))

    return LazyArray(name, shape, dtype.newbyteorder("="), read, source.release)


class Header(NamedTuple):
    """What a header of NumPy says: shape, whether columns come first, dtype, and where the data start."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    start: int


def header(head: bytes, name: str, path: str, unnamed: int = 0) -> Header:
    """The header at the start of these bytes, checked; `unnamed` is the size of words that may go without a type."""
    file = io.BytesIO(head)
    try:
        parser = _PARSERS[np.lib.format.read_magic(file)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = parser(file, max_header_size=_MOST_HEADER)
    except _FAULTS:
        raise UnreadableCheckpoint(f"{printable(name)}: its header is not one of NumPy's", path=path) from None
    if len(shape) > _MOST_AXES or not all(type(size) is int and size >= 0 for size in shape):
        raise UnsafeCheckpoint(f"{printable(name)}: its header declares an impossible shape", path=path)
    if dtype.hasobject:
        raise UnsafeCheckpoint(f"{printable(name)} holds Python objects, which are never loaded", path=path)
    is_word = dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == unnamed
    if not (unnamed and is_word) and (dtype.kind == "V" or dtype.subdtype is not None or not dtype.itemsize):
        lost = ": NumPy does not store the name of bfloat16; save float32" if dtype.itemsize == 2 else ""
        raise ShapeError(
            f"{printable(name)} holds {printable(dtype)}, which are no numbers{lost}", path=path, array=name
        )
    return Header(shape, fortran, dtype, file.tell())
