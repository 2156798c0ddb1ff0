"""Layer normalisation written as its formula, whoever exported it: found by what the nodes compute.

Mean, difference, square, mean, epsilon, root and quotient stand in many orders, with a quotient or a reciprocal, with
the scale multiplied before or after. What can be computed from the input of a mean and constants alone is run on random
numbers, with random numbers in the place of the vectors; a value that is the normalised input, times one of them, plus
another, is a LayerNorm with these.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from converters.model.arrays import Array
from converters.model.layers import Layer, Part
from converters.model.settings import Wiring
from converters.readers.onnx.graph import names, origins
from converters.readers.onnx.graph.scope import Node, Scope
from converters.readers.onnx.layers.found import Found, reshaped
from converters.readers.onnx.layers.regions import MEANS, MOST_NUMBERS, WRAPPED, Region, region_of, run_region
from layouts import catalogue
from layouts.options import Normalization

_BUDGET = 20_000
_MOST_VECTORS, _MOST_EPSILON = 4, 0.1
_BATCH = (2, 3)
_AGREES = 1e-6


class _Norm(NamedTuple):
    """What a value is: the normalised input, with the names of its scale and bias, '' where there is none."""

    value: str
    epsilon: float
    scale: str
    bias: str


def recognise_norms(root: Scope, covered: Container[Node]) -> Iterator[Found]:
    """Every LayerNorm with a scale that stands in a graph as its formula. `covered`: nodes of other layers."""
    left, taken = _BUDGET, set[Node]()
    for node in root.walk():
        if node.op not in MEANS or node.domain or node in covered or node in taken or left < 0:
            continue
        for name in _inputs(node):
            region = region_of(node.scope, name, covered)
            left -= len(region.nodes) + 1
            norm = _proven(region)
            if norm is not None:
                found = _layer(region, norm)
                taken |= found.proven
                yield found
                break


def _inputs(node: Node) -> list[str]:
    """What a mean may be that of: its input, or what that was reshaped from, which comes first."""
    found = [node.input(0)]
    for _ in range(3):
        made_by = node.scope.producer(found[0])
        if made_by is None or made_by.op not in WRAPPED or made_by.domain:
            break
        found.insert(0, made_by.input(0))
    return [name for name in found if name and not node.scope.is_constant(name)]


def _proven(region: Region) -> _Norm | None:
    """The value that is a LayerNorm with a scale; None where none is, on two samples of different size."""
    features, count = region.features, len(region.vectors)
    if not features or not 0 < count <= _MOST_VECTORS or math.prod((*_BATCH, *features)) > MOST_NUMBERS // 16:
        return None
    random = np.random.default_rng(0)
    vectors = {name: random.standard_normal(array.shape) for name, array in region.vectors.items()}
    found: list[_Norm] | None = None
    for size in (1.0, 0.01):
        x = size * random.standard_normal((*_BATCH, *features)) + 0.3 * size
        made = run_region(region, {region.reads: x, **vectors, **region.numbers})
        agreeing = _agreeing(region, x, vectors, made)
        found = agreeing if found is None else [one for one in found if one in agreeing]
    return max(found or (), key=lambda norm: bool(norm.bias), default=None)


def _agreeing(region: Region, x: Array, vectors: Mapping[str, Array], made: Mapping[str, Array]) -> list[_Norm]:
    """What every value may be, by all epsilons, scales and biases that there are."""
    axes = tuple(range(len(_BATCH), x.ndim))
    difference = x - x.mean(axes, keepdims=True)
    variance = x.var(axes, keepdims=True)
    outputs = {name: made[name] for node in region.nodes for name in node.outputs if name in made}
    found = []
    for epsilon in dict.fromkeys(_epsilons(region)):
        normal = difference / np.sqrt(variance + epsilon)
        for scale, factor in vectors.items():
            for bias, summand in (*vectors.items(), ("", np.zeros(()))):
                if bias == scale or not (_is_broadcast(factor, x) and _is_broadcast(summand, x)):
                    continue
                expected = normal * factor + summand
                same = [name for name, value in outputs.items() if _is_same(value, expected)]
                found += [_Norm(name, epsilon, scale, bias) for name in same]
    return found


def _is_broadcast(vector: Array, x: Array) -> bool:
    """Whether a vector has one number for each feature, or stands for none."""
    features = x.shape[len(_BATCH) :]
    whole = vector.shape[-len(features) :] == features and vector.size == math.prod(features)
    return vector.ndim == 0 or bool(whole)


def _is_same(value: Array, expected: Array) -> bool:
    if value.shape != expected.shape or value.dtype.kind != "f":
        return False
    return bool(np.all(np.abs(value - expected) <= _AGREES * (1 + np.abs(expected))))


def _epsilons(region: Region) -> Iterator[float]:
    """The small numbers of a region: constants, or that of a BatchNormalization in it."""
    for array in region.numbers.values():
        if array.size == 1 and array.dtype.kind == "f" and 0 < float(array.reshape(-1)[0]) <= _MOST_EPSILON:
            yield float(array.reshape(-1)[0])
    yield from (float(node.attributes.get("epsilon", 1e-5)) for node in region.nodes if node.op == "BatchNormalization")


def _layer(region: Region, norm: _Norm) -> Found:
    features = region.features
    arrays = {"Scale": reshaped(region.vectors[norm.scale], features)}
    if norm.bias:
        arrays["B"] = reshaped(region.vectors[norm.bias], features)
    layout = catalogue.choose("onnx", "LayerNormalization", {}, {name: array.shape for name, array in arrays.items()})
    part = Part(layout, arrays, Normalization(epsilon=float(f"{norm.epsilon:.7g}")))
    wiring = Wiring(reads=region.reads, gives=(norm.value,))
    nodes = tuple(_leading_to(region.nodes, norm.value))
    vectors = filter(None, (norm.scale, norm.bias))
    stored = frozenset(leaf for name in vectors for leaf in region.scope.leaves(name, measured=False))
    found = Found(Layer("", "LayerNormalization", (part,), wiring=wiring), nodes, "", frozenset(nodes), stored)
    known = [*origins.plain_modules(found.originals, root=origins.by_pytorch(region.scope))]
    return found if known else replace(found, name=names.common(nodes))


def _leading_to(nodes: Sequence[Node], value: str) -> list[Node]:
    """The nodes that a value depends on, in their order."""
    wanted, found = {value}, []
    for node in reversed(nodes):
        if wanted.intersection(filter(None, node.outputs)):
            wanted.update(node.inputs)
            found.append(node)
    return found[::-1]
