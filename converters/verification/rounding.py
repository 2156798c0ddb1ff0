"""How far float32 may be from float64: derived from the network itself, and not guessed.

With unit roundoff u (2^-24 of float32), a sum of n products computed in floating point is the exact sum for weights
that are changed by no more than λ √n u, with a probability beyond 1 - 2 exp(-λ²/2) (Higham and Mary, "A new approach to
probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019, theorem 2.4). So the reference is evaluated again
with every weight w of a layer changed to w (1 ± λ √n u), n the terms of one of its sums, and every value that a node
gives changed by ± λ u, for the rounding of its own functions. How steps, saturation and depth carry such changes on is
what the reference itself shows: what it gives then differs from what it gave by d. The tolerance of a value is

    2 d + λ u max|value|        λ = 4, signs at random, d the largest of two draws

so that it grows with the lengths of sums, the number of steps and the magnitudes, as the rounding does. A gate that is
saturated is rounded alike in every step, which no change of weights shows: what a recurrent layer gives is changed by
half a u for each of its steps, where that is more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.model import operations as op
from converters.model.arrays import LazyArray
from converters.model.graph import Graph, Node
from converters.model.layers import Layer, Part
from converters.verification.comparison import distances
from converters.verification.evaluate import Values, run

Array = np.ndarray[Any, Any]
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Unit roundoff by dtype."""
_LARGEST = {UNITS["float64"]: 1.7976931348623157e308, UNITS["float16"]: 65504.0}
_LARGEST_USUAL = 3.3895e38
"""The largest numbers of the dtypes, by unit roundoff; of bfloat16 and float32 that of the former."""
_LIKELY = 4.0
_DRAWS = 2
_LEAST = 1e-30
"""What is left of the smallest numbers of float32, which some kernels take for zero."""
_SUMMED = {"in", "input", "state", "width", "height", "depth", "key_in", "value_in", "head", "key", "value"}
"""Words of axes over which a layer sums."""


def shaken_part(part: Part, unit: float, generator: np.random.Generator) -> Part:
    """The part with every weight changed by as much as rounding may."""
    by = _LIKELY * math.sqrt(terms(part)) * unit
    return replace(part, arrays={name: _shaken(lazy, by, generator) for name, lazy in part.arrays.items()})


def terms(part: Part) -> int:
    """The number of products in one sum of the layer, over all its slots, with its biases."""
    sizes, found = part.solved(), 1
    for name in {piece.slot for piece in part.pieces()} & part.cell.slots.keys():
        slot = part.cell.slots[name]
        words = [word for word in slot.dims if word in _SUMMED and word in sizes]
        found += math.prod(sizes[word] for word in words) if len(slot.dims) > 1 else 1
    return found


def _shaken(lazy: LazyArray, by: float, generator: np.random.Generator) -> LazyArray:
    array = np.asarray(lazy.read(), np.float64)
    changed = array * (1.0 + by * signs(array.shape, generator))
    return LazyArray(lazy.name, lazy.shape, changed.dtype, lambda: changed)


