"""LayerNorm as its formula is found by what it computes, whoever wrote it and in whatever order."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import converters

FEATURES, EPSILON = 5, 3e-4
DIFFERENCE = "m = ReduceMean <axes = [-1], keepdims = 1> (x) d = Sub (x, m)"
VARIANCES = {
    "Pow": "q = Pow (d, two) v = ReduceMean <axes = [-1], keepdims = 1> (q)",
    "Mul": "q = Mul (d, d) v = ReduceMean <axes = [-1], keepdims = 1> (q)",
    "again": "e = Sub (x, m) q = Mul (e, e) v = ReduceMean <axes = [-1], keepdims = 1> (q)",
    "of squares": """q = Mul (x, x) s = ReduceMean <axes = [-1], keepdims = 1> (q) o = Mul (m, m)
        v = Sub (s, o)""",
    "pool": "q = Mul (d, d) v = GlobalAveragePool (q)",
}
QUOTIENTS = {
    "Div": "w = Add (v, eps) r = Sqrt (w) n = Div (d, r)",
    "Reciprocal": "w = Add (eps, v) r = Sqrt (w) i = Reciprocal (r) n = Mul (d, i)",
    "Pow": "w = Add (v, eps) i = Pow (w, minus_half) n = Mul (i, d)",
}
AFFINE = {
    "both": "p = Mul (n, scale) y = Add (p, bias)",
    "other order": "p = Mul (scale, n) y = Add (bias, p)",
    "scale": "y = Mul (n, scale)",
}
KERAS = """w = Add (v, eps) r = Sqrt (w) i = Reciprocal (r) g = Mul (i, scale) p = Mul (x, g) k = Neg (m)
    o = Mul (k, g) b = Add (o, bias) y = Add (p, b)"""
WRONG = {
    "another axis": "m = ReduceMean <axes = [1], keepdims = 1> (x) d = Sub (x, m)",
    "no mean": "m = ReduceMean <axes = [-1], keepdims = 1> (x) d = Identity (x)",
    "of both": "m = ReduceMean <axes = [1, 2], keepdims = 1> (x) d = Sub (x, m)",
}


def model(text: str, scale: tuple[int, ...] = (FEATURES,), producer: str = "") -> onnx.ModelProto:
    graph = onnx.parser.parse_graph(f"norm (float[B,T,{FEATURES}] x) => (float[B,T,{FEATURES}] y) {{ {text} }}")
    rng = np.random.default_rng(0)
    stored: dict[str, Any] = {
        "eps": np.float32(EPSILON),
        "two": np.float32(2),
        "minus_half": np.float32(-0.5),
        "scale": rng.standard_normal(scale).astype(np.float32),
        "bias": rng.standard_normal(scale).astype(np.float32),
    }
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), k) for k, v in stored.items() if k in read)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name=producer)


def check(found: onnx.ModelProto) -> None:
    """Raise unless the one layer is a LayerNorm that gives what onnxruntime gives; a bias that is not there is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = converters.convert(found)
        (module,) = converters.plan(found).modules
    assert module.constructor == f"nn.LayerNorm({FEATURES}, eps={EPSILON})"
    built = nn.LayerNorm(FEATURES, eps=EPSILON)
    built.load_state_dict({key.rpartition(".")[2]: value for key, value in tensors.items()})
    x = 0.05 * np.random.default_rng(1).standard_normal((2, 3, FEATURES)).astype(np.float32)
    session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        np.testing.assert_allclose(built(torch.from_numpy(x)).numpy(), session.run(None, {"x": x})[0], atol=2e-5)


@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("quotient", QUOTIENTS)
@pytest.mark.parametrize("variance", VARIANCES)
def test_the_formula_in_every_order(variance: str, quotient: str, affine: str) -> None:
    check(model(f"{DIFFERENCE} {VARIANCES[variance]} {QUOTIENTS[quotient]} {AFFINE[affine]}"))


@pytest.mark.parametrize("scale", [(FEATURES,), (1, FEATURES), (1, 1, FEATURES)])
def test_the_formula_of_keras(scale: tuple[int, ...]) -> None:
    check(model(f"{DIFFERENCE} {VARIANCES['Mul']} {KERAS}", scale))


@pytest.mark.parametrize("change", WRONG)
def test_what_is_no_layer_norm_is_refused_by_name(change: str) -> None:
    found = model(f"{WRONG[change]} {VARIANCES['Mul']} {QUOTIENTS['Div']} {AFFINE['both']}")
    with pytest.raises(converters.UnknownLayer, match=r"reads scale[\s\S]*reads bias"):
        converters.convert(found)


def test_a_value_between_that_others_read_is_no_obstacle() -> None:
    text = f"{DIFFERENCE} {VARIANCES['Mul']} {QUOTIENTS['Div']} {AFFINE['both']}"
    found = model(text)
    found.graph.output.append(helper.make_tensor_value_info("v", 1, None))
    assert [layer.class_name for layer in converters.read(found).layers] == ["LayerNormalization"]


class Normed(nn.Module):
    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.LayerNorm(shape, eps=EPSILON))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)


@pytest.mark.parametrize("shape", [FEATURES, (4, FEATURES), (3, 4, FEATURES)])
@pytest.mark.parametrize("opset", [9, 13, 16])
def test_pytorch_before_opset_17(opset: int, shape: Any, tmp_path: Path) -> None:
    module = Normed(shape).eval()
    nn.init.normal_(module.block[1].weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.randn(2, 3, 4, FEATURES)
        torch.onnx.export(module, (example,), str(tmp_path / "m.onnx"), dynamo=False, opset_version=opset)
    module.load_state_dict(converters.convert(tmp_path / "m.onnx"))
    last = converters.plan(tmp_path / "m.onnx").modules[-1]
    assert last.constructor == f"nn.LayerNorm({shape}, eps={EPSILON})"
    assert last.layers[0].class_name == "LayerNormalization"


@pytest.mark.parametrize("name", ["onnx_keras/layer_norm", "onnx_tf2onnx/layer_norm", "onnx_keras/opset_18"])
def test_those_of_keras_in_the_fixtures(name: str) -> None:
    path = Path(__file__).parents[1] / "fixtures" / name / "model.onnx"
    found = [module for module in converters.plan(path).modules if "layer_normalization" in module.name]
    assert [module.constructor.partition("(")[0] for module in found] == ["nn.LayerNorm"]
    assert "eps=0.001" in found[0].constructor and not found[0].problems
