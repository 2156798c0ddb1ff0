"""Which layouts some stored arrays can be the arrays of, by their shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array, LazyArray
from layouts.cells import GRU, LSTM, Piece
from layouts.frameworks import keras, pytorch
from layouts.layout import Layout
from layouts.repack import unpack

Roles = Mapping[str, tuple[str, ...]]
"""An array of the layout -> the name under which it is stored, or the names of its parts: the columns of a kernel or of
a bias, row by row."""

_GATES = {4: (keras.LSTM,), 3: (keras.GRU, keras.GRU_BEFORE), 1: (keras.RNN,)}
_PYTORCH = {4: pytorch.LSTM_CELL, 3: pytorch.GRU_CELL, 1: pytorch.RNN_CELL}
_MOST_OTHERS = 5


class Assignment(NamedTuple):
    """A layout, the arrays that could be its own, and its sizes."""

    layout: Layout
    roles: Roles
    inputs: int
    units: int

    @property
    def matrices(self) -> tuple[str, str]:
        """The stored names of the input's weights, and of the state's first ones."""
        names = ("kernel", "recurrent_kernel") if "kernel" in self.roles else ("weight_ih", "weight_hh")
        return self.roles[names[0]][0], self.roles[names[1]][0]

    @property
    def kernels(self) -> tuple[str, ...]:
        """The stored names of all weights of the input."""
        return self.roles["kernel" if "kernel" in self.roles else "weight_ih"]

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of inputs and units."""
        return self.inputs, self.units

    @property
    def stored(self) -> tuple[str, ...]:
        """The names of all stored arrays."""
        return tuple(dict.fromkeys(name for names in self.roles.values() for name in names))

    @property
    def states(self) -> int:
        """2 for an LSTM, h and c; 1 for any other cell."""
        return 2 if self.layout.cell is LSTM else 1

    def pieces(self, arrays: Mapping[str, Array]) -> dict[Piece, Array]:
        """The neutral pieces, where the stored arrays hold these numbers."""
        joined = {role: self._joined(role, [arrays[name] for name in names]) for role, names in self.roles.items()}
        return unpack(self.layout, joined)

    def arrays(self, stored: Mapping[str, LazyArray]) -> dict[str, LazyArray]:
        """The arrays of the layout, as stored or put together of what is stored."""
        return {role: self._array(role, [stored[name] for name in names]) for role, names in self.roles.items()}

    def _array(self, role: str, parts: Sequence[LazyArray]) -> LazyArray:
        """An array as stored; where the file stores parts of it, put together when it is read."""
        if len(parts) == 1:
            return parts[0]
        shape = self._joined(role, [np.broadcast_to(np.uint8(0), part.shape) for part in parts]).shape
        name = " + ".join(dict.fromkeys(part.name for part in parts))
        return LazyArray(name, shape, parts[0].dtype, lambda: self._joined(role, [part.read() for part in parts]))

    def _joined(self, role: str, parts: Sequence[Array]) -> Array:
        """Columns, or the rows of the bias of a GRU."""
        if len(parts) == 1:
            return parts[0]
        whole = np.concatenate(parts, axis=-1)
        return whole.reshape(2, -1) if role == "bias" and self.layout is keras.GRU else whole


def assignments(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Assignment]:
    """Every way in which arrays of these shapes are all the arrays of a recurrent layer, as Keras or PyTorch has it."""
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    for kernel, recurrent in permutations(matrices, 2):
        rest = {name: shape for name, shape in shapes.items() if name not in (kernel, recurrent)}
        yield from _of_keras(kernel, recurrent, shapes, rest)
        yield from _of_pytorch(kernel, recurrent, shapes, rest)
        yield from _in_two(kernel, recurrent, shapes, rest)


