"""Nodes of an untrusted file, run one by one in double precision and within a budget.

Only the operators of the list below run, by ONNX's own reference evaluator; Erfc, which tf2onnx writes and ONNX does
not have, by NumPy. Before a node runs, the size of its outputs and the work that it takes are bounded from the shapes
of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.file.messages import copied
from converters.readers.onnx.graph.folding import FAILURES
from converters.readers.onnx.graph.scope import PRODUCTS, Node
from layouts.errors import ConversionError, printable

if TYPE_CHECKING:
    from onnx import NodeProto

Values = dict[str, Array]

# fmt: off
ELEMENTWISE = (
    "Abs", "Add", "And", "Cast", "CastLike", "Celu", "Clip", "Div", "Elu", "Equal", "Erf", "Erfc", "Exp", "Gelu",
    "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Selu", "Sigmoid",
    "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where", "Xor",
)
# fmt: on
_MOVES = ("Concat", "Flatten", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that make no more elements than they read."""
_SIZED = ("ConstantOfShape", "Expand", "Gather")
_RUNNABLE = frozenset((*ELEMENTWISE, *PRODUCTS, *_MOVES, *_SIZED))

_BUDGET, _RUN, _PRODUCTS = 1 << 32, 1 << 15, 4
"""The budget in elements: running a node at all counts as 32,768 of them, four products count as one. It lasts for some
seconds; an LSTM of 2,048 units takes a tenth of it."""
_ROOM, _COPIES = 1 << 20, 6
"""The number of elements that one run may hold: these, and so many times those of the weights that it reads."""

Compute = Callable[[Mapping[str, Array]], Sequence[Any]]


class Unfit(Exception):
    """Nodes that are not what was looked for; the message says why, in words for the user."""


class Exhausted(Exception):
    """The budget is used up: what was found until then proves nothing."""


GIVEN_UP = (Unfit, Exhausted, ConversionError, MemoryError, RecursionError)
"""What ends the search for one layer."""


