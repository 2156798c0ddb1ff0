"""Single nodes that are not recurrent, in every rank and spelling: onnxruntime against the module of the plan.

All sizes differ, so that an axis in the place of another does not fit, or gives other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_runs import outputs
from onnx_single import expect_equal, run

import converters
from layouts.axes import Array

SIZES = (5, 7, 11, 13)
LENGTHS = (9, 8, 7)


class Node(NamedTuple):
    """An operator, its weights in the order of its inputs, the shape it reads, and its attributes."""

    op: str
    weights: Mapping[str, tuple[int, ...]]
    reads: tuple[int, ...]
    attributes: Mapping[str, Any] = {}
    opset: int = 17


def convolutions() -> dict[str, Node]:
    kernel = (3, 2, 4)
    found: dict[str, Node] = {}
    for rank in (1, 2, 3):
        window, lengths = kernel[:rank], LENGTHS[:rank]
        for bias in (True, False):
            more = {"B": (11,)} if bias else {}
            name = f"{rank}d{'' if bias else ' without bias'}"
            found[f"Conv {name}"] = Node("Conv", {"W": (11, 5, *window)} | more, (2, 5, *lengths))
            found[f"ConvTranspose {name}"] = Node("ConvTranspose", {"W": (5, 11, *window)} | more, (2, 5, *lengths))
        grouped = {"group": 2}
        found[f"Conv {rank}d grouped"] = Node("Conv", {"W": (6, 2, *window), "B": (6,)}, (2, 4, *lengths), grouped)
        found[f"ConvTranspose {rank}d grouped"] = Node(
            "ConvTranspose", {"W": (4, 3, *window), "B": (6,)}, (2, 4, *lengths), grouped
        )
    return found


def normalisations() -> dict[str, Node]:
    found: dict[str, Node] = {}
    for rank in (1, 2, 3):
        shape = (2, 3, *SIZES[:rank])
        own = {"S": SIZES[:rank], "B": SIZES[:rank]}
        found[f"LayerNormalization over {rank}"] = Node(
            "LayerNormalization", own, shape, {"axis": -rank, "epsilon": 1e-3}
        )
        found[f"BatchNormalization {rank}d"] = Node(
            "BatchNormalization",
            dict.fromkeys(("S", "B", "mean", "var"), (5,)),
            (2, 5, *LENGTHS[:rank]),
            {"epsilon": 1e-3},
        )
    return found


def others() -> dict[str, Node]:
    found = {
        f"PRelu {rank}d": Node("PRelu", {"slope": (5, *(1,) * rank)}, (2, 5, *LENGTHS[:rank])) for rank in (0, 1, 2, 3)
    }
    for turned in (0, 1):
        weight = {"W": (11, 5) if turned else (5, 11), "B": (11,)}
        found[f"Gemm transB={turned}"] = Node("Gemm", weight, (2, 5), {"transB": turned})
    return found | {"MatMul": Node("MatMul", {"W": (5, 11)}, (2, 3, 5))}


NODES = convolutions() | normalisations() | others()


def weights_of(node: Node) -> dict[str, Array]:
    """Random numbers, none alike; a variance is positive."""
    generator = np.random.default_rng(7)
    made = {name: generator.normal(0.0, 0.4, shape).astype(np.float32) for name, shape in node.weights.items()}
    return {name: np.abs(array) + np.float32(0.5) if name == "var" else array for name, array in made.items()}


def model_of(node: Node, arrays: Mapping[str, Array]) -> onnx.ModelProto:
    made = helper.make_node(node.op, ["X", *arrays], ["Y"], name="layer", **node.attributes)
    graph = helper.make_graph(
        [made],
        "graph",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, node.reads)],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)], ir_version=8)


@pytest.mark.parametrize("name", NODES)
def test_a_node_gives_what_onnxruntime_gives(name: str) -> None:
    node = NODES[name]
    model = model_of(node, weights_of(node))
    x = np.random.default_rng(3).normal(size=node.reads).astype(np.float32)
    plan = converters.plan(model)
    plan.check()
    (module,) = plan.modules
    with torch.no_grad():
        found: Sequence[tuple[str, Array]] = list(outputs(module, converters.convert(model), {"X": x}, model))
    assert [name for name, _ in found] == ["Y"]
    expect_equal([found[0][1]], run(model, {"X": x}))
