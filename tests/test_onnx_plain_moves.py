"""Moves and sizes that are computed without ONNX's evaluator give what it gives, or are left to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from converters.readers.onnx.graph.moves import moved, outline

Array = np.ndarray[Any, Any]
OPSET = 17


class Move(NamedTuple):
    """A node as a reader of graphs gives it."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


def by_onnx(node: Move, inputs: dict[str, Array], opset: int = OPSET) -> Array | None:
    """What ONNX's reference makes of it; None where it fails."""
    proto = helper.make_node(node.op, node.inputs, node.outputs)
    for name, value in node.attributes.items():
        kind = AttributeProto.INTS if isinstance(value, list) else AttributeProto.INT
        proto.attribute.append(helper.make_attribute(name, value, attr_type=kind))
    names = [helper.make_empty_tensor_value_info(name) for name in inputs]
    graph = helper.make_graph([proto], "one", names, [helper.make_empty_tensor_value_info("y")])
    try:
        (made,) = ReferenceEvaluator(graph, opsets={"": opset}).run(None, inputs)
    except (ValueError, IndexError, RuntimeError, TypeError):
        return None
    return np.asarray(made)


def same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


SHAPES = st.lists(st.integers(0, 4), max_size=4)


def numbered(shape: list[int]) -> Array:
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def compare(node: Move, inputs: dict[str, Array], opset: int = OPSET) -> Array | None:
    """What is moved here, which ONNX's evaluator gives too; both fail, or it is left to the evaluator."""
    dummies = {name: array if array.dtype.kind == "i" else no_memory(array) for name, array in inputs.items()}
    try:
        found = moved(node, inputs, opset)
    except ValueError:
        assert by_onnx(node, inputs, opset) is None
        return None
    if found is None:
        assert outline(node, dummies, opset) is None
        return None
    wanted = by_onnx(node, inputs, opset)
    assert wanted is not None and same(found, wanted)
    assert outline(node, dummies, opset) == (wanted.shape, wanted.dtype)
    return found


def no_memory(array: Array) -> Array:
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


@given(SHAPES, st.lists(st.integers(-1, 5), max_size=4), st.sampled_from([{}, {"allowzero": 0}, {"allowzero": 1}]))
@settings(max_examples=120, deadline=None)
def test_a_reshape_is_that_of_onnx(shape: list[int], sizes: list[int], attributes: dict[str, int]) -> None:
    inputs = {"x": numbered(shape), "s": np.array(sizes, np.int64)}
    compare(Move("Reshape", ("x", "s"), ("y",), attributes), inputs)


@given(SHAPES, st.data())
@settings(max_examples=80, deadline=None)
def test_a_transposition_is_that_of_onnx(shape: list[int], data: st.DataObject) -> None:
    orders = st.one_of(st.none(), st.permutations(range(len(shape))), st.lists(st.integers(-1, 4), max_size=4))
    order = data.draw(orders)
    inputs = {"x": numbered(shape)}
    compare(Move("Transpose", ("x",), ("y",), {} if order is None else {"perm": list(order)}), inputs)


def from_the_end(inputs: dict[str, Array], axes: list[int], opset: int) -> None:
    """ONNX's evaluator fails on axes from the end at opset 11, which onnxruntime takes: it gets them counted."""
    rank = inputs["x"].ndim + len(axes)
    counted = [axis % rank if -rank <= axis < rank else axis for axis in axes]
    wanted = compare(Move("Unsqueeze", ("x",), ("y",), {"axes": counted}), inputs, opset)
    try:
        found = moved(Move("Unsqueeze", ("x",), ("y",), {"axes": axes}), inputs, opset)
    except ValueError:
        found = None
    assert (found is None) == (wanted is None)
    assert found is None or (wanted is not None and same(found, wanted))


AXES = st.one_of(st.none(), st.lists(st.integers(-4, 4), max_size=3))


@given(st.sampled_from(["Squeeze", "Unsqueeze"]), SHAPES, AXES, st.sampled_from([9, 11, 13, 17]))
@settings(max_examples=300, deadline=None)
def test_axes_of_one_go_and_come_as_in_onnx(op: str, shape: list[int], axes: list[int] | None, opset: int) -> None:
    inputs = {"x": numbered(shape)}
    if op == "Unsqueeze" and axes is not None and opset == 11:
        from_the_end(inputs, axes, opset)
    elif axes is None or opset < 13:
        compare(Move(op, ("x",), ("y",), {} if axes is None else {"axes": axes}), inputs, opset)
    else:
        compare(Move(op, ("x", "a"), ("y",), {}), inputs | {"a": np.array(axes, np.int64)}, opset)


