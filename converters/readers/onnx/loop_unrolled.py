"""Simple recurrent layers written out step by step, whose product with the input's weights is one for all steps.

PyTorch's dynamo exporter writes nn.RNN so: there is no RNN node in its files. What the input adds to a step is cut out
of the product; the product of the first state, where that is zero, is a constant. All steps together are run on random
numbers, with random numbers in the place of the weights, and `layouts.reference` has to give the same at every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.arrays import Array, LazyArray
from converters.readers.onnx.graph import Node
from converters.readers.onnx.loop_assignments import random_weight
from converters.readers.onnx.loop_body import Part, origin, small
from converters.readers.onnx.loop_cells import AGREES, Recovered, difference, functions, options_of
from converters.readers.onnx.loop_links import Chain, behind, chains_of, computing
from converters.readers.onnx.loop_run import OVERHEAD, Machine, Made, Unfit, Values
from converters.readers.onnx.loop_stage import Stage, Use
from converters.readers.onnx.recurrent import is_zero
from layouts import keras, pytorch
from layouts.layout import Layout
from layouts.reference import forward
from layouts.repack import unpack

_SAMPLES = 64
"""Steps times sequences of a run, at least."""
_CALM = 0.5
"""The recurrent weights are made smaller, so that hundreds of steps do not make errors of rounding grow."""


class Role(NamedTuple):
    """One array of the layer as PyTorch has it: the constants that nodes read it by, and whether they are transposed."""

    names: tuple[str, ...]
    turned: bool = False


class Proof(NamedTuple):
    """What was found by running: activations, the axis and order of time, and the state after every step."""

    options: Mapping[str, Any]
    axis: int
    backwards: bool
    states: tuple[str, ...]


Roles = Mapping[str, Role]


def unrolled(stage: Stage, own: Sequence[Use]) -> list[Recovered]:
    """The layers whose recurrent matrix these products share; none where it is that of no such layer.

    Raises `Unfit` where the steps are those of a layer and compute something else.
    """
    return [_recovered(stage, chain) for chain in chains_of(stage, own)]


def _recovered(stage: Stage, chain: Chain) -> Recovered:
    if chain.steps < 2:
        raise Unfit("one step does not tell the input from the state")
    scope, roles = stage.scope, dict(_roles(stage, chain))
    first, source = chain.links[0].use.value, chain.links[0].source.use
    known = {source.value} | ({first} if chain.start is None else set())
    needed = computing(stage, chain, known)
    nodes = [*needed, *(node for node in behind(stage, chain.links[-1].total) if node not in needed)]
    proof = _proven(stage, chain, roles, nodes)
    facts: dict[str, Any] = {"reads": source.value, "gives": (_sequence(stage, proof), proof.states[-1])}
    facts |= {"steps": chain.steps} | ({"time_major": True} if proof.axis == 0 else {})
    if proof.backwards:
        facts |= {"direction": "reverse"} if _joined(stage, proof.states[::-1]) else {"go_backwards": True}
    if chain.start is None and not is_zero(source.node, first):
        facts["initial_h"] = "stored" if scope.is_constant(first) else "input"
    layout, arrays = _arrays(stage, roles)
    own = [node for node in nodes if node in needed or _leads_to(stage, node, proof.states[-1])]
    return Recovered(layout, arrays, proof.options, facts, tuple(own), tuple(one.name for one in arrays.values()))


def _roles(stage: Stage, chain: Chain) -> Iterator[tuple[str, Role]]:
    """The arrays of the layer by PyTorch's names; biases only where they are."""
    products = {"weight_ih": [chain.links[0].source.use], "weight_hh": [link.use for link in chain.links]}
    for name, uses in products.items():
        turned = {not use.node.attributes.get("transB", 0) for use in uses}
        if len(turned) > 1:
            raise Unfit("its matrix is read in two orientations")
        yield name, Role(tuple(dict.fromkeys(use.node.inputs[1] for use in uses)), turned.pop())
    for name, added in (
        ("bias_ih", [link.source.added for link in chain.links]),
        ("bias_hh", [link.added for link in chain.links]),
    ):
        if any(len(one) != len(added[0]) or len(one) > 1 for one in added):
            raise Unfit("more than one constant is added to its products")
        if added[0]:
            yield name, Role(tuple(dict.fromkeys(one[0] for one in added)))


def _array(stage: Stage, role: Role) -> LazyArray:
    """An array as PyTorch has it: (units, input), (units, units) or (units,)."""
    array = stage.scope.constant(role.names[0])
    if array is None or not array.is_floating:
        raise Unfit("its weights cannot be folded")
    shape = array.shape[::-1] if role.turned else array.shape if len(array.shape) == 2 else (array.size,)
    return LazyArray(
        origin(stage.scope, role.names[0]).stored,
        shape,
        array.dtype,
        lambda: np.ascontiguousarray(_placed(array.read(), role, shape)),
        array.release,
    )


def _placed(array: Array, role: Role, shape: tuple[int, ...]) -> Array:
    return array.T if role.turned else array.reshape(shape)


def _arrays(stage: Stage, roles: Roles) -> tuple[Layout, dict[str, LazyArray]]:
    """The layout that has as many biases: PyTorch's of two or none, Keras's of one."""
    own = {name: _array(stage, role) for name, role in roles.items()}
    biases = [name for name in own if name.startswith("bias")]
    if len(biases) != 1:
        return pytorch.RNN_CELL, own
    return keras.RNN, {
        "kernel": _transposed(own["weight_ih"]),
        "recurrent_kernel": _transposed(own["weight_hh"]),
        "bias": own[biases[0]],
    }


def _transposed(array: LazyArray) -> LazyArray:
    read = array.read
    return LazyArray(array.name, array.shape[::-1], array.dtype, lambda: np.ascontiguousarray(read().T), array.release)
