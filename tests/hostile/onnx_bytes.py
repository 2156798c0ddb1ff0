"""ONNX files whose protobuf is damaged, is something else, or has too much of everything."""

from __future__ import annotations

import random
from pathlib import Path

from onnx import helper, numpy_helper

from .cases import full, table
from .onnx_models import changed, field, model, node, varint, weights, write

HEAD = field(1, 8) + field(8, field(2, 17))
"""IR version 8, operator set 17."""


def onnx_random(folder: Path) -> Path:
    """Noise that starts as ONNX does."""
    return write(folder, field(1, 8) + random.Random(2).randbytes(100_000))


def onnx_random_after_head(folder: Path) -> Path:
    """Noise in place of the graph."""
    return write(folder, HEAD + field(7, random.Random(3).randbytes(100_000)))


def onnx_random_behind(folder: Path) -> Path:
    """Noise behind a whole model."""
    return write(folder, model().SerializeToString() + b"\x0b" + random.Random(4).randbytes(1000))


def onnx_truncated(folder: Path) -> Path:
    """A model that has lost its second half."""
    content = model().SerializeToString()
    return write(folder, content[: len(content) // 2])


def onnx_truncated_by_a_byte(folder: Path) -> Path:
    """A model that has lost its last byte."""
    return write(folder, model().SerializeToString()[:-1])


def onnx_head_alone(folder: Path) -> Path:
    """Version numbers and nothing else."""
    return write(folder, HEAD)


def onnx_two_bytes(folder: Path) -> Path:
    """The IR version alone."""
    return write(folder, field(1, 8))


def onnx_group(folder: Path) -> Path:
    """A group, which protobuf had before ONNX was there."""
    return write(folder, HEAD + field(7, varint(1 << 3 | 3) + varint(1 << 3 | 4)))


def onnx_wire_type_7(folder: Path) -> Path:
    """A wire type that does not exist."""
    return write(folder, HEAD + field(7, varint(1 << 3 | 7) + b"\0"))


def onnx_field_0(folder: Path) -> Path:
    """A field of the number 0."""
    return write(folder, HEAD + field(7, varint(2) + b"\0"))


def onnx_endless_number(folder: Path) -> Path:
    """A number whose every byte says that another follows."""
    return write(folder, HEAD + field(7, b"\xff" * 1000))


def onnx_longer_than_its_parent(folder: Path) -> Path:
    """A node that claims more bytes than its graph has."""
    return write(folder, HEAD + field(7, varint(1 << 3 | 2) + varint(1000) + b"\0" * 10) + b"\0" * 2000)


def onnx_length_of_2_to_the_63(folder: Path) -> Path:
    """A graph that claims 9 exabytes."""
    return write(folder, HEAD + varint(7 << 3 | 2) + varint(2**63) + b"\0" * 100)


def onnx_name_no_utf8(folder: Path) -> Path:
    """A node's name is no text."""
    return write(folder, HEAD + field(7, field(1, field(3, b"\xff\xfe"))))


def onnx_without_opset(folder: Path) -> Path:
    """No operator set: what the nodes mean is not known."""
    return changed(folder, lambda found: found.ClearField("opset_import"))


def onnx_opset_of_another_domain(folder: Path) -> Path:
    """The operator set of LSTM is not among those that are named."""
    return write(folder, model(opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)]))


def _opset(folder: Path, *versions: int) -> Path:
    return write(folder, model(opset_imports=[helper.make_opsetid("", version) for version in versions]))


def onnx_opset_0(folder: Path) -> Path:
    """Operator set 0."""
    return _opset(folder, 0)


def onnx_opset_9999(folder: Path) -> Path:
    """An operator set of the far future."""
    return _opset(folder, 9999)


def onnx_opset_negative(folder: Path) -> Path:
    """Operator set -1."""
    return _opset(folder, -1)


def onnx_two_opsets(folder: Path) -> Path:
    """Two versions of the same operator set."""
    return _opset(folder, 17, 7)


def onnx_ir_version_huge(folder: Path) -> Path:
    """An IR version of the far future."""
    return write(folder, model(ir_version=2**62))


def onnx_ir_version_negative(folder: Path) -> Path:
    """A negative IR version."""
    return write(folder, model(ir_version=-8))


def onnx_empty_graph(folder: Path) -> Path:
    """A graph without nodes, inputs and tensors."""
    return write(folder, HEAD + field(7, b""))


def onnx_graph_without_nodes(folder: Path) -> Path:
    """Weights that no node reads."""
    return changed(folder, lambda found: found.graph.ClearField("node"))


def onnx_tensor_alone(folder: Path) -> Path:
    """One tensor, as the test data of ONNX store them."""
    return write(folder, numpy_helper.from_array(weights()["W"], "W").SerializeToString())


def onnx_graph_of_tensorflow(folder: Path) -> Path:
    """A GraphDef: nodes of TensorFlow."""
    return write(folder, field(1, field(1, b"x") + field(2, b"Placeholder")) * 3 + field(4, field(1, 1)))


def onnx_saved_model_of_tensorflow(folder: Path) -> Path:
    """The saved_model.pb of TensorFlow."""
    return write(folder, field(1, 1) + field(2, field(1, b"") + field(2, field(1, field(1, b"x")))))


