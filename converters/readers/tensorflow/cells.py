"""What a graph tells of recurrent cells: offset, activation, clips, and whether a loop feeds a product its output."""

from __future__ import annotations

from converters.readers.tensorflow.activations import FUNCTIONS, IsPlain, applied
from converters.readers.tensorflow.found import Evidence
from converters.readers.tensorflow.gate_order import is_lstm
from converters.readers.tensorflow.graph import Edge, Node, Use
from converters.readers.tensorflow.names import is_cell
from converters.readers.tensorflow.tracing import PRODUCTS, SUMS, Trace
from layouts.records import dataclass, field

_KEPT = {"NextIteration", "TensorArrayWriteV3", "Select", "SelectV2", "ConcatV2", "Concat", "Pack"}
"""Who reads the state of a cell without another function: the next step, and what gathers the outputs."""


@dataclass(frozen=True)
class Cells:
    """The cells of one graph."""

    trace: Trace
    found: Evidence
    _reads: dict[str, set[Edge]] = field(default_factory=dict)
    """The path of a cell -> what it is given."""

    def cell(self, name: str, path: str, products: list[Node], cuts: list[Node]) -> bool:
        """An LSTM, cut into i, g, f, o, or a GRU's gates, cut into two; or nothing of that kind."""
        if any(cut.attribute("num_split").integer(3) != 4 for cut in cuts):
            self._note(path, products)
            return is_cell(path) or any(self.trace.joins(product) for product in products)
        if not all(is_lstm(self.trace.graph, cut) for cut in cuts):
            if is_cell(path):
                self.found.refused[name] = "its gates are not those of TensorFlow's cells: i, j, f and o"
            return is_cell(path)
        self._note(path, products)
        self.found.name_class(path, "LSTMCell")
        offsets = {offset for cut in cuts if (offset := self._offset(cut)) is not None}
        self.found.state(path, "forget_bias", offsets)
        self.function(name, path, [Edge(cut.name, 1) for cut in cuts], self._is_gated)
        self._limits(name, path, {cut.scope for cut in cuts})
        return True

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

    def candidate(self, name: str, path: str, sums: list[Node]) -> None:
        """The candidate of a GRU."""
        self.function(name, path, [Edge(node.name, 0) for node in sums], self._is_gated)

    def joined(self, name: str, path: str, products: list[Node], sums: list[Node]) -> bool:
        """A product with a joined [x; h] that nothing cuts: a plain cell where it is given its own output."""
        runs = self._runs(products, sums)
        if not runs and not is_cell(path):
            self.found.name_class(path, None)
            return all(self._may_run(product) for product in products)
        self._note(path, products)
        self.found.name_class(path, "BasicRNNCell")
        self.function(name, path, [Edge(node.name, 0) for node in sums], _is_kept)
        return True

    def _runs(self, products: list[Node], sums: list[Node]) -> bool:
        """Whether a loop, or the next of several steps, gives each product its own output as its state."""
        made = {self.trace.graph.source(Edge(node.name, 0)) for node in self._outputs(sums)}
        fed = [self._state(product) for product in products]
        loops = [self._is_fed_back(state, made) for state in fed]
        steps = [state in made for state in fed]
        return all(loops) or (
            len(products) > 1 and all(one or two for one, two in zip(loops[1:], steps[1:], strict=True))
        )

    def _outputs(self, sums: list[Node]) -> list[Node]:
        """The sums, and what their functions make of them."""
        uses = [use for node in sums for use in self.trace.graph.uses(node)]
        return [*sums, *(use.node for use in uses if use.node.op in FUNCTIONS)]

    def _state(self, product: Node) -> Edge | None:
        """What is joined behind the input of a product."""
        joined = self.trace.joins(product)
        return self.trace.graph.source(joined.inputs[1]) if joined is not None and len(joined.inputs) > 1 else None

    def _is_fed_back(self, state: Edge | None, made: set[Edge]) -> bool:
        """Whether a loop gives any of these values back as a state, maybe where a sequence has not ended."""
        graph = self.trace.graph
        merge = graph.nodes.get(state.node) if state is not None else None
        if merge is None or merge.op != "Merge" or len(merge.inputs) < 2:
            return False
        again = graph.nodes.get(merge.inputs[1].node)
        given = graph.source(again.inputs[0]) if again is not None and again.op == "NextIteration" else None
        chosen = graph.nodes.get(given.node) if given is not None else None
        ways = chosen.inputs if chosen is not None and chosen.op in ("Select", "SelectV2") else ()
        return given in made or any(graph.source(way) in made for way in ways)

    def _may_run(self, product: Node) -> bool:
        """Whether nothing tells where the state of a product comes from: it may be called step by step."""
        state = self._state(product)
        node = self.trace.graph.nodes.get(state.node) if state is not None else None
        return node is None or not node.inputs or node.op in ("Merge", "Fill", "Select", "SelectV2")

    def _note(self, path: str, products: list[Node]) -> None:
        joined = filter(None, (self.trace.joins(product) for product in products))
        self._reads.setdefault(path, set()).update(self.trace.graph.source(node.inputs[0]) for node in joined)

    def residuals(self) -> None:
        """The cells whose output is added to what they read before another cell reads it: they are no stack."""
        graph, adding = self.trace.graph, set[str]()
        for read in self._reads.values():
            for edge in read:
                node = graph.nodes.get(edge.node)
                added = {graph.source(each) for each in node.inputs} if node is not None and node.op in SUMS else set()
                adding.update(path for path, own in self._reads.items() if own is not read and own & added)
        for path in self._reads:
            self.found.state(path, "residual", {path in adding})

    def function(self, name: str, path: str, values: list[Edge], plain: IsPlain) -> None:
        """The activation of a cell, by what reads its candidate; one that no cell here has is refused."""
        found, problem = applied(self.trace.graph, values, plain)
        if problem:
            self.found.refused[name] = problem
        else:
            self.found.state(path, "activation", found)

    def _is_gated(self, use: Use) -> bool:
        """Whether a gate, or what it leaves, is all that a candidate is multiplied with."""
        if use.node.op != "Mul" or len(use.node.inputs) != 2:
            return False
        other = self.trace.graph.origin(use.node.inputs[1 - use.position])
        return other is not None and other.op in ("Sigmoid", "Sub", "Split", "SplitV")


def _is_kept(use: Use) -> bool:
    return use.node.op in _KEPT


def _is_limit(node: Node, scopes: set[str]) -> bool:
    """Whether a node limits values from above in the scope of a cell itself."""
    scope = node.name.partition("/clip_by_value")[0]
    return node.op == "Minimum" and scope != node.name and scope in scopes
