"""What a graph tells of variables: of cells offset and activations, of users' own matrices that they are Dense.

By structure, not by names: a cell of an LSTM is a product with a joined [x; h], a bias, and a cut into four. What is
not found so, is not told. Source of the structures: `call` of the cells in rnn_cell_impl.py, and graphs of 1.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.model.names import module_name
from converters.readers.tensorflow.graph import Graph, Node, Use
from converters.readers.tensorflow.names import is_cell
from layouts import catalogue
from layouts.reference import ACTIVATIONS

_ACTIVATIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "Relu6": "relu6", "Softmax": "softmax", "LeakyRelu": "leaky_relu", "Exp": "exponential",
}  # fmt: skip
_PRODUCTS = {"MatMul", "BatchMatMul", "BatchMatMulV2"}
_SUMS = {"BiasAdd", "Add", "AddV2", "BiasAddV1"}
_CUTS = {"Split", "SplitV"}
_LOOKUPS = {"Gather", "GatherV2", "ResourceGather"}
_BLOCKS = {"LSTMBlockCell", "BlockLSTM"}
_NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
_CONVOLUTIONS = {"Conv2D", "Conv3D"}
_TRANSPOSED = {"Conv2DBackpropInput", "Conv3DBackpropInputV2"}
"""Of a kernel that no convolution reads: else they are gradients."""
_MATRICES = ("/kernel", "/weights", "/Linear/Matrix", "/W_0")
_CANDIDATES = ("/candidate/kernel", "/candidate/weights", "/Candidate/Linear/Matrix")
_SHAPED = {"Reshape", "Transpose"}
"""What a product over more than two axes does to its matrix first."""


@dataclass
class Evidence:
    """What a graph tells: what may be stated of layers, other names of variables, and what nothing computes."""

    stated: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """The name of a variable -> why the layer that has it is refused."""
    untrained: set[str] = field(default_factory=set)
    """Scalars that are not among the variables that are trained."""

    def state(self, path: str, option: str, values: set[Any]) -> None:
        """Note the one value that all uses of a layer have; several are no evidence."""
        if len(values) == 1:
            key = f"{module_name(path)}.{option}" if path else option
            self.stated[key] = next(iter(values))


def evidence(graph: Graph, arrays: Mapping[str, LazyArray], nodes: Mapping[str, Node]) -> Evidence:
    """What a graph tells of these arrays; `nodes` are the variables of the graph, or its constants, by array name."""
    found = Evidence()
    look = _Look(graph, nodes, arrays, found)
    for name, array in arrays.items():
        if name in nodes:
            look.at(name, len(array.shape))
    return found


@dataclass(frozen=True)
class _Look:
    graph: Graph
    nodes: Mapping[str, Node]
    arrays: Mapping[str, LazyArray]
    found: Evidence

    def at(self, name: str, rank: int) -> None:
        """Everything that the uses of one variable tell."""
        uses = self.graph.uses(self.nodes[name])
        if rank == 2:
            self._matrix(name, uses)
            if any(use.node.op in _LOOKUPS and use.position == 0 for use in uses):
                self._table(name)
        if rank > 2:
            self._kernel(name, uses)
        if name.endswith(("/gamma", "/beta", "/moving_variance")):
            self._norm(name, uses)

    def _matrix(self, name: str, uses: list[Use]) -> None:
        path, blocks = _path(name), [use.node for use in uses if use.node.op in _BLOCKS]
        if blocks:
            self._block(name, path, blocks)
            return
        products = [*self._products(uses)]
        sums = [self._after(node) for node in products]
        cuts = [cut for node in sums for cut in self._consumers(node, _CUTS)]
        if cuts:
            self._cell(name, path, cuts)
        elif sums and name.endswith(_CANDIDATES):
            self._function(name, _stripped(name, _CANDIDATES), self._operations(sums))
        elif sums and all(self._joins(node) is not None for node in products):
            self._class(path, "BasicRNNCell" if self._runs(products, sums) else None)
            self._function(name, path, self._operations(sums))
        elif sums:
            self._dense(name, sums)

    def _products(self, uses: list[Use]) -> Iterator[Node]:
        """The products in which a matrix is on the right, as it is or made flat first; not those of gradients."""
        for use in uses:
            if use.node.op in _SHAPED and use.position == 0:
                yield from self._products(self.graph.uses(use.node))
            elif use.node.op in _PRODUCTS and use.position == 1 and not use.node.attribute("transpose_b").integer(5):
                yield use.node

    def _after(self, node: Node) -> Node:
        """The sum of a product with its bias, past reshaping; the product itself where nothing is added."""
        for use in self.graph.uses(node):
            if use.node.op in _SUMS and self._bias(use.node, node) is not None:
                return use.node
            if use.node.op in ("Reshape", "Squeeze") and use.position == 0:
                return self._after(use.node)
        return node

    def _bias(self, sum_: Node, product: Node) -> str | None:
        """The name of the variable that a sum adds to a product."""
        for edge in sum_.inputs:
            origin = self.graph.origin(edge)
            name = self._name_of(origin) if origin is not None and origin is not product else None
            if name is not None and len(self.arrays[name].shape) == 1:
                return name
        return None

    def _name_of(self, node: Node) -> str | None:
        return node.name if node.name in self.arrays and self.nodes.get(node.name) is node else None

    def _consumers(self, node: Node, operations: set[str]) -> list[Node]:
        return [use.node for use in self.graph.uses(node) if use.node.op in operations]

    def _joins(self, product: Node) -> Node | None:
        """What joins the inputs of a product, where they are joined."""
        origin = self.graph.origin(product.inputs[0]) if product.inputs else None
        return origin if origin is not None and origin.op in ("ConcatV2", "Concat") else None

    def _runs(self, products: list[Node], sums: list[Node]) -> bool:
        """Whether the function of a sum is what a loop gives back to the product as its state."""
        for product, node in zip(products, sums, strict=True):
            joined = self._joins(product)
            state = self.graph.origin(joined.inputs[1]) if joined is not None and len(joined.inputs) > 1 else None
            again = self.graph.nodes.get(state.inputs[1].node) if state is not None and state.op == "Merge" else None
            given = self.graph.origin(again.inputs[0]) if again is not None and again.op == "NextIteration" else None
            if given is None or all(use.node is not given for use in self.graph.uses(node)):
                return False
        return True

    def _class(self, path: str, class_name: str | None) -> None:
        """The class of a layer whose scope does not tell it; None says that it is not known."""
        if not is_cell(path):
            self.found.state(path, "class", {class_name})

    def _cell(self, name: str, path: str, cuts: list[Node]) -> None:
        """An LSTM, cut into i, g, f, o; or a GRU's gates, cut into two."""
        if any(cut.attribute("num_split").integer(3) != 4 for cut in cuts):
            return
        self._class(path, "LSTMCell")
        offsets = {offset for cut in cuts if (offset := self._offset(cut)) is not None}
        self.found.state(path, "forget_bias", offsets)
        self._function(name, path, {use.node.op for cut in cuts for use in self.graph.uses(cut, 1)})
        self._limits(path, {cut.scope for cut in cuts})

    def _limits(self, path: str, scopes: set[str]) -> None:
        """What clips the cell, and what clips the projection: the one that a product made."""
        limits: dict[str, set[float]] = {"cell_clip": set(), "projection_clip": set()}
        for node in self.graph.nodes.values():
            number = self.graph.number(node.inputs[1]) if _is_limit(node, scopes) and len(node.inputs) > 1 else None
            made = self.graph.origin(node.inputs[0]) if number is not None else None
            if made is not None and number is not None:
                limits["projection_clip" if made.op in _PRODUCTS else "cell_clip"].add(number)
        for option, values in limits.items():
            self.found.state(path, option, values)

    def _offset(self, cut: Node) -> float | None:
        """What is added to the forget gate: a constant, or nothing where its function reads it as it is."""
        for use in self.graph.uses(cut, 2):
            numbers = [self.graph.number(edge) for edge in use.node.inputs] if use.node.op in _SUMS else []
            offset = next((number for number in numbers if number is not None), None)
            if offset is not None:
                return offset
            if use.node.op == "Sigmoid":
                return 0.0
        return None

    def _block(self, name: str, path: str, blocks: list[Node]) -> None:
        self._class(path, "LSTMBlockCell")
        self.found.state(path, "forget_bias", {node.attribute("forget_bias").real(4) for node in blocks})
        limits = {node.attribute("cell_clip").real(4) for node in blocks}
        self.found.state(path, "cell_clip", {limit for limit in limits if limit > 0})

    def _operations(self, sums: list[Node]) -> set[str]:
        return {use.node.op for node in sums for use in self.graph.uses(node)}

    def _function(self, name: str, path: str, operations: set[str]) -> None:
        """The activation of a cell, among what reads its candidate; one that no cell here has is refused."""
        found = operations & {*_ACTIVATIONS}
        strange = sorted(op for op in found if _ACTIVATIONS[op] not in ACTIVATIONS)
        if strange:
            self.found.refused[name] = f"its activation is {strange[0]}, which no module computes"
        self.found.state(path, "activation", {_ACTIVATIONS[op] for op in found - {*strange}})

    def _dense(self, name: str, sums: list[Node]) -> None:
        """A product that nothing cuts and that reads no joined state: Dense, whatever its variables are called."""
        biases = {bias for node in sums for bias in self._biases(node)}
        path = _common(name, *biases)
        if len(biases) > 1 or not path:
            return
        bias = next(iter(biases), None)
        plain = f"{path}/kernel", f"{path}/bias"
        if name.rpartition("/")[2] not in catalogue.names("tensorflow"):
            self.found.names |= {name: plain[0]} | ({bias: plain[1]} if bias else {})
        old = name.endswith("/weights") and name not in self.found.names
        self._class(path, "fully_connected" if old else "Dense")
        functions = self._operations(sums) & {*_ACTIVATIONS}
        self.found.state(path, "activation", {_ACTIVATIONS[op] for op in functions} or {"linear"})

    def _biases(self, node: Node) -> Iterator[str]:
        found = self._bias(node, node) if node.op in _SUMS else None
        if found is not None:
            yield found

    def _table(self, name: str) -> None:
        if not name.endswith("/embeddings"):
            self.found.names[name] = f"{name}/embeddings"

    def _kernel(self, name: str, uses: list[Use]) -> None:
        """A convolution's strides and padding; or the cell that is cut out of it."""
        nodes = [use.node for use in uses if use.node.op in _CONVOLUTIONS and use.position == 1]
        nodes = nodes or [use.node for use in uses if use.node.op in _TRANSPOSED and use.position == 1]
        cuts = [cut for node in nodes for cut in self._consumers(self._after(node), _CUTS)]
        if cuts:
            self._cell(name, _path(name), cuts)
            return
        path, rank = _path(name), len(self.arrays[name].shape)
        for option, attribute in (("strides", "strides"), ("dilation", "dilations")):
            lists = (node.attribute(attribute).message(1).integers(3) for node in nodes)
            self.found.state(path, option, {tuple(each[1:-1][-(rank - 2) :]) for each in lists if each})
        paddings = {node.attribute("padding").text(2).lower() for node in nodes}
        self.found.state(path, "padding", paddings if paddings <= {"same", "valid"} else set())

    def _norm(self, name: str, uses: list[Use]) -> None:
        nodes = [use.node for use in uses if use.node.op in _NORMS]
        values = {_short(node.attribute("epsilon").real(4)) for node in nodes}
        if name.endswith("/moving_variance"):
            sums = [use.node for use in uses if use.node.op in _SUMS]
            numbers = [self.graph.number(edge) for node in sums for edge in node.inputs]
            values |= {_short(number) for number in numbers if number is not None}
        self.found.state(name.rpartition("/")[0], "epsilon", values)


def _short(value: float) -> float:
    """A number as it was before it became a float32."""
    return float(np.format_float_positional(np.float32(value)))


def _is_limit(node: Node, scopes: set[str]) -> bool:
    """Whether a node limits values from above in the scope of a cell itself."""
    scope = node.name.partition("/clip_by_value")[0]
    return node.op == "Minimum" and scope != node.name and scope in scopes


def _path(name: str) -> str:
    return _stripped(name, _MATRICES)


def _stripped(name: str, ends: tuple[str, ...]) -> str:
    return next((name.removesuffix(end) for end in ends if name.endswith(end)), name)


def _common(name: str, *others: str) -> str:
    """What a matrix and its bias are called together: what their names begin with, or the matrix's own name."""
    own = _path(name)
    if own != name or not others:
        return own
    stem = name
    for other in others:
        stem = "".join(a for k, a in enumerate(stem) if other.startswith(stem[: k + 1]))
    stem = stem.rstrip("_/")
    return stem if stem and stem not in ("/", name.rpartition("/")[0]) else name
