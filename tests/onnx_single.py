"""Single recurrent nodes of ONNX: random arrays of prime sizes, onnxruntime's outputs, and the layer a reader makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from layout_samples import BOTH
from onnx import TensorProto, helper

from converters.model.arrays import in_memory
from converters.model.layers import Layer, Part
from converters.model.settings import Call, Wiring
from layouts import Layout, catalogue, reference, unpack
from layouts.axes import Array
from layouts.options import Recurrence

BATCH, TIME, INPUT, UNITS = 2, 7, 3, 5
LENGTHS = (4, 7)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
WEIGHTS = ("W", "R", "B", "P")
STATES = ("initial_h", "initial_c")
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


class Case(NamedTuple):
    """One node: its operator and attributes as ONNX has them, the optional inputs, and the same in neutral options."""

    op: str
    attributes: Mapping[str, Any] = {}
    optional: tuple[str, ...] = ("B",)
    options: Mapping[str, Any] = {}

    def __str__(self) -> str:
        told = [f"{key}={value}" for key, value in self.attributes.items()]
        return "-".join([self.op, *self.optional, *told]).replace(" ", "").replace("'", "")

    @property
    def direction(self) -> str:
        return str(self.attributes.get("direction", "forward"))

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions of its arrays."""
        return {"forward": BOTH[:1], "reverse": BOTH[1:], "bidirectional": BOTH}[self.direction]

    @property
    def layout(self) -> Layout:
        when = {"linear_before_reset": self.attributes.get("linear_before_reset", 0)}
        found = catalogue.layers("onnx")[self.op]
        return next(layout for layout in found if all(when[key] == value for key, value in layout.when.items()))

    @property
    def call(self) -> Call:
        """What a reader tells of the node."""
        states: dict[str, Any] = {name: "input" for name in self.optional if name.startswith("initial")}
        return Call(
            direction="reverse" if self.direction == "reverse" else "forward",
            merge="stacked" if self.direction == "bidirectional" else "",
            time_axis=0,
            lengths="sequence_lens" in self.optional,
            **states,
        )


def arrays_of(case: Case) -> dict[str, Array]:
    """Every input of the node, float32; the lengths int32."""
    ways, gates = len(case.ways), GATES[case.op]
    shapes = {
        "X": (TIME, BATCH, INPUT),
        "W": (ways, gates * UNITS, INPUT),
        "R": (ways, gates * UNITS, UNITS),
        "B": (ways, 2 * gates * UNITS),
        "P": (ways, 3 * UNITS),
        "initial_h": (ways, BATCH, UNITS),
        "initial_c": (ways, BATCH, UNITS),
    }
    rng = np.random.default_rng(0)
    made = {name: (0.25 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    made["X"] *= 2
    made["sequence_lens"] = np.array(LENGTHS, np.int32)
    return {name: made[name] for name in _INPUTS if name in ("X", "W", "R", *case.optional)}


def model_of(case: Case, arrays: Mapping[str, Array]) -> Any:
    """The node alone, with every array an input of the graph."""
    inputs = [name if name in arrays else "" for name in _INPUTS]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 3 if case.op == "LSTM" else 2]
    node = helper.make_node(case.op, inputs, outputs, hidden_size=UNITS, **case.attributes)
    kinds = {
        name: TensorProto.INT32 if array.dtype == np.int32 else TensorProto.FLOAT for name, array in arrays.items()
    }
    given = [helper.make_tensor_value_info(name, kinds[name], array.shape) for name, array in arrays.items()]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph([node], "node", given, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """onnxruntime's outputs, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, dict(inputs))]


def by_reference(case: Case, arrays: Mapping[str, Array]) -> list[Array]:
    """Y (time, directions, batch, units), Y_h and, of an LSTM, Y_c."""
    stored = {name: arrays[name] for name in WEIGHTS if name in arrays}
    pieces = unpack(case.layout, stored, directions=case.ways)
    mask = np.arange(TIME) < np.array(LENGTHS)[:, None] if "sequence_lens" in arrays else np.ones((BATCH, TIME), bool)
    given = [arrays[name] for name in STATES if name in arrays]
    found = []
    for number, way in enumerate(case.ways):
        initial = tuple(np.asarray(state[number], np.float64) for state in given) or None
        x = arrays["X"].swapaxes(0, 1)
        y, last = reference.forward(
            case.layout.cell, pieces, x, mask=mask, initial=initial, options=Recurrence(**case.options), direction=way
        )
        found.append([(y * mask[..., None]).swapaxes(0, 1), *last])
    y, *states = (np.stack(parts) for parts in zip(*found, strict=True))
    return [y.swapaxes(0, 1), *states]


def layer_of(case: Case, arrays: Mapping[str, Array]) -> Layer:
    """The node as a layer: the arrays of a single direction stand as forward, whichever it is."""
    stored = {name: in_memory(name, arrays[name]) for name in WEIGHTS if name in arrays}
    options = Recurrence(**case.options)
    part = Part(case.layout, stored, options, directions=BOTH if len(case.ways) > 1 else BOTH[:1])
    return Layer("node", case.op, (part,), case.call, Wiring(gives=("Y", "Y_h")))


def expect_equal(found: Sequence[Array], expected: Sequence[Array], tolerance: float = 1e-6) -> None:
    """Raise unless all arrays agree, to the tolerance or that part of the largest element."""
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=0.0, atol=tolerance * max(1.0, float(np.abs(two).max())))