def assignments_among(
    shapes: Mapping[str, tuple[int, ...]], matrices: tuple[str, str], added: Set[str]
) -> Iterator[Assignment]:
    """The layouts that a kernel and a recurrent matrix make with some of the other arrays.

    `added`: the arrays that are added to the product of the input, as far as they are known.
    """
    others = [name for name in shapes if name not in matrices][:_MOST_OTHERS]
    for count in range(min(len(others), 2), -1, -1):
        for some in combinations(others, count):
            for one in assignments({name: shapes[name] for name in (*matrices, *some)}):
                if one.matrices == matrices and _in_order(one, added, others):
                    yield one


def _in_order(one: Assignment, added: Set[str], others: Sequence[str]) -> bool:
    """Whether the two biases of PyTorch stand where they are added: a sum does not tell one from the other."""
    if "bias_ih" not in one.roles:
        return True
    (first,), (second,) = one.roles["bias_ih"], one.roles["bias_hh"]
    return first in added if added else one.layout.cell is GRU or others.index(first) < others.index(second)


def _in_two(
    kernel: str, recurrent: str, shapes: Mapping[str, tuple[int, ...]], rest: Mapping[str, tuple[int, ...]]
) -> Iterator[Assignment]:
    """A GRU that resets before its product, whose recurrent matrix is stored as columns of z and r, and those of n."""
    (inputs, width), (units, gated) = shapes[kernel], shapes[recurrent]
    columns = [name for name, shape in rest.items() if shape == (units, units)]
    bias = {name: shape for name, shape in rest.items() if name not in columns}
    if len(columns) == 1 and (width, gated) == (3 * units, 2 * units):
        for own in _biases(keras.GRU_BEFORE, bias, width):
            roles = {"kernel": (kernel,), "recurrent_kernel": (recurrent, *columns)} | own
            yield Assignment(keras.GRU_BEFORE, roles, inputs, units)


def _of_keras(
    kernel: str, recurrent: str, shapes: Mapping[str, tuple[int, ...]], rest: Mapping[str, tuple[int, ...]]
) -> Iterator[Assignment]:
    """Kernels of (input, gates × units), and one bias."""
    (inputs, width), (units, gated) = shapes[kernel], shapes[recurrent]
    if gated == width and units and width % units == 0:
        for layout in _GATES.get(width // units, ()):
            for bias in _biases(layout, rest, width):
                yield Assignment(layout, {"kernel": (kernel,), "recurrent_kernel": (recurrent,)} | bias, inputs, units)


def _of_pytorch(
    kernel: str, recurrent: str, shapes: Mapping[str, tuple[int, ...]], rest: Mapping[str, tuple[int, ...]]
) -> Iterator[Assignment]:
    """Weights of (gates × units, input), and two biases or none."""
    (width, inputs), (gated, units) = shapes[kernel], shapes[recurrent]
    layout = _PYTORCH.get(width // units) if units and gated == width and width % units == 0 else None
    if layout is None or any(shape != (width,) for shape in rest.values()):
        return
    weights = {"weight_ih": (kernel,), "weight_hh": (recurrent,)}
    if not rest:
        yield Assignment(layout, weights, inputs, units)
    elif len(rest) == 2:
        for one, other in permutations(rest):
            yield Assignment(layout, weights | {"bias_ih": (one,), "bias_hh": (other,)}, inputs, units)


def _biases(layout: Layout, rest: Mapping[str, tuple[int, ...]], width: int) -> Iterator[dict[str, tuple[str, ...]]]:
    """The bias that these arrays make, all of them: absent, whole, or as the rows of a GRU's (2, 3 × units)."""
    names, two = tuple(rest), layout is keras.GRU
    if not rest:
        yield {}
    elif len(rest) == 1 and rest[names[0]] == ((2, width) if two else (width,)):
        yield {"bias": names}
    elif two and len(rest) <= 2 and all(shape == (width,) for shape in rest.values()):
        yield from ({"bias": rows} for rows in (permutations(names, 2) if len(names) == 2 else [names * 2]))