class Budget:
    """The work that one Loop, or one graph without Loops, may take."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def pay(self, elements: int, products: int = 0, runs: int = 0) -> None:
        """Take from the budget. Raises `Exhausted` when it is used up."""
        self._left -= elements + products // _PRODUCTS + runs * _RUN
        if self._left < 0:
            raise Exhausted("it takes more computing than a recurrent layer")


class Made(Values):
    """The values that were given and those that nodes made of them. Any other name raises `Unfit`."""

    def __missing__(self, name: str) -> Array:
        raise Unfit(f"nothing makes {printable(name)}")


class Machine:
    """Some nodes in order, ready to run again and again; floating-point numbers are double whatever the file says.

    `weights`: the number of elements of the weights that the nodes read. Raises `Unfit` for a node that is not listed.
    """

    def __init__(self, nodes: Sequence[Node], budget: Budget, weights: int = 0) -> None:
        for node in nodes:
            if node.domain or node.op not in _RUNNABLE or node.subgraphs:
                raise Unfit(f"it contains {node.called}, which no recurrent cell needs")
        self._steps = [(node, tuple(filter(None, node.outputs)), _compute(node)) for node in nodes]
        self._budget, self._room = budget, _ROOM + _COPIES * weights

    def run(self, given: Mapping[str, Array]) -> Made:
        """The given values and all that the nodes make of them. Raises `Unfit` where a node fails."""
        values, room = Made(given), self._room
        for node, outputs, compute in self._steps:
            inputs = {name: values[name] for name in node.inputs if name and name in values}
            if len(inputs) < len(set(filter(None, node.inputs))):
                raise Unfit(f"{node.called} reads a value that is not known when it runs")
            size, products = _cost(node, [inputs[name] for name in node.inputs if name])
            self._budget.pay(size, products, runs=1)
            if size > room:
                raise Unfit(f"{node.called} would make more than a recurrent cell does")
            try:
                with np.errstate(all="ignore"):
                    made = [np.asarray(one) for one in compute(inputs)]
            except FAILURES as error:
                raise Unfit(f"{node.called} cannot be computed: {printable(error)}") from None
            if any(one.dtype.kind not in "biuf" for one in made):
                raise Unfit(f"{node.called} makes no numbers")
            room -= sum(one.size for one in made)
            values.update(zip(outputs, made, strict=True))
        return values


def _cost(node: Node, inputs: list[Array]) -> tuple[int, int]:
    """Upper bounds of the number of elements that a node makes, and of the products that it sums up on the way."""
    sizes, shape = [one.size for one in inputs], inputs[0].shape if inputs else ()
    if node.op in PRODUCTS and len(inputs) > 1 and shape:
        inner = max(1, shape[0] if node.attributes.get("transA", 0) else shape[-1])
        made = (sizes[0] // inner) * (sizes[1] // inner)
        return made, made * inner
    if node.op == "Gather" and len(inputs) > 1:
        return sizes[0] // max(1, min(shape, default=1)) * sizes[1], 0
    if node.op in _SIZED and inputs:
        wanted = math.prod(abs(int(size)) or 1 for size in inputs[-1].reshape(-1)[:16].tolist())
        return wanted * (sizes[0] if node.op == "Expand" else 1), 0
    return (_broadcast(inputs) if node.op in ELEMENTWISE else sum(sizes)), 0


def _broadcast(inputs: list[Array]) -> int:
    """The largest size that arrays of these shapes can be broadcast to."""
    rank = max((one.ndim for one in inputs), default=0)
    shapes = [(1,) * (rank - one.ndim) + one.shape for one in inputs]
    return math.prod(max(sizes) for sizes in zip(*shapes, strict=True))


def _compute(node: Node) -> Compute:
    """What a node does, ready to be called."""
    names = node.inputs
    if node.op == "Erfc":
        return lambda given: [np.vectorize(math.erfc, otypes=[float])(given[names[0]])]
    plain = _double(node.proto)
    plain.name = plain.doc_string = ""
    for number, name in enumerate(names):
        plain.input[number] = f"i{number}" if name else ""
    for number, name in enumerate(node.outputs):
        plain.output[number] = f"o{number}" if name else ""
    try:
        evaluate = _evaluator(plain.SerializeToString(deterministic=True), node.scope.opset)
    except FAILURES as error:
        raise Unfit(f"{node.called} cannot be computed: {printable(error)}") from None
    return lambda given: evaluate({f"i{number}": given[name] for number, name in enumerate(names) if name})


@lru_cache(maxsize=512)
def _evaluator(content: bytes, opset: int) -> Compute:
    """One operator with its attributes, on inputs i0, i1, …: nodes that do the same share one."""
    from onnx import NodeProto, helper
    from onnx.reference import ReferenceEvaluator

    proto = NodeProto.FromString(content)
    values = [helper.make_empty_tensor_value_info(name) for name in proto.input if name]
    outputs = [helper.make_empty_tensor_value_info(name) for name in proto.output if name]
    names = [one.name for one in outputs]
    evaluator = ReferenceEvaluator(helper.make_graph([proto], "step", values, outputs), opsets={"": opset})
    return lambda given: list(evaluator.run(names, dict(given)))


def _double(proto: NodeProto) -> NodeProto:
    """The node with double precision in the place of any other that it names."""
    from onnx import TensorProto, numpy_helper

    floating = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    copy = copied(proto)
    for attribute in copy.attribute:
        if proto.op_type == "Cast" and attribute.name == "to" and attribute.i in floating:
            attribute.i = TensorProto.DOUBLE
        elif proto.op_type == "ConstantOfShape" and attribute.t.data_type in (*floating, 0):
            value = numpy_helper.to_array(attribute.t) if attribute.t.data_type else np.zeros(1)
            attribute.t.CopyFrom(numpy_helper.from_array(value.astype(np.float64)))
    if proto.op_type == "ConstantOfShape" and not copy.attribute:
        made = copy.attribute.add()
        made.name, made.type = "value", 4
        made.t.CopyFrom(numpy_helper.from_array(np.zeros(1)))
    return copy


def doubled(array: Array) -> Array:
    """A constant as the machine computes with it: floating-point numbers as double, anything else as it is."""
    dtype: Any = array.dtype
    return array if dtype.kind in "biu" else np.asarray(array, np.float64)
