"""Compressed constants and loops of Core ML: what does not fit is refused, and little data does not become much."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import converters
from converters.readers.coreml.compressed import Made, expanded
from converters.readers.coreml.operation import Operation
from converters.readers.coreml.values import unpacked
from converters.readers.message import Message
from layouts.errors import ShapeError, UnknownLayer, UnsafeCheckpoint

Array = np.ndarray[Any, Any]


def constant(array: Any) -> Made:
    found = np.asarray(array)
    return Made("c", found.shape, found.dtype, lambda: found)


def make(kind: str, **given: Any) -> list[Array]:
    operation = Operation(f"constexpr_{kind}", "op", {}, {}, ("a", "b"), Message(memoryview(b"")))
    return [each.array().read() for each in expanded(operation, {n: constant(v) for n, v in given.items()}).values()]


def bits(*numbers: int) -> Array:
    return np.array(numbers, np.uint8)


def test_numbers_of_few_bits_stand_from_the_lowest_bit_on() -> None:
    assert unpacked(bits(0b11_01_00_10, 0b01), 2, 5).tolist() == [2, 0, 1, 3, 1]
    assert unpacked(bits(0xF7), 4, 2, signed=True).tolist() == [7, -1]
    with pytest.raises(ValueError, match="6"):
        unpacked(bits(1), 2, 6)


def test_tables_of_blocks_give_vectors_along_an_axis() -> None:
    table = np.arange(12, dtype="f4").reshape(2, 1, 2, 3)
    (found,) = make("lut_to_dense", indices=bits(1, 0).reshape(2, 1), lut=table, vector_axis=1)
    assert found.tolist() == [[3, 4, 5], [6, 7, 8]]


def test_a_mask_without_numbers_for_its_places_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"do not make \(3,\)"):
        make("sparse_to_dense", nonzero_data=np.ones(1, "f4"), mask=bits(1, 0, 1))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("affine_dequantize", {"quantized_data": np.ones((2, 3), "i1"), "scale": np.ones(2, "f4"), "axis": 1 << 31}),
        ("affine_dequantize", {"quantized_data": np.ones((2, 3), "i1"), "scale": np.ones(5, "f4"), "axis": 0}),
        ("lut_to_dense", {"indices": bits(255), "lut": np.ones(3, "f4"), "shape": [4]}),
        ("lut_to_dense", {"indices": bits(255), "lut": np.ones(4, "f4"), "shape": [40]}),
        ("blockwise_shift_scale", {"data": np.ones((2, 3), "i1"), "scale": np.ones((0, 1), "f4")}),
    ],
)
def test_sizes_that_do_not_belong_together_are_refused(kind: str, given: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        make(kind, **given)


def test_a_shape_far_beyond_what_is_stored_is_refused_before_anything_is_made() -> None:
    with pytest.raises(UnsafeCheckpoint, match="numbers are described as"):
        make("sparse_to_dense", nonzero_data=np.ones(1, "f4"), mask=bits(1), shape=[1 << 20, 1 << 20])


def test_an_argument_that_is_no_constant_is_named() -> None:
    with pytest.raises(UnknownLayer, match="has no constant 'scale'"):
        make("affine_dequantize", quantized_data=np.ones(3, "i1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [(-1.0, -0.5), (-1.0, 1.0)],
    ids=["half of z is taken away", "z is added"],
)
def test_a_loop_that_computes_another_thing_is_no_gru(old: float, new: float, tmp_path: Path) -> None:
    """The body of the loop has 1 - z as -1 × z + 1: with another factor nothing of it is a GRU."""
    content = (ROOT / "fixtures/coreml/loop/gru.mlmodel").read_bytes()
    factor, other = (b"\x2a\x05\x0d" + struct.pack("<f", value) for value in (old, new))
    assert content.count(factor) == 3
    path = tmp_path / "gru.mlmodel"
    path.write_bytes(content.replace(factor, other))
    found = converters.plan(path)
    assert len(found.problems) == 3
    assert all("it is not recognised as a layer" in str(problem) for problem in found.problems)