def onnx_million_nodes(folder: Path) -> Path:
    """A million empty nodes in 2 MB."""
    return write(folder, HEAD + field(7, field(1, b"") * full(1_000_000)))


def onnx_million_attributes(folder: Path) -> Path:
    """A million empty attributes of one node."""
    return write(folder, HEAD + field(7, field(1, field(4, b"LSTM") + field(5, b"") * full(1_000_000))))


def onnx_half_a_million_attributes(folder: Path) -> Path:
    """As many attributes as there may be; there is no layer beside them."""
    return write(folder, HEAD + field(7, field(1, field(4, b"LSTM") + field(5, b"") * full(500_000))))


def onnx_200000_nodes(folder: Path) -> Path:
    """As many nodes as there may be, and none of them reads what is stored."""
    one = field(1, field(1, b"X") + field(4, b"Relu"))
    content = model().SerializeToString()
    return write(folder, content + field(7, one * (full(200_000) - 2) + field(5, b"")))


def onnx_million_tensors(folder: Path) -> Path:
    """A million empty tensors."""
    return write(folder, HEAD + field(7, field(5, b"") * full(1_000_000)))


def onnx_million_inputs(folder: Path) -> Path:
    """A node that reads four million values without names."""
    return write(folder, HEAD + field(7, field(1, field(4, b"LSTM") + field(1, b"") * full(4_000_000))))


def onnx_million_operator_sets(folder: Path) -> Path:
    """A million operator sets."""
    return write(folder, field(1, 8) + field(8, field(2, 17)) * full(1_000_000) + field(7, field(1, b"")))


def onnx_million_functions(folder: Path) -> Path:
    """A million functions."""
    return write(folder, HEAD + field(25, b"") * full(1_000_000) + field(7, field(1, b"")))


def onnx_million_unknown_fields(folder: Path) -> Path:
    """Ten million fields that ONNX does not have."""
    return write(folder, HEAD + field(7, field(100, 1) * full(10_000_000)))


def onnx_million_axes(folder: Path) -> Path:
    """W has two million axes of one."""
    sizes = field(1, b"\1" * full(2_000_000))
    content = model([node()], {name: array for name, array in weights().items() if name != "W"}).SerializeToString()
    return write(folder, content + field(7, field(5, sizes + field(2, 1) + field(8, b"W") + field(9, b"\0" * 4))))


def onnx_hundred_million_integers(folder: Path) -> Path:
    """An attribute of a hundred million integers in as many bytes."""
    return write(folder, HEAD + field(7, field(1, field(4, b"LSTM") + field(5, field(8, b"\1" * full(100_000_000))))))


def onnx_subgraphs_150_deep(folder: Path) -> Path:
    """150 graphs, each within a node of the one around it."""
    graph = field(1, field(4, b"LSTM"))
    for _ in range(150):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph) + field(20, 5)))
    return write(folder, HEAD + field(7, graph))


def onnx_subgraphs_100000_deep(folder: Path) -> Path:
    """100,000 graphs within each other, as protobuf's own parser would meet them."""
    pieces: list[bytes] = []
    length = 0
    for _ in range(full(100_000)):
        for number in (6, 5, 1):
            head = varint(number << 3 | 2) + varint(length)
            pieces.append(head)
            length += len(head)
    return write(folder, HEAD + varint(7 << 3 | 2) + varint(length) + b"".join(reversed(pieces)))


CASES = table(
    "onnx",
    {
        onnx_random: "damaged or truncated",
        onnx_random_after_head: "damaged or truncated",
        onnx_random_behind: "damaged or truncated",
        onnx_truncated: "truncated",
        onnx_truncated_by_a_byte: "truncated",
        onnx_head_alone: "no ONNX graph",
        onnx_two_bytes: "no ONNX graph",
        onnx_group: "wire type 3",
        onnx_wire_type_7: "wire type 7",
        onnx_field_0: "number 0",
        onnx_endless_number: "does not end",
        onnx_longer_than_its_parent: "1000 bytes where 10 follow",
        onnx_length_of_2_to_the_63: "truncated",
        onnx_name_no_utf8: "UTF-8",
        onnx_without_opset: "opset_import",
        onnx_opset_of_another_domain: "opset_import",
        onnx_opset_0: "version [0]",
        onnx_opset_9999: "9999",
        onnx_opset_negative: "-1",
        onnx_two_opsets: "[17, 7]",
        onnx_ir_version_huge: "IR version",
        onnx_ir_version_negative: "IR version",
        onnx_empty_graph: "no layer",
        onnx_graph_without_nodes: "W",
        onnx_tensor_alone: "TensorProto",
        onnx_graph_of_tensorflow: "TensorFlow",
        onnx_saved_model_of_tensorflow: "SavedModel",
        onnx_million_nodes: "more than 200000 nodes",
        onnx_million_attributes: "structure",
        onnx_half_a_million_attributes: "LSTM",
        onnx_200000_nodes: "no type",
        onnx_million_tensors: "structure",
        onnx_million_inputs: "structure",
        onnx_million_operator_sets: "structure",
        onnx_million_functions: "structure",
        onnx_million_unknown_fields: "structure",
        onnx_million_axes: "2000000 axes",
        onnx_hundred_million_integers: "structure",
        onnx_subgraphs_150_deep: "nested too deep",
        onnx_subgraphs_100000_deep: "nested too deep",
    },
)
