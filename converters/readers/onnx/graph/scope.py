"""A graph and the graphs inside it: who makes a value, who reads it, which values are constant.

ONNX writes nodes in the order in which they run, so one pass tells what is constant. Names that a graph inside an If, a
Loop or a Scan does not define itself are those of the graph around it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from converters.model.arrays import LazyArray, in_memory
from converters.readers.onnx.file.attributes import values
from converters.readers.onnx.graph.folding import FOLDABLE, fold
from layouts.errors import UnsafeCheckpoint, printable
from layouts.records import dataclass, field, replace

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

Shape = tuple[int | None, ...]

_STANDARD = ("", "ai.onnx")
_MEASURING = ("Shape", "Size")
PRODUCTS = ("Gemm", "MatMul")
_TEXT = 8
"""The data type of text."""
_DEEPEST, _MOST_NODES = 200, 10_000
"""A constant that is computed through more nodes than this is not folded: files with weights need a few dozen."""


class Model(Protocol):
    """What holds a graph: an ONNX file, or one of another format that is told as ONNX."""

    @property
    def proto(self) -> ModelProto: ...

    def tensor(self, proto: TensorProto) -> LazyArray:
        """A stored tensor, located and not yet read."""

    def stored(self) -> int:
        """The bytes of the file, and of those opened beside it."""


@dataclass(frozen=True, eq=False)
class Node:
    """One node: what it does, the names of what it reads and makes ('' where absent), and its attributes as values."""

    proto: NodeProto
    scope: Scope
    subgraphs: Mapping[str, Scope] = field(default_factory=dict)
    """Attribute -> graph: `body` of a Loop or Scan, `then_branch` and `else_branch` of an If."""

    @cached_property
    def op(self) -> str:
        return self.proto.op_type

    @cached_property
    def domain(self) -> str:
        """The operator set; '' is that of ONNX itself."""
        own = self.proto.domain
        return "" if own in _STANDARD else own

    @property
    def name(self) -> str:
        return self.proto.name

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.proto.input)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.proto.output)

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Integers, floats, strings, lists of them, and tensors as messages; no graphs."""
        return values(self.proto, self.scope.opset, self.domain)

    def input(self, number: int) -> str:
        """The name of an input, '' where it is absent."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def output(self, number: int) -> str:
        """The name of an output, '' where it is absent."""
        return self.outputs[number] if number < len(self.outputs) else ""

    @property
    def called(self) -> str:
        """As messages name it: its own name, or else what it makes."""
        own = self.name or next(filter(None, self.outputs), "")
        op = printable(f"{self.domain}.{self.op}" if self.domain else self.op)
        return f"{printable(own)} ({op})" if own else op


class Scope:
    """One graph. What it does not define is looked up in the graph around it."""

    def __init__(self, graph: GraphProto, model: Model, parent: Scope | None = None, owner: Node | None = None) -> None:
        self.model, self.parent, self.owner = model, parent, owner
        self._graph = graph
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = tuple(value.name for value in graph.input if value.name not in self._stored)
        self._open = frozenset(self.inputs)
        self.outputs = tuple(value.name for value in graph.output)
        self._made: dict[str, Node] = {}
        self._readers: dict[str, list[Node]] = {}
        self._given: dict[str, LazyArray] = {}
        self._efforts: dict[str, tuple[int, int]] = {}
        self._folded: dict[str, LazyArray | None] = {}
        self.nodes = tuple(self._node(proto) for proto in graph.node)
        self._check_names()

    def _node(self, proto: NodeProto) -> Node:
        subgraphs: dict[str, Scope] = {}
        node = Node(proto, self, subgraphs)
        for attribute in proto.attribute:
            if attribute.HasField("g"):
                subgraphs[attribute.name] = Scope(attribute.g, self.model, self, node)
        for name in filter(None, node.outputs):
            if name in self._made:
                raise UnsafeCheckpoint(f"two nodes of the graph make the value {printable(name)}", array=name)
            self._made[name] = node
        return node

    def _check_names(self) -> None:
        counted = Counter([*(tensor.name for tensor in self._graph.initializer), *self.inputs])
        both = next((name for name, count in counted.items() if count > 1 or name in self._made), "")
        if both:
            raise UnsafeCheckpoint(f"the value {printable(both)} is defined twice in the graph", array=both)

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return next((o.version for o in self.model.proto.opset_import if o.domain in _STANDARD), 1)

    def link(self, given: Mapping[str, LazyArray] | None = None) -> None:
        """Find readers and constants, once, after the outermost graph is built. `given`: values for its inputs."""
        self._given = dict(given or {})
        for name in (*self._stored, *self._given):
            self._efforts[name] = (0, 0)
        for node in self.nodes:
            for name in dict.fromkeys(filter(None, node.inputs)):
                self.home(name)._readers.setdefault(name, []).append(node)
            for inner in node.subgraphs.values():
                inner.link()
            self._mark(node)

    def _mark(self, node: Node) -> None:
        """Note what it takes to fold the outputs of a node, where all that it reads is constant."""
        if node.op == "Constant":
            effort = (0, 0)
        elif node.domain or node.op not in FOLDABLE:
            return
        else:
            efforts = [self.home(name)._efforts.get(name) for name in node.inputs if name]
            known = [one for one in efforts if one is not None]
            if len(known) < len(efforts) or not known:
                return
            effort = 1 + max(depth for depth, _ in known), 1 + sum(count for _, count in known)
        if effort[0] <= _DEEPEST and effort[1] <= _MOST_NODES:
            self._efforts.update((name, effort) for name in node.outputs if name)

    def home(self, name: str) -> Scope:
        """The graph that defines a name: this one, or one around it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope._made or name in scope._stored or name in scope._open:
                return scope
            scope = scope.parent
        return self

    def stored_bytes(self) -> int:
        """The bytes of the model's file, and of the files opened beside it."""
        return self.model.stored()

    def walk(self) -> Iterator[Node]:
        """Every node in the order of the file; those of graphs inside a node before that node."""
        for node in self.nodes:
            for inner in node.subgraphs.values():
                yield from inner.walk()
            yield node

    def scopes(self) -> Iterator[Scope]:
        """This graph and every graph inside it."""
        yield self
        for node in self.nodes:
            for inner in node.subgraphs.values():
                yield from inner.scopes()

    @cached_property
    def places(self) -> dict[Node, int]:
        """The number of each node in the order in which they run."""
        return {node: number for number, node in enumerate(self.nodes)}

    def producer(self, name: str) -> Node | None:
        """The node that makes a value, here or in a graph around; None for inputs and stored arrays."""
        return self.home(name)._made.get(name)

    def readers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read a value, in this graph and in those inside it."""
        return tuple(self.home(name)._readers.get(name, ()))

    def is_input(self, name: str) -> bool:
        """Whether a value is given from outside its graph, and not stored."""
        home = self.home(name)
        return name in home._open and name not in home._given

    def is_constant(self, name: str) -> bool:
        """Whether a value is stored, or computed from stored values alone."""
        return name in self.home(name)._efforts

    def stored(self) -> tuple[str, ...]:
        """The names of the arrays that this graph itself stores, as initializers or in Constant nodes."""
        constants = (node.output(0) for node in self.nodes if node.op == "Constant")
        return (*self._stored, *filter(None, constants), *self._given)

    def constant(self, name: str) -> LazyArray | None:
        """A constant, located and not yet read; None for what depends on the input or cannot be folded."""
        home = self.home(name)
        if name not in home._folded:
            home._folded[name] = home._constant(name) if name in home._efforts else None
        return home._folded[name]

    def _constant(self, name: str) -> LazyArray | None:
        if name in self._given:
            return self._given[name]
        if name in self._stored:
            return _numbers(self._stored[name], self.model)
        node = self._made[name]
        if node.op == "Constant":
            return _constant_node(node, self.model)
        return fold(node, name)

    def leaves(self, name: str, *, measured: bool = True) -> tuple[str, ...]:
        """The names of the stored arrays that a constant is made from, each once, in the order of the inputs.

        `measured`: those too of which nothing but the shape is used.
        """
        found: dict[str, None] = {}
        waiting, seen = [name], {name}
        while waiting:
            name = waiting.pop()
            node = self.producer(name)
            if node is None or node.op == "Constant":
                found[name] = None
                continue
            if node.op in _MEASURING and not measured:
                continue
            new = [one for one in node.inputs if one and one not in seen]
            seen.update(new)
            waiting += reversed(new)
        return tuple(found)

    def shape(self, name: str) -> Shape | None:
        """The shape that the file declares for a value, None in the place of sizes it leaves open."""
        return self.home(name)._declared.get(name)

    def noted(self, name: str) -> Mapping[str, str]:
        """What an exporter notes of a value beside its type."""
        return self.home(name)._noted.get(name, {})

    def notes(self, key: str) -> bool:
        """Whether an exporter noted something under this key of any node."""
        return any(entry.key == key for node in self.nodes for entry in node.proto.metadata_props)

    @cached_property
    def _noted(self) -> dict[str, Mapping[str, str]]:
        values = (*self._graph.initializer, *self._graph.value_info)
        noted = ((value.name, {entry.key: entry.value for entry in value.metadata_props}) for value in values)
        return {name: entries for name, entries in noted if entries}

    def type_of(self, name: str) -> TypeProto.Tensor | None:
        """The type that the file declares for a value: the kind of its numbers, and its sizes with their names."""
        return self.home(name)._types.get(name)

    @cached_property
    def _types(self) -> dict[str, TypeProto.Tensor]:
        values = (*self._graph.input, *self._graph.output, *self._graph.value_info)
        return {value.name: value.type.tensor_type for value in values if value.type.HasField("tensor_type")}

    @cached_property
    def _declared(self) -> dict[str, Shape]:
        types = {name: one.shape.dim for name, one in self._types.items() if one.HasField("shape")}
        return {
            name: tuple(d.dim_value if d.HasField("dim_value") else None for d in dims) for name, dims in types.items()
        }


_PLAIN = {"value_float": "float32", "value_floats": "float32", "value_int": "int64", "value_ints": "int64"}


def _numbers(tensor: TensorProto, model: Model) -> LazyArray | None:
    """A stored array; None for text, which many a sound file stores and no weight is."""
    return None if tensor.data_type == _TEXT else model.tensor(tensor)


def _constant_node(node: Node, model: Model) -> LazyArray | None:
    """The value of a Constant node; None for strings and sparse tensors."""
    import numpy as np

    tensor: TensorProto | None = node.attributes.get("value")
    if tensor is not None:
        found = _numbers(tensor, model)
        return None if found is None else replace(found, name=node.output(0))
    for key, kind in _PLAIN.items():
        if key in node.attributes:
            return in_memory(node.output(0), np.asarray(node.attributes[key], kind))
    return None
