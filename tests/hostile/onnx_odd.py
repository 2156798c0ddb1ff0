"""ONNX files that look strange and are sound: each holds the LSTM of `cases.values` and has to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .cases import UNIT, Builder
from .onnx_data import DATA, data_beside, external, with_external
from .onnx_models import (
    NAMES,
    changed,
    field,
    model,
    node,
    sound_onnx,
    varint,
    weights,
    with_node,
    with_nodes,
    with_tensor,
    write,
)


def _typed(folder: Path, kind: Any, code: int, name: str) -> Path:
    """The model with weights of another type, in a typed field."""

    def change(found: Any) -> None:
        for tensor in found.graph.initializer:
            array = numpy_helper.to_array(tensor).astype(kind)
            bits = array.view("u2") if array.itemsize == 2 else array
            tensor.ClearField("raw_data")
            tensor.data_type = code
            getattr(tensor, name).extend(bits.ravel().tolist())

    return changed(folder, change)


def onnx_float_data(folder: Path) -> Path:
    """Numbers in float_data."""
    return _typed(folder, np.float32, TensorProto.FLOAT, "float_data")


def onnx_float_data_large(folder: Path) -> Path:
    """Numbers in float_data with an array beside them that is large, and read by nobody."""
    found = model()
    found.graph.initializer.append(helper.make_tensor("unused", TensorProto.FLOAT, [100_000], [0.5] * 100_000))
    return write(folder, found)


def onnx_float64(folder: Path) -> Path:
    """Doubles in double_data."""
    return _typed(folder, np.float64, TensorProto.DOUBLE, "double_data")


def onnx_float16(folder: Path) -> Path:
    """Bit patterns of float16 in int32_data."""
    return _typed(folder, np.float16, TensorProto.FLOAT16, "int32_data")


def onnx_bfloat16(folder: Path) -> Path:
    """Bit patterns of bfloat16 in int32_data."""
    return _typed(folder, ml_dtypes.bfloat16, TensorProto.BFLOAT16, "int32_data")


def onnx_floats_one_by_one(folder: Path) -> Path:
    """float_data as protobuf wrote lists before it packed them: each number a field."""
    array = weights()["W"]
    numbers = b"".join(varint(4 << 3 | 5) + number.tobytes() for number in array.ravel())
    sizes = b"".join(field(1, size) for size in array.shape)
    tensor = sizes + field(2, 1) + numbers + field(8, b"W")
    rest = model(stored={name: array for name, array in weights().items() if name != "W"})
    return write(folder, rest.SerializeToString() + field(7, field(5, tensor)))


def onnx_external(folder: Path) -> Path:
    """W in a file beside the model."""
    return with_external(folder)


def onnx_external_in_a_folder(folder: Path) -> Path:
    """W in a folder below the model's, at an offset that nothing is aligned to, with all keys."""
    data_beside(folder, b"\xff" * 7, f"data/{DATA}")
    keys = {"location": f"./data/{DATA}", "offset": "7", "length": "240", "checksum": "0" * 40}
    return with_tensor(folder, lambda tensor: external(tensor, **keys))


def onnx_external_linked_within(folder: Path) -> Path:
    """W in a file that is a link to another one of the same folder."""
    data_beside(folder, name="data.bin")
    (folder / DATA).symlink_to("data.bin")
    return with_tensor(folder, lambda tensor: external(tensor, location=DATA))


def onnx_external_without_numbers(folder: Path) -> Path:
    """An unused tensor of no elements, in no file."""
    return _extra(folder, TensorProto(name="none", data_type=1, dims=[0, 3]))


def onnx_documented(folder: Path) -> Path:
    """Documentation everywhere, some of which looks like a place in the file."""

    def change(found: Any) -> None:
        graph = found.graph
        parts = [found, graph, *graph.initializer, *graph.node, *graph.input, *graph.output, *graph.node[0].attribute]
        for part in parts:
            part.doc_string = "9:0:240"
        found.metadata_props.add(key="note", value="x" * 100_000)

    return changed(folder, change)


def onnx_with_unknown_fields(folder: Path) -> Path:
    """Fields that ONNX does not have yet, of every wire type."""
    unknown = (
        field(1000, 7) + field(1001, b"new") + varint(1002 << 3 | 5) + b"1234" + varint(1003 << 3 | 1) + b"12345678"
    )
    found = model()
    tensors = b"".join(field(5, tensor.SerializeToString() + unknown) for tensor in found.graph.initializer)
    nodes = b"".join(field(1, one.SerializeToString() + unknown) for one in found.graph.node)
    rest = field(1, 8) + field(8, field(2, 17) + unknown) + field(7, unknown + tensors + nodes + unknown)
    return write(folder, rest + field(7, field(11, field(1, b"X"))))


def onnx_fields_backwards(folder: Path) -> Path:
    """The graph before the version numbers."""
    found = model()
    return write(folder, field(7, found.graph.SerializeToString()) + field(8, field(2, 17)) + field(1, 8))


def onnx_graph_in_pieces(folder: Path) -> Path:
    """The graph as several fields, which protobuf joins."""
    graph = model().graph
    tensors = b"".join(field(7, field(5, tensor.SerializeToString())) for tensor in graph.initializer)
    return write(
        folder, field(1, 8) + field(8, field(2, 17)) + tensors + field(7, field(1, graph.node[0].SerializeToString()))
    )


def onnx_opset_1(folder: Path) -> Path:
    """Operator set 1 of the first IR version that names one."""
    return write(folder, model(opset_imports=[helper.make_opsetid("", 1)], ir_version=3))


