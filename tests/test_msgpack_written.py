"""Flax's msgpack: what is written is what our own reader, which real files of Flax prove, reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import converters
from layouts.errors import ConversionError

RNG = np.random.default_rng(7)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def test_variables_are_read_back_as_they_were(tmp_path: Path) -> None:
    source = ROOT / "fixtures/keras2/lstm_sigmoid/model.h5"
    converters.convert_file(source, tmp_path / "model.msgpack")
    arrays = converters.convert(source, to="flax")
    back = converters.convert(tmp_path / "model.msgpack", framework="flax", to="flax")
    assert arrays.keys() == back.keys()
    assert all(np.array_equal(arrays[name], back[name]) for name in arrays)


def test_statistics_stand_in_a_collection_of_their_own(tmp_path: Path) -> None:
    norm = {"gamma": numbers(5), "beta": numbers(5), "moving_mean": numbers(5), "moving_variance": numbers(5) ** 2}
    converters.convert_file({f"norm/{k}": v for k, v in norm.items()}, tmp_path / "m.msgpack", framework="keras")
    content = (tmp_path / "m.msgpack").read_bytes()
    assert content.index(b"params") < content.index(b"scale") < content.index(b"batch_stats") < content.index(b"mean")
    back = converters.convert(tmp_path / "m.msgpack", framework="flax", to="keras")
    assert all(np.array_equal(back[f"norm/{name}"], array) for name, array in norm.items())


def test_the_bytes_are_those_that_msgpack_reads(tmp_path: Path) -> None:
    msgpack = pytest.importorskip("msgpack")
    converters.convert_file({"dense/kernel": numbers(3, 5)}, tmp_path / "m.msgpack", framework="keras")
    tree = msgpack.unpackb(
        (tmp_path / "m.msgpack").read_bytes(), ext_hook=lambda kind, data: (kind, msgpack.unpackb(data))
    )
    kind, (shape, dtype, data) = tree["params"]["dense"]["kernel"]
    assert (kind, shape, dtype, len(data)) == (1, [3, 5], "float32", 60)


def test_an_array_cannot_stand_where_a_layer_does(tmp_path: Path) -> None:
    arrays = {"a/kernel": numbers(3, 5), "a/kernel/kernel": numbers(3, 5)}
    with pytest.raises(ConversionError):
        converters.convert_file(arrays, tmp_path / "m.msgpack", framework="keras")
    assert list(tmp_path.iterdir()) == []
