"""The single TensorFlow operations of tf.keras 2.0 to 2.3 (`TensorFlowOpLayer`) as the functions that they are.

The configuration holds a NodeDef as protobuf writes it in JSON: `op`, `attr`, and `constants` by the place of the input
that each stands for (tensorflow/python/keras/engine/base_layer.py of these versions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converters.readers.keras.config import Config
from converters.readers.keras.draft import Flow
from layouts.errors import UnreadableCheckpoint, printable

Call = tuple[str, list[Any], dict[str, Any]]
"""The name of a function, its arguments in their places, and those by name."""
Attributes = Mapping[str, Any]


def call(config: Config, flows: Sequence[Flow]) -> Call:
    """The function of a node; its name is that of the operation where no row knows it."""
    node, constants = config.get("node_def"), config.get("constants") or {}
    name = node.get("op") if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(name, str) or not isinstance(constants, dict):
        raise UnreadableCheckpoint("the node_def of a TensorFlowOpLayer is malformed")
    inputs = _inputs(constants, flows)
    row = _ROWS.get(name)
    if row is None:
        return _SAME.get(name, name), inputs, {}
    try:
        return row(inputs, {key: _attribute(value) for key, value in (node.get("attr") or {}).items()})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableCheckpoint(f"the node {printable(name)} is malformed: {printable(error)}") from None


def _inputs(constants: Mapping[str, Any], flows: Sequence[Flow]) -> list[Any]:
    """Constants in their places, and values in the others."""
    left = iter(flows)
    count = len(flows) + len(constants)
    return [constants[str(place)] if str(place) in constants else next(left, None) for place in range(count)]


def _attribute(value: Any) -> Any:
    """What is inside `{"i": "5"}`, `{"b": true}`, `{"list": {"i": ["1"]}}`; protobuf writes whole numbers as text."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, inner),) = value.items()
    if kind == "list":
        return [each for listed in inner.values() for each in map(_whole, listed)] if isinstance(inner, dict) else []
    return _whole(inner) if kind == "i" else inner


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value


def _named(name: str, **places: int) -> Callable[[list[Any], Attributes], Call]:
    """A function that has its constant inputs by name; the others stay in their places."""

    def row(inputs: list[Any], attributes: Attributes) -> Call:
        options = {word: inputs[place] for word, place in places.items()}
        return name, [each for each in inputs if isinstance(each, Flow)], options

    return row


def _reduction(name: str) -> Callable[[list[Any], Attributes], Call]:
    def row(inputs: list[Any], attributes: Attributes) -> Call:
        return name, inputs[:1], {"axis": inputs[1], "keepdims": attributes.get("keep_dims") is True}

    return row


def _with(name: str, **words: str) -> Callable[[list[Any], Attributes], Call]:
    """A function that has attributes by name, where they are stored."""

    def row(inputs: list[Any], attributes: Attributes) -> Call:
        return name, inputs, {word: attributes[key] for word, key in words.items() if key in attributes}

    return row


def _squeeze(inputs: list[Any], attributes: Attributes) -> Call:
    return "squeeze", inputs, {"axis": attributes.get("squeeze_dims") or None}


def _concatenation(inputs: list[Any], attributes: Attributes) -> Call:
    return "concat", [inputs[:-1]], {"axis": inputs[-1]}


def _stack(inputs: list[Any], attributes: Attributes) -> Call:
    return "stack", [inputs], {"axis": attributes.get("axis") or 0}


def _split(inputs: list[Any], attributes: Attributes) -> Call:
    return "split", inputs[1:], {"axis": inputs[0], "num_or_size_splits": attributes["num_split"]}


def _slice(inputs: list[Any], attributes: Attributes) -> Call:
    """`x[begin:end:stride]`, with bits for places that are left out, single, new, or `...`."""
    value, begins, ends, strides = inputs

    def bit(mask: str, place: int) -> bool:
        return bool(int(attributes.get(f"{mask}_mask") or 0) >> place & 1)

    key: list[Any] = []
    for place, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if bit("ellipsis", place):
            key.append(Ellipsis)
        elif bit("new_axis", place):
            key.append(None)
        elif bit("shrink_axis", place):
            key.append(begin)
        else:
            first, last = None if bit("begin", place) else begin, None if bit("end", place) else end
            key.append({"start": first, "stop": last, "step": stride})
    return "getitem", [value, key], {}


def _leaky(inputs: list[Any], attributes: Attributes) -> Call:
    """Its slope is 0.2 where none is stored, in TensorFlow too."""
    return "leaky_relu", inputs, {"alpha": attributes.get("alpha") or 0.2}


def _cast(inputs: list[Any], attributes: Attributes) -> Call:
    kinds = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}
    return "cast", inputs, {"dtype": kinds.get(attributes["DstT"], "")}


def _product(inputs: list[Any], attributes: Attributes) -> Call:
    turned = {f"transpose_{side}": attributes.get(f"transpose_{side}") is True for side in "ab"}
    adjoint = {
        f"adjoint_{side}": attributes.get(f"adj_{other}") is True for side, other in zip("ab", "xy", strict=True)
    }
    return "matmul", inputs, turned | adjoint


_SAME = {
    **{"Add": "add", "AddV2": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "truediv"},
    **{"Maximum": "maximum", "Minimum": "minimum", "Pow": "pow"},
    **{"Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Relu6": "relu6", "Selu": "selu", "Elu": "elu"},
    **{"Softplus": "softplus", "Softsign": "softsign", "Softmax": "softmax", "LogSoftmax": "log_softmax"},
    **{"Square": "square", "Sqrt": "sqrt", "Abs": "abs", "Neg": "neg", "Exp": "exp", "Log": "log", "Erf": "erf"},
    **{"Reciprocal": "reciprocal", "Inv": "reciprocal", "Shape": "shape"},
    **{"Identity": "identity", "StopGradient": "stop_gradient"},
}
_ROWS: dict[str, Callable[[list[Any], Attributes], Call]] = {
    **{name: _reduction(f"reduce_{name.lower()}") for name in ("Sum", "Mean", "Max", "Min", "Prod")},
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), _product),
    "Transpose": _named("transpose", perm=1),
    "Reshape": _named("reshape", shape=1),
    "ExpandDims": _named("expand_dims", axis=1),
    "ReverseV2": _named("reverse", axis=1),
    "Tile": _named("tile", multiples=1),
    "Pad": _named("pad", paddings=1),
    "GatherV2": _named("take", indices=1, axis=2),
    "SplitV": _named("split", num_or_size_splits=1, axis=2),
    "Squeeze": _squeeze,
    "ConcatV2": _concatenation,
    "Pack": _stack,
    "Unpack": _with("unstack", axis="axis"),
    "Split": _split,
    "StridedSlice": _slice,
    "LeakyRelu": _leaky,
    "Cast": _cast,
}
