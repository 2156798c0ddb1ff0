"""All steps of a simple recurrent layer run together, on random numbers and with random numbers for its weights.

`layouts.reference` has to give the same state after every step, with one activation and in one order of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.readers.onnx.arithmetic.body import origin, small
from converters.readers.onnx.arithmetic.cells import AGREES, difference, functions, options_of
from converters.readers.onnx.arithmetic.links import Chain
from converters.readers.onnx.arithmetic.run import OVERHEAD, Machine, Made, Unfit, Values
from converters.readers.onnx.arithmetic.stage import Stage
from converters.readers.onnx.graph.scope import Node
from layouts.cells import RNN, Piece
from layouts.frameworks import pytorch
from layouts.reference import forward
from layouts.repack import unpack

_SEQUENCES, _NUMBERS, _MOST_NUMBERS = 2, 64, 1 << 24
"""A run has at least so many sequences, and so many steps times sequences;
no constant that is compared is larger than this."""
_CALM = 0.5
"""The recurrent weights are made smaller by this, so that errors of rounding do not grow over hundreds of steps."""


class Role(NamedTuple):
    """An array of the layer: the constants that nodes read it by, and whether PyTorch has it transposed."""

    names: tuple[str, ...]
    turned: bool = False


class Proof(NamedTuple):
    """What the run told: activations, the axis and order of time, and the names of the states after each step."""

    options: Mapping[str, Any]
    axis: int
    backwards: bool
    states: tuple[str, ...]


Roles = Mapping[str, Role]


def prove(stage: Stage, chain: Chain, roles: Roles, nodes: Sequence[Node]) -> Proof:
    """The one layer that gives what these nodes give. Raises `Unfit` where there is none, or more than one."""
    given = _weights(stage, roles)
    own = {name: _placed(name, role, given) for name, role in roles.items()}
    pieces = unpack(pytorch.RNN_CELL, own)
    given |= _folded(stage, chain, roles, own)
    given |= _numbers(stage, nodes, given.keys() | {chain.reads, chain.initial})
    (units, inputs), steps = own["weight_ih"].shape, chain.steps
    batch = max(_SEQUENCES, _NUMBERS // steps)
    x, before = stage.random.standard_normal((batch, steps, inputs)), np.zeros((batch, units))
    if chain.initial:
        before = stage.random.standard_normal((batch, units))
        axes = len(stage.scope.shape(chain.initial) or before.shape) - before.ndim
        given[chain.initial] = before.reshape((1,) * axes + before.shape)
    room = batch * steps * (inputs + units) + sum(one.size for one in given.values())
    found: list[Proof] = []
    for axis in (0, 1):
        stage.pay(OVERHEAD * len(nodes) + batch * steps * units * (units + inputs))
        try:
            made = Machine(nodes, room).run(given | {chain.reads: np.moveaxis(x, 1, axis)})
        except Unfit:
            continue
        stage.pay(2 * len(functions(nodes)) * steps * (OVERHEAD + batch * units * (units + inputs)))
        found += _agreeing(chain, nodes, made, (pieces, x, before), axis)
    if len(found) != 1 or _length(stage, chain, found[0].axis) not in (None, steps):
        raise Unfit("it computes no simple recurrent layer over the whole of a sequence")
    return found[0]


def _agreeing(
    chain: Chain,
    nodes: Sequence[Node],
    made: Made,
    layer: tuple[Mapping[Piece, Array], Array, Array],
    axis: int,
) -> Iterator[Proof]:
    """Every activation and order of time with which a layer of these weights, inputs and state gives the same."""
    pieces, x, before = layer
    sums = [link.use.value for link in chain.links[0 if chain.start else 1 :]]
    computed = [name for node in nodes for name in node.outputs if name]
    last = computed[computed.index(chain.links[-1].total) :]
    for options in options_of(pytorch.RNN_CELL, functions(nodes)):
        for order in (1, -1):
            with np.errstate(all="ignore"):
                y, _ = forward(RNN, pieces, x[:, ::order], options=options, initial=(before,))
            if all(_is(made[name], y[:, step]) for step, name in enumerate(sums)):
                final = next((name for name in last if _is(made[name], y[:, -1])), "")
                if final:
                    yield Proof(options, axis, order < 0, (*sums, final))


def _is(found: Array, state: Array) -> bool:
    """Whether a value is a state, with axes of one before it or without."""
    return found.size == state.size and difference(found.reshape(state.shape), state) <= AGREES


def _weights(stage: Stage, roles: Roles) -> Values:
    """Random numbers for every constant that holds a weight; where these are parts of one array, parts of it.

    Raises `Unfit` where an array of the layer is stored more than once, and not always the same.
    """
    found: Values = {}
    for key, role in roles.items():
        parts = [origin(stage.scope, name) for name in role.names]
        for name, part in zip(role.names, parts, strict=True):
            if part.stored == parts[0].stored:
                scale = _CALM if key == "weight_hh" else 1.0
                found[name] = scale * part.of(stage.stand_in(part.stored, stage.shape(part.stored)))
            else:
                _check_same(stage, name, role.names[0])
                found[name] = found[role.names[0]]
    return found


def _check_same(stage: Stage, name: str, other: str) -> None:
    one, two = stage.scope.constant(name), stage.scope.constant(other)
    if one is None or two is None or (one.shape, one.dtype) != (two.shape, two.dtype):
        raise Unfit("its steps have different weights")
    stage.pay(2 * one.size)
    if one.read().tobytes() != two.read().tobytes():
        raise Unfit("its steps have different weights")


def _placed(name: str, role: Role, given: Values) -> Array:
    """An array as PyTorch has it."""
    array = given[role.names[0]]
    if name.startswith("bias"):
        return array.reshape(-1)
    if array.ndim != 2:
        raise Unfit("its weights are no matrices")
    return array.T if role.turned else array


def _folded(stage: Stage, chain: Chain, roles: Roles, own: Mapping[str, Array]) -> Values:
    """The constants in the place of the product of a first state of zeros: the recurrent bias, or zeros without one."""
    if chain.start is None:
        return {}
    inputs = {name for link in chain.links for name in link.source.added}
    bias = stage.scope.constant(roles["bias_hh"].names[0]) if "bias_hh" in roles else None
    found: Values = {}
    for name in set(chain.start.added) - inputs:
        constant = stage.scope.constant(name)
        if constant is None or constant.size > _MOST_NUMBERS:
            raise Unfit("its first step cannot be folded")
        expected = np.zeros(1) if bias is None else bias.read().reshape(-1)
        if not np.array_equal(constant.read(), np.broadcast_to(expected, constant.shape)):
            raise Unfit("its first step starts from something else than zeros")
        value = own["bias_hh"] if bias is not None else np.zeros(1)
        found[name] = value.reshape((1,) * (len(constant.shape) - 1) + value.shape)
    return found


def _numbers(stage: Stage, nodes: Sequence[Node], known: Set[str]) -> Values:
    """The constants that are no weights: single numbers, and whole ones. Raises `Unfit` for any other."""
    found: Values = {}
    others = known | {name for node in nodes for name in (*node.outputs, "")}
    for name in dict.fromkeys(name for node in nodes for name in node.inputs if name not in others):
        constant = stage.scope.constant(name)
        if constant is not None and constant.is_floating and constant.size > 1:
            raise Unfit("it reads an array that is no weight of a simple recurrent layer")
        if constant is not None:
            found[name] = small(constant)
    return found


def _length(stage: Stage, chain: Chain, axis: int) -> int | None:
    """How long the sequence is, as far as the file tells."""
    shape = stage.scope.shape(chain.reads)
    return shape[axis] if shape is not None and axis < len(shape) else None