def signs(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """1 or -1, at random."""
    return generator.integers(0, 2, shape) * 2.0 - 1.0


def jittered(x: Array, unit: float, generator: np.random.Generator) -> Array:
    """A value changed by as much as the rounding of one function may."""
    if x.dtype.kind != "f":
        return x
    return np.asarray(x * (1.0 + _LIKELY * unit * signs(x.shape, generator)))


def carried(parts: Sequence[Part], steps: int) -> float:
    """How many times the rounding of one function the values of a layer have: of a recurrent one, that of all steps."""
    return max(1.0, steps / (2.0 * _LIKELY)) if any(part.cell.recurrent for part in parts) else 1.0


def tolerance(exact: Array, draws: Sequence[Array], unit: float) -> float:
    """2 d + λ u max|value|; infinite numbers count for nothing."""
    apart = max((_finite(distances(np.asarray(drawn), exact)) for drawn in draws), default=0.0)
    return 2.0 * apart + _LIKELY * unit * _finite(np.abs(np.asarray(exact, np.float64))) + _LEAST


def _finite(x: Array) -> float:
    return float(np.where(np.isfinite(x), x, 0.0).max(initial=0.0))


def holds(values: Values, unit: float) -> bool:
    """Whether every value is a finite number of the module's dtype, so that none has to overflow in it."""
    largest = _LARGEST.get(unit, _LARGEST_USUAL)
    return all(bool((np.abs(x) <= largest).all()) for x in map(np.asarray, values.values()) if x.dtype.kind == "f")


_UNSETTLED = 2e-4
"""Some ten times what rounding usually does to the outputs of a recurrent layer in float32."""


def settles(graph: Graph, values: Values, found: Mapping[str, float], unit: float) -> bool:
    """Whether rounding stays small: it changes what recurrent layers give by no more than some parts of 10,000.

    An activation without an upper bound makes states grow from step to step, and with them what rounding did to the
    first ones; draws of signs tell no more how far.
    """
    for node in graph.nodes:
        if node.layer is not None and node.layer.recurrent:
            most = max(_UNSETTLED, 4.0 * _LIKELY * unit * _carried(node, values))
            sizes = ((name, _finite(np.abs(np.asarray(values[name], np.float64)))) for name in node.outputs)
            if any(found[name] > most * size for name, size in sizes if size):
                return False
    return True


def tolerances(graph: Graph, values: Values, unit: float) -> dict[str, float]:
    """The tolerance of every value of a graph that has been evaluated."""
    draws = [_shaken_values(graph, values, unit, np.random.default_rng(seed)) for seed in range(_DRAWS)]
    return {name: tolerance(value, [drawn[name] for drawn in draws], unit) for name, value in values.items()}


def _shaken_values(graph: Graph, exact: Values, unit: float, generator: np.random.Generator) -> Values:
    """All values with weights and values changed; masks and indices are what they were, for they decide."""
    values: Values = {value.name: exact[value.name] for value in graph.inputs}
    changed: dict[int, Layer] = {}
    for node in graph.nodes:
        if all(np.asarray(exact[name]).dtype.kind != "f" for name in node.outputs):
            values.update((name, exact[name]) for name in node.outputs)
            continue
        mask = np.asarray(values[node.mask], bool) if node.mask else None
        made = run(_shaken_node(node, changed, unit, generator), [values[name] for name in node.inputs], mask)
        own = unit * _carried(node, values)
        values.update((name, jittered(x, own, generator)) for name, x in zip(node.outputs, made, strict=False))
    return values


def _carried(node: Node, values: Values) -> float:
    if node.layer is None or not node.layer.recurrent:
        return 1.0
    return carried(node.layer.parts, values[node.inputs[0]].shape[node.layer.call.time_axis])


def _shaken_node(node: Node, changed: dict[int, Layer], unit: float, generator: np.random.Generator) -> Node:
    if node.layer is None or isinstance(node.operation, op.Unknown):
        return node
    key = id(node.layer)
    if key not in changed:
        parts = tuple(shaken_part(part, unit, generator) for part in node.layer.parts)
        changed[key] = replace(node.layer, parts=parts)
    return replace(node, layer=changed[key])


def own_tolerance(
    exact: Sequence[Array],
    parts: Sequence[Part],
    unit: float,
    steps: int,
    run_again: Callable[[Sequence[Part]], Sequence[Array]],
) -> list[float]:
    """The tolerance of what one module gives, for the inputs of so many steps; `run_again` runs its reference."""
    draws, own = [], unit * carried(parts, steps)
    for seed in range(_DRAWS):
        generator = np.random.default_rng(seed)
        made = run_again([shaken_part(part, unit, generator) for part in parts])
        draws.append([jittered(np.asarray(x), own, generator) for x in made])
    return [tolerance(x, [drawn[k] for drawn in draws], unit) for k, x in enumerate(exact)]


def crude(outputs: Sequence[Array], layers: Sequence[Layer], steps: int, unit: float) -> list[float]:
    """Where nothing but the outputs is known: λ √K u max|value|, K the terms of all sums of all layers, each step's."""
    count = sum(terms(part) * (steps if part.cell.recurrent else 1) for layer in layers for part in layer.parts)
    return [_LIKELY * math.sqrt(max(count, 1)) * unit * max(1.0, _finite(np.abs(x))) for x in outputs]
