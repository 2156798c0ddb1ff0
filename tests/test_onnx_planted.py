"""No stored number is dropped in silence: a trained array, planted anywhere, is consumed, refused or named.

The one exception is an array without any effect on what the model gives.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sampling import sampled

import converters

OPERATORS = ("Mul", "Add", "Sub", "Div", "PRelu", "MatMul")
SHAPES = [
    tuple(size if axis == place else 1 for axis in range(rank))
    for rank in range(6)
    for size in range(1, 6)
    for place in range(max(rank, 1))
    if (size == 1 and not place) or (size > 1 and rank)
]
"""Every rank and size up to 5, the size along each of its axes."""
PLANTED = "onnx::Planted_1"
EDGES = 3
"""Edges of a file that a run tries."""
PATHS = sorted(path for path in (ROOT / "fixtures").glob("onnx_*/*/*.onnx") if path.stat().st_size < 1 << 16)


def edges(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Every input of every node, those of graphs inside nodes too."""
    for node in graph.node:
        yield from ((node, number) for number, name in enumerate(node.input) if name)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from edges(attribute.g)


def home(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.GraphProto | None:
    """The graph that a node stands in."""
    if any(one is node for one in graph.node):
        return graph
    inside = (attribute.g for one in graph.node for attribute in one.attribute if attribute.HasField("g"))
    return next((found for one in inside if (found := home(one, node)) is not None), None)


def plant(model: onnx.ModelProto, edge: int, op: str, array: np.ndarray[Any, Any], *, first: bool) -> onnx.ModelProto:
    """The same model with the array as an operand of a new node on one edge."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    node, number = next(itertools.islice(edges(copy.graph), edge, None))
    graph = home(copy.graph, node)
    assert graph is not None
    operands = [node.input[number], PLANTED]
    new = helper.make_node(op, operands[::-1] if first else operands, ["planted_result"], name="planted_node")
    node.input[number] = "planted_result"
    nodes = list(graph.node)
    nodes.insert(next(place for place, one in enumerate(nodes) if one is node), new)
    stored = numpy_helper.from_array(array, PLANTED)
    del graph.node[:]
    graph.node.extend(nodes)
    copy.graph.initializer.append(stored)
    return copy


def converted(model: onnx.ModelProto) -> tuple[dict[str, tuple[tuple[int, ...], bytes]], str]:
    """What comes out, as shapes and bits, and everything that was said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = converters.convert(model, strict=False)
    tensors = {key: (tuple(tensor.shape), tensor.float().numpy().tobytes()) for key, tensor in made.items()}
    return tensors, "\n".join(str(one.message) for one in caught)


def fault(model: onnx.ModelProto, plain: Any, edge: int, op: str, shape: tuple[int, ...], *, first: bool) -> str:
    """'' where the planted array is consumed, refused or named; else what was done to it."""
    array = np.random.default_rng(edge).standard_normal(shape).astype(np.float32)
    try:
        tensors, said = converted(plant(model, edge, op, array, first=first))
    except converters.ConversionError:
        return ""
    if PLANTED in said or "starts from stored states" in said or plain is None or tensors != plain:
        return ""
    if has_no_effect(model, plant(model, edge, op, array, first=first)):
        return ""
    return f"{op}{shape} on edge {edge}{', as first operand' * first}: dropped"


def has_no_effect(model: onnx.ModelProto, planted: onnx.ModelProto) -> bool:
    """Whether both give the same outputs: a gate on a state of zeros may be planted with anything."""
    kinds = {1: np.float32, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}
    random, given = np.random.default_rng(0), {}
    for value in model.graph.input:
        shape = [dim.dim_value or 3 for dim in value.type.tensor_type.shape.dim]
        given[value.name] = random.standard_normal(shape).astype(kinds[value.type.tensor_type.elem_type])
    one, other = (ReferenceEvaluator(found).run(None, given) for found in (model, planted))
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@cache
def loaded(path: Path) -> tuple[onnx.ModelProto, Any]:
    model = onnx.load(path)
    try:
        return model, converted(model)[0]
    except converters.ConversionError:
        return model, None


def plants(path: Path, count: int) -> list[tuple[int, str, tuple[int, ...], bool]]:
    """So many edges, spread over the file, each with another operator and shape than its neighbours."""
    every = sum(1 for _ in edges(loaded(path)[0].graph))
    start = sum(path.parent.name.encode())
    chosen = {(start + k * max(1, every // count)) % every for k in range(count)}
    cases = [(op, shape, first) for op in OPERATORS for shape in SHAPES for first in (False, True)]
    chosen_cases = (cases[(start + edge) * 37 % len(cases)] for edge in sorted(chosen))
    return [(edge, *case) for edge, case in zip(sorted(chosen), chosen_cases, strict=True)]


@pytest.mark.parametrize("path", [pytest.param(p, id=f"{p.parent.parent.name}/{p.parent.name}") for p in PATHS])
def test_a_planted_array_is_consumed_refused_or_named(path: Path) -> None:
    model, plain = loaded(path)
    found = [fault(model, plain, edge, op, shape, first=first) for edge, op, shape, first in plants(path, EDGES)]
    assert not any(found), "\n".join(filter(None, found))


def small() -> list[Any]:
    """The smallest files of each exporter."""
    folders = sorted({path.parent.parent for path in PATHS})
    least = [min((p for p in PATHS if p.parent.parent == folder), key=lambda p: p.stat().st_size) for folder in folders]
    return [pytest.param(path, id=f"{path.parent.parent.name}/{path.parent.name}") for path in least]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("path", sampled(small(), 2))
def test_every_shape_on_the_edges_of_the_smallest_files(path: Path, op: str) -> None:
    model, plain = loaded(path)
    every = range(sum(1 for _ in edges(model.graph)))
    found = [
        fault(model, plain, edge, op, shape, first=bool(number % 2))
        for number, (edge, shape) in enumerate(zip(itertools.cycle(every), SHAPES, strict=False))
    ]
    assert not any(found), "\n".join(filter(None, found))
