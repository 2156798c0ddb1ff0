"""What a graph tells of variables: of cells offset and activations, of users' own matrices that they are Dense.

By structure, not by names: a cell of an LSTM is a product with a joined [x; h], a bias, and a cut into four. What is
not found so, is not told. Source of the structures: `call` of the cells in rnn_cell_impl.py, and graphs of 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.tensorflow.cells import FUNCTIONS, Cells
from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.graph import Graph, Node, Use
from converters.readers.tensorflow.tracing import SUMS, Trace
from layouts import catalogue
from layouts.records import dataclass

_CUTS = {"Split", "SplitV"}
_LOOKUPS = {"Gather", "GatherV2", "ResourceGather"}
_BLOCKS = {"LSTMBlockCell", "BlockLSTM"}
_NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
_CONVOLUTIONS = {"Conv2D", "Conv3D"}
_TRANSPOSED = {"Conv2DBackpropInput", "Conv3DBackpropInputV2"}
"""Of a kernel that no convolution reads: else they are gradients."""
_MATRICES = ("/kernel", "/weights", "/Linear/Matrix", "/W_0")
_CANDIDATES = ("/candidate/kernel", "/candidate/weights", "/Candidate/Linear/Matrix")


def evidence(graph: Graph, arrays: Mapping[str, LazyArray], nodes: Mapping[str, Node]) -> Evidence:
    """What a graph tells of these arrays; `nodes` are the variables of the graph, or its constants, by array name."""
    found, trace = Evidence(), Trace(graph, nodes, arrays)
    look = _Look(trace, Cells(trace, found), found)
    for name, array in arrays.items():
        if name in nodes:
            look.at(name, len(array.shape))
    return found


@dataclass(frozen=True)
class _Look:
    """One graph on its way to evidence."""

    trace: Trace
    cells: Cells
    found: Evidence

    def at(self, name: str, rank: int) -> None:
        """Everything that the uses of one variable tell."""
        uses = self.trace.graph.uses(self.trace.nodes[name])
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
            self.cells.block(path, blocks)
            return
        products = [*self.trace.products(uses)]
        sums = [self.trace.after(node) for node in products]
        cuts = [cut for node in sums for cut in self.trace.consumers(node, _CUTS)]
        if cuts:
            self.cells.cell(name, path, cuts)
        elif sums and name.endswith(_CANDIDATES):
            self.cells.function(name, _stripped(name, _CANDIDATES), self.trace.operations(sums))
        elif sums and all(self.trace.joins(node) is not None for node in products):
            self.found.name_class(path, "BasicRNNCell" if self.cells.runs(products, sums) else None)
            self.cells.function(name, path, self.trace.operations(sums))
        elif sums:
            self._dense(name, sums)

    def _dense(self, name: str, sums: list[Node]) -> None:
        """A product that nothing cuts and that reads no joined state: Dense, whatever its variables are called."""
        biases = {bias for node in sums for bias in self.trace.biases(node)}
        path = _common(name, *biases)
        if len(biases) > 1 or not path:
            return
        bias = next(iter(biases), None)
        plain = f"{path}/kernel", f"{path}/bias"
        if name.rpartition("/")[2] not in catalogue.names("tensorflow"):
            self.found.names |= {name: plain[0]} | ({bias: plain[1]} if bias else {})
        old = name.endswith("/weights") and name not in self.found.names
        self.found.name_class(path, "fully_connected" if old else "Dense")
        functions = self.trace.operations(sums) & {*FUNCTIONS}
        self.found.state(path, "activation", {FUNCTIONS[op] for op in functions} or {"linear"})

    def _table(self, name: str) -> None:
        if not name.endswith("/embeddings"):
            self.found.names[name] = f"{name}/embeddings"

    def _kernel(self, name: str, uses: list[Use]) -> None:
        """A convolution's strides and padding; or the cell that is cut out of it."""
        nodes = [use.node for use in uses if use.node.op in _CONVOLUTIONS and use.position == 1]
        nodes = nodes or [use.node for use in uses if use.node.op in _TRANSPOSED and use.position == 1]
        cuts = [cut for node in nodes for cut in self.trace.consumers(self.trace.after(node), _CUTS)]
        if cuts:
            self.cells.cell(name, _path(name), cuts)
            return
        path, rank = _path(name), len(self.trace.arrays[name].shape)
        for option, attribute in (("strides", "strides"), ("dilation", "dilations")):
            lists = (node.attribute(attribute).message(1).integers(3) for node in nodes)
            self.found.state(path, option, {tuple(each[1:-1][-(rank - 2) :]) for each in lists if each})
        paddings = {node.attribute("padding").text(2).lower() for node in nodes}
        self.found.state(path, "padding", paddings if paddings <= {"same", "valid"} else set())

    def _norm(self, name: str, uses: list[Use]) -> None:
        nodes = [use.node for use in uses if use.node.op in _NORMS]
        values = {_short(node.attribute("epsilon").real(4)) for node in nodes}
        if name.endswith("/moving_variance"):
            sums = [use.node for use in uses if use.node.op in SUMS]
            numbers = [self.trace.graph.number(edge) for node in sums for edge in node.inputs]
            values |= {_short(number) for number in numbers if number is not None}
        self.found.state(name.rpartition("/")[0], "epsilon", values)


def _short(value: float) -> float:
    """A number as it was before it became a float32."""
    return float(np.format_float_positional(np.float32(value)))


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
