"""The options of an operation of TensorFlow Lite, and how the graph around it calls it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from converters.model.settings import Call
from converters.readers.tflite.model import Model, Operation
from layouts.errors import UnreadableCheckpoint
from layouts.layout import Layout

_ACTIVATIONS = {0: "linear", 1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh", 5: "sign_bit"}
_PADDING = {0: "same", 1: "valid"}


def options(operation: Operation, layout: Layout) -> Any:
    """The options of an operation, as those of its layout's cell."""
    return replace(layout.options, **_chosen(operation))


def _chosen(operation: Operation) -> dict[str, Any]:
    kind = operation.kind
    if kind.endswith("LSTM"):
        limits = {"cell_clip": operation.option(1, "f"), "projection_clip": operation.option(2, "f")}
        return {"activation": _activation(operation, 0, 4)} | {n: limit for n, limit in limits.items() if limit > 0}
    if kind.endswith("RNN"):
        return {"activation": _activation(operation, 0 if kind == "RNN" else 1, 0)}
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        dilated = (5, 4) if kind == "CONV_2D" else (6, 5)
        strides = operation.option(2, "i", 1), operation.option(1, "i", 1)
        dilation = tuple(operation.option(number, "i", 1) for number in dilated)
        padding = _PADDING.get(operation.option(0, "b"))
        if padding is None or min(*strides, *dilation) < 1:
            raise UnreadableCheckpoint("damaged: a convolution with impossible options")
        return {"strides": strides, "dilation": dilation, "padding": padding}
    return {}


def _activation(operation: Operation, number: int, default: int) -> str:
    code = operation.option(number, "b", default if operation.options is None else 0)
    return _ACTIVATIONS.get(code, f"activation {code}")


_FUSED = {"FULLY_CONNECTED": 0, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4}
"""Which option of an operation is the activation behind it."""
_TIME = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (3, 0),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (4, 1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (0, 0),
    "BIDIRECTIONAL_SEQUENCE_RNN": (0, 0),
}
"""Which option says that the time comes before the batch, and its default."""
_MERGED = {"BIDIRECTIONAL_SEQUENCE_LSTM": 3, "BIDIRECTIONAL_SEQUENCE_RNN": 2}
"""Which option says that the outputs of both directions are joined."""
STEPS = {"LSTM", "BASIC_LSTM", "RNN"}
"""Operations of one step, which a model has once a step."""


def call(model: Model, operation: Operation, *, both: bool) -> Call:
    """How a layer is called: directions, the place of the time axis, the activation behind it."""
    if operation.kind in STEPS:
        return Call(sequences=True, single_step=True)
    if operation.kind not in _TIME:
        number = _FUSED.get(operation.kind)
        return Call(activation=_activation(operation, number, 0) if number is not None else "linear")
    time_axis = 0 if operation.option(_TIME[operation.kind][0], "b", _TIME[operation.kind][1]) else 1
    if both:
        apart = operation.kind in _MERGED and not operation.option(_MERGED[operation.kind], "b")
        return Call(sequences=True, merge="pair" if apart else "concat", time_axis=time_axis)
    reads, gives = _reversed(model, operation)
    direction = "reverse" if reads and gives else "backward" if reads else "forward"
    return Call(sequences=True, time_axis=time_axis, direction=direction)


def _reversed(model: Model, operation: Operation) -> tuple[bool, bool]:
    """Whether an operation reads a sequence from its end, and whether its outputs are turned back."""
    maker = model.makers.get((operation.graph, operation.inputs[0]))
    readers = model.readers(operation.graph, operation.outputs[0])
    return maker is not None and maker.kind == "REVERSE_V2", [one.kind for one in readers] == ["REVERSE_V2"]


def pairs(model: Model) -> Iterator[tuple[int, tuple[Operation, Operation]]]:
    """Two operations of one input, of which the second runs from the end and is joined behind the first: the first,
    and the second with what joins them."""
    for joint in model.operations:
        if joint.kind != "CONCATENATION" or len(joint.inputs) != 2:
            continue
        first = model.makers.get((joint.graph, joint.inputs[0]))
        turned = model.makers.get((joint.graph, joint.inputs[1]))
        second = model.makers.get((joint.graph, turned.inputs[0])) if turned and turned.kind == "REVERSE_V2" else None
        if first is None or second is None or first.kind != second.kind or first.kind not in _TIME:
            continue
        before = model.makers.get((joint.graph, second.inputs[0]))
        alone = all(len(model.readers(joint.graph, one.outputs[0])) == 1 for one in (first, second))
        if before is not None and before.kind == "REVERSE_V2" and before.inputs[0] == first.inputs[0] and alone:
            yield id(first), (second, joint)
