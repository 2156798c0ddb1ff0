"""Scan nodes as the Loops that they mean: a step of every sequence is taken by its number, forwards or from the end.

Rules of Scan since opset 9: the states come first, then the sequences; a direction of 1 takes the last step first, or
puts each new output in front of those before it. Source: the specification of the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.readers.onnx.file.attributes import values
from converters.readers.onnx.file.messages import copied

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

    from converters.readers.onnx.file.model import Model

_FIRST_OPSET, _MOST = 9, 64
"""Before it a Scan has a batch of its own, and lengths; and the most values that one scans."""
_INT, _BOOL, _LEAST = 7, 9, -(1 << 62)


def as_loops(model: Model) -> Model:
    """The same model with Loops in place of its Scans; the model itself where there is none that can be told so."""
    opset = next((one.version for one in model.proto.opset_import if one.domain in ("", "ai.onnx")), 1)
    if opset < _FIRST_OPSET or not any(node.op_type == "Scan" for node in model.proto.graph.node):
        return model
    proto = copied(model.proto)
    told = [_Scan.of(node, opset) for node in proto.graph.node]
    if not any(told):
        return model
    nodes = [
        each for node, scan in zip(proto.graph.node, told, strict=True) for each in (scan.nodes() if scan else [node])
    ]
    copies = [copied(node) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    return replace(model, proto=proto)


class _Scan:
    """One Scan, its inputs and outputs sorted: `states` and `sequences`, with their axes and directions."""

    def __init__(self, node: NodeProto, body: GraphProto, stated: dict[str, Any], count: int) -> None:
        self.node, self.body = node, body
        self.states = len(node.input) - count
        self.axes = list(stated.get("scan_input_axes", [0] * count))
        self.back = list(stated.get("scan_input_directions", [0] * count))
        made = len(node.output) - self.states
        self.made_axes = list(stated.get("scan_output_axes", [0] * made))
        self.made_back = list(stated.get("scan_output_directions", [0] * made))
        self.prefix = f"{node.name or node.output[0]}__scan"

    @classmethod
    def of(cls, node: NodeProto, opset: int) -> _Scan | None:
        """A Scan that a Loop can stand for; None for any other node."""
        body = next((a.g for a in node.attribute if a.name == "body" and a.HasField("g")), None)
        if node.op_type != "Scan" or node.domain not in ("", "ai.onnx") or body is None:
            return None
        stated = dict(values(node, opset, ""))
        count = int(stated.get("num_scan_inputs", 0))
        if not 0 < count <= min(len(node.input), _MOST) or len(body.input) != len(node.input):
            return None
        scan = cls(node, body, stated, count)
        return scan if len(body.output) == len(node.output) >= scan.states and scan._is_plain() else None

    def _is_plain(self) -> bool:
        """Whether every axis and direction is told, and is one that is known here."""
        count, made = len(self.node.input) - self.states, len(self.node.output) - self.states
        lists = [(self.axes, count), (self.back, count), (self.made_axes, made), (self.made_back, made)]
        return all(len(each) == size and set(each) <= {0, 1} for each, size in lists)

    def nodes(self) -> list[NodeProto]:
        """The length of the first sequence, the Loop, and what stands behind its outputs."""
        made: list[NodeProto] = []
        length = self._length(made)
        made += self._transposed()
        outputs = list(self.node.output[: self.states])
        behind: list[NodeProto] = []
        for number, name in enumerate(self.node.output[self.states :]):
            outputs.append(self._placed(name, number, behind))
        loop = _node("Loop", [length, "", *self.node.input[: self.states]], outputs, body=self._loop_body(length))
        loop.name = self.node.name
        return [*made, loop, *behind]

    def _length(self, made: list[NodeProto]) -> str:
        first = self.node.input[self.states]
        shape, place, length = (f"{self.prefix}_{word}" for word in ("shape", "axis", "length"))
        made.append(_node("Shape", [first], [shape]))
        made.append(_number(place, self.axes[0]))
        made.append(_node("Gather", [shape, place], [length], axis=0))
        return length

    def _transposed(self) -> Iterator[NodeProto]:
        """Sequences with the batch first, put into the order that the outputs of a Loop have."""
        for number, axis in enumerate(self.axes):
            if axis:
                yield _node(
                    "Transpose", [self.node.input[self.states + number]], [self._sequence(number)], perm=[1, 0, 2]
                )

    def _sequence(self, number: int) -> str:
        return f"{self.prefix}_steps{number}" if self.axes[number] else self.node.input[self.states + number]

    def _placed(self, name: str, number: int, behind: list[NodeProto]) -> str:
        """What the Loop gives for an output of all steps, and the nodes that put it in the order of the Scan."""
        source = f"{self.prefix}_made{number}"
        if not name or not (self.made_back[number] or self.made_axes[number]):
            return name
        turned = f"{source}_turned" if self.made_axes[number] else name
        if self.made_back[number]:
            behind += self._reversed(source, turned, number)
        if self.made_axes[number]:
            behind.append(_node("Transpose", [turned if self.made_back[number] else source], [name], perm=[1, 0, 2]))
        return source

    def _reversed(self, source: str, own: str, number: int) -> list[NodeProto]:
        names = [f"{self.prefix}_{word}{number}" for word in ("start", "end", "axes", "step")]
        told = [_numbers(name, [value]) for name, value in zip(names, (-1, _LEAST, 0, -1), strict=True)]
        return [*told, _node("Slice", [source, *names], [own])]

    def _loop_body(self, length: str) -> GraphProto:
        from onnx import helper

        number, going, went = (f"{self.prefix}_{word}" for word in ("number", "going", "went"))
        nodes = [*self._taken(number, length), *self.body.node, _node("Identity", [going], [went])]
        inputs = [
            helper.make_tensor_value_info(number, _INT, []),
            helper.make_tensor_value_info(going, _BOOL, []),
            *self.body.input[: self.states],
        ]
        outputs = [helper.make_tensor_value_info(went, _BOOL, []), *self.body.output]
        stored, noted = list(self.body.initializer), list(self.body.value_info)
        return helper.make_graph(nodes, self.body.name or "body", inputs, outputs, stored, value_info=noted)

    def _taken(self, number: str, length: str) -> Iterator[NodeProto]:
        """The nodes that take a step out of every sequence."""
        place = number
        if any(self.back):
            one, last, turned = (f"{self.prefix}_{word}" for word in ("one", "last", "turned"))
            yield _number(one, 1)
            yield _node("Sub", [length, one], [last])
            yield _node("Sub", [last, number], [turned])
            place = turned
        for each, (step, back) in enumerate(zip(self.body.input[self.states :], self.back, strict=True)):
            yield _node("Gather", [self._sequence(each), place if back else number], [step.name], axis=0)


def _node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> NodeProto:
    from onnx import helper

    return helper.make_node(op, list(inputs), list(outputs), **attributes)


def _number(name: str, value: int) -> NodeProto:
    from onnx import numpy_helper

    return _node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, np.int64), name))


def _numbers(name: str, numbers: Sequence[int]) -> NodeProto:
    from onnx import numpy_helper

    return _node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(numbers, np.int64), name))
