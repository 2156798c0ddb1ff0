"""Messages of a model as we read them against the classes of the onnx package, and types of attributes against its
schemas."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import onnx
import pytest
from conftest import ROOT
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import defs

import converters
from converters.readers.onnx.file import attributes, messages
from converters.readers.onnx.file.messages import Message, as_onnx, copied, declared, model_message
from converters.readers.onnx.file.skeleton import skeleton
from layouts.errors import CheckpointError

MODELS = sorted(ROOT.glob("fixtures/onnx*/*/*.onnx"))


def differences(message: Any, own: Any, kind: str, at: str = "") -> Iterator[str]:
    """Every declared field of a message that is not what the onnx package says, at any depth."""
    for field in declared(kind).values():
        ours, theirs, place = getattr(message, field.name), getattr(own, field.name), f"{at}.{field.name}"
        if not field.repeated and message.HasField(field.name) != own.HasField(field.name):
            yield f"{place}: there, or not"
        pairs = (
            list(zip(ours, theirs, strict=True)) if field.repeated and len(ours) == len(theirs) else [(ours, theirs)]
        )
        for one, other in pairs:
            if field.is_message and isinstance(one, Message):
                if field.repeated or own.HasField(field.name):
                    yield from differences(one, other, field.holds, place)
            elif repr(one) != repr(other):
                yield f"{place}: {one!r} is not {other!r}"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}/{path.stem}")
def test_a_model_is_read_as_the_onnx_package_reads_it(path: Path) -> None:
    content = skeleton(memoryview(path.read_bytes()))
    message, own = model_message(content), onnx.ModelProto.FromString(content)
    assert list(differences(message, own, "ModelProto")) == []
    assert as_onnx(message) == own
    assert [as_onnx(node) for node in message.graph.node] == list(own.graph.node)


def test_damaged_models_are_read_as_the_onnx_package_reads_them_or_refused() -> None:
    """Damage to bytes of the structure alone, so that much of it still parses."""
    read = 0
    for path in MODELS[::3]:
        content = skeleton(memoryview(path.read_bytes()))
        for seed in range(12):
            chance, damaged = random.Random(f"{path.name} {seed}"), bytearray(content)
            for _ in range(chance.randint(1, 3)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                kept = skeleton(memoryview(bytes(damaged)))
                own = onnx.ModelProto.FromString(kept)
            except (CheckpointError, DecodeError):
                continue
            found = [one for one in differences(model_message(kept), own, "ModelProto") if not _is_closed(one)]
            assert found == [], (path, seed)
            read += 1
    assert read > 100


def _is_closed(difference: str) -> bool:
    """Protobuf reads a number that its enumeration does not have as if it were absent; we refuse it where it counts."""
    return ".attribute.type:" in difference or ".data_location:" in difference


@given(
    st.builds(
        onnx.TensorProto,
        name=st.text(max_size=9),
        dims=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=4),
        data_type=st.integers(-(1 << 31), (1 << 31) - 1),
        float_data=st.lists(st.floats(width=32), max_size=4),
        int32_data=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=4),
        int64_data=st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=4),
        uint64_data=st.lists(st.integers(0, (1 << 64) - 1), max_size=4),
        double_data=st.lists(st.floats(), max_size=4),
        raw_data=st.binary(max_size=9),
    )
)
def test_numbers_of_every_field_are_exact(tensor: onnx.TensorProto) -> None:
    content = tensor.SerializeToString()
    message = Message("TensorProto", memoryview(content), 0, len(content))
    assert list(differences(message, tensor, "TensorProto")) == []


def test_what_stands_twice_is_what_protobuf_makes_of_it() -> None:
    """A message that stands twice is both together, a number is the last, and of two of a kind the last stays."""
    graph = onnx.GraphProto(name="a", node=[onnx.NodeProto(op_type="Relu")])
    other = onnx.GraphProto(name="b", node=[onnx.NodeProto(op_type="Tanh")])
    first, second = onnx.ModelProto(ir_version=3, graph=graph), onnx.ModelProto(ir_version=8, graph=other)
    content = first.SerializeToString() + second.SerializeToString()
    message = model_message(content)
    assert list(differences(message, onnx.ModelProto.FromString(content), "ModelProto")) == []
    assert [node.op_type for node in message.graph.node] == ["Relu", "Tanh"] and message.ir_version == 8
    open_size, fixed = (onnx.TensorShapeProto.Dimension(**kind) for kind in ({"dim_param": "n"}, {"dim_value": 7}))
    for pair in ((open_size, fixed), (fixed, open_size)):
        content = b"".join(one.SerializeToString() for one in pair)
        dimension = Message("TensorShapeProto.Dimension", memoryview(content), 0, len(content))
        assert list(differences(dimension, onnx.TensorShapeProto.Dimension.FromString(content), dimension._kind)) == []


@pytest.mark.parametrize("kind", messages._DECLARED)
def test_declared_fields_are_those_of_the_package(kind: str) -> None:
    own = attrgetter(kind)(onnx)
    known = {field.number: field.name for field in own.DESCRIPTOR.fields}
    assert {number: field.name for number, field in declared(kind).items()}.items() <= known.items()


def test_a_copy_can_be_changed_and_a_message_cannot_be_asked_for_what_is_not_read() -> None:
    message = model_message(onnx.ModelProto(ir_version=8, producer_name="somebody").SerializeToString())
    copy = copied(message)
    copy.ir_version = 9
    again = copied(copy)
    again.ir_version = 7
    assert (message.ir_version, copy.ir_version, again.ir_version) == (8, 9, 7)
    with pytest.raises(AttributeError, match="no field 'doc_string'"):
        assert message.doc_string


def test_usual_types_of_attributes_are_those_of_every_operator() -> None:
    """Nothing that we call usual is of another type in any version of any operator from 6 on."""
    usual, asked, told = attributes._usual(), 0, 0
    for schema in defs.get_all_schemas_with_history():
        if schema.domain or _ended(schema.name, schema.since_version):
            continue
        for name, attribute in schema.attributes.items():
            kind = usual.get(name, usual.get(f"{schema.name}.{name}"))
            assert kind in (None, attribute.type.value), (schema.name, schema.since_version, name)
            asked, told = asked + (kind is None), told + (kind is not None)
    assert asked < told / 20


def _ended(op: str, since: int) -> bool:
    """Whether a version of an operator is one that no model of opset 6 or later has."""
    try:
        return since < 6 and defs.get_schema(op, attributes._SETTLED, "").since_version != since
    except defs.SchemaError:
        return since < 6


def test_a_network_that_cannot_be_read_is_told_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are converted without a word of it; what shows or builds the network says why there is none."""
    path = ROOT / "fixtures" / "onnx_torch" / "lstm" / "model.onnx"
    monkeypatch.setattr("converters.readers.onnx.network.whole._MOST_NODES", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converters.convert_file(path, tmp_path / "out.safetensors")
    assert "could not be read" in str(converters.read(path)) and "could not be read" in str(converters.plan(path))
    with pytest.raises(converters.NotRepresentable, match="could not be read"):
        converters.build(path)
    with pytest.raises(converters.NotRepresentable, match="could not be read"):
        converters.convert_file(path, tmp_path / "out.onnx")
