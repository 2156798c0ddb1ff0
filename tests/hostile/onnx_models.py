"""The sound ONNX model that the attacks start from: one LSTM with the weights of `cases.values`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .cases import INPUT, UNIT, values

TIME, BATCH = 7, 2
Model = onnx.ModelProto
Change = Callable[[Model], object]
NAMES = ("W", "R", "B")


def weights() -> dict[str, np.ndarray]:
    """W, R and B: the gates i f g o of Keras's order as ONNX's i o f g, a row a unit, the second bias zero."""

    def gates(kernel: np.ndarray) -> np.ndarray:
        i, f, g, o = np.split(kernel, 4, axis=-1)
        return np.concatenate([i, o, f, g], axis=-1).T[None]

    bias = gates(values("bias"))
    return {
        "W": np.ascontiguousarray(gates(values("kernel"))),
        "R": np.ascontiguousarray(gates(values("recurrent_kernel"))),
        "B": np.concatenate([bias, np.zeros_like(bias)], axis=-1).reshape(1, 8 * UNIT),
    }


def node(
    op: str = "LSTM", inputs: Sequence[str] = ("X", *NAMES), outputs: Sequence[str] = ("Y",), **options: Any
) -> Any:
    """A node; an LSTM of 5 units unless told otherwise."""
    if op == "LSTM":
        options = {"hidden_size": UNIT, "name": "lstm"} | options
    return helper.make_node(
        op, list(inputs), list(outputs), **{key: value for key, value in options.items() if value != ()}
    )


def model(nodes: Sequence[Any] = (), stored: Mapping[str, np.ndarray] | None = None, **options: Any) -> Model:
    """A model of these nodes and stored arrays, of operator set 17; by default the one LSTM."""
    arrays = weights() if stored is None else stored
    graph = helper.make_graph(
        list(nodes) or [node()],
        "graph",
        [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [TIME, BATCH, INPUT])],
        [helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, **({"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8} | options))


def write(folder: Path, content: Model | bytes) -> Path:
    """The file of a model."""
    path = folder / "model.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def changed(folder: Path, change: Change) -> Path:
    """The file of the sound model after a change."""
    found = model()
    change(found)
    return write(folder, found)


def with_tensor(folder: Path, change: Callable[[onnx.TensorProto], object]) -> Path:
    """The file of the sound model after a change of the tensor W."""
    return changed(folder, lambda found: change(found.graph.initializer[0]))


def with_node(folder: Path, **options: Any) -> Path:
    """The file of a model whose LSTM node has other attributes."""
    return write(folder, model([node(**options)]))


def with_nodes(folder: Path, *nodes: Any, **stored: np.ndarray) -> Path:
    """The file of a model in which nodes make the W that the LSTM reads, from arrays of these names."""
    others = {name: array for name, array in weights().items() if name != "W"}
    return write(folder, model([*nodes, node()], others | stored))


def sound_onnx(folder: Path) -> Path:
    """Not hostile: the model that the attacks start from."""
    return write(folder, model())


def field(number: int, content: bytes | int) -> bytes:
    """One field as protobuf writes it."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
