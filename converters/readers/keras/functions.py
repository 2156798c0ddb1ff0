"""Functions in the place of layers: the operations of Keras 3, and the TensorFlow functions of tf.keras.

Both write a name, and arguments in their places or by name; here they are brought into one form, and what has a neutral
operation becomes one. The rest is unknown, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converters.model import operations as op
from converters.model.graph import Shape
from converters.readers.keras import masking_functions
from converters.readers.keras.config import Config, Leaf, snake_case
from converters.readers.keras.draft import Flow
from converters.readers.keras.indexing import indexed
from converters.readers.keras.operations import is_known
from converters.readers.keras.site import Site, flows_in
from layouts.errors import printable

_TENSORFLOW = {"TFOpLambda", "SlicingOpLambda"}
_ARITHMETIC = {
    "add": "add",
    "subtract": "subtract",
    "sub": "subtract",
    "multiply": "multiply",
    "mul": "multiply",
    "true_divide": "divide",
    "truediv": "divide",
    "divide": "divide",
    "maximum": "maximum",
    "minimum": "minimum",
}
_ELEMENTWISE = {
    **{name: name for name in ("sigmoid", "tanh", "relu", "relu6", "selu", "silu", "softplus", "softsign", "mish")},
    **{name: name for name in ("square", "sqrt", "abs", "negative", "reciprocal", "log", "erf", "log_sigmoid")},
    "absolute": "abs",
    "exp": "exponential",
    "swish": "silu",
    "neg": "negative",
}
_REDUCTIONS = {
    **{name: name for name in ("sum", "mean", "max", "min", "prod")},
    **{f"reduce_{name}": name for name in ("sum", "mean", "max", "min", "prod")},
}


def is_function(item: Config, leaf: Leaf) -> bool:
    """Whether a member of a model is a function: its module says so, or else what it lacks of a layer."""
    if leaf.class_name in _TENSORFLOW:
        return True
    module = item.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops", "keras.ops"))
    nodes = item.get("inbound_nodes")
    modern = isinstance(nodes, list) and nodes and isinstance(nodes[0], dict) and "args" in nodes[0]
    layer = "trainable" in leaf.config or ("dtype" in leaf.config and is_known(leaf.class_name))
    return bool(modern) and not layer


def called(site: Site) -> list[Flow]:
    """The values that a function gives."""
    name = _name(site.leaf)
    arguments, options = list(site.given.arguments), {**_options(site.leaf), **site.given.named}
    masks = masking_functions.called(site, name, arguments, options)
    if masks is not None:
        return masks
    row = _ROWS.get(name)
    if row is None and name in _ARITHMETIC:
        found = _arithmetic(_ARITHMETIC[name], [*arguments, *(options[key] for key in ("y", "x2") if key in options)])
    elif row is None and name in _ELEMENTWISE:
        found = [op.Activation(_ELEMENTWISE[name])]
    elif row is None and name in _REDUCTIONS:
        found = _reduced(_REDUCTIONS[name], options, _shape(site))
    else:
        found = row(arguments, options, _shape(site)) if row else None
    if found is None:
        return site.unknown(f"the function {printable(name)} with these arguments has no neutral operation")
    return [Flow(_chain(site, found))]


def _name(leaf: Leaf) -> str:
    if leaf.class_name == "SlicingOpLambda":
        return "get_item"
    if leaf.class_name == "TFOpLambda":
        return str(leaf.config.get("function")).rpartition(".")[2]
    return snake_case(leaf.class_name)


def _options(leaf: Leaf) -> Mapping[str, Any]:
    return {} if leaf.class_name in _TENSORFLOW else {key: value for key, value in leaf.config.items() if key != "name"}


def _shape(site: Site) -> Shape | None:
    flows = list(flows_in([*site.given.arguments, *site.given.named.values()]))
    return site.draft.shape(flows[0].value) if flows else None


def _chain(site: Site, steps: Sequence[op.Operation]) -> str:
    """One operation behind the other; the first reads every value of the call."""
    inputs = [flow.value for flow in flows_in([*site.given.arguments, *site.given.named.values()])]
    for number, step in enumerate(steps or [op.Identity()], 1):
        name = site.name if number >= len(steps) else f"{site.name}:{number}"
        inputs = [site.compute(step, inputs, name=name)]
    return inputs[0]


Steps = list[op.Operation] | None
Row = Callable[[list[Any], Mapping[str, Any], Shape | None], Steps]


def _arithmetic(how: str, operands: Sequence[Any]) -> Steps:
    """Two values, or a value and a number on either side."""
    if len(operands) != 2:
        return None
    left, right = operands
    if isinstance(left, Flow) and isinstance(right, Flow):
        return [op.Combine(how)]
    number = right if isinstance(left, Flow) else left
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    return _by_number(how, float(number), isinstance(left, Flow))


def _by_number(how: str, number: float, behind: bool) -> Steps:
    if how == "add":
        return [op.Scale(1.0, number)]
    if how == "subtract":
        return [op.Scale(1.0, -number)] if behind else [op.Scale(-1.0, number)]
    if how == "multiply":
        return [op.Scale(number)]
    if how == "divide" and (number or not behind):
        return [op.Scale(1.0 / number)] if behind else [op.Activation("reciprocal"), op.Scale(number)]
    if how == "maximum" and number == 0:
        return [op.Activation("relu")]
    return None


def _axis(arguments: Sequence[Any], options: Mapping[str, Any], otherwise: Any = None) -> Any:
    return options.get("axis", next((each for each in arguments[1:] if not isinstance(each, Flow)), otherwise))


def _reduced(how: str, options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = options.get("axis")
    axes = axis if isinstance(axis, list) else [axis] if isinstance(axis, int) else list(range(len(shape or ())))
    return [op.Reduce(how, tuple(axes), options.get("keepdims") is True)] if axes else None


def _softmax(name: str) -> Row:
    def row(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
        axis = _axis(arguments, options, -1)
        axis = -1 if axis is None else axis
        return [op.Activation(name, axis=axis)] if isinstance(axis, int) else None

    return row


def _leaky(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    return [op.Activation("leaky_relu", alpha=float(options.get("negative_slope", options.get("alpha", 0.2))))]


def _gelu(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    return [op.Activation("gelu_tanh" if options.get("approximate") is True else "gelu")]


def _power(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    exponent = [*arguments[1:], options.get("y"), options.get("x2")][0]
    functions = {2: "square", 0.5: "sqrt", -1: "reciprocal"}
    known = isinstance(exponent, int | float) and exponent in functions
    return [op.Activation(functions[exponent])] if known else None


def _transpose(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axes = options.get("axes", options.get("perm"))
    if axes is None and shape is not None:
        axes = list(range(len(shape)))[::-1]
    return [op.Permute(tuple(axes))] if isinstance(axes, list) and sorted(axes) == list(range(len(axes))) else None


def _swapped(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    if shape is None:
        return None
    order = list(range(len(shape)))
    one, other = options["axis1"], options["axis2"]
    order[one], order[other] = order[other], order[one]
    return [op.Permute(tuple(order))]


def _reshape(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    """A shape whose first size is the batch, or stands for it; the other sizes are told."""
    told = next((options[key] for key in ("newshape", "shape") if isinstance(options.get(key), list)), None)
    if not told or not all(isinstance(size, int) for size in told[1:]):
        return None
    whole = [size for size in (shape or ())[1:] if size is not None]
    kept = told[0] == -1 and -1 not in told[1:] and shape is not None and len(whole) == len(shape) - 1
    if not kept or _size(whole) != _size(told[1:]):
        return None
    return [op.Reshape(tuple(told[1:]))]


def _size(sizes: Sequence[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _expanded(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    return [op.AddAxis(axis)] if isinstance(axis, int) else None


def _squeezed(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    if axis is None and shape is not None and None not in shape[1:]:
        axis = [k for k, size in enumerate(shape) if k and size == 1]
    axes = sorted([axis] if isinstance(axis, int) else axis or [], reverse=True)
    return [op.DropAxis(each) for each in axes] or None


def _flipped(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = _axis(arguments, options)
    axes = [axis] if isinstance(axis, int) else axis
    return [op.Reverse(each) for each in axes] if isinstance(axes, list) else None


def _concatenated(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    axis = options.get("axis", -1)
    constants = any(not isinstance(each, Flow) for each in arguments[0]) if isinstance(arguments[0], list) else False
    return [op.Concatenate(axis)] if isinstance(axis, int) and not constants else None


def _product(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    turned = any(value is True for value in options.values())
    return None if turned or len(list(flows_in([arguments, options]))) != 2 else [op.MatrixProduct()]


def _same(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    kind = options.get("dtype", next((each for each in arguments[1:]), "float32"))
    return [op.Identity()] if str(kind).rpartition(".")[2] in ("float32", "float64", "float16") else None


def _item(arguments: list[Any], options: Mapping[str, Any], shape: Shape | None) -> Steps:
    key = options.get("slice_spec", arguments[1] if len(arguments) > 1 else None)
    return indexed(key, shape)


_ROWS: dict[str, Row] = {
    "softmax": _softmax("softmax"),
    "log_softmax": _softmax("log_softmax"),
    "leaky_relu": _leaky,
    "gelu": _gelu,
    "power": _power,
    "pow": _power,
    "transpose": _transpose,
    "swapaxes": _swapped,
    "reshape": _reshape,
    "expand_dims": _expanded,
    "squeeze": _squeezed,
    "flip": _flipped,
    "reverse": _flipped,
    "concatenate": _concatenated,
    "concat": _concatenated,
    "matmul": _product,
    "cast": _same,
    "convert_to_tensor": lambda arguments, options, shape: [op.Identity()],
    "stop_gradient": lambda arguments, options, shape: [op.Identity()],
    "identity": lambda arguments, options, shape: [op.Identity()],
    "get_item": _item,
    "getitem": _item,
}
