"""Simple recurrent layers written out step by step, whose product with the input's weights is one for all steps.

PyTorch's dynamo exporter writes nn.RNN so: there is no RNN node in its files. What the input adds to a step is cut out
of the product; the product of the first state, where that is zero, is a constant. Whether it is a layer is decided by
running all its steps together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converters.model.arrays import LazyArray
from converters.readers.onnx.arithmetic.body import origin
from converters.readers.onnx.arithmetic.cells import Recovered
from converters.readers.onnx.arithmetic.links import Chain, behind, computing, in_order, links_of
from converters.readers.onnx.arithmetic.replay import Proof, Role, Roles, prove
from converters.readers.onnx.arithmetic.run import Unfit
from converters.readers.onnx.arithmetic.stage import Stage
from converters.readers.onnx.layers.recurrent import is_zero
from layouts.errors import ConversionError
from layouts.frameworks import keras, pytorch
from layouts.layout import Layout

_KERAS = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias", "bias_hh": "bias"}


def unrolled(stage: Stage) -> Iterator[Recovered]:
    """Every such layer of a graph, where it is proven."""
    for links in links_of(stage).values():
        try:
            yield _recovered(stage, in_order(stage, links))
        except (Unfit, ConversionError, MemoryError):
            continue


def _recovered(stage: Stage, chain: Chain) -> Recovered:
    if chain.steps < 2:
        raise Unfit("a single step does not tell the input from the state")
    roles = dict(_roles(chain))
    nodes = dict.fromkeys((*computing(stage, chain), *behind(stage, chain.links[-1].total)))
    proof = prove(stage, chain, roles, list(nodes))
    layout, arrays = _arrays(stage, roles)
    nodes = dict.fromkeys(computing(stage, chain, proof.states[-1]))
    stored = tuple(array.name for array in arrays.values())
    return Recovered(layout, arrays, proof.options, _facts(stage, chain, proof), tuple(nodes), stored)


def _roles(chain: Chain) -> Iterator[tuple[str, Role]]:
    """The arrays of the layer by PyTorch's names; biases only where they are."""
    uses = {"weight_ih": [chain.links[0].source.use], "weight_hh": [link.use for link in chain.links]}
    added = {"bias_ih": [link.source.added for link in chain.links], "bias_hh": [link.added for link in chain.links]}
    for name, own in uses.items():
        turned = {not use.node.attributes.get("transB", 0) for use in own}
        if len(turned) > 1:
            raise Unfit("its matrix is read in two orientations")
        yield name, Role(tuple(dict.fromkeys(use.node.input(1) for use in own)), turned.pop())
    for name, constants in added.items():
        if {len(one) for one in constants} == {1}:
            yield name, Role(tuple(dict.fromkeys(one[0] for one in constants)))
        elif any(constants):
            raise Unfit("not one constant is added to each of its products")


def _arrays(stage: Stage, roles: Roles) -> tuple[Layout, dict[str, LazyArray]]:
    """The arrays in the layout that has as many biases: PyTorch's two or none, or Keras's one."""
    if len(roles) != 3:
        return pytorch.RNN_CELL, {name: _array(stage, name, role, role.turned) for name, role in roles.items()}
    return keras.RNN, {_KERAS[name]: _array(stage, name, role, not role.turned) for name, role in roles.items()}


def _array(stage: Stage, key: str, role: Role, turned: bool) -> LazyArray:
    """A matrix as it is read or transposed, or a bias without axes of one."""
    array = stage.scope.constant(role.names[0])
    if array is None or not array.is_floating:
        raise Unfit("its weights cannot be folded")
    stored, read = origin(stage.scope, role.names[0]).stored, array.read
    if key.startswith("bias"):
        return LazyArray(stored, (array.size,), array.dtype, lambda: read().reshape(-1), array.release)
    if not turned:
        return LazyArray(stored, array.shape, array.dtype, read, array.release)
    return LazyArray(stored, array.shape[::-1], array.dtype, lambda: np.ascontiguousarray(read().T), array.release)


def _facts(stage: Stage, chain: Chain, proof: Proof) -> dict[str, Any]:
    """What it reads and gives, in which order; turned round, outputs are put back by PyTorch, and not by Keras."""
    forth, back = _joined(stage, proof.states), _joined(stage, proof.states[::-1])
    whole = back or forth if proof.backwards else forth
    facts: dict[str, Any] = {"reads": chain.reads, "gives": (whole, proof.states[-1]), "steps": chain.steps}
    facts |= {"time_major": True} if proof.axis == 0 else {}
    if proof.backwards:
        facts |= {"go_backwards": True} if forth and not back else {"direction": "reverse"}
    if chain.initial and not is_zero(chain.links[0].use.node, chain.initial):
        facts["initial_h"] = "stored" if stage.scope.is_constant(chain.initial) else "input"
    return facts


def _joined(stage: Stage, states: Sequence[str]) -> str:
    """The value in which the states follow each other, as the outputs of all steps; '' where there is none."""
    for node in stage.scope.readers(states[0]):
        if node.op == "Concat" and node.inputs == tuple(states) and node.attributes.get("axis") == 0:
            return node.output(0)
    return ""