BOUND = st.one_of(st.integers(-6, 6), st.sampled_from([-(1 << 63), (1 << 63) - 1]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=3), st.data(), st.sampled_from([9, 10, 13, 17]))
@settings(max_examples=300, deadline=None)
def test_a_slice_is_that_of_onnx(shape: list[int], data: st.DataObject, opset: int) -> None:
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape)), min_size=1, max_size=len(shape)))
    starts, ends = ([data.draw(BOUND) for _ in axes] for _ in "se")
    steps = data.draw(st.one_of(st.none(), st.lists(st.integers(-2, 2), min_size=len(axes), max_size=len(axes))))
    inputs = {"x": numbered(shape)}
    if opset < 10:
        compare(Move("Slice", ("x",), ("y",), {"starts": starts, "ends": ends, "axes": axes}), inputs, opset)
        return
    kind = data.draw(st.sampled_from([np.int32, np.int64]))
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    numbers = {"s": starts, "e": ends, "a": axes, **({"d": steps} if steps else {})}
    inputs |= {name: np.array(np.clip(np.array(n, object), least, most), kind) for name, n in numbers.items()}
    compare(Move("Slice", ("x", "s", "e", "a", *("d" for _ in [steps] if steps)), ("y",), {}), inputs, opset)


@given(st.lists(SHAPES, min_size=1, max_size=3), st.integers(-4, 4), st.sampled_from([9, 17]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_concatenation_is_that_of_onnx(shapes: list[list[int]], axis: int, opset: int, alike: bool) -> None:
    shapes = [shapes[0]] * len(shapes) if alike else shapes
    inputs = {f"x{k}": numbered(shape) + k for k, shape in enumerate(shapes)}
    compare(Move("Concat", tuple(inputs), ("y",), {"axis": axis}), inputs, opset)


@given(st.sampled_from(["Add", "Sub", "Mul"]), st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3), st.data())
@settings(max_examples=100, deadline=None)
def test_counting_is_that_of_onnx(op: str, numbers: list[int], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([np.int64, np.float32]))
    other = np.array(data.draw(st.integers(-9, 9)), kind)
    compare(Move(op, ("a", "b"), ("y",), {}), {"a": np.array(numbers, kind), "b": other})


USUAL = [
    (Move("Transpose", ("x",), ("y",), {"perm": [1, 0, 2]}), (3, 2, 5)),
    (Move("Transpose", ("x",), ("y",), {}), (5, 3, 2)),
    (Move("Reshape", ("x", "s"), ("y",), {}), (2, 15)),
    (Move("Squeeze", ("one",), ("y",), {}), (3, 5)),
    (Move("Squeeze", ("one", "zero"), ("y",), {}), (3, 5, 1)),
    (Move("Unsqueeze", ("x", "s"), ("y",), {}), (1, 2, 3, 5, 1)),
    (Move("Slice", ("x", "zero", "two", "zero"), ("y",), {}), (2, 3, 5)),
    (Move("Slice", ("x", "s", "s"), ("y",), {}), (0, 0, 5)),
    (Move("Concat", ("x", "x"), ("y",), {"axis": -2}), (2, 6, 5)),
    (Move("Identity", ("x",), ("y",), {}), (2, 3, 5)),
    (Move("Sub", ("s", "two"), ("y",), {}), (2,)),
]


@pytest.mark.parametrize(("node", "shape"), USUAL, ids=lambda value: getattr(value, "op", ""))
def test_what_is_usual_is_computed_here(node: Move, shape: tuple[int, ...]) -> None:
    small = {"one": numbered([1, 3, 5, 1]), "zero": np.array([0]), "two": np.array([2])}
    found = moved(node, {"x": numbered([2, 3, 5]), "s": np.array([0, -1]), **small}, OPSET)
    assert found is not None and found.shape == shape


OTHERS = [
    Move("Reshape", ("x", "s"), ("y",), {"allowzero": 1}),
    Move("Reshape", ("x",), ("y",), {"shape": [30]}),
    Move("Transpose", ("x",), ("y", "z"), {}),
    Move("Transpose", ("absent",), ("y",), {}),
    Move("Identity", ("x",), ("y", "z"), {}),
    Move("Relu", ("x",), ("y",), {}),
    Move("Squeeze", ("x", "absent"), ("y",), {}),
    Move("Unsqueeze", ("x",), ("y",), {}),
    Move("Unsqueeze", ("x", "many"), ("y",), {}),
    Move("Slice", ("x", "s", "s", "absent"), ("y",), {}),
    Move("Slice", ("x", "s", "s", "", "absent"), ("y",), {}),
    Move("Concat", ("x", "absent"), ("y",), {"axis": 0}),
    Move("Concat", ("x", "s"), ("y",), {"axis": 0}),
    Move("Mul", ("x", "s"), ("y",), {}),
]


@pytest.mark.parametrize("node", OTHERS, ids=str)
def test_what_is_not_is_left_to_the_evaluator(node: Move) -> None:
    inputs = {"x": numbered([2, 3, 5]), "s": np.array([0, -1]), "many": np.arange(40)}
    assert moved(node, inputs, OPSET) is None and outline(node, inputs, OPSET) is None


def test_sizes_are_whole_numbers_of_64_bits() -> None:
    node = Move("Reshape", ("x", "s"), ("y",), {})
    for sizes in (np.array([30], np.int32), np.array(30), np.array([30.0])):
        assert moved(node, {"x": numbered([2, 15]), "s": sizes}, OPSET) is None
    assert moved(node, {"x": numbered([2, 15]), "s": np.array([30])}, 1) is None
    assert helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)) == TensorProto.INT64
