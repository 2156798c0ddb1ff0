"""The graphs of a file as one graph of ONNX: its nodes, and its stored tensors where they are.

Whole numbers are told as 64 bits wide, as ONNX has sizes and places; numbers that TensorFlow Lite rounds are told as
what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from converters.model.arrays import Array, LazyArray, in_memory
from converters.readers.onnx.file.tensors import code_of
from converters.readers.onnx.graph.scope import Scope
from converters.readers.tflite.model import Model, Operation
from layouts.errors import UnsafeCheckpoint
from layouts.records import dataclass, field, replace

OPSET = 20
DOMAIN = "tensorflow.lite"
"""Of operations that have no words of ONNX here."""
_MOST_NODES, _DEEPEST, _MOST_NUMBERS = 100_000, 8, 4096
_MALFORMED = (LookupError, TypeError, ValueError)
"""What is raised by an operation that lacks an input or an option: a stranger wrote it."""


_KINDS = {"bool": TensorProto.BOOL, "int32": TensorProto.INT64, "int64": TensorProto.INT64}


class Untold(Exception):
    """An operation for which there are no words here."""


@dataclass(eq=False)
class Told:
    """A file on its way to ONNX: the arrays that its nodes read, and the operation behind every value."""

    model: Model
    proto: ModelProto = field(default_factory=lambda: ModelProto(opset_import=[helper.make_opsetid("", OPSET)]))
    arrays: dict[str, LazyArray] = field(default_factory=dict)
    makers: dict[str, Operation] = field(default_factory=dict)
    _graphs: int = 0
    _nodes: int = 0

    def tensor(self, proto: TensorProto) -> LazyArray:
        """A stored tensor; or the one number that an attribute holds."""
        known = self.arrays.get(proto.name)
        return in_memory(proto.name, numpy_helper.to_array(proto)) if known is None else known

    def stored(self) -> int:
        """The bytes of the file."""
        return len(self.model.source)

    def graph(self, number: int, given: Mapping[int, str], depth: int) -> Words:
        """A graph of the file, in the place where it is called with these values. Raises `UnsafeCheckpoint`."""
        if depth > _DEEPEST:
            raise UnsafeCheckpoint(f"its graphs call one another more than {_DEEPEST} deep")
        self._graphs += 1
        return Words(self, number, f"{self._graphs}/", dict(given), depth)

    def pay(self) -> None:
        """Count one node. Raises `UnsafeCheckpoint`."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise UnsafeCheckpoint(f"its graphs make more than {_MOST_NODES} nodes where they are called")

    def hold(self, name: str, array: LazyArray) -> str:
        """The name of an array, which is kept."""
        self.arrays[name] = array
        return name


