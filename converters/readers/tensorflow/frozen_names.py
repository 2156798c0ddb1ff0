"""What the constants of a frozen graph of TensorFlow 2 are to Keras's layers: by their names, and by what reads them.

A constant is called after the operation that read the variable, `{layer}/{operation}/ReadVariableOp/resource`, and
what it was is told by that operation or by those that follow. Source: convert_to_constants.py, `batch_normalization` in
nn_impl.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from converters.model.arrays import LazyArray
from converters.readers.tensorflow.graph import Edge, Graph, Use
from converters.readers.tensorflow.keras_cells import reads_state
from converters.readers.tensorflow.objects import Variable
from converters.readers.tensorflow.tracing import PRODUCTS, SUMS

_RESOURCE = re.compile(r"(.+?)(?:/ReadVariableOp(?:_\d{1,4})?)?/(?:resource|\d+)")
_READER = re.compile(
    r"(Read|MatMul|Cast|BiasAdd|Tensordot|ReadVariableOp|[Cc]onv\dD|conv1d|ExpandDims|split|embedding_lookup|batchnorm|"
    r"mul|add|sub|FusedBatchNormV\d|depthwise|separable_conv2d|convolution|Reshape|Shape)(_\d{1,4})?"
)
"""Operations of layers, by which constants are called."""
_ROLES: Mapping[str, Mapping[int, str]] = {
    "Read": {2: "kernel"},
    "Read_1": {2: "recurrent_kernel"},
    "Read_2": {1: "bias", 2: "bias"},
    "MatMul": {2: "kernel"},
    "MatMul_1": {2: "recurrent_kernel"},
    "BiasAdd": {1: "bias"},
    "Tensordot": {2: "kernel"},
    "embedding_lookup": {2: "embeddings"},
}
"""The operation of a layer that reads a variable, and what a variable of so many axes is to it."""
_NORM = ("", "gamma", "beta", "moving_mean", "moving_variance")
_LOOKUPS = {"Gather", "GatherV2", "ResourceGather"}
_KERNELS = PRODUCTS | {"Conv2D", "Conv3D"}


def is_resource(name: str) -> bool:
    """Whether a constant is called so: TensorFlow 2's way."""
    return name.endswith("/resource") or _split(name) is not None


def resources(graph: Graph, constants: Mapping[str, LazyArray]) -> Iterator[Variable]:
    """The constants that the operations of Keras's layers read, named as its variables."""
    taken: set[str] = set()
    for name, array in constants.items():
        split = _split(name)
        if split is not None:
            path, reader = split
            called = f"{path}/{_role(graph, name, reader, array.shape) or reader}"
            yield Variable(called if called not in taken else name, name, array)
            taken.add(called)


def _split(name: str) -> tuple[str, str] | None:
    """The layer that a name tells, and the first operation of it; None for another name."""
    match = _RESOURCE.fullmatch(name)
    words = match[1].split("/") if match else []
    end = len(words)
    while end > 1 and _READER.fullmatch(words[end - 1]):
        end -= 1
    if not match or (end == len(words) and "ReadVariableOp" not in name):
        return None
    return "/".join(words[:end]), words[end] if end < len(words) else "ReadVariableOp"


def _role(graph: Graph, name: str, reader: str, shape: tuple[int, ...]) -> str | None:
    """What a variable is: by what only one kind of layer does with it, by the operation, by what is left."""
    uses = list(_past_reshaping(graph, graph.uses_of(Edge(name, 0))))
    special = next(filter(None, (_of_norm(graph, use) for use in uses)), None) if len(shape) == 1 else None
    named = _ROLES.get(reader, {}).get(len(shape))
    if special or named:
        return special or named
    if len(shape) == 2 and any(use.node.op in _LOOKUPS and use.position == 0 for use in uses):
        return "embeddings"
    if len(shape) == 1 or (len(shape) == 2 and shape[0] == 2):
        return "bias"
    if reads_state(graph, graph.nodes[name], shape):
        return "recurrent_kernel"
    return "kernel" if uses and all(use.node.op in _KERNELS and use.position == 1 for use in uses) else None


def _past_reshaping(graph: Graph, uses: Iterable[Use]) -> Iterator[Use]:
    for use in uses:
        if use.node.op == "Reshape" and use.position == 0:
            yield from graph.uses(use.node)
        else:
            yield use


def _of_norm(graph: Graph, use: Use) -> str | None:
    """What the arrays of a norm are: x (γ / √(v + ε)) + (β - m γ / √(v + ε)), or x' γ + β."""
    node = use.node
    if node.op.startswith("FusedBatchNorm"):
        return _NORM[use.position] if use.position < len(_NORM) else None
    after = [each.node.op for each in graph.uses(node)]
    if node.op in SUMS and "Rsqrt" in after:
        return "moving_variance"
    others = [graph.origin(edge) for k, edge in enumerate(node.inputs) if k != use.position]
    other = others[0].op if others and others[0] is not None else ""
    if node.op == "Mul" and other == "Rsqrt":
        return "moving_mean" if "Sub" in after else "gamma"
    if node.op == "Mul" and other == "Mul" and ("Sub" in after or "Neg" in after):
        return "moving_mean"
    if node.op == "Mul" and use.position == 1:
        return "gamma"
    return "beta" if other == "Mul" and (node.op in SUMS or (node.op == "Sub" and use.position == 0)) else None
