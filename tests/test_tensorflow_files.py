"""TensorFlow's files: which of several is given, what a graph tells, what is left out, and what bytes they may have."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from hostile import tensorflow as built

import converters
from converters import ConversionError, UnreadableCheckpoint
from converters.readers.crc32c import crc32c, masked
from converters.readers.protobuf import varint
from converters.readers.source import open_source
from converters.readers.tensorflow import slices, snappy
from converters.readers.tensorflow.bundle import read_bundle

FIXTURES = ROOT / "fixtures"
GRAPH = FIXTURES / "tensorflow1" / "graph" / "graph.ckpt.index"
FORMATS = FIXTURES / "tensorflow1" / "formats"
SAVED = FIXTURES / "tensorflow2" / "saved_model" / "model"


# --- checksums, compression, keys

VECTORS = [
    pytest.param(b"123456789", 0xE3069283, id="digits"),
    pytest.param(b"\0" * 32, 0x8A9136AA, id="zeros"),
    pytest.param(b"\xff" * 32, 0x62A8AB43, id="ones"),
    pytest.param(bytes(range(32)), 0x46DD794E, id="ascending"),
]


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_a_checksum_is_that_of_the_standard(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 4096, 5000, 70_001])
def test_a_checksum_in_lanes_is_that_byte_by_byte(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert masked(data) == built.checksum(data)
    assert crc32c(data[size // 3 :], crc32c(data[: size // 3])) == crc32c(data)


def test_a_compressed_block_is_unpacked() -> None:
    """Literals, and copies of each width, one of them over itself."""
    packed = b"\x14" + b"\x0cabcd" + b"\x09\x04" + b"\x16\x01\x00" + b"\x0f\x04\0\0\0"
    length, _ = varint(memoryview(packed), 0, len(packed))
    assert snappy.unpacked(memoryview(packed), 100) == b"abcd" + b"abcdab" + b"bbbbbb" + b"bbbb" and length == 20


KEYS = [((0, -1),), ((0, 4), (0, 3)), ((7, 3), (0, 3)), ((63, 64), (8191, 8192)), ((1 << 40, -1), (-65, 1))]


def test_the_keys_of_parts_sort_as_their_places() -> None:
    """Longer numbers begin with more bits, so that bytes sort as numbers do."""
    values = [-(1 << 40), -8193, -65, -64, -1, 0, 1, 63, 64, 8191, 8192, 1 << 20, 1 << 40]
    keys = [slices.key("v", ((value, 0),)) for value in values]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)


def test_a_key_is_the_one_that_tensorflow_writes() -> None:
    assert slices.key("p", ((4, 3), (0, 3))) == b"\x00p\x00\x01\x01\x02\x84\x83\x80\x83"
    assert slices.key("a/kernel", ((0, -1), (0, -1))) == b"\x00a/kernel\x00\x01\x01\x02\x80\x7f\x80\x7f"


# --- which file is given


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00001", ".meta", "checkpoint", "folder"])
def test_any_file_of_a_checkpoint_leads_to_it(end: str, tmp_path: Path) -> None:
    for file in GRAPH.parent.glob("graph.ckpt.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/graph.ckpt"\n')
    path = {"folder": tmp_path, "checkpoint": tmp_path / "checkpoint"}.get(end, tmp_path / f"graph.ckpt{end}")
    found, whole = converters.read(path), converters.read(GRAPH)
    assert [layer.path for layer in found.layers] == [layer.path for layer in whole.layers]


@pytest.mark.parametrize("given", ["saved_model.pb", "keras_metadata.pb", "variables", "variables/variables.index"])
def test_any_file_of_a_saved_model_leads_to_it(given: str) -> None:
    found = converters.read(SAVED / given)
    assert found.container == "SavedModel" and found.graph is not None


@pytest.mark.parametrize("build", built.SOUND)
def test_what_hostile_files_start_from_is_sound(build: Any, tmp_path: Path) -> None:
    with pytest.warns(converters.ConversionWarning):
        tensors = converters.convert(build(tmp_path))
    assert torch.equal(next(t for k, t in tensors.items() if k.endswith("weight")), torch.arange(1.0, 7).view(3, 2).T)


def test_an_index_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = built.sound_bundle(tmp_path).read_bytes()
    for length in range(1, len(whole), 7):
        (tmp_path / "model.ckpt.index").write_bytes(whole[:length])
        with pytest.raises(UnreadableCheckpoint):
            converters.read(tmp_path / "model.ckpt.index")


def test_every_changed_byte_of_an_index_is_found(tmp_path: Path) -> None:
    """But in the padding of its end, which nothing reads."""
    path = built.sound_bundle(tmp_path)
    whole = path.read_bytes()
    for place in itertools.chain(range(len(whole) - 48), range(len(whole) - 8, len(whole))):
        changed = bytearray(whole)
        changed[place] ^= 0x20
        path.write_bytes(bytes(changed))
        with pytest.raises(ConversionError):
            converters.convert(path)


# --- what a graph tells


def constants(**assume: Any) -> dict[str, float]:
    layers = converters.read(GRAPH, assume=assume).layers
    return {layer.path: part.constants["forget_bias"] for layer in layers for part in layer.parts if part.constants}


def test_offsets_are_those_of_the_graph() -> None:
    expected = {"encoder/basic_lstm_cell": 0.25, "second/mine": 0.0, "fifth/lstm_cell": 0.5, "sixth/lstm_cell": 1.0}
    assert constants() == expected
    assert constants(**{"second.mine.forget_bias": "0"}) == expected


def test_nobody_may_state_another_offset_than_the_graph() -> None:
    with pytest.raises(ConversionError, match=r"forget_bias': '1.0'.*the source tells forget_bias=0.25 of encoder"):
        constants(forget_bias=1.0)


def test_a_damaged_graph_is_said_and_nothing_is_taken_from_it(tmp_path: Path) -> None:
    for file in GRAPH.parent.glob("graph.ckpt.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "graph.ckpt.meta").write_bytes(b"\x12\xff\xff\xff\x7f")
    found = converters.read(tmp_path / "graph.ckpt")
    assert any("the graph beside it could not be read" in remark for remark in found.remarks)
    assert not any(part.constants for layer in found.layers for part in layer.parts)


def test_a_clipped_cell_has_a_drop_in_and_no_module_of_torch() -> None:
    with pytest.raises(converters.NotRepresentable, match=r"cell_clip.*dropins=True"):
        converters.convert(GRAPH)
    plan = converters.plan(GRAPH, dropins=True)
    assert any("cell_clip=0.5" in module.constructor for module in plan.modules)


# --- names in memory


def arrays(path: str, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"{path}/{name}": np.ones(shape, "f4") for name, shape in shapes.items()}


LSTM = arrays("rnn/basic_lstm_cell", kernel=(8, 20), bias=(20,))


def test_slots_shadows_and_counters_are_left_out_of_a_mapping() -> None:
    others = {f"rnn/basic_lstm_cell/kernel/{slot}": np.ones((8, 20), "f4") for slot in ("Adam", "Adam_1", "Momentum")}
    scoped = {"train/rnn/basic_lstm_cell/bias/RMSProp": np.ones(20, "f4")}
    counters = {"beta1_power": np.float32(0.9), "global_step": np.int64(7), "Variable": np.float32(1e-3)}
    found = converters.read(LSTM | others | scoped | counters, framework="tensorflow")
    assert [layer.path for layer in found.layers] == ["rnn/basic_lstm_cell"]
    assert {*found.unused} == {*others, *scoped, *counters}


KERAS = arrays("lstm", kernel=(3, 20), recurrent_kernel=(5, 20), bias=(20,))


def test_gates_of_keras_in_a_checkpoint_without_version_are_a_question(tmp_path: Path) -> None:
    path = built.bundle(tmp_path, built.entries_of(KERAS), b"".join(KERAS[n].tobytes() for n in sorted(KERAS)))
    with pytest.raises(converters.UnknownLayer, match=r"State which: assume=\{'lstm.recurrent_activation': 'hard_sig"):
        converters.convert(path)
    stated = converters.read(path, assume={"lstm.recurrent_activation": "sigmoid"})
    assert stated.layer("lstm").parts[0].recurrence.recurrent_activation == "sigmoid"


def test_names_with_the_number_of_an_output_are_the_same() -> None:
    """As `{v.name: session.run(v) for v in variables}` has them."""
    numbered = {f"{name}:0": array for name, array in LSTM.items()} | {"rnn/basic_lstm_cell/bias/Adam:0": np.ones(20)}
    found = converters.read(numbered, framework="tensorflow")
    assert found.layer("rnn/basic_lstm_cell").class_name == "BasicLSTMCell"
    assert found.unused == ("rnn/basic_lstm_cell/bias/Adam",)


def test_a_slot_without_its_variable_is_no_slot() -> None:
    found = converters.read({"other/kernel/Adam": np.ones((8, 20), "f4")}, framework="tensorflow")
    assert not found.unused and found.layers[0].unknown is not None


def test_a_scalar_that_may_be_a_weight_is_not_dropped() -> None:
    found = converters.read(LSTM | {"gain": np.float32(2)}, framework="tensorflow")
    assert any(layer.unknown and "gain" in str(layer.unknown) for layer in found.layers)


def test_a_users_own_layer_is_dense_where_cells_are_named_after_their_class() -> None:
    found = converters.read(LSTM | arrays("logits", kernel=(128, 64), bias=(64,)), framework="tensorflow")
    assert found.layer("logits").class_name == "Dense"
    alone = converters.read(arrays("logits", kernel=(128, 64), bias=(64,)), framework="tensorflow")
    assert "fit several layers" in str(alone.layer("logits").unknown)


def test_partitions_are_read_as_one(tmp_path: Path) -> None:
    whole = read_bundle(open_source(FORMATS / "parts.ckpt.index")).arrays["rnnlm/rnn/basic_lstm_cell/kernel"]
    assert whole.shape == (8, 20) and whole.read().shape == (8, 20)
    for file in FORMATS.glob("parts.ckpt.*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "parts.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(len(data.read_bytes())))
    with pytest.raises(UnreadableCheckpoint, match="the checksum of"):
        read_bundle(open_source(tmp_path / "parts.ckpt.index")).arrays["rnnlm/rnn/basic_lstm_cell/kernel"].read()
