"""ONNX models with a Loop that is a recurrent layer: exported by Keras and tf2onnx, or written here as text.

Those written here need neither TensorFlow nor Keras, and are in other styles than the exporters': weights captured from
outside or stored in the body, sequences batch first, masks by Where, products by Gemm.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from converters.readers.onnx.file.model import from_memory
from converters.readers.onnx.graph.scope import Node, Scope

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

TIME = 7
BATCH = 2

BODIES = {
    "LSTM": """
        xk = MatMul (x, K)
        hr = MatMul (h, R)
        both = Add (xk, hr)
        gates = Add (both, B)
        gi, gf, gg, go = Split <axis = 1> (gates)
        i = Sigmoid (gi)
        f = Sigmoid (gf)
        g = Tanh (gg)
        o = Sigmoid (go)
        fc = Mul (f, c)
        ig = Mul (i, g)
        new_c = Add (fc, ig)
        tc = Tanh (new_c)
        new_h = Mul (o, tc)
    """,
    "GRU (reset after)": """
        xk = MatMul (x, K)
        hr = MatMul (h, R)
        rows_i, rows_r = Split <axis = 0> (B)
        xb = Add (xk, rows_i)
        hb = Add (hr, rows_r)
        xz, xr, xn = Split <axis = 1> (xb)
        hz, hr_r, hn = Split <axis = 1> (hb)
        az = Add (hz, xz)
        ar = Add (hr_r, xr)
        z = Sigmoid (az)
        r = Sigmoid (ar)
        rh = Mul (hn, r)
        an = Add (rh, xn)
        n = Tanh (an)
        kept = Sub (h, n)
        zk = Mul (z, kept)
        new_h = Add (n, zk)
    """,
    "GRU (reset before)": """
        xb = Gemm (x, K, B)
        rz, rr, rn = Split <axis = 1> (R)
        xz, xr, xn = Split <axis = 1> (xb)
        az = Gemm (h, rz, xz)
        ar = Gemm (h, rr, xr)
        z = Sigmoid (az)
        r = Sigmoid (ar)
        rh = Mul (r, h)
        an = Gemm (rh, rn, xn)
        n = Tanh (an)
        zh = Mul (z, h)
        zn = Mul (z, n)
        nz = Sub (n, zn)
        new_h = Add (nz, zh)
    """,
    "SimpleRNN": """
        xb = Gemm (x, K, B)
        a = Gemm (h, R, xb)
        new_h = Tanh (a)
    """,
}
"""By what the layout is called: the arithmetic of a step, in names of this module: x, h, c, K, R, B."""

GATES = {"LSTM": 4, "GRU (reset after)": 3, "GRU (reset before)": 3, "SimpleRNN": 1}


def written(
    kind: str, inputs: int, units: int, *, axis: int = 0, where: str = "captured", masked: bool = False
) -> tuple[Any, dict[str, np.ndarray]]:
    """A model with one Loop, and its weights K, R and B, which are `where`: captured, carried, or inside the body."""
    weights = random_weights(kind, inputs, units)
    states = ("h", "c") if kind == "LSTM" else ("h",)
    carried = tuple(weights) if where == "carried" else ()
    made = [f"next_{name}" if masked else f"new_{name}" for name in states]
    lines = [f"x = Gather <axis = {axis}> (X, number)", BODIES[kind]]
    if masked:
        lines.append(f"m = Gather <axis = {axis}> (M, number)")
        lines += [f"next_{name} = Where (m, new_{name}, {name})" for name in states]
    state = f"float[N,{units}]"
    body = _graph(
        "body",
        ["int64 number", "bool run", *(f"{state} {name}" for name in states), *_typed(weights, carried)],
        ["bool going", *(f"{state} {name}" for name in made), *_typed(weights, carried), f"{state} step"],
        [*lines, "going = Identity (run)", f"step = Identity ({made[0]})"],
    )
    sizes = "T,N" if axis == 0 else "N,T"
    outer = _graph(
        "model",
        [f"float[{sizes},{inputs}] X", *([f"bool[{sizes},1] M"] if masked else [])],
        [f"float[T,N,{units}] Y", *(f"{state} last_{name}" for name in states)],
        [
            "shape = Shape (X)",
            f"time = Constant <value = int64[1] {{{axis}}}> ()",
            f"sequences = Constant <value = int64[1] {{{1 - axis}}}> ()",
            f"units = Constant <value = int64[1] {{{units}}}> ()",
            "count = Gather (shape, time)",
            "batch = Gather (shape, sequences)",
            "size = Concat <axis = 0> (batch, units)",
            "zeros = ConstantOfShape (size)",
        ],
    )
    stored = body if where == "inside" else outer
    stored.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    outputs = [*(f"last_{name}" for name in states), *(f"{name}_out" for name in carried), "Y"]
    outer.node.append(
        helper.make_node("Loop", ["count", "", *("zeros" for _ in states), *carried], outputs, "loop", body=body)
    )
    return helper.make_model(outer, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), weights


def random_weights(kind: str, inputs: int, units: int) -> dict[str, np.ndarray]:
    """K, R and B as Keras has them."""
    width = GATES[kind] * units
    shapes = {"K": (inputs, width), "R": (units, width), "B": (2, width) if "after" in kind else (width,)}
    random = np.random.default_rng(inputs * 100 + units)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _typed(weights: Mapping[str, np.ndarray], names: tuple[str, ...]) -> list[str]:
    return [f"float[{','.join(map(str, weights[name].shape))}] {name}" for name in names]


def _graph(name: str, inputs: list[str], outputs: list[str], lines: list[str]) -> Any:
    return parser.parse_graph(f"{name} ({', '.join(inputs)}) => ({', '.join(outputs)}) {{ {' '.join(lines)} }}")


def body_of(model: Any) -> Any:
    """The graph inside the first Loop."""
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    return next(attribute.g for attribute in loop.attribute if attribute.name == "body")


def scope_of(model: Any) -> Scope:
    """The linked graph of a model."""
    opened = from_memory(model)
    root = Scope(opened.proto.graph, opened)
    root.link()
    return root


def loops_of(model: Any) -> list[Node]:
    return [node for node in scope_of(model).nodes if node.op == "Loop"]


def keras_layer(keras: Any, kind: str, units: int, options: Mapping[str, Any], version: int) -> Any:
    """A layer; zero_output_for_mask of tf_keras stands in its RNN layer only."""
    options = dict(options)
    if version == 2 and "zero_output_for_mask" in options:
        zero = options.pop("zero_output_for_mask")
        cell = getattr(keras.layers, f"{kind}Cell")(units)
        return keras.layers.RNN(cell, zero_output_for_mask=zero, **options)
    return getattr(keras.layers, kind)(units, **options)


def exported(keras: Any, model: Any, folder: Path) -> Any:
    """The ONNX of a Keras model: by its own export in Keras 3, by tf2onnx for tf_keras."""
    import tensorflow as tf

    if keras.__version__.startswith("3"):
        model(tf.zeros([BATCH, *model.inputs[0].shape[1:]], model.inputs[0].dtype))
        path = folder / "model.onnx"
        model.export(str(path), format="onnx", verbose=False)
        return onnx.load(path)
    import tf2onnx

    found, _ = tf2onnx.convert.from_keras(model, [tf.TensorSpec(i.shape, i.dtype) for i in model.inputs], opset=15)
    return found


def randomized(model: Any) -> Any:
    random = np.random.default_rng(5)
    model.set_weights([random.normal(size=w.shape, scale=0.5).astype(w.dtype) for w in model.get_weights()])
    return model
