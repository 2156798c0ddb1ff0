"""Convolutions of ONNX: the constructor and the notes on padding, against onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from onnx_single import expect_equal, run
from torch.nn import functional

from converters.model.arrays import in_memory
from converters.model.layers import Layer, Part
from converters.planning import pairing
from converters.readers.onnx.layers.linear_maps import convolution_options
from converters.targets import PYTORCH
from layouts import catalogue, pack
from layouts.axes import Array


def arrays_of(op: str, kernel: tuple[int, ...], groups: int) -> dict[str, Array]:
    """Inputs of 4 channels, outputs of 6."""
    rng = np.random.default_rng(0)
    inputs, outputs = (4 // groups, 6) if op == "Conv" else (6 // groups, 4)
    shapes = {"X": (2, 4, *(11, 13, 17)[: len(kernel)]), "W": (outputs, inputs, *kernel), "B": (6,)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def by_onnxruntime(op: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> Array:
    node = helper.make_node(op, list(arrays), ["Y"], **attributes)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in arrays.items()]
    graph = helper.make_graph([node], "node", given, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run(model, arrays)[0]


def planned(op: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> tuple[Any, tuple[str, ...], str]:
    """The module with its weights, the notes, and the constructor call."""
    stored = {name: in_memory(name, array) for name, array in arrays.items() if name != "X"}
    options = {"grouped": attributes.get("group", 1) > 1}
    layout = catalogue.choose("onnx", op, options, {name: array.shape for name, array in stored.items()})
    part = Part(layout, stored, convolution_options(attributes))
    (found,) = pairing.pair(Layer("node", op, (part,)), "", PYTORCH)
    assert found.layout is not None
    module = eval(found.constructor, {"nn": torch.nn})
    state = pack(found.layout, found.parts[0].unpack())
    module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()}, strict=True)
    return module, found.notes, found.constructor


EXACT = [
    pytest.param("Conv", (3,), {"pads": [1, 1]}, "padding=1", id="pads"),
    pytest.param("Conv", (3, 5), {"pads": [1, 2, 1, 2], "strides": [2, 3]}, "padding=(1, 2)", id="pads-2d"),
    pytest.param("Conv", (3, 1, 5), {"pads": [0, 0, 0, 0, 0, 0]}, "kernel_size=(3, 1, 5))", id="no-pads"),
    pytest.param("Conv", (4,), {"auto_pad": "SAME_UPPER"}, "padding='same'", id="same-upper"),
    pytest.param("Conv", (3,), {"auto_pad": "SAME_LOWER"}, "padding='same'", id="same-lower-odd"),
    pytest.param("Conv", (3,), {"auto_pad": "VALID"}, "kernel_size=3)", id="valid"),
    pytest.param("Conv", (3,), {"group": 2, "dilations": [2]}, "dilation=2, groups=2", id="groups"),
    pytest.param("ConvTranspose", (3,), {"pads": [1, 1], "strides": [2]}, "stride=2, padding=1", id="transposed"),
    pytest.param(
        "ConvTranspose", (3,), {"strides": [2], "output_padding": [1]}, "output_padding=1", id="output-padding"
    ),
    pytest.param("ConvTranspose", (3, 2), {"group": 2}, "nn.ConvTranspose2d(4, 6,", id="transposed-groups"),
    pytest.param("ConvTranspose", (3, 2, 2), {"group": 2}, "groups=2", id="transposed-groups-3d"),
]


@pytest.mark.parametrize(("op", "kernel", "attributes", "call"), EXACT)
def test_the_constructor_says_it_all(op: str, kernel: tuple[int, ...], attributes: dict[str, Any], call: str) -> None:
    arrays = arrays_of(op, kernel, attributes.get("group", 1))
    module, notes, constructor = planned(op, arrays, attributes)
    assert call in constructor
    assert notes == ()
    found = module(torch.from_numpy(arrays["X"])).detach().numpy()
    expect_equal([found], [by_onnxruntime(op, arrays, attributes)])


def padded(note: str) -> tuple[int, ...]:
    """The numbers in the call of F.pad that a note gives."""
    numbers: tuple[int, ...] = eval(note.split("F.pad(", 1)[1].split(", ", 1)[1].split(")")[0] + ")")
    return numbers


@pytest.mark.parametrize(
    ("op", "kernel", "attributes"),
    [
        pytest.param("Conv", (3,), {"pads": [2, 0]}, id="causal"),
        pytest.param("Conv", (3, 5), {"pads": [0, 1, 1, 3], "strides": [2, 2]}, id="2d"),
        pytest.param("ConvTranspose", (3,), {"pads": [0, 1], "strides": [2]}, id="transposed"),
        pytest.param("ConvTranspose", (3, 5), {"pads": [0, 2, 1, 1], "strides": [2, 2]}, id="transposed-2d"),
        pytest.param("ConvTranspose", (3,), {"pads": [2, 1], "strides": [3], "output_padding": [2]}, id="longer"),
    ],
)
def test_pads_that_differ_are_left_to_the_forward_code(
    op: str, kernel: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    arrays = arrays_of(op, kernel, 1)
    module, (note,), constructor = planned(op, arrays, attributes)
    assert " padding=" not in constructor
    x = torch.from_numpy(arrays["X"])
    transposed = op == "ConvTranspose"
    found = functional.pad(module(x), padded(note)) if transposed else module(functional.pad(x, padded(note)))
    expect_equal([found.detach().numpy()], [by_onnxruntime(op, arrays, attributes)])


@pytest.mark.parametrize("name", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (5, 3), (2, 3), (4, 1)])
def test_the_notes_on_same_hold(kernel: int, stride: int, name: str) -> None:
    arrays = arrays_of("Conv", (kernel,), 1)
    attributes = {"auto_pad": name, "strides": [stride]}
    module, notes, constructor = planned("Conv", arrays, attributes)
    x, n = torch.from_numpy(arrays["X"]), arrays["X"].shape[2]
    if notes:
        in_all = max((math.ceil(n / stride) - 1) * stride + kernel - n, 0)
        rule = "'same'" if name == "SAME_UPPER" else "'same_lower'"
        assert f"padding {rule}" in notes[0] and "padding=" not in constructor
        less, more = in_all // 2, in_all - in_all // 2
        odd_at_the_end = "the odd one at the end" in notes[0]
        x = functional.pad(x, (less, more) if odd_at_the_end else (more, less))
    expect_equal([module(x).detach().numpy()], [by_onnxruntime("Conv", arrays, attributes)])


@pytest.mark.parametrize(
    "attributes",
    [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"output_shape": [20]}, {"output_shape": [21]}],
    ids=str,
)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (5, 2), (2, 2)])
def test_the_notes_on_cropping_hold(kernel: int, stride: int, attributes: dict[str, Any]) -> None:
    arrays = arrays_of("ConvTranspose", (kernel,), 1)
    attributes = {"strides": [stride]} | attributes
    module, (note,), _ = planned("ConvTranspose", arrays, attributes)
    whole = module(torch.from_numpy(arrays["X"])).detach().numpy()
    wanted = attributes.get("output_shape", [arrays["X"].shape[2] * stride])[0]
    more = whole.shape[2] - wanted
    start = more - more // 2 if "more - more // 2 at the start" in note else more // 2
    expect_equal([whole[..., start : start + wanted]], [by_onnxruntime("ConvTranspose", arrays, attributes)])