def onnx_opset_7(folder: Path) -> Path:
    """Operator set 7, its domain spelled out."""
    return write(folder, model(opset_imports=[helper.make_opsetid("ai.onnx", 7)], ir_version=3))


def onnx_opset_newest(folder: Path) -> Path:
    """The newest operator set that the onnx package knows."""
    from onnx import defs

    return write(folder, model(opset_imports=[helper.make_opsetid("", defs.onnx_opset_version())], ir_version=10))


def onnx_before_operator_sets(folder: Path) -> Path:
    """The second IR version, which had no operator sets."""
    found = model(ir_version=2)
    found.ClearField("opset_import")
    return write(folder, found)


def onnx_inputs_with_defaults(folder: Path) -> Path:
    """Arrays that are inputs of the graph as well, as all had to be before IR version 4."""

    def change(found: Any) -> None:
        for name, array in weights().items():
            found.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))

    return changed(folder, change)


def _extra(folder: Path, tensor: TensorProto) -> Path:
    return changed(folder, lambda found: found.graph.initializer.append(tensor))


def onnx_unused_array(folder: Path) -> Path:
    """An array at the end that no node reads."""
    return _extra(folder, numpy_helper.from_array(np.ones((300, 7), np.float32), "unused"))


def onnx_unused_words(folder: Path) -> Path:
    """A vocabulary that no node reads."""
    return _extra(folder, helper.make_tensor("words", TensorProto.STRING, [2], [b"one", b"\xff two"]))


def onnx_constants(folder: Path) -> Path:
    """All weights in Constant nodes."""
    nodes = [node("Constant", [], [k], value=numpy_helper.from_array(array, "value")) for k, array in weights().items()]
    return write(folder, model([*nodes, node()], {}))


def onnx_weights_computed(folder: Path) -> Path:
    """W as PyTorch leaves it unfolded: sliced, joined and given an axis."""
    i, o, f, g = np.split(weights()["W"][0], 4)
    pieces = [node("Slice", ["A", f"{k}", f"{k + 1}", "zero"], [f"P{k}"]) for k in range(4)]
    arrays = {"A": np.concatenate([i, f, g, o]), "zero": np.array([0])} | {
        f"{k}": np.array([k * UNIT]) for k in range(5)
    }
    joined = node("Concat", ["P0", "P3", "P1", "P2"], ["C"], axis=0)
    return with_nodes(folder, *pieces, joined, node("Unsqueeze", ["C", "zero"], ["W"]), **arrays)


def onnx_in_a_branch(folder: Path) -> Path:
    """The LSTM stands in both branches of a choice, its weights outside."""
    branch = helper.make_graph([node()], "branch", [], [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    choice = node("If", ["T"], ["Z"], then_branch=branch, else_branch=branch)
    return write(folder, model([choice], weights() | {"T": np.array(True)}))


def onnx_explicit_defaults(folder: Path) -> Path:
    """Every attribute spelled out as it is by default."""
    activations = ["sigmoid", "TANH", "Tanh"]
    return with_node(folder, direction="forward", activations=activations, input_forget=0, layout=0)


def onnx_zero_states(folder: Path) -> Path:
    """Constant initial states of zeros, and peepholes left out by name."""
    zeros = np.zeros((1, 2, UNIT), np.float32)
    reading = node(inputs=("X", *NAMES, "", "H", "C", ""))
    return write(folder, model([reading], weights() | {"H": zeros, "C": zeros}))


def onnx_without_names(folder: Path) -> Path:
    """Neither the node nor the graph has a name."""
    return changed(folder, lambda found: (found.graph.ClearField("name"), found.graph.node[0].ClearField("name")))


def onnx_names_of_control_characters(folder: Path) -> Path:
    """A node whose name would write to the terminal."""
    return with_node(folder, name="\x1b[2J\r\n\tlstm\u202e/..")


def onnx_gathered_size(folder: Path) -> Path:
    """Nodes that compute a size beside the LSTM, as exporters write them."""
    shape = [node("Shape", ["X"], ["S"]), node("Gather", ["S", "one"], ["N"], axis=0)]
    return write(folder, model([*shape, node()], weights() | {"one": np.array(1)}))


def onnx_of_no_time(folder: Path) -> Path:
    """The graph says nothing of the shape of its input."""

    def change(found: Any) -> None:
        found.graph.input[0].type.tensor_type.ClearField("shape")

    return changed(folder, change)


SOUND: tuple[Builder, ...] = (
    sound_onnx,
    onnx_float_data,
    onnx_float_data_large,
    onnx_float64,
    onnx_float16,
    onnx_bfloat16,
    onnx_floats_one_by_one,
    onnx_external,
    onnx_external_in_a_folder,
    onnx_external_linked_within,
    onnx_external_without_numbers,
    onnx_documented,
    onnx_with_unknown_fields,
    onnx_fields_backwards,
    onnx_graph_in_pieces,
    onnx_opset_1,
    onnx_opset_7,
    onnx_opset_newest,
    onnx_before_operator_sets,
    onnx_inputs_with_defaults,
    onnx_unused_array,
    onnx_unused_words,
    onnx_constants,
    onnx_weights_computed,
    onnx_in_a_branch,
    onnx_explicit_defaults,
    onnx_zero_states,
    onnx_without_names,
    onnx_names_of_control_characters,
    onnx_gathered_size,
    onnx_of_no_time,
)