@dataclass(eq=False)
class Words:
    """One graph, called in one place: the nodes that tell it. `given`: the values that its inputs are."""

    told: Told
    graph: int
    prefix: str
    given: dict[int, str]
    depth: int
    nodes: list[NodeProto] = field(default_factory=list)
    infos: dict[str, ValueInfoProto] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    """What its values are called; the others by their numbers."""
    _operation: Operation | None = None

    def tell(self, one: Operation, say: Any) -> None:
        """Say one operation; where there are no words for it, by its own name."""
        self._operation, before = one, len(self.nodes)
        try:
            say(self, one)
        except (Untold, *_MALFORMED):
            del self.nodes[before:]
            reads = [self.reads(tensor) for tensor in one.inputs]
            self._node(one.kind, reads, [self.makes(tensor) for tensor in one.outputs], {}, DOMAIN)

    def put(self, op: str, *inputs: str, gives: int | None = None, **attributes: Any) -> str:
        """Add a node; the name of the value it makes: that of a tensor, or a new one."""
        name = f"{self.prefix}n{len(self.nodes)}" if gives is None else self.makes(gives)
        self._node(op, inputs, [name], attributes)
        return name

    def put_all(self, op: str, *inputs: str, gives: Sequence[str], **attributes: Any) -> None:
        """Add a node of several outputs."""
        self._node(op, inputs, gives, attributes)

    def _node(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any], domain: str = ""
    ) -> None:
        self.told.pay()
        one, name = self._operation, outputs[0] if outputs else ""
        if one is not None:
            self.told.makers |= dict.fromkeys(outputs, one)
            name = self.told.model.name(one.graph, one.outputs[0]) if one.outputs else name
        self.nodes.append(helper.make_node(op, inputs, outputs, name, domain=domain, **attributes))

    def fresh(self, wish: str) -> str:
        """A name that no other value has."""
        return f"{self.prefix}{wish}{len(self.nodes)}"

    def reads(self, tensor: int) -> str:
        """The name of a value that is read; '' for one that is left out."""
        if tensor < 0 or tensor in self.given:
            return self.given.get(tensor, "")
        array = self.constant(tensor)
        return self.makes(tensor) if array is None else self.told.hold(f"{self.graph}:{tensor}", array)

    def makes(self, tensor: int) -> str:
        """The name of a value that an operation makes; its shape is noted."""
        name = self.names.get(tensor) or f"{self.prefix}{tensor}"
        if name not in self.infos:
            self.infos[name] = self.info(name, tensor)
        return name

    def info(self, name: str, tensor: int) -> ValueInfoProto:
        """What is known of a value."""
        return helper.make_tensor_value_info(name, self.kind(tensor), self.described(tensor))

    def kind(self, tensor: int) -> int:
        """The kind of a value's numbers, as ONNX counts kinds."""
        return _KINDS.get(self.told.model.described(self.graph, tensor)[0], TensorProto.FLOAT)

    def described(self, tensor: int) -> tuple[int | None, ...] | None:
        """The shape of a value, None for sizes that are open; None where not even the axes are known."""
        return self.told.model.described(self.graph, tensor)[1]

    def shape(self, tensor: int) -> tuple[int | None, ...]:
        """The shape of a value of known axes. Raises `Untold`."""
        shape = self.described(tensor)
        if shape is None:
            raise Untold
        return shape

    def constant(self, tensor: int) -> LazyArray | None:
        """A stored tensor, whole numbers 64 bits wide; None for any other value."""
        array = self.told.model.constant(self.graph, tensor)
        return array if array is None or array.dtype.kind != "i" else _wide(array)

    def numbers(self, tensor: int) -> list[int]:
        """The whole numbers of a stored tensor. Raises `Untold` for any other one."""
        name = self.reads(tensor)
        array = self.told.arrays.get(name)
        if array is None or array.dtype.kind != "i" or array.size > _MOST_NUMBERS:
            raise Untold
        return [int(number) for number in array.read().reshape(-1)]

    def number(self, *values: float, kind: str = "int64", scalar: bool = False) -> str:
        """The name of numbers that are made here."""
        array: Array = np.asarray(values[0] if scalar else values, kind)
        return self.told.hold(f"{kind}{values}{'.' if scalar else ''}", in_memory("", array))

    def transposed(self, tensor: int) -> str:
        """The name of a matrix, turned: of a stored one, with no node."""
        name = self.reads(tensor)
        known = self.told.arrays.get(name)
        if known is not None and len(known.shape) == 2:
            return self.told.hold(f"{name}T", _turned(known))
        axes = list(range(len(self.shape(tensor))))
        return self.put("Transpose", name, perm=[*axes[:-2], axes[-1], axes[-2]])


def _wide(array: LazyArray) -> LazyArray:
    return replace(array, dtype=np.dtype(np.int64), read=lambda: array.read().astype(np.int64))


def _turned(array: LazyArray) -> LazyArray:
    return replace(array, shape=array.shape[::-1], read=lambda: array.read().T)


@dataclass(frozen=True, eq=False)
class InWords:
    """A whole file in the words of ONNX: its outermost graph, and the operation behind every value."""

    scope: Scope
    main: Words

    def maker(self, name: str) -> Operation | None:
        """The operation that makes a value."""
        return self.main.told.makers.get(name)

    def constant(self, graph: int, tensor: int) -> LazyArray | None:
        """A stored tensor, as the file has it."""
        return self.main.told.model.constant(graph, tensor)


def linked(words: Words) -> InWords:
    """The main graph, linked."""
    told, (inputs, outputs) = words.told, words.told.model.ends[0]
    given = [words.info(words.given[tensor], tensor) for tensor in dict.fromkeys(inputs)]
    made = [words.info(words.reads(tensor), tensor) for tensor in outputs]
    stored = [TensorProto(name=n, dims=a.shape, data_type=code_of(a.dtype)) for n, a in told.arrays.items()]
    graph = GraphProto(node=words.nodes, input=given, output=made, initializer=stored, value_info=words.infos.values())
    scope = Scope(graph, told)
    scope.link()
    return InWords(scope, words)
