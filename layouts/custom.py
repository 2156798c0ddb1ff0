"""Arrays that are no view of any pattern: a permutation of elements and its inverse, written as code.

A contract test proves on `arange` that each is a permutation and that `pack` inverts `unpack`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class BlockBuffers(NamedTuple):
    """Each gate's block keeps the row-major buffer of a (unit, input) matrix under the shape (input, unit).

    So the legacy CuDNN layers of Keras store their input kernel (input, gates × units): a block is reshaped, not
    transposed. Source: the weight conversion in Keras's own HDF5 loader, run both ways in the tests.
    """

    pattern: str = "(gate unit) input -> input_weight"
    stored: str = "input (gate unit) -> input_weight"

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape after `unpack` of an array of this shape; its own inverse."""
        return shape[::-1]

    def unpack(self, array: np.ndarray[Any, Any], gates: int) -> np.ndarray[Any, Any]:
        """(input, gates × units) as stored -> (gates × units, input)."""
        inputs, columns = array.shape
        return array.reshape(inputs, gates, columns // gates).swapaxes(0, 1).reshape(columns, inputs)

    def pack(self, array: np.ndarray[Any, Any], gates: int) -> np.ndarray[Any, Any]:
        """(gates × units, input) -> (input, gates × units) as stored."""
        columns, inputs = array.shape
        return array.reshape(gates, inputs, columns // gates).swapaxes(0, 1).reshape(inputs, columns)


class ReshapedMap(NamedTuple):
    """A map (place, …, out) whose row-major buffer is read as (out, place, …): reshaped, not transposed.

    So Keras adds the bias of a locally connected layer that has its channels first. Source: `bias_add` of its backends,
    run in the tests. `unpack` gives the axes in the opposite order of the stored ones.
    """

    pattern: str
    stored: str

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape after `unpack` of an array of this shape; its own inverse."""
        return shape[::-1]

    def unpack(self, array: np.ndarray[Any, Any], gates: int) -> np.ndarray[Any, Any]:
        """(place, …, out) as stored -> (out, …, place)."""
        read = array.reshape(array.shape[-1], *array.shape[:-1])
        return read.transpose(0, *range(read.ndim - 1, 0, -1))

    def pack(self, array: np.ndarray[Any, Any], gates: int) -> np.ndarray[Any, Any]:
        """(out, …, place) -> (place, …, out) as stored."""
        return array.transpose(0, *range(array.ndim - 1, 0, -1)).reshape(array.shape[::-1])
