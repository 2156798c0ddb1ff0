"""The models of the benchmarks as ONNX files, in the form that exporters give them: a node a layer, arrays of ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from models import STEPS, Layer
from onnx import TensorProto, helper, numpy_helper

_OPSET = 17


def write(path: Path, layers: list[Layer]) -> None:
    """Write a model; every array is drawn anew, and stands in a file beside it where the name ends in .data.onnx."""
    generator = np.random.default_rng(7)
    nodes, stored, value = [], [], "input"
    for layer in layers:
        arrays = {
            f"{layer.name}.{name}": generator.random(shape, np.float32) - np.float32(0.5)
            for name, shape in _shapes(layer)
        }
        stored += [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        made = list(_nodes(layer, value, list(arrays)))
        nodes += made
        value = made[-1].output[0]
    indices = layers[0].kind == "Embedding"
    kind, shape = (
        (TensorProto.INT64, [STEPS, "batch"]) if indices else (TensorProto.FLOAT, [STEPS, "batch", layers[0].inputs])
    )
    given = helper.make_tensor_value_info("input", kind, shape)
    output = helper.make_tensor_value_info(value, TensorProto.FLOAT, [STEPS, "batch", layers[-1].outputs])
    graph = helper.make_graph(nodes, "benchmark", [given], [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    outside = path.name.endswith(".data.onnx")
    onnx.save(model, path, save_as_external_data=outside, location=f"{path.name}.data" if outside else None)


def _shapes(layer: Layer) -> Iterator[tuple[str, tuple[int, ...]]]:
    inputs, outputs = layer.inputs, layer.outputs
    if layer.kind == "Embedding":
        yield "data", (inputs, outputs)
    elif layer.kind == "Dense":
        yield from (("matrix", (inputs, outputs)), ("bias_of_all", (outputs,)))
    else:
        ways = 2 if layer.kind == "Bidirectional" else 1
        yield from (("W", (ways, 4 * outputs, inputs)), ("R", (ways, 4 * outputs, outputs)), ("B", (ways, 8 * outputs)))


def _nodes(layer: Layer, value: str, arrays: list[str]) -> Iterator[onnx.NodeProto]:
    """The nodes of a layer; of a recurrent one with those that lay its outputs side by side."""
    name = layer.name
    if layer.kind == "Embedding":
        yield helper.make_node("Gather", [arrays[0], value], [f"{name}_y"], name=name)
    elif layer.kind == "Dense":
        yield helper.make_node("MatMul", [value, arrays[0]], [f"{name}_product"], name=name)
        yield helper.make_node("Add", [f"{name}_product", arrays[1]], [f"{name}_y"])
    else:
        both = {"direction": "bidirectional"} if layer.kind == "Bidirectional" else {}
        yield helper.make_node("LSTM", [value, *arrays], [f"{name}_Y"], name=name, hidden_size=layer.outputs, **both)
        yield helper.make_node("Transpose", [f"{name}_Y"], [f"{name}_turned"], perm=[0, 2, 1, 3])
        shape = helper.make_tensor(f"{name}_sizes", TensorProto.INT64, [3], [0, 0, -1])
        yield helper.make_node("Constant", [], [f"{name}_sizes"], value=shape)
        yield helper.make_node("Reshape", [f"{name}_turned", f"{name}_sizes"], [f"{name}_y"])
