"""Constants that a Core ML program keeps compressed, as the arrays that it makes of them before it runs.

An operation `constexpr_…` expands numbers of few bits by a scale, or by a table, or puts those that are not zero in
their places. Its arguments are attributes, since iOS 18 inputs, which may be made by another such operation. Nothing
is expanded before it is read. Source: `decompress` of these operations in coremltools, ops.defs.iOS16 and iOS18.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.coreml.operation import Operation
from converters.readers.coreml.values import Constant, unpacked
from layouts.errors import ShapeError, UnknownLayer, UnsafeCheckpoint, printable
from layouts.records import dataclass

PREFIX = "constexpr_"
_MOST_TIMES = 64
"""How many times as many bytes the numbers may become: 1 bit of a table of 64-bit numbers."""
_DAMAGED = (ValueError, IndexError, ZeroDivisionError, OverflowError)
"""What NumPy and Python raise where sizes and indices do not belong together."""
Given = Mapping[str, Constant]


@dataclass(frozen=True, eq=False)
class Made:
    """A constant that is worked out when it is read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[], Array]

    @property
    def is_floating(self) -> bool:
        """Whether these are numbers with a fraction."""
        return self.dtype.kind == "f"

    def texts(self) -> list[str]:
        """The texts of a constant of texts: this is none."""
        return []

    def array(self) -> LazyArray:
        """The numbers."""
        return LazyArray(self.name, self.shape, self.dtype, self._read)

    def numbers(self) -> list[Any]:
        """The numbers of a small constant."""
        found: list[Any] = self._read().reshape(-1).tolist()
        return found

    def _read(self) -> Array:
        try:
            found = self.make()
        except _DAMAGED as error:
            raise ShapeError(f"{printable(self.name)}: its compressed numbers do not make {self.shape}") from error
        if found.shape != self.shape:
            raise ShapeError(f"{printable(self.name)}: its compressed numbers make {found.shape}, not {self.shape}")
        return found.astype(self.dtype, copy=False)


def expanded(one: Operation, given: Given) -> dict[str, Constant]:
    """What an operation makes, by the names of its outputs; none where it is not known. Raises `UnsafeCheckpoint`."""
    make = _KINDS.get(one.kind.removeprefix(PREFIX))
    if make is None or not one.kind.startswith(PREFIX):
        return {}
    try:
        made = make(one.outputs[0] if one.outputs else one.name, given)
    except KeyError as error:
        raise UnknownLayer(f"{printable(one.name)}: {printable(one.kind)} has no constant {error}") from error
    except _DAMAGED as error:
        raise ShapeError(f"{printable(one.name)}: the sizes of its compressed numbers do not fit") from error
    stored = sum(math.prod(constant.shape) for constant in given.values())
    if any(math.prod(each.shape) > _MOST_TIMES * stored for each in made):
        raise UnsafeCheckpoint(f"{printable(one.name)}: {stored} numbers are described as {made[-1].shape}")
    return dict(zip(one.outputs, made, strict=False))


def _read(given: Given, name: str) -> Array:
    return given[name].array().read()


def _shape(given: Given) -> tuple[int, ...]:
    return tuple(int(size) for size in given["shape"].numbers())


def _scaled(name: str, given: Given) -> list[Made]:
    """scale × (data - zero point), along one axis."""
    data, scale = given["quantized_data"], given["scale"]

    def make() -> Array:
        numbers, factor = _read(given, "quantized_data").astype(np.float64), _read(given, "scale")
        zero = _read(given, "zero_point").astype(np.float64) if "zero_point" in given else np.zeros(())
        axis = int(given["axis"].numbers()[0]) if "axis" in given else 0
        if not 0 <= axis < max(numbers.ndim, 1):
            raise ValueError(axis)
        along = [1] * axis + [-1] + [1] * (numbers.ndim - axis - 1)
        zeros, factors = (each.reshape(along) if each.ndim else each for each in (zero, factor.astype(np.float64)))
        found: Array = (numbers - zeros) * factors
        return found

    return [Made(name, data.shape, scale.array().dtype, make)]


def _looked_up(name: str, given: Given) -> list[Made]:
    """A table of 2ⁿ numbers, looked up by indices of n bits, packed in bytes."""
    shape, table = _shape(given), given["lut"]

    def make() -> Array:
        own = _read(given, "lut").reshape(-1)
        bits = max(len(own) - 1, 1).bit_length()
        found: Array = own[unpacked(_read(given, "indices"), bits, math.prod(shape))].reshape(shape)
        return found

    return [Made(name, shape, table.array().dtype, make)]


def _spread(name: str, given: Given) -> list[Made]:
    """Numbers in the places of a mask, of a bit each, packed in bytes or an array; zeros between them."""
    packed = "shape" in given
    shape = _shape(given) if packed else given["mask"].shape

    def make() -> Array:
        mask = _read(given, "mask")
        mask = unpacked(mask, 1, math.prod(shape)).reshape(shape) if packed else mask
        return _placed(_read(given, "nonzero_data"), mask)

    return [Made(name, shape, given["nonzero_data"].array().dtype, make)]


