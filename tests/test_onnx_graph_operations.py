"""Single ONNX operators around a product: as operations, they give what onnxruntime gives; others are named."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import converters
from converters.verification.evaluate import evaluate

MATRIX = np.random.default_rng(3).standard_normal((5, 6)).astype(np.float32)
MAP = (2, 3, 11, 13)


def model(node: onnx.NodeProto, *stored: onnx.TensorProto, opset: int = 17, shape: Any = ("n", 7, 5)) -> Any:
    """x, a product where x is a sequence, and one node behind it."""
    sequence = len(shape) == 3
    first = [helper.make_node("MatMul", ["x", "w"], ["h"])]
    weights = numpy_helper.from_array(MATRIX, "w")
    if not sequence:
        kernel = np.random.default_rng(4).standard_normal((4, 3, 2, 2)).astype(np.float32)
        first = [helper.make_node("Conv", ["x", "w"], ["h"])]
        weights = numpy_helper.from_array(kernel, "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([*first, node], "g", [x], [y], [weights, *stored])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.int64), name)


def number(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


def node(op: str, *more: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, ["h", *more], ["y"], **attributes)


PLAIN = ("Relu", "Tanh", "Sigmoid", "Abs", "Erf", "Exp", "Neg", "Softplus", "Softsign", "HardSwish", "Selu", "Elu")
SEQUENCES = {
    **{op: (node(op),) for op in (*PLAIN, "Celu", "LeakyRelu", "HardSigmoid", "Softmax", "LogSoftmax", "Identity")},
    "hard sigmoid of 1/6": (node("HardSigmoid", alpha=1 / 6),),
    "hard sigmoid of others": (node("HardSigmoid", alpha=0.3, beta=0.4),),
    "softmax of the time": (node("Softmax", axis=1),),
    "clip": (node("Clip", "a", "b"), number("a", -0.5), number("b", 1.5)),
    "clip to 6": (node("Clip", "a", "b"), number("a", 0.0), number("b", 6.0)),
    "add a number": (node("Add", "a"), number("a", 0.5)),
    "number minus": (helper.make_node("Sub", ["a", "h"], ["y"]), number("a", 0.5)),
    "number over": (helper.make_node("Div", ["a", "h"], ["y"]), number("a", 0.5)),
    "half": (node("Div", "a"), number("a", 2.0)),
    "square": (node("Pow", "a"), number("a", 2.0)),
    "cube": (node("Pow", "a"), number("a", 3.0)),
    "power of a value": (helper.make_node("Pow", ["a", "h"], ["y"]), number("a", 2.0)),
    "floor": (node("Floor"),),
    "ceil": (node("Ceil"),),
    "round": (node("Round"),),
    "sign": (node("Sign"),),
    "clip from below": (node("Clip", "a"), number("a", -0.25)),
    "clip from above": (node("Clip", "", "b"), number("b", 0.75)),
    "einsum": (helper.make_node("Einsum", ["h", "x"], ["y"], equation="bij, bik -> bjk"),),
    "einsum of one": (node("Einsum", equation="bij->bji"),),
    "with itself": (node("Max", "h"),),
    "mean": (node("ReduceMean", axes=[1], keepdims=0),),
    "greatest": (node("ReduceMax", axes=[-1]),),
    "sum": (node("ReduceSum", "a"), ints("a", 1)),
    "time first": (node("Transpose", perm=[1, 0, 2]),),
    "flat": (node("Flatten"),),
    "joined": (node("Reshape", "a"), ints("a", -1, 6)),
    "cut": (node("Reshape", "a"), ints("a", 0, 0, 2, 3)),
    "last step": (node("Gather", "a", axis=1), numpy_helper.from_array(np.asarray(-1, np.int64), "a")),
    "some steps": (
        node("Slice", "a", "b", "c", "d"),
        *(ints("a", 1), ints("b", -1), ints("c", 1), ints("d", 2)),
    ),
    "backwards": (
        node("Slice", "a", "b", "c", "d"),
        *(ints("a", -1), ints("b", -(2**63) + 1), ints("c", 1), ints("d", -1)),
    ),
    "one more axis": (node("Unsqueeze", "a"), ints("a", 1, 4)),
    "side by side": (helper.make_node("Concat", ["h", "x"], ["y"], axis=2),),
    "padded": (node("Pad", "a"), ints("a", 0, 1, 0, 0, 2, 0)),
}
MAPS = {
    "max pool": node("MaxPool", kernel_shape=[2, 3], strides=[2, 2], pads=[1, 1, 0, 1]),
    "average pool": node("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    "average pool, padded": node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "average pool, padding counted": node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "max pool, over the edge": node("MaxPool", kernel_shape=[3, 5], strides=[2, 3], ceil_mode=1),
    "max pool, padded, over the edge": node(
        "MaxPool", kernel_shape=[2, 3], strides=[3, 2], pads=[1, 0, 0, 1], ceil_mode=1
    ),
    "average pool, over the edge": node("AveragePool", kernel_shape=[3, 5], strides=[2, 3], ceil_mode=1),
    "average pool, padded, over the edge": node(
        "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=1
    ),
    "global": node("GlobalAveragePool"),
    "global max": node("GlobalMaxPool"),
    "flat": node("Flatten"),
}


def check(whole: Any, x: Any) -> None:
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(["y"], {"x": x})
    graph = converters.read(whole).graph
    assert graph is not None and not graph.unknown, graph and [one.operation for one in graph.unknown]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.ConversionWarning)
        built = converters.build(whole)(torch.from_numpy(x)).numpy()
    for found in (np.asarray(evaluate(graph, [x])["y"]), built):
        assert found.shape == wanted.shape
        assert float(np.abs(found - wanted).max()) <= 1e-5 * max(1.0, float(np.abs(wanted).max()))


@pytest.mark.parametrize("name", SEQUENCES)
def test_behind_a_product(name: str) -> None:
    check(model(*SEQUENCES[name]), np.random.default_rng(1).standard_normal((2, 7, 5)).astype(np.float32))


@pytest.mark.parametrize("name", MAPS)
def test_behind_a_convolution(name: str) -> None:
    check(model(MAPS[name], shape=("n", 3, 11, 13)), np.random.default_rng(2).standard_normal(MAP).astype(np.float32))


@pytest.mark.parametrize(
    "pool",
    [
        node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1),
        node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1),
    ],
    ids=["starts behind the edge", "counts behind the edge"],
)
def test_windows_on_which_runtimes_differ_are_refused(pool: onnx.NodeProto) -> None:
    graph = converters.read(model(pool, shape=("n", 3, 11, 13))).graph
    assert graph is not None and [one.class_name for one in graph.unknown] == [pool.op_type]


def test_what_is_not_known_is_named() -> None:
    graph = converters.read(model(node("CumSum", "a"), ints("a", 1))).graph
    assert graph is not None and [one.class_name for one in graph.unknown] == ["CumSum"]


def test_what_tf2onnx_writes_and_onnx_does_not_have() -> None:
    """1 - erf, as Keras's exact gelu becomes; no runtime takes the file, and the same in operators of ONNX gives it."""
    written = model(node("Erfc"))
    one = helper.make_node("Erf", ["h"], ["e"])
    equal = model(helper.make_node("Sub", ["one", "e"], ["y"]), number("one", 1.0))
    equal.graph.node.insert(1, one)
    x = np.random.default_rng(5).standard_normal((3, 7, 5)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(equal.SerializeToString()).run(None, {"x": x})
    with torch.no_grad():
        found = converters.build(written)(torch.from_numpy(x)).numpy()
    assert float(np.abs(found - wanted).max()) <= 1e-6


def truth(name: str, value: bool) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


@pytest.mark.parametrize(("ratio", "training"), [(0.5, True), (0.0, True), (0.5, False)])
def test_a_dropout_in_training_is_no_identity(ratio: float, training: bool) -> None:
    source = model(node("Dropout", "r", "t"), number("r", ratio), truth("t", training))
    if ratio and training:
        with pytest.raises(converters.NotRepresentable, match="in training mode, it draws what it leaves out"):
            converters.build(source)
        assert len(converters.convert(source)) == 1
        return
    x = np.random.default_rng(5).standard_normal((3, 7, 5)).astype(np.float32)
    (wanted,) = onnxruntime.InferenceSession(source.SerializeToString()).run(None, {"x": x})
    with torch.no_grad():
        assert float(np.abs(converters.build(source)(torch.from_numpy(x)).numpy() - wanted).max()) <= 1e-6
