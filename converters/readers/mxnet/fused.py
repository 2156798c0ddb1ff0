"""The one vector in which a fused recurrent operation of MXNet keeps its stack: `{name}_parameters`.

First the weights of every layer and direction, on the input, on the state, and the projection; then all biases, on the
input and on the state. Nothing in the vector tells how it is to be cut: its symbol does, or its caller.
Source: `FusedRNNCell._slice_weights` in mxnet.rnn.rnn_cell, `_RNNLayer._forward_kernel` in mxnet.gluon.rnn.rnn_layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from converters.model.arrays import LazyArray
from converters.model.assumptions import COUNT, Assumptions, Kind, Statement
from converters.model.names import module_name
from converters.readers.cursor import cut
from layouts.errors import ShapeError, UnknownLayer, printable

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
_MODE = Kind({mode: mode for mode in _GATES}.__getitem__, f"one of {', '.join(_GATES)}")
_TRUTH = Kind({"true": True, "false": False}.__getitem__, "true or false")
SETTINGS: Mapping[str, Kind] = {
    "mode": _MODE,
    "units": COUNT,
    "layers": COUNT,
    "bidirectional": _TRUTH,
    "projection": COUNT,
}
"""What has to be stated of such a vector, but for `projection`, which few have."""
_NEEDED = ("mode", "units", "layers", "bidirectional")
_ENDS = ("parameters", "rnn_param")


class Stack(NamedTuple):
    """How the vector of one stack is cut."""

    gates: int
    units: int
    layers: int
    ways: str
    projection: int = 0

    @property
    def state(self) -> int:
        return self.projection or self.units

    def inputs(self, size: int) -> int:
        """The input size that a vector of this size has; a fraction of one where none fits."""
        rows, ways = self.gates * self.units, len(self.ways)
        above = (self.layers - 1) * ways * rows * ways * self.state
        others = self.layers * ways * (rows * self.state + 2 * rows + self.projection * self.units)
        whole, rest = divmod(size - above - others, ways * rows)
        return 0 if rest else whole

    def arrays(self, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The names and shapes of the arrays, in the order in which they stand in the vector."""
        places = [(way, layer) for layer in range(self.layers) for way in self.ways]
        rows = self.gates * self.units
        for way, layer in places:
            yield f"{way}{layer}_i2h_weight", (rows, inputs if not layer else len(self.ways) * self.state)
            yield f"{way}{layer}_h2h_weight", (rows, self.state)
            if self.projection:
                yield f"{way}{layer}_h2r_weight", (self.projection, self.units)
        for way, layer in places:
            yield f"{way}{layer}_i2h_bias", (rows,)
            yield f"{way}{layer}_h2h_bias", (rows,)


def prepared(
    arrays: Mapping[str, LazyArray], assume: Mapping[str, Any]
) -> tuple[dict[str, LazyArray], Mapping[str, Any]]:
    """The arrays with every such vector cut, and what is stated beside how. Raises `ConversionError` and its kinds."""
    found: dict[str, LazyArray] = {}
    used: set[str] = set()
    for name, array in arrays.items():
        path, separator = _of_vector(name)
        if separator is None or len(array.shape) != 1:
            found[name] = array
            continue
        stated = {k: s for k, s in Assumptions(assume).of(module_name(path)).items() if k in SETTINGS}
        used |= {statement.key for statement in stated.values()}
        found |= {f"{path}{separator}{own}": piece for own, piece in _cut(array, path, _stack(name, path, stated))}
    return found, {key: value for key, value in assume.items() if key not in used}


def _of_vector(name: str) -> tuple[str, str | None]:
    """The path of the stack whose vector has this name, and what stands between; None where it is no such vector."""
    for end in _ENDS:
        if name == end:
            return "", ""
        if name.endswith(end) and name[-len(end) - 1] in "_./":
            return name[: -len(end) - 1], name[-len(end) - 1]
    return name, None


def _stack(name: str, path: str, stated: Mapping[str, Statement]) -> Stack:
    """How a vector is cut, as it is stated. Raises `UnknownLayer` where something is missing."""
    key = f"{module_name(path)}." if path else ""
    if any(option not in stated for option in _NEEDED):
        example = {"mode": "lstm", "units": "…", "layers": "…", "bidirectional": "false"}
        ways = ", ".join(f"'{printable(key)}{option}': '{value}'" for option, value in example.items())
        raise UnknownLayer(
            f"{printable(name)} holds a whole recurrent stack in one vector, and nothing here tells how it is cut: put "
            f"the -symbol.json beside the file, or state assume={{{ways}}}",
            layer=path,
        )
    value = {option: statement.parsed(SETTINGS[option]) for option, statement in stated.items()}
    ways = "lr" if value["bidirectional"] else "l"
    return Stack(_GATES[value["mode"]], value["units"], value["layers"], ways, value.get("projection", 0))


def _cut(array: LazyArray, path: str, stack: Stack) -> Iterator[tuple[str, LazyArray]]:
    inputs = stack.inputs(array.size)
    if inputs < 1:
        raise ShapeError(
            f"{printable(array.name)} has {array.size} numbers, which are no stack of {stack.layers} layers of "
            f"{stack.units} units in {len(stack.ways)} directions: is what is stated of it right?",
            layer=path,
            array=array.name,
        )
    start = 0
    for own, shape in stack.arrays(inputs):
        piece = cut(array, f"{array.name}[{own}]", start, shape)
        start += piece.size
        yield own, piece