def _cast(name: str, given: Given) -> list[Made]:
    """Halves as floats."""
    kind = given["output_dtype"].texts()
    if kind != ["fp32"]:
        raise UnknownLayer(f"{printable(name)} is cast to {printable(' '.join(kind))}, which is not read")
    source = given["source_val"]
    return [Made(name, source.shape, np.dtype(np.float32), lambda: source.array().read())]


def _scaled_in_blocks(name: str, given: Given) -> list[Made]:
    """scale × (data - offset), with a scale for each block."""
    return [Made(name, given["data"].shape, given["scale"].array().dtype, lambda: _of_blocks(given, "data"))]


def _of_blocks(given: Given, name: str, data: Array | None = None) -> Array:
    numbers = (_read(given, name) if data is None else data).astype(np.float64)
    offset = _repeated(_read(given, "offset"), numbers.shape) if "offset" in given else np.zeros(())
    found: Array = (numbers - offset) * _repeated(_read(given, "scale"), numbers.shape)
    return found


def _repeated(blocks: Array, shape: Sequence[int]) -> Array:
    """Every number of a grid of blocks for each element of its block."""
    for axis, size in enumerate(shape):
        blocks = np.repeat(blocks, size // blocks.shape[axis], axis)
    return blocks.astype(np.float64)


def _looked_up_in_blocks(name: str, given: Given) -> list[Made]:
    """A table for each block, of numbers, or of vectors that stand along one axis."""
    shape = _widened(given["indices"].shape, given)
    return [Made(name, shape, given["lut"].array().dtype, lambda: _of_tables(_read(given, "indices"), given))]


def _widened(shape: tuple[int, ...], given: Given) -> tuple[int, ...]:
    """The shape of what indices of this shape become: longer along the axis of vectors."""
    if "vector_axis" not in given:
        return shape
    axis = int(given["vector_axis"].numbers()[0]) % max(len(shape), 1)
    return tuple(size * given["lut"].shape[-1] ** (axis == k) for k, size in enumerate(shape))


def _of_tables(indices: Array, given: Given) -> Array:
    tables = _read(given, "lut")
    blocks = [size // tables.shape[axis] for axis, size in enumerate(indices.shape)]
    places = np.meshgrid(*(np.arange(n) // b for n, b in zip(indices.shape, blocks, strict=True)), indexing="ij")
    found: Array = tables[(*places, indices)]
    if "vector_axis" not in given:
        return found[..., 0]
    axis = int(given["vector_axis"].numbers()[0]) % indices.ndim
    return np.moveaxis(found, -1, axis + 1).reshape(_widened(indices.shape, given))


def _looked_up_apart(name: str, given: Given) -> list[Made]:
    """The mask, and the numbers in its places, of a table."""
    mask, few = given["indices_mask"], given["indices_nonzero_data"]
    wide = _widened(mask.shape, given)
    times = math.prod(wide) // max(math.prod(mask.shape), 1)

    def whole() -> Array:
        axis = int(given["vector_axis"].numbers()[0]) if times > 1 else 0
        return np.repeat(_read(given, "indices_mask"), times, axis)

    def make() -> Array:
        indices = _placed(_read(given, "indices_nonzero_data"), _read(given, "indices_mask"))
        found: Array = _of_tables(indices, given)[whole() != 0]
        return found

    count = (few.shape[0] * times,)
    return [Made(f"{name}_mask", wide, mask.array().dtype, whole), Made(name, count, given["lut"].array().dtype, make)]


def _scaled_apart(name: str, given: Given) -> list[Made]:
    """The mask, and the numbers in its places, scaled in blocks."""
    mask, few = given["data_mask"], given["nonzero_data"]

    def make() -> Array:
        places = _read(given, "data_mask")
        found: Array = _of_blocks(given, "", _placed(_read(given, "nonzero_data"), places))[places != 0]
        return found

    dtype = given["scale"].array().dtype
    whole = Made(f"{name}_mask", mask.shape, mask.array().dtype, lambda: mask.array().read())
    return [whole, Made(name, few.shape, dtype, make)]


def _placed(numbers: Array, mask: Array) -> Array:
    places = mask != 0
    if numbers.shape != (int(places.sum()),):
        raise ValueError(numbers.shape)
    found = np.zeros(mask.shape, numbers.dtype)
    found[places] = numbers
    return found


_KINDS: Mapping[str, Callable[[str, Given], list[Made]]] = {
    "affine_dequantize": _scaled,
    "lut_to_dense": lambda name, given: (_looked_up if "shape" in given else _looked_up_in_blocks)(name, given),
    "sparse_to_dense": _spread,
    "cast": _cast,
    "blockwise_shift_scale": _scaled_in_blocks,
    "lut_to_sparse": _looked_up_apart,
    "sparse_blockwise_shift_scale": _scaled_apart,
}
