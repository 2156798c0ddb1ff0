"""ONNX files of every making are read with their exact values; their bulk stays in the file; protobuf is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hostile
import ml_dtypes
import numpy as np
import onnx
import pytest
from conftest import ROOT
from hostile.onnx_data import with_external
from hostile.onnx_models import field, model, sound_onnx, varint, weights
from onnx import TensorProto, helper, numpy_helper
from test_files import converted, expected, same_bits

import converters
from converters.readers.onnx.file.model import Model, from_memory, open_model
from converters.readers.protobuf import as_varint, fields
from converters.readers.source import Source, open_source
from layouts.errors import CheckpointError, UnreadableCheckpoint

DTYPES = {"onnx_float64": "float64", "onnx_float16": "float16", "onnx_bfloat16": ml_dtypes.bfloat16}
NUMBERS = sorted(set(range(1, 27)) - {8, 14, 15})
"""Every data type of ONNX but text, complex numbers and those of six bits."""
COUNTS = (0, 1, 7, 3000)
"""Few enough to stay in the message, and enough to be taken out of it; odd, so that packed types end in half a byte."""


@pytest.mark.parametrize("build", hostile.SOUND_ONNX, ids=lambda build: build.__name__)
def test_a_sound_file_is_read_exactly(build: Any, tmp_path: Path) -> None:
    kind = np.dtype(DTYPES.get(build.__name__, np.float32))
    same_bits(converted(build(tmp_path), tmp_path), {name: array.astype(kind) for name, array in expected().items()})


def holding(*tensors: TensorProto) -> Model:
    """A model of these tensors, through the bytes of a file."""
    found = model(stored={})
    found.graph.initializer.extend(tensors)
    return from_memory(found)


def sample(code: int, count: int) -> np.ndarray[Any, Any]:
    """Numbers of every size that a type has."""
    chance, kind = np.random.default_rng(code), np.dtype(helper.tensor_dtype_to_np_dtype(code))
    bits = {21: (0, 16), 22: (-8, 8), 25: (0, 4), 26: (-2, 2), 9: (0, 2)}.get(code)
    if bits:
        return chance.integers(*bits, count).astype(kind)
    if kind.kind in "iu":
        return chance.integers(np.iinfo(kind).min, np.iinfo(kind).max, count, dtype=kind, endpoint=True)
    return chance.standard_normal(count).astype(kind)


def same_array(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes() and not found.flags.writeable


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("code", NUMBERS)
def test_every_type_is_read_from_raw_data(code: int, count: int) -> None:
    wanted = sample(code, count)
    found = holding(numpy_helper.from_array(wanted, "x"))
    same_array(found.tensor(found.proto.graph.initializer[0]).read(), wanted)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("code", NUMBERS)
def test_every_type_is_read_from_its_typed_field(code: int, count: int) -> None:
    wanted = sample(code, count)
    found = holding(helper.make_tensor("x", code, [count], wanted.tolist()))
    same_array(found.tensor(found.proto.graph.initializer[0]).read(), wanted)


def test_bulk_stays_in_the_file(tmp_path: Path) -> None:
    large = np.arange(1 << 20, dtype=np.float32)
    path = tmp_path / "model.onnx"
    path.write_bytes(model(stored=weights() | {"large": large}).SerializeToString())
    found = open_model(open_source(path))
    array = found.tensor(found.proto.graph.initializer[-1]).read()
    assert len(found.proto.SerializeToString()) < 2000 < found.stored() == path.stat().st_size
    assert np.shares_memory(array, np.frombuffer(found.source.view, np.uint8))
    same_array(array, large)


def test_external_data_is_counted_once(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    found = open_model(open_source(path))
    for _ in range(3):
        found.tensor(found.proto.graph.initializer[0])
    assert found.stored() == path.stat().st_size + 240


def test_a_model_in_memory_needs_its_data(tmp_path: Path) -> None:
    path = with_external(tmp_path)
    found = from_memory(onnx.load(path, load_external_data=False))
    with pytest.raises(UnreadableCheckpoint, match="no folder"):
        found.tensor(found.proto.graph.initializer[0])
    loaded = from_memory(onnx.load(path))
    same_array(loaded.tensor(loaded.proto.graph.initializer[0]).read(), weights()["W"])


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = sound_onnx(tmp_path).read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(converters.CheckpointError):
            converters.convert(path)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**31, 2**63, 2**64 - 1])
def test_a_number_is_read_as_it_is_written(number: int) -> None:
    content = field(3, number)
    assert as_varint(number) == varint(number)
    assert [*fields(memoryview(content), 0, len(content))] == [(3, 0, 0, 1, len(content))]


@pytest.mark.parametrize("content", [b"\x0a", b"\x0a\x02a", b"\x09123", b"\x0b", b"\x00", b"\x80" * 11, b"\x08"])
def test_what_is_no_protobuf_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableCheckpoint, match="damaged or truncated"):
        list(fields(memoryview(content), 0, len(content)))


def test_the_structure_is_what_the_onnx_package_reads() -> None:
    """Every real and every made file has the same nodes and the same tensors when read through the walk."""
    paths = sorted((ROOT / "fixtures").glob("onnx*/*/*.onnx"))
    assert paths
    for path in paths:
        found, whole = open_model(open_source(path)), onnx.load(path, load_external_data=False)
        assert [(one.op_type, [*one.input], [*one.output]) for one in found.proto.graph.node] == [
            (one.op_type, [*one.input], [*one.output]) for one in whole.graph.node
        ]
        for ours, theirs in zip(found.proto.graph.initializer, whole.graph.initializer, strict=True):
            same_array(found.tensor(ours).read(), numpy_helper.to_array(theirs, str(path.parent)))


def test_memory_that_holds_no_model_is_refused() -> None:
    with pytest.raises(CheckpointError):
        open_model(Source("nothing", memoryview(b"")))
