"""The operations and tensors of a TensorFlow Lite file, located and checked against the bytes that are there.

Field numbers: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.readers.source import Source
from converters.readers.tflite.flatbuffer import Table, root
from converters.readers.tflite.operations import CUSTOM, OPERATIONS
from layouts.errors import UnreadableCheckpoint, UnsafeCheckpoint, printable
from layouts.records import dataclass, field, replace

_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"} | {
    10: "float64"
}
_QUANTIZED = {"uint8", "int8", "int16", "int32"}
_TEXT, _MOST_AXES = 5, 32


@dataclass(frozen=True)
class Operation:
    """One node: what it is, the tensors it reads (-1 for one that is left out) and makes, and its options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    graph: int

    def option(self, number: int, form: str, default: Any = 0) -> Any:
        """An option by the number of its field."""
        return self.options.number(number, form, default) if self.options else default


@dataclass(frozen=True)
class Model:
    """One file: its operations in order, and the tensors of each of its graphs on demand."""

    source: Source
    _root: Table
    _arrays: dict[tuple[int, int], LazyArray | None] = field(default_factory=dict)

    @cached_property
    def operations(self) -> list[Operation]:
        """Every operation, those of the main graph first."""
        codes = [_named(code) for code in self._root.tables(1)]
        found = []
        for number, graph in enumerate(self._graphs):
            for operation in graph.tables(3):
                index = operation.number(0, "I")
                if index >= len(codes):
                    raise UnreadableCheckpoint("damaged: an operation is of a kind that is not listed")
                kind, reads, makes = codes[index], _tensors(operation, 1), _tensors(operation, 2)
                options = operation.table(4)
                if kind == "LSTM" and options is not None and options.number(3, "b", 0) == 1:
                    kind = "BASIC_LSTM"
                found.append(Operation(kind, reads, makes, options, number))
        return found

    @cached_property
    def _by_graph(self) -> list[list[Operation]]:
        found: list[list[Operation]] = [[] for _ in self._graphs]
        for one in self.operations:
            found[one.graph].append(one)
        return found

    def of_graph(self, number: int) -> list[Operation]:
        """The operations of one graph."""
        return self._by_graph[number]

    @cached_property
    def ends(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The inputs and the outputs of every graph, the main one first."""
        return [(_tensors(graph, 1), _tensors(graph, 2)) for graph in self._graphs]

    @cached_property
    def _graphs(self) -> list[Table]:
        return self._root.tables(2)

    @cached_property
    def _tensors(self) -> list[list[Table]]:
        return [graph.tables(0) for graph in self._graphs]

    @cached_property
    def _buffers(self) -> list[Table]:
        return self._root.tables(4)

    @cached_property
    def makers(self) -> Mapping[tuple[int, int], Operation]:
        """Graph and tensor -> the operation that makes it."""
        return {(one.graph, tensor): one for one in self.operations for tensor in one.outputs}

    @property
    def is_quantized(self) -> bool:
        """Whether any stored tensor that was looked at is quantized."""
        looked = (self._tensors[graph][tensor] for (graph, tensor), array in self._arrays.items() if array is not None)
        return any(_is_quantized(table) for table in looked)

    def readers(self, graph: int, tensor: int) -> list[Operation]:
        """The operations that read a tensor."""
        return [one for one in self.operations if one.graph == graph and tensor in one.inputs]

    def constant(self, graph: int, tensor: int) -> LazyArray | None:
        """A tensor that is stored, as numbers with a fraction where it is quantized; None for text and what is made."""
        key = graph, tensor
        if key not in self._arrays:
            self._arrays[key] = self._constant(graph, tensor)
        return self._arrays[key]

    def _constant(self, graph: int, tensor: int) -> LazyArray | None:
        if tensor < 0:
            return None
        maker = self.makers.get((graph, tensor))
        if maker is not None:
            held = self.constant(graph, maker.inputs[0]) if maker.kind == "DEQUANTIZE" and maker.inputs else None
            return _single(held) if held is not None else None
        table = self._tensor(graph, tensor)
        data = self._data(table) if table.number(1, "b") != _TEXT else b""
        return _array(table, memoryview(data), self.source) if len(data) else None

    def name(self, graph: int, tensor: int) -> str:
        """What a tensor is called."""
        return self._tensor(graph, tensor).text(3)

    def own_names(self, graph: int) -> dict[int, str]:
        """The names of a graph's tensors that no two have."""
        names = [table.text(3) for table in self._tensors[graph]]
        counted = Counter(names)
        return {number: name for number, name in enumerate(names) if name and counted[name] == 1}

    def described(self, graph: int, tensor: int) -> tuple[str, tuple[int | None, ...] | None]:
        """The kind of a tensor's numbers, and its shape: None for sizes that are open, and for one of any shape."""
        table = self._tensor(graph, tensor)
        sizes = table.numbers(7, "<i4") if len(table.numbers(7, "<i4")) else table.numbers(0, "<i4")
        if len(sizes) > _MOST_AXES:
            raise UnsafeCheckpoint(f"{printable(table.text(3))}: a shape of {len(sizes)} axes", array=table.text(3))
        known = len(sizes) or table.number(8, "?", False)
        shape = tuple(int(size) if size >= 0 else None for size in sizes)
        return _DTYPES.get(table.number(1, "b"), ""), shape if known else None

    def _tensor(self, graph: int, tensor: int) -> Table:
        if not 0 <= tensor < len(self._tensors[graph]):
            raise UnreadableCheckpoint(f"damaged: an operation reads tensor {tensor}, which is not there")
        return self._tensors[graph][tensor]

    def _data(self, tensor: Table) -> memoryview:
        """The bytes of a tensor: in its buffer, or at a place of the file that the buffer tells."""
        number = int(tensor.number(2, "I"))
        if number >= len(self._buffers):
            raise UnreadableCheckpoint("damaged: a tensor has a buffer that is not there")
        buffer = self._buffers[number]
        offset, size = buffer.number(1, "Q"), buffer.number(2, "Q")
        if offset <= 1:
            return buffer.data(0)
        if offset + size > len(self.source):
            raise UnreadableCheckpoint(f"damaged or truncated: {size} bytes of a tensor at byte {offset}")
        return self.source.part(offset, size).view


def _named(code: Table) -> str:
    """The operation behind a code."""
    number = max(code.number(0, "b"), code.number(3, "i"))
    return f"custom {code.text(1)}" if number == CUSTOM else OPERATIONS.get(number, f"operation {number}")


def _tensors(table: Table, field: int) -> tuple[int, ...]:
    """The numbers of tensors."""
    return tuple(map(int, table.numbers(field, "<i4")))


def open_model(source: Source) -> Model:
    """A file, its outermost table checked. Raises `UnreadableCheckpoint` for another version of the format."""
    table = root(source.view)
    if table.number(0, "I") != 3:
        raise UnreadableCheckpoint(f"version {table.number(0, 'I')} of the format; 3 is read", path=source.path)
    return Model(source, table)


def _array(tensor: Table, data: memoryview, source: Source) -> LazyArray:
    """A stored tensor. Raises `UnsafeCheckpoint` where its shape is not that of its bytes."""
    name, code = tensor.text(3), tensor.number(1, "b")
    shape = tuple(int(size) for size in tensor.numbers(0, "<i4"))
    if code not in _DTYPES:
        raise UnreadableCheckpoint(f"{printable(name)}: numbers of the type {code} are not read", array=name)
    stored = np.dtype(_DTYPES[code])
    if len(shape) > _MOST_AXES or any(size < 0 for size in shape):
        raise UnsafeCheckpoint(f"{printable(name)}: an impossible shape {shape[:_MOST_AXES]}", array=name)
    if math.prod(shape) * stored.itemsize != len(data):
        raise UnsafeCheckpoint(
            f"{printable(name)}: its shape {shape} of {stored} is not that of its {len(data)} bytes", array=name
        )
    if tensor.table(6) is not None:
        raise UnreadableCheckpoint(f"{printable(name)}: it is stored as a sparse tensor, which is not read", array=name)

    def plain() -> Array:
        return np.frombuffer(data, stored).reshape(shape)

    scales = _scales(tensor, name, shape) if stored.name in _QUANTIZED else None
    if scales is None:
        return LazyArray(name, shape, stored, plain, source.release)
    scale, zero = scales

    def dequantized() -> Array:
        return ((plain().astype(np.float64) - zero) * scale).astype(np.float32)

    return LazyArray(name, shape, np.dtype(np.float32), dequantized, source.release)


def _single(array: LazyArray) -> LazyArray:
    """Stored halves as the single precision in which they are computed with."""
    if array.dtype != np.float16:
        return array
    return replace(array, dtype=np.dtype(np.float32), read=lambda: array.read().astype(np.float32))


def _is_quantized(tensor: Table) -> bool:
    quantization = tensor.table(4)
    whole = _DTYPES.get(tensor.number(1, "b")) in _QUANTIZED
    return whole and quantization is not None and bool(quantization.numbers(2, "<f4").size)


def _scales(tensor: Table, name: str, shape: Sequence[int]) -> tuple[Array, Array] | None:
    """The scale and zero point of a quantized tensor, shaped as its axis has them; None where it is not quantized."""
    quantization = tensor.table(4)
    scale = quantization.numbers(2, "<f4") if quantization is not None else np.empty(0, "<f4")
    if quantization is None or not scale.size:
        return None
    zero = quantization.numbers(3, "<i8")
    axis = quantization.number(6, "i") if scale.size > 1 else 0
    fits = scale.size == 1 or (0 <= axis < len(shape) and scale.size == shape[axis])
    if not fits or zero.size not in (0, 1, scale.size):
        raise UnreadableCheckpoint(f"{printable(name)}: its scales do not fit its shape {tuple(shape)}", array=name)
    across = [-1 if k == axis else 1 for k in range(len(shape))] if scale.size > 1 else [1] * len(shape)
    points = np.broadcast_to(zero if zero.size else np.zeros(1, "<i8"), scale.shape)
    return scale.astype(np.float64).reshape(across), points.astype(np.float64).reshape(across)
