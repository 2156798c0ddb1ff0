"""Simple recurrent layers written out step by step, whose product with the input is one for all steps.

PyTorch's dynamo exporter writes nn.RNN so: there is no RNN node in its files. What the input adds to a step is cut out
of the one product; the product of a first state of zeros is a constant. All steps together are one candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from converters.model.arrays import Array, LazyArray
from converters.model.settings import Call, Wiring
from converters.readers.onnx.arithmetic.assignments import Assignment
from converters.readers.onnx.arithmetic.chained import Chain, Role, chains, computing
from converters.readers.onnx.arithmetic.constants import is_half, origin, read_by
from converters.readers.onnx.arithmetic.machine import ELEMENTWISE, GIVEN_UP, Unfit, Values
from converters.readers.onnx.arithmetic.nodes import Products, downstream, made_by
from converters.readers.onnx.arithmetic.prover import Candidate, Proof, States, prove
from converters.readers.onnx.arithmetic.recovered import Recovered, initial_states
from converters.readers.onnx.graph.scope import Node
from layouts.frameworks import keras, pytorch

_KERAS = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias", "bias_hh": "bias"}
_MOST_BEHIND = 16
_SEQUENCES, _STEPS = 2, 64
"""There are at least so many sequences, and so many steps of all sequences together."""
_CALM = 0.5
"""The recurrent weights are made smaller by this, so that errors of rounding do not grow over hundreds of steps."""

Roles = Mapping[str, Role]


def unrolled(graph: Products) -> Iterator[Recovered]:
    """Every such layer of a graph that is proven."""
    for chain in chains(graph):
        try:
            yield _recovered(graph, chain)
        except GIVEN_UP:
            continue


def _recovered(graph: Products, chain: Chain) -> Recovered:
    if chain.length < 2:
        raise Unfit("a single step does not tell the input from the state")
    roles = dict(chain.roles())
    proof = prove(_candidates(graph, chain, roles), graph.bench)
    declared = (graph.scope.shape(chain.reads) or ())[proof.candidate.axis or 0 :][:1]
    if declared not in ((), (None,), (chain.length,)):
        raise Unfit("it does not take its sequence to the end")
    as_keras = len(roles) == 3
    arrays = {_KERAS[name] if as_keras else name: _array(graph, name, role, as_keras) for name, role in roles.items()}
    call, wiring = _called(graph, chain, proof)
    layout, nodes = keras.RNN if as_keras else pytorch.RNN_CELL, computing(graph, chain, wiring.gives[-1])
    stored = tuple(array.name for array in arrays.values())
    between = (*chain.between, proof.after[0][0])
    starts = (chain.initial,)
    return Recovered(layout, arrays, proof.claim.options, call, wiring, nodes, stored, starts, "", between)


def _candidates(graph: Products, chain: Chain, roles: Roles) -> list[Candidate]:
    """All steps together, time first and batch first."""
    behind = downstream(graph.scope, {chain.steps[-1].sums[-1]}, lambda node: _on_numbers(graph, node), _MOST_BEHIND)[0]
    nodes = tuple(dict.fromkeys((*computing(graph, chain), *behind)))
    given = _weights(graph, roles)
    weights = {name: _placed(name, given[role.names[0]], role.transposed) for name, role in roles.items()}
    given |= _others(graph, nodes, {chain.reads, chain.initial, *given}, roles, weights)
    tried = Assignment(pytorch.RNN_CELL, {name: (name,) for name in roles}, *weights["weight_ih"].shape[::-1])
    candidate = Candidate(
        nodes,
        chain.reads,
        [States((chain.initial,), ("",))],
        given,
        weights,
        [tried],
        half=is_half(graph.scope.constant(role.names[0]) for role in roles.values()),
        batch=max(_SEQUENCES, _STEPS // chain.length),
        samples=1,
        between=chain.between,
        state_axes=len((graph.scope.shape(chain.initial) if chain.initial else None) or (0, 0)),
    )
    return [replace(candidate, axis=axis) for axis in (0, 1)]


def _on_numbers(graph: Products, node: Node) -> bool:
    """Whether a node works on one number at a time, and reads no array."""
    constants = (graph.scope.constant(name) for name in node.inputs if name and graph.scope.is_constant(name))
    return graph.has(node, ELEMENTWISE) and all(one is not None and one.size == 1 for one in constants)


def _weights(graph: Products, roles: Roles) -> Values:
    """Random numbers for every constant that holds a weight; where these are parts of one array, parts of it.

    Raises `Unfit` where an array of the layer is stored more than once, and not always the same.
    """
    found: Values = {}
    for key, role in roles.items():
        first = role.names[0]
        for name in role.names:
            fragment = origin(graph.scope, name)
            if fragment.stored == origin(graph.scope, first).stored:
                whole = graph.bench.stand_in(fragment.stored, graph.shape(fragment.stored))
                found[name] = (_CALM if key == "weight_hh" else 1.0) * fragment.of(whole, graph.bench.budget)
            elif _same(graph, name, first):
                found[name] = found[first]
            else:
                raise Unfit("its steps have different weights")
    return found


def _same(graph: Products, name: str, other: str) -> bool:
    """Whether two constants hold the same bits."""
    one, two = graph.scope.constant(name), graph.scope.constant(other)
    if one is None or two is None or (one.shape, one.dtype) != (two.shape, two.dtype):
        return False
    graph.bench.budget.pay(2 * one.size)
    return one.read().tobytes() == two.read().tobytes()


def _placed(name: str, array: Array, transposed: bool) -> Array:
    """An array in another orientation, a bias without axes of one."""
    if name.startswith("bias"):
        return array.reshape(-1)
    if array.ndim != 2:
        raise Unfit("its weights are no matrices")
    return np.ascontiguousarray(array.T) if transposed else array


def _array(graph: Products, name: str, role: Role, as_keras: bool) -> LazyArray:
    """An array of the layer as PyTorch or Keras has it, read when it is needed."""
    array = graph.scope.constant(role.names[0])
    if array is None or not array.is_floating:
        raise Unfit("its weights cannot be folded")
    transposed, read = role.transposed != as_keras, array.read
    shape = (array.size,) if name.startswith("bias") else array.shape[::-1] if transposed else array.shape
    stored = origin(graph.scope, role.names[0]).stored
    return replace(array, name=stored, shape=shape, read=lambda: _placed(name, read(), transposed))


def _others(
    graph: Products, nodes: Sequence[Node], known: set[str], roles: Roles, weights: Mapping[str, Array]
) -> Values:
    """The constants that are no weights: numbers, and the product of a first state of zeros, which is a bias or zeros.

    Raises `Unfit` for any other array.
    """
    own = dict(graph.stored(roles["bias_hh"].names[:1] if "bias_hh" in roles else ()))
    bias = next((array.reshape(-1) for array in own.values()), None)
    added = {name for node in nodes if node.op == "Add" for name in node.inputs}
    found: Values = {}
    for name, value in graph.stored(name for name in read_by(nodes) if name not in known.union(made_by(nodes))):
        alike = bias is not None and name in added and value.shape[-1:] == bias.shape and np.all(value == bias)
        number = value.size == 1 or value.dtype.kind != "f"
        if not (alike or number) and (value.any() or name not in added):
            raise Unfit("it reads an array that is no weight of a simple recurrent layer")
        one_step = weights["bias_hh"] if alike else np.zeros(1)
        found[name] = value if number and not alike else one_step.reshape(*[1] * (value.ndim - 1), -1)
    return found


def _called(graph: Products, chain: Chain, proof: Proof) -> tuple[Call, Wiring]:
    """How it is called, and what it reads and gives.

    Of a sequence taken from its end, PyTorch puts the outputs back in order ("reverse"), and Keras does not.
    """
    states = (*chain.between, proof.after[0][0])
    forth, back = _joined(graph, states), _joined(graph, states[::-1])
    backwards, given_back = proof.backwards, bool(back) or not forth
    h, _ = initial_states(chain.steps[0].use.node, [chain.initial])
    call = Call(
        direction=("reverse" if given_back else "backward") if backwards else "forward",
        time_axis=proof.candidate.axis or 0,
        steps=chain.length,
        initial_h=h,
    )
    return call, Wiring(reads=chain.reads, gives=(back or forth if backwards else forth, states[-1]))


def _joined(graph: Products, states: Sequence[str]) -> str:
    """The value in which the states follow each other, as the outputs of all steps; '' where there is none."""
    for node in graph.scope.readers(states[0]):
        if node.op == "Concat" and node.inputs == tuple(states) and node.attributes.get("axis") == 0:
            return node.output(0)
    return ""
