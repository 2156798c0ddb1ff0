"""What a graph tells of variables: of cells offset and activations, of users' own matrices that they are Dense.

By structure, not by names: a cell of an LSTM is a product with a joined [x; h], a bias, and a cut into four. What is
not found so, is not told. Source of the structures: `call` of the cells in rnn_cell_impl.py, and graphs of 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.tensorflow import partitions
from converters.readers.tensorflow.activations import FUNCTIONS
from converters.readers.tensorflow.cells import Cells
from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.graph import Graph, Node, Use, constant
from converters.readers.tensorflow.keras_cells import kernel_options
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
    found = Evidence(refused={n: why for n, why in partitions.dealt(graph, nodes).items() if n in arrays})
    nodes = partitions.known_as(graph, nodes)
    trace = Trace(graph, nodes, arrays)
    look = _Look(trace, Cells(trace, found), found)
    for name, array in arrays.items():
        if name in nodes:
            look.at(name, len(array.shape))
    look.cells.residuals()
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
        if rank == 2 and name.endswith("/recurrent_kernel"):
            shape = self.trace.arrays[name].shape
            for option, value in kernel_options(self.trace.graph, self.trace.nodes[name], shape).items():
                self.found.state(name.rpartition("/")[0], option, {value})
        elif rank == 2 and f"{_path(name)}/recurrent_kernel" not in self.trace.arrays:
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
        if cuts and self.cells.cell(name, path, products, cuts):
            return
        if sums and name.endswith(_CANDIDATES):
            self.cells.candidate(name, _stripped(name, _CANDIDATES), sums)
        elif sums and all(self.trace.joins(node) is not None for node in products):
            if not self.cells.joined(name, path, products, sums):
                self._dense(name, sums)
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
        self._behind(path, sums)

    def _behind(self, path: str, made: list[Node]) -> None:
        """The function of what a product or a convolution makes."""
        operations = self.trace.operations(made)
        functions = {FUNCTIONS[op] for op in operations & {*FUNCTIONS}}
        self.found.state(path, "activation", functions or ({"linear"} if not operations & SUMS else set()))

    def _table(self, name: str) -> None:
        if not name.endswith("/embeddings"):
            self.found.names[name] = f"{name}/embeddings"

    def _kernel(self, name: str, uses: list[Use]) -> None:
        """A convolution's strides and padding; or the cell that is cut out of it."""
        nodes = [use.node for use in uses if use.node.op in _CONVOLUTIONS and use.position == 1]
        nodes = nodes or [use.node for use in uses if use.node.op in _TRANSPOSED and use.position == 1]
        cuts = [cut for node in nodes for cut in self.trace.consumers(self.trace.after(node), _CUTS)]
        if cuts and self.cells.cell(name, _path(name), nodes, cuts):
            return
        path, rank = _path(name), len(self.trace.arrays[name].shape)
        self._behind(path, [self.trace.after(node) for node in nodes])
        for option, attribute in (("strides", "strides"), ("dilation", "dilations")):
            lists = (node.attribute(attribute).message(1).integers(3) for node in nodes)
            self.found.state(path, option, {tuple(each[1:-1][-(rank - 2) :]) for each in lists if each})
        paddings = {self._padding(node) for node in nodes}
        self.found.state(path, "padding", paddings if paddings <= {"same", "valid", "causal"} else set())

    def _padding(self, node: Node) -> str:
        """How a convolution pads its input; "causal" where zeros were put before every sequence, and nowhere else."""
        padded = self.trace.graph.origin(node.inputs[0])
        if padded is None or padded.op not in ("Pad", "PadV2"):
            return node.attribute("padding").text(2).lower()
        origin = self.trace.graph.origin(padded.inputs[1])
        found = constant(origin) if origin is not None and origin.op == "Const" else None
        widths = found.read() if found is not None and found.shape == (3, 2) else None
        before = widths is not None and widths[1, 0] > 0 and widths[1, 1] == 0 and not widths[::2].any()
        return "causal" if before and node.attribute("padding").text(2) == "VALID" else ""

    def _norm(self, name: str, uses: list[Use]) -> None:
        nodes = [use.node for use in uses if use.node.op in _NORMS]
        self.found.state(name.rpartition("/")[0], "rank", {self._rank(node) for node in nodes} - {0})
        values = {_short(node.attribute("epsilon").real(4)) for node in nodes}
        if name.endswith("/moving_variance"):
            sums = [use.node for use in uses if use.node.op in SUMS]
            numbers = [self.trace.graph.number(edge) for node in sums for edge in node.inputs]
            values |= {_short(number) for number in numbers if number is not None}
        self.found.state(name.rpartition("/")[0], "epsilon", values)

    def _rank(self, node: Node) -> int:
        """The axes of what a fused norm reads: 4 or 5, unless axes of one were put into it."""
        given = self.trace.graph.origin(node.inputs[0]) if node.inputs else None
        reshaped = given is None or given.op in ("Reshape", "ExpandDims")
        return 0 if reshaped else len(node.attribute("data_format").text(2) or "NHWC")


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
