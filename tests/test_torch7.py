"""Files of Torch7, written here by its public format: modules in containers, views of storages, functions."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converters
from converters import ConversionError, NotRepresentable


class Thing:
    """An object of a class of Lua."""

    def __init__(self, name: str, **fields: Any) -> None:
        self.name, self.fields = name, fields


class Writer:
    """The binary serialization of Torch7."""

    def __init__(self) -> None:
        self.data, self.count = b"", 0

    def index(self) -> None:
        self.count += 1
        self.data += struct.pack("<i", self.count)

    def text(self, word: str) -> None:
        self.data += struct.pack("<i", len(word)) + word.encode()

    def write(self, value: Any) -> Writer:
        if value is None:
            self.data += struct.pack("<i", 0)
        elif isinstance(value, int | float):
            self.data += struct.pack("<id", 1, value)
        elif isinstance(value, str):
            self.data += struct.pack("<i", 2)
            self.text(value)
        elif isinstance(value, dict):
            self.data += struct.pack("<i", 3)
            self.index()
            self.data += struct.pack("<i", len(value))
            for key, inner in value.items():
                self.write(key).write(inner)
        elif isinstance(value, bytes):
            self.data += struct.pack("<i", 8)
            self.index()
            self.data += struct.pack("<i", len(value)) + value
            self.write(None)
        else:
            self.data += struct.pack("<i", 4)
            self.index()
            self.text("V 1")
            self.thing(value)
        return self

    def thing(self, value: Any) -> None:
        if isinstance(value, Thing):
            self.text(value.name)
            self.write(value.fields)
            return
        self.text("torch.FloatTensor")
        strides = [stride // 4 for stride in value.strides]
        self.data += struct.pack(f"<i{2 * value.ndim}qq", value.ndim, *value.shape, *strides, 3)
        self.data += struct.pack("<i", 4)
        self.index()
        self.text("V 1")
        self.text("torch.FloatStorage")
        base = value if value.flags.c_contiguous else value.T
        self.data += struct.pack("<q", value.size + 2) + bytes(8) + base.tobytes()


def z(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype("f4")


def linear(outputs: int, inputs: int, bias: bool = True) -> Thing:
    own = {"weight": z(outputs, inputs), "gradWeight": z(outputs, inputs)}
    return Thing("nn.Linear", **own, bias=z(outputs)) if bias else Thing("nn.LinearNoBias", **own)


FAST = Thing("nn.FastLSTM", i2g=linear(20, 3), o2g=linear(20, 5, bias=False), f=b"code")
SEQUENCE = Thing("nn.SeqLSTM", weight=z(8, 20), bias=z(20), h0=z(2, 5))
GATES = Thing("nn.GRU", i2g=linear(10, 3), o2g=linear(10, 5, bias=False))
GATES.fields["recurrentModule"] = Thing("nn.Sequential", modules={1: linear(5, 3), 2: linear(5, 5, bias=False)})
SEQ_GRU = Thing("nn.SeqGRU", weight=z(8, 15), bias=z(15))
TURNED = Thing("nn.Linear", weight=z(5, 2).T, bias=z(2))


def saved(folder: Path, value: Any) -> Path:
    path = folder / "net.t7"
    path.write_bytes(Writer().write(value).data)
    return path


def convert(path: Path, **options: Any) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        return converters.convert(path, dropins=True, **options)


def test_modules_in_containers_are_found_and_every_block_is_in_its_place(tmp_path: Path) -> None:
    modules = {1: Thing("nn.Sequencer", module=FAST), 2: SEQUENCE, 3: GATES, 4: SEQ_GRU, 5: TURNED}
    found = convert(saved(tmp_path, {"model": Thing("nn.Sequential", modules=modules), "epoch": 7}))
    gates = np.split(FAST.fields["i2g"].fields["weight"], 4)
    rows = np.concatenate([gates["igfo".index(gate)] for gate in "ifgo"])
    assert np.array_equal(found["model.0.module.weight_ih_l0"], rows)
    whole = SEQUENCE.fields["weight"]
    blocks = np.split(whole[3:], 4, axis=1)
    assert np.array_equal(found["model.1.weight_hh_l0"], np.concatenate([blocks["ifog".index(g)].T for g in "ifgo"]))
    inner = GATES.fields["recurrentModule"].fields["modules"]
    assert np.array_equal(found["model.2.weight_hh_l0"][10:], inner[2].fields["weight"])
    assert np.array_equal(found["model.2.weight_ih_l0"][10:], inner[1].fields["weight"])
    assert np.array_equal(found["model.3.weight_ih_l0"], SEQ_GRU.fields["weight"][:3].T)
    assert np.array_equal(found["model.4.weight"], TURNED.fields["weight"])


def test_it_is_said_that_nothing_was_compared_with_torch7(tmp_path: Path) -> None:
    with pytest.warns(converters.ConversionWarning, match="nothing was compared with what Torch7 computes"):
        converters.convert(saved(tmp_path, linear(2, 3)))


def test_shared_weights_are_one_layer(tmp_path: Path) -> None:
    shared = linear(2, 3)
    writer = Writer()
    writer.write({1: shared})
    assert len(converters.read(saved(tmp_path, {"a": shared, "b": 1})).layers) == 1


def test_a_tensor_beside_the_modules_is_named(tmp_path: Path) -> None:
    assert converters.read(saved(tmp_path, {"model": linear(2, 3), "mean": z(4)})).unused == ("mean",)


def test_an_lstm_with_peepholes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRepresentable, match="peepholes as modules of their own"):
        convert(saved(tmp_path, Thing("nn.LSTM", inputGate=linear(5, 3))))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {1: value}
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nested(400), "nested too deeply"),
        ({1: 2}, "no module with weights"),
        ({"w": z(2, 2)}, "no module with weights"),
    ],
)
def test_what_is_no_model_is_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=message):
        convert(saved(tmp_path, value))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (struct.pack("<2q", 2, 3), struct.pack("<2q", 2, 1 << 40), "reaches out of its storage"),
        (struct.pack("<2q", 3, 1), struct.pack("<2q", 1 << 40, 1), "reaches out of its storage"),
        (struct.pack("<2q", 3, 1), struct.pack("<2q", -3, 1), "reaches out of its storage"),
        (struct.pack("<q", 8) + bytes(8), struct.pack("<q", 1 << 40) + bytes(8), "elements are claimed"),
        (b"weight", b"w\0ight", "w\\0ight|no module"),
    ],
)
def test_a_tensor_that_lies_is_refused(old: bytes, new: bytes, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path, Thing("nn.Linear", weight=z(2, 3)))
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(ConversionError, match=message):
        convert(path)


def test_a_file_that_is_cut_is_refused_and_other_bytes_raise_nothing_of_their_own(tmp_path: Path) -> None:
    path = saved(tmp_path, Thing("nn.Sequential", modules={1: FAST, 2: GATES}))
    content, rng = path.read_bytes(), np.random.default_rng(3)
    for length in range(1, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ConversionError):
            convert(path)
    for _ in range(100):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            changed[place] = int(rng.integers(256))
        path.write_bytes(changed)
        try:
            convert(path, strict=False)
        except ConversionError as error:
            assert str(error)
