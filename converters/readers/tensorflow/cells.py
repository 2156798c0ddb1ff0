"""What a graph tells of recurrent cells: offset, activation, clips, and whether a loop feeds a product its output."""

from __future__ import annotations

from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.graph import Node
from converters.readers.tensorflow.tracing import PRODUCTS, SUMS, Trace
from layouts.records import dataclass
from layouts.reference import ACTIVATIONS

FUNCTIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
    "Softsign": "softsign", "Relu6": "relu6", "Softmax": "softmax", "LeakyRelu": "leaky_relu", "Exp": "exponential",
}  # fmt: skip
"""Operations that are activations, as the cells here call them."""


@dataclass(frozen=True)
class Cells:
    """The cells of one graph."""

    trace: Trace
    found: Evidence

    def cell(self, name: str, path: str, cuts: list[Node]) -> None:
        """An LSTM, cut into i, g, f, o; or a GRU's gates, cut into two."""
        if any(cut.attribute("num_split").integer(3) != 4 for cut in cuts):
            return
        self.found.name_class(path, "LSTMCell")
        offsets = {offset for cut in cuts if (offset := self._offset(cut)) is not None}
        self.found.state(path, "forget_bias", offsets)
        self.function(name, path, {use.node.op for cut in cuts for use in self.trace.graph.uses(cut, 1)})
        self._limits(name, path, {cut.scope for cut in cuts})

    def _limits(self, name: str, path: str, scopes: set[str]) -> None:
        """What clips the cell, and what clips the projection: the one that a product made."""
        limits: dict[str, set[float]] = {"cell_clip": set(), "projection_clip": set()}
        graph = self.trace.graph
        for node in graph.nodes.values():
            number = graph.number(node.inputs[1]) if _is_limit(node, scopes) and len(node.inputs) > 1 else None
            made = graph.origin(node.inputs[0]) if number is not None else None
            if made is not None and number is not None:
                limits["projection_clip" if made.op in PRODUCTS else "cell_clip"].add(number)
        for option, values in limits.items():
            self.found.state(path, option, values)
            if len(values) > 1:
                self.found.refused[name] = f"it runs with several limits ({option}), which no module computes"

    def _offset(self, cut: Node) -> float | None:
        """What is added to the forget gate: a constant, or nothing where its function reads it as it is."""
        for use in self.trace.graph.uses(cut, 2):
            numbers = [self.trace.graph.number(edge) for edge in use.node.inputs] if use.node.op in SUMS else []
            offset = next((number for number in numbers if number is not None), None)
            if offset is not None:
                return offset
            if use.node.op == "Sigmoid":
                return 0.0
        return None

    def block(self, path: str, blocks: list[Node]) -> None:
        """A fused LSTM: its options are attributes."""
        self.found.name_class(path, "LSTMBlockCell")
        self.found.state(path, "forget_bias", {node.attribute("forget_bias").real(4) for node in blocks})
        limits = {node.attribute("cell_clip").real(4) for node in blocks}
        self.found.state(path, "cell_clip", {limit for limit in limits if limit > 0})

    def runs(self, products: list[Node], sums: list[Node]) -> bool:
        """Whether the function of each sum is what a loop gives back to its product as its state."""
        return all(self._runs(*pair) for pair in zip(products, sums, strict=True))

    def _runs(self, product: Node, added: Node) -> bool:
        graph, joined = self.trace.graph, self.trace.joins(product)
        state = graph.origin(joined.inputs[1]) if joined is not None and len(joined.inputs) > 1 else None
        if state is None or state.op != "Merge" or len(state.inputs) < 2:
            return False
        again = graph.nodes.get(state.inputs[1].node)
        given = graph.origin(again.inputs[0]) if again is not None and again.op == "NextIteration" else None
        return given is not None and any(use.node is given for use in graph.uses(added))

    def function(self, name: str, path: str, operations: set[str]) -> None:
        """The activation of a cell, among what reads its candidate; one that no cell here has is refused."""
        found = operations & {*FUNCTIONS}
        strange = sorted(op for op in found if FUNCTIONS[op] not in ACTIVATIONS)
        if strange:
            self.found.refused[name] = f"its activation is {strange[0]}, which no module computes"
        self.found.state(path, "activation", {FUNCTIONS[op] for op in found - {*strange}})


def _is_limit(node: Node, scopes: set[str]) -> bool:
    """Whether a node limits values from above in the scope of a cell itself."""
    scope = node.name.partition("/clip_by_value")[0]
    return node.op == "Minimum" and scope != node.name and scope in scopes
