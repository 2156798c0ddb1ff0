"""Arrays for the inputs of a graph, out of files: NumPy's `.npz`, or one `.npy` or `.pb` (an ONNX TensorProto) each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable

import numpy as np

from converters.model.arrays import Array
from converters.readers.arrays.npz import arrays_in, header
from converters.readers.onnx.file.messages import model_message, tensor_message
from converters.readers.onnx.file.model import Model
from converters.readers.onnx.file.skeleton import skeleton
from converters.readers.opened import Opened
from converters.readers.source import Source, open_source
from layouts.errors import ConversionError, UnreadableCheckpoint, UnsafeCheckpoint, printable

_MOST_HEADER = 20_000


def given_arrays(stated: Iterable[str]) -> dict[str, Array]:
    """Arrays by the names of inputs. Stated: `FILE.npz`, `NAME=FILE.npy`, `NAME=FILE.pb`, or `FILE.pb` by its own name.

    Raises `ConversionError` for a name that is given twice and a file of another kind, `CheckpointError` for damage.
    """
    found: dict[str, Array] = {}
    for text in stated:
        for name, array in _arrays(text).items():
            if name in found:
                raise ConversionError(f"the weights of {printable(name)} are given twice")
            found[name] = array
    return found


def _arrays(text: str) -> dict[str, Array]:
    name, equals, path = ("", "", text) if os.path.exists(text) else text.partition("=")
    path = path if equals or not name else name
    name = name if equals else ""
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".npz" and not name:
        opened = Opened(open_source(path))
        return {key: array.read() for key, array in arrays_in(opened).items()}
    if suffix == ".npy" and name:
        return {name: _plain(open_source(path), name)}
    if suffix == ".pb":
        own, array = _tensor(open_source(path))
        if not (name or own):
            raise ConversionError(f"{printable(path)} names no input: state NAME={printable(path)}")
        return {name or own: array}
    raise ConversionError(
        f"{printable(text)}: expected weights of inputs as FILE.npz, NAME=FILE.npy, NAME=FILE.pb or FILE.pb"
    )


def _plain(source: Source, name: str) -> Array:
    """The array of an `.npy` file, whose header has to declare exactly what follows it."""
    shape, fortran, dtype, start = header(bytes(source.view[:_MOST_HEADER]), name, source.path)
    if len(source.view) != start + math.prod(shape) * dtype.itemsize:
        raise UnsafeCheckpoint(f"{printable(name)}: its header declares another size than is stored", path=source.path)
    array = np.frombuffer(source.view[start:], dtype) if math.prod(shape) else np.empty(0, dtype)
    return array.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="))


def _tensor(source: Source) -> tuple[str, Array]:
    """The name and the numbers of a TensorProto, as the data sets of ONNX's node tests hold them."""
    try:
        proto = tensor_message(skeleton(source.view, "TensorProto"))
    except UnreadableCheckpoint:
        raise UnreadableCheckpoint("this is no TensorProto of ONNX", path=source.path) from None
    return proto.name, np.array(Model(source.path, model_message(b""), source).tensor(proto).read())
