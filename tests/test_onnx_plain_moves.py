"""Transpositions and reshapes that are computed without ONNX's evaluator give what it gives, or are left to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from converters.readers.onnx.graph.moves import moved

Array = np.ndarray[Any, Any]
OPSET = 17


class Move(NamedTuple):
    """A node as a reader of graphs gives it."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


def by_onnx(node: Move, inputs: dict[str, Array]) -> Array | None:
    """What ONNX's reference makes of it; None where it fails."""
    proto = helper.make_node(node.op, node.inputs, node.outputs)
    for name, value in node.attributes.items():
        kind = AttributeProto.INTS if isinstance(value, list) else AttributeProto.INT
        proto.attribute.append(helper.make_attribute(name, value, attr_type=kind))
    names = [helper.make_empty_tensor_value_info(name) for name in inputs]
    graph = helper.make_graph([proto], "one", names, [helper.make_empty_tensor_value_info("y")])
    try:
        (made,) = ReferenceEvaluator(graph, opsets={"": OPSET}).run(None, inputs)
    except (ValueError, IndexError, RuntimeError, TypeError):
        return None
    return np.asarray(made)


def same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


SHAPES = st.lists(st.integers(0, 4), max_size=4)


def numbered(shape: list[int]) -> Array:
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


@given(SHAPES, st.lists(st.integers(-1, 5), max_size=4), st.sampled_from([{}, {"allowzero": 0}, {"allowzero": 1}]))
@settings(max_examples=120, deadline=None)
def test_a_reshape_is_that_of_onnx(shape: list[int], sizes: list[int], attributes: dict[str, int]) -> None:
    inputs = {"x": numbered(shape), "s": np.array(sizes, np.int64)}
    node = Move("Reshape", ("x", "s"), ("y",), attributes)
    found = moved(node, inputs, OPSET)
    if found is not None:
        wanted = by_onnx(node, inputs)
        assert wanted is not None and same(found, wanted)


@given(SHAPES, st.data())
@settings(max_examples=80, deadline=None)
def test_a_transposition_is_that_of_onnx(shape: list[int], data: st.DataObject) -> None:
    orders = st.one_of(st.none(), st.permutations(range(len(shape))), st.lists(st.integers(-1, 4), max_size=4))
    order = data.draw(orders)
    inputs = {"x": numbered(shape)}
    node = Move("Transpose", ("x",), ("y",), {} if order is None else {"perm": list(order)})
    found = moved(node, inputs, OPSET)
    if found is not None:
        wanted = by_onnx(node, inputs)
        assert wanted is not None and same(found, wanted)


USUAL = [
    (Move("Transpose", ("x",), ("y",), {"perm": [1, 0, 2]}), (3, 2, 5)),
    (Move("Transpose", ("x",), ("y",), {}), (5, 3, 2)),
    (Move("Reshape", ("x", "s"), ("y",), {}), (2, 15)),
]


@pytest.mark.parametrize(("node", "shape"), USUAL, ids=lambda value: getattr(value, "op", ""))
def test_what_is_usual_is_computed_here(node: Move, shape: tuple[int, ...]) -> None:
    found = moved(node, {"x": numbered([2, 3, 5]), "s": np.array([0, -1])}, OPSET)
    assert found is not None and found.shape == shape


OTHERS = [
    Move("Reshape", ("x", "s"), ("y",), {"allowzero": 1}),
    Move("Reshape", ("x",), ("y",), {"shape": [30]}),
    Move("Transpose", ("x",), ("y", "z"), {}),
    Move("Transpose", ("absent",), ("y",), {}),
    Move("Identity", ("x",), ("y",), {}),
]


@pytest.mark.parametrize("node", OTHERS, ids=str)
def test_what_is_not_is_left_to_the_evaluator(node: Move) -> None:
    assert moved(node, {"x": numbered([2, 3, 5]), "s": np.array([0, -1])}, OPSET) is None


def test_sizes_are_whole_numbers_of_64_bits() -> None:
    node = Move("Reshape", ("x", "s"), ("y",), {})
    for sizes in (np.array([30], np.int32), np.array(30), np.array([30.0])):
        assert moved(node, {"x": numbered([2, 15]), "s": sizes}, OPSET) is None
    assert moved(node, {"x": numbered([2, 15]), "s": np.array([30])}, 1) is None
    assert helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)) == TensorProto.INT64
