"""What a graph tells of Keras's recurrent layers: the functions of gates and candidate, and where a GRU resets.

All of it hangs on the recurrent kernel: what the state is multiplied with, which columns become which gate, what is
applied to each. What is not found so is not told. Source: `call` of the cells in rnn/{lstm,gru,simple_rnn}.py of Keras
2 and 3, whose gates are i, f, c, o and z, r, h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from converters.readers.tensorflow.activations import applied, clipped
from converters.readers.tensorflow.graph import Edge, Graph, Node, Use, constant
from converters.readers.tensorflow.tracing import PRODUCTS, SUMS
from layouts.records import dataclass

_CANDIDATE = {4: 2, 3: 2, 1: 0}
"""The number of gates -> the gate whose function is the activation."""
_KEPT = {"NextIteration", "TensorListSetItem", "TensorArrayWriteV3", "Select", "SelectV2", "Pack", "ConcatV2"}


class Gate(NamedTuple):
    """A value on its way to a gate: its number, and for a GRU's candidate whether it resets before or after."""

    number: int
    value: Edge
    reset_after: bool | None = None


@dataclass(frozen=True)
class KerasCell:
    """One recurrent kernel in a graph, (unit, gates × unit)."""

    graph: Graph
    unit: int
    gates: int

    def options(self, kernel: Node) -> Mapping[str, Any]:
        """The options that all uses of a kernel have; nothing of what several uses have differently."""
        found = list(self._gates(kernel))
        candidate = _CANDIDATE[self.gates]
        told: dict[str, set[Any]] = {"activation": set(), "recurrent_activation": set(), "reset_after": set()}
        for gate in found:
            option = "activation" if gate.number == candidate else "recurrent_activation"
            told[option] |= self._functions(gate)
            if gate.number == candidate and self.gates == 3 and gate.reset_after is not None:
                told["reset_after"].add(gate.reset_after)
        complete = {gate.number for gate in found} == {*range(self.gates)}
        return {option: next(iter(values)) for option, values in told.items() if complete and len(values) == 1}

    def _gates(self, kernel: Node) -> Iterator[Gate]:
        for columns, product in self._products(Edge(kernel.name, 0), range(self.gates)):
            state = self.graph.origin(product.inputs[0])
            before = state is not None and state.op == "Mul"
            for gate in self._apart(Edge(product.name, 0), columns):
                yield self._summed(gate._replace(reset_after=False if before else None))

    def _products(self, value: Edge, columns: range) -> Iterator[tuple[range, Node]]:
        """The products with a kernel or with columns of it, and the gates that these are."""
        for use in self.graph.uses_of(value):
            if use.node.op in PRODUCTS and use.position == 1 and not use.node.attribute("transpose_b").integer(5):
                yield columns, use.node
            else:
                for part, some in self._parts(use, columns):
                    yield from self._products(part, some)

    def _parts(self, use: Use, columns: range) -> Iterator[tuple[Edge, range]]:
        """The parts into which an operation cuts the last axis, and the gates that each is."""
        node = use.node
        if (node.op == "Split" and use.position == 1) or (node.op == "SplitV" and use.position == 0):
            if self._is_even(node, len(columns)):
                yield from ((Edge(node.name, k), columns[k : k + 1]) for k in range(len(columns)))
        elif node.op == "StridedSlice" and use.position == 0 and len(node.inputs) == 4:
            start, stop = (self._column(edge) for edge in node.inputs[1:3])
            if start is not None and stop is not None and not start % self.unit and not stop % self.unit:
                yield Edge(node.name, 0), columns[start // self.unit : stop // self.unit or len(columns)]

    def _is_even(self, node: Node, gates: int) -> bool:
        """Whether an operation cuts a value into its gates; the sizes of SplitV may go on with a rest of nothing."""
        if node.op == "Split":
            return node.attribute("num_split").integer(3) == gates
        origin = self.graph.origin(node.inputs[1]) if len(node.inputs) > 1 else None
        found = constant(origin) if origin is not None and origin.op == "Const" else None
        sizes = found.read().reshape(-1).tolist() if found is not None and found.size <= gates + 1 else []
        rest = gates * self.unit - sum(size for size in sizes if size > 0)
        sizes = [rest if size == -1 else size for size in sizes]
        return sizes[:gates] == [self.unit] * gates and not any(sizes[gates:])

    def _column(self, edge: Edge) -> int | None:
        """The number of a slice's bounds that is of the last axis."""
        node = self.graph.origin(edge)
        found = constant(node) if node is not None and node.op == "Const" else None
        return int(found.read().reshape(-1)[-1]) if found is not None and found.size == 2 else None

    def _apart(self, value: Edge, columns: range) -> Iterator[Gate]:
        """The gates of a value: itself where it is one alone, else what it is cut into, maybe past sums."""
        if len(columns) == 1:
            yield Gate(columns[0], value)
            return
        for use in self.graph.uses_of(value):
            if use.node.op in SUMS:
                yield from self._apart(Edge(use.node.name, 0), columns)
            for part, some in self._parts(use, columns):
                yield from self._apart(part, some)

    def _summed(self, gate: Gate) -> Gate:
        """A gate past what is added to it, and past the reset of a candidate that comes after its product."""
        for _ in range(6):
            uses = self.graph.uses_of(gate.value)
            added = next((use.node for use in uses if use.node.op in SUMS and not self._by_number(use)), None)
            reset = next((use.node for use in uses if use.node.op == "Mul" and self._is_reset(use)), None)
            if added is not None:
                gate = gate._replace(value=Edge(added.name, 0))
            elif reset is not None and self.gates == 3 and gate.number == 2 and gate.reset_after is None:
                gate = gate._replace(value=Edge(reset.name, 0), reset_after=True)
            else:
                return gate
        return gate

    def _by_number(self, use: Use) -> bool:
        """Whether the other operand is one number, as of the functions that are lines."""
        return any(self.graph.number(edge) is not None for edge in use.node.inputs)

    def _is_reset(self, use: Use) -> bool:
        """Whether a product of elements is that with the reset gate: what comes out is added to something."""
        return not self._by_number(use) and any(
            each.node.op in SUMS for each in self.graph.uses_of(Edge(use.node.name, 0))
        )

    def _functions(self, gate: Gate) -> set[str]:
        line = clipped(self.graph, gate.value)
        if line:
            return {line}
        found, problem = applied(self.graph, [gate.value], self._plain)
        return set() if problem else found

    def _plain(self, use: Use) -> bool:
        """Whether a use takes a value as it is: a gate times it, or the state that is kept."""
        return (use.node.op == "Mul" and not self._by_number(use)) or use.node.op in _KEPT


def reads_state(graph: Graph, kernel: Node, shape: tuple[int, ...]) -> bool:
    """Whether what a loop gives back to itself, maybe reset, is multiplied with a matrix of this shape."""
    if len(shape) != 2 or not shape[0] or shape[1] % shape[0]:
        return False
    gates = shape[1] // shape[0]
    products = (
        product for _, product in KerasCell(graph, shape[0], gates)._products(Edge(kernel.name, 0), range(gates))
    )
    return gates in _CANDIDATE and any(_is_state(graph, product.inputs[0]) for product in products)


def _is_state(graph: Graph, edge: Edge) -> bool:
    node = graph.origin(edge)
    reset = node is not None and node.op == "Mul" and any(_is_loops(graph, each) for each in node.inputs)
    return reset or _is_loops(graph, edge)


def _is_loops(graph: Graph, edge: Edge) -> bool:
    node = graph.origin(edge)
    return node is not None and node.op == "Merge"


def kernel_options(graph: Graph, kernel: Node, shape: tuple[int, ...]) -> Mapping[str, Any]:
    """What a graph tells of the layer that has a recurrent kernel of this shape; nothing where it is none."""
    gates = shape[1] // shape[0] if len(shape) == 2 and shape[0] and not shape[1] % shape[0] else 0
    return KerasCell(graph, shape[0], gates).options(kernel) if gates in _CANDIDATE else {}
